// Package amazonsim is a simulator of the three faces Amazon shows to a connector: the consent pages of
// Seller Central, the token endpoint of Login with Amazon (LWA), and the Selling Partner API (SP-API).
//
// It exists because the costly mistakes are made against the provider's behaviour, not against its happy path:
// a code that is spent twice, a bucket that holds twenty calls and refills one in three minutes, a 403 that
// means five different things, a presigned address that dies after 300 seconds, an answer that is lost after
// the other side has committed. None of these can be provoked on demand at Amazon, and most not at all without
// a seller's account. A simulator is only worth testing against when it refuses what Amazon refuses, so this one
// is strict where the real one is and says so in a counter.
//
// All state lies in one SQLite file and the HTTP front keeps nothing, so several processes may serve one
// data directory: a code issued by one is spent at another, and exactly one of fifty racing exchanges wins.
// All lifetimes follow the configured clock. Data is computed from the seller id and the clock rather than
// stored, so that two processes always agree on it.
//
// The API's sandbox has addresses of its own beside those of production. With a folder of Amazon's models it answers
// from their examples, as the hosted static sandbox does; without one, from the same seeded data.
//
// "Amazon facts" in comments are the numbered sections of the project's fact sheet on SP-API.
package amazonsim

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"connectorvault/infra/sim/engine"
)

// Config is what a simulator needs. Only StatePath is required.
type Config struct {
	StatePath string           // SQLite file that holds all state; made when absent
	Now       func() time.Time // the simulated clock that every lifetime follows; nil = time.Now
	Random    io.Reader        // source of codes, tokens and ids; nil = crypto/rand
	BaseURL   func() string    // where this front is reached, e.g. "http://127.0.0.1:41234"; nil = "http://127.0.0.1"
	ModelsDir string           // folder of Amazon's OpenAPI files, whose examples the sandbox addresses answer with; "" = seeded data there too
	// Notify takes the messages about client secrets that Amazon sends to the queue that is registered in the portal; nil = no
	// application is enrolled for them.
	Notify func(ctx context.Context, message []byte) error
	Logger *slog.Logger // gets method, path and status of every request, and failures of the simulator itself; nil = discarded
}

// Simulator serves the simulated Amazon. It is safe for concurrent use, and several may share one state file.
type Simulator struct {
	now      func() time.Time
	random   *engine.Random
	baseURL  func() string
	notify   func(ctx context.Context, message []byte) error
	log      *slog.Logger
	state    *engine.State
	switches *engine.Switches[Fault]
	models   *models // nil without a models folder
}

// Endpoints are the addresses a client is configured with.
type Endpoints struct {
	Consent string            `json:"consent"`
	Token   string            `json:"token"`
	API     map[string]string `json:"api"` // region → base URL
}

// New opens (or makes) the simulator's state and returns it ready to serve.
func New(cfg Config) (*Simulator, error) {
	if cfg.StatePath == "" {
		return nil, errors.New("amazonsim: StatePath is required")
	}
	s := &Simulator{now: cfg.Now, baseURL: cfg.BaseURL, notify: cfg.Notify, log: cfg.Logger}
	if s.now == nil {
		s.now = time.Now
	}
	if s.baseURL == nil {
		s.baseURL = func() string { return "http://127.0.0.1" }
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.random = engine.NewRandom(cfg.Random)
	if cfg.ModelsDir != "" {
		known, err := loadModels(cfg.ModelsDir)
		if err != nil {
			return nil, fmt.Errorf("loading models: %w", err)
		}
		s.models = known
	}
	st, err := engine.OpenState(cfg.StatePath, tables, s.log)
	if err != nil {
		return nil, fmt.Errorf("opening state: %w", err)
	}
	s.state, s.switches = st, engine.NewSwitches(st, faultParts)
	if err := s.seed(context.Background()); err != nil {
		return nil, errors.Join(fmt.Errorf("seeding state: %w", err), st.Close())
	}
	return s, nil
}

// Close releases the state file. The Handler must not be used afterwards.
func (s *Simulator) Close() error { return s.state.Close() }

// Endpoints returns where this front serves what.
func (s *Simulator) Endpoints() Endpoints { return s.endpoints("/") }

// SandboxEndpoints returns the same with the addresses of the API's sandbox. Amazon gives the sandbox hosts of its
// own and no consent pages or token endpoint (Amazon facts 4), so the other two are those of production.
func (s *Simulator) SandboxEndpoints() Endpoints { return s.endpoints(sandboxPrefix + "/") }

func (s *Simulator) endpoints(prefix string) Endpoints {
	base := s.base()
	api := make(map[string]string, len(regionNames))
	for _, region := range regionNames {
		api[region] = base + prefix + region
	}
	return Endpoints{Consent: base + "/apps/authorize/consent", Token: base + "/auth/o2/token", API: api}
}

func (s *Simulator) base() string { return strings.TrimRight(s.baseURL(), "/") }

// opaque returns prefix followed by n bytes in base64url. Amazon's tokens are opaque to clients, so only
// their prefix and length are imitated (Amazon facts 1).
func (s *Simulator) opaque(prefix string, n int) string {
	return prefix + base64.RawURLEncoding.EncodeToString(s.random.Bytes(n))
}

// uuid returns a random (version 4) UUID.
func (s *Simulator) uuid() string {
	b := s.random.Bytes(16)
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	h := hex.EncodeToString(b)
	return strings.Join([]string{h[:8], h[8:12], h[12:16], h[16:20], h[20:]}, "-")
}
