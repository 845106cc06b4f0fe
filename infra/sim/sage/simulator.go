// Package sagesim is a simulator of the faces Sage Accounting shows to a connector: the authorize page, the token
// and revocation endpoints, API v3.1, and the older API v3 of Sage One with its own token endpoint.
//
// The argument: a Sage connection lives on a refresh token that works once, and an access token of 300 seconds makes
// it be spent some 288 times a day. Every fault that matters lies between spending it and storing its successor, and
// Sage lets nobody provoke one. So this simulator spends tokens in one transaction and then loses, delays, cuts or
// garbles the answer on demand; it keeps a ledger of what was spent, what came of it, and whether anything was
// offered twice; and the behaviour that Sage does not document, a grace window or the revocation of the whole family,
// is a switch, so that a client can be shown to survive both.
//
// All state lies in one SQLite file and the HTTP front keeps nothing but the count of calls in flight, so several
// processes may serve one data directory: exactly one of fifty racing refreshes wins, wherever they arrive. All
// lifetimes follow the configured clock. Books are computed from the business id and the clock rather than stored, so
// that two processes always agree on them: they begin on 1 January 2024 and grow.
//
// Tokens look like the JSON Web Tokens that Sage gives out and are as long. Their signature is the simulator's own.
//
// "Sage facts" in comments are the numbered sections of the project's fact sheet on Sage. What those call unverified
// is said to be assumed here.
package sagesim

import (
	"context"
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
	Random    io.Reader        // source of codes, keys and ids; nil = crypto/rand
	BaseURL   func() string    // where this front is reached, e.g. "http://127.0.0.1:41234"; nil = "http://127.0.0.1"
	Logger    *slog.Logger     // gets method, path and status of every request, and failures of the simulator itself; nil = discarded
}

// Simulator serves the simulated Sage. It is safe for concurrent use, and several may share one state file.
type Simulator struct {
	now      func() time.Time
	random   *engine.Random
	baseURL  func() string
	log      *slog.Logger
	state    *engine.State
	switches *engine.Switches[Fault]
	key      []byte // signs access tokens and derives refresh tokens; the same for all that share the state
	flights  flights
	shelf    shelf
}

// Endpoints are the addresses a client is configured with.
type Endpoints struct {
	Authorize   string `json:"authorize"`
	Token       string `json:"token"`
	Revoke      string `json:"revoke"`
	API         string `json:"api"`
	LegacyToken string `json:"legacy_token"` // one for all countries, where the real ones differ (Sage facts 3.1)
	LegacyAPI   string `json:"legacy_api"`   // "/uki/sageone/accounts/v3" and its like follow
}

// New opens (or makes) the simulator's state and returns it ready to serve.
func New(cfg Config) (*Simulator, error) {
	if cfg.StatePath == "" {
		return nil, errors.New("sagesim: StatePath is required")
	}
	s := &Simulator{now: cfg.Now, baseURL: cfg.BaseURL, log: cfg.Logger}
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

// The paths of the front.
const (
	authorizePath   = "/oauth2/auth/central"
	tokenPath       = "/token"
	revokePath      = "/revoke"
	apiPath         = "/v3.1"
	legacyTokenPath = "/legacy/token"
	legacyPath      = "/legacy"
)

// Endpoints returns where this front serves what.
func (s *Simulator) Endpoints() Endpoints {
	base := s.base()
	return Endpoints{
		Authorize: base + authorizePath, Token: base + tokenPath, Revoke: base + revokePath, API: base + apiPath,
		LegacyToken: base + legacyTokenPath, LegacyAPI: base + legacyPath,
	}
}

func (s *Simulator) base() string { return strings.TrimRight(s.baseURL(), "/") }

func (s *Simulator) randomHex(n int) string { return hex.EncodeToString(s.random.Bytes(n)) }

// uuid returns a random (version 4) UUID.
func (s *Simulator) uuid() string { return engine.FormatUUID(s.random.Bytes(16)) }

// seconds is the simulated time after d, as it is stored.
func (s *Simulator) seconds(d time.Duration) int64 { return s.now().Add(d).Unix() }
