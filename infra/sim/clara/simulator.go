// Package clarasim is a simulator of the faces Clara shows to a connector: mutual TLS, the token endpoint, and the API in
// its versions 2 and 3, for Mexico, Brazil and Colombia, production and sandbox.
//
// The argument: what goes wrong with Clara goes wrong before any data is read. A certificate runs out a week after the
// project did, or belongs to another one; it was replaced, and an old connection still shows the old one; the front answers
// 511, or 401, or ends the handshake with an alert that differs between TLS 1.2 and 1.3. Clara gives nobody a way to
// provoke any of it. So this simulator has certificate authorities of its own, issues every certificate that a client may be
// given by mistake, verifies them in a real handshake, and counts handshakes by certificate, so that a test can say which
// one was shown. What Clara's documents contradict themselves about, whether a status is text or an object, whether a list
// is an array or a page, is a switch.
//
// All state lies in one SQLite file, the authorities too, so several processes may serve one data folder and whatever one
// of them issued is good at the others. All lifetimes follow the configured clock, those of certificates as well.
// What a company owns is computed from its country, side and tax identifier and from the clock rather than stored.
//
// The real hosts differ by country; here the first segment of a path does: where Clara has https://public-api.mx.clara.com, a
// client is given the base https://127.0.0.1:<port>/mx, and /br or /co in its stead. Then follow /oauth/token, /api/v3/… and
// /api-test/v3/… as at Clara.
//
// "Clara facts" in comments are the numbered sections of the project's fact sheet on Sage and Clara. What those call unverified
// is said to be assumed here.
package clarasim

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"connectorvault/infra/sim/engine"
)

// Config is what a simulator needs. Only StatePath is required.
type Config struct {
	StatePath string           // SQLite file that holds all state; made when absent. The file of CAFile lies beside it
	Now       func() time.Time // the simulated clock that every lifetime follows; nil = time.Now
	Random    io.Reader        // source of ids and secrets; nil = crypto/rand. Keys of certificates are drawn by the standard library itself
	Logger    *slog.Logger     // gets method, path and status of every request, and failures of the simulator itself; nil = discarded
}

// Simulator serves the simulated Clara. It is safe for concurrent use, and several may share one state file.
type Simulator struct {
	now      func() time.Time
	random   *engine.Random
	log      *slog.Logger
	state    *engine.State
	switches *engine.Switches[Fault]

	// The same for all that share the state.
	key       []byte     // signs access tokens and addresses of files
	clients   *authority // issues the certificates of API projects
	servers   *authority // issued the front's own
	identity  tls.Certificate
	authority string // where the file of CAFile is

	months sync.Map // of books, as they were made

	filesMu   sync.Mutex
	filesBase string // guarded by filesMu; where this process's control front is reached
	filesSet  bool   // guarded by filesMu; ServeFilesAt has said so
}

// New opens (or makes) the simulator's state and returns it ready to serve.
func New(cfg Config) (*Simulator, error) {
	if cfg.StatePath == "" {
		return nil, errors.New("clarasim: StatePath is required")
	}
	s := &Simulator{now: cfg.Now, log: cfg.Logger}
	if s.now == nil {
		s.now = time.Now
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
	s.authority = authorityPath(cfg.StatePath)
	if err := writeAuthority(s.authority, s.servers.pem); err != nil {
		return nil, errors.Join(err, st.Close())
	}
	return s, nil
}

// Close releases the state file. The handlers must not be used afterwards.
func (s *Simulator) Close() error { return s.state.Close() }

// CAFile is a PEM file with the authority that issued the front's own certificate. It stays the same for as long as the
// state file does.
func (s *Simulator) CAFile() string { return s.authority }

// ServeFilesAt says where the control front of this process is reached, such as "http://127.0.0.1:41234". Addresses of files
// lead there. Unless it is called, they lead to wherever the control front was last asked, or to the API's own front
// when it never was.
func (s *Simulator) ServeFilesAt(base string) {
	s.filesMu.Lock()
	defer s.filesMu.Unlock()
	s.filesBase, s.filesSet = base, true
}

// noteFilesAt remembers where the control front was asked.
func (s *Simulator) noteFilesAt(base string) {
	s.filesMu.Lock()
	defer s.filesMu.Unlock()
	if !s.filesSet {
		s.filesBase = base
	}
}

// filesAt is where files are served; otherwise is the front that was asked.
func (s *Simulator) filesAt(otherwise string) string {
	s.filesMu.Lock()
	defer s.filesMu.Unlock()
	if s.filesBase == "" {
		return otherwise
	}
	return s.filesBase
}

// randomText makes identifiers and secrets of letters and digits, which every encoding leaves as they are.
func (s *Simulator) randomText(length int) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	text := s.random.Bytes(length)
	for i, b := range text {
		text[i] = alphabet[int(b)%len(alphabet)]
	}
	return string(text)
}

// seconds is the simulated time, as it is stored.
func (s *Simulator) seconds() int64 { return s.now().Unix() }
