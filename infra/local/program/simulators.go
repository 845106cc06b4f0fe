package program

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"time"

	amazonsim "connectorvault/infra/sim/amazon"
	clarasim "connectorvault/infra/sim/clara"
	sagesim "connectorvault/infra/sim/sage"
	"connectorvault/shared/provider/amazon"
	"connectorvault/shared/provider/catalog"
	"connectorvault/shared/provider/clara"
	"connectorvault/shared/provider/sage"
)

// simulators are the simulated providers of this process. Their state lies in the data folder, so those of another
// process on it are the same.
type simulators struct {
	endpoints catalog.Options
	controls  map[string]string // where those are steered that take a certificate of everybody else
	servers   []*http.Server
	states    []io.Closer
	logger    *slog.Logger
}

// simulated is what each of them is.
type simulated interface {
	io.Closer
	Handler() http.Handler
}

func startSimulators(o Options, now func() time.Time, notify func(context.Context, []byte) error, logger *slog.Logger) (*simulators, error) {
	s := &simulators{logger: logger}
	if !o.Simulators {
		return s, nil
	}
	err := s.serve("Amazon", func(base func() string, logger *slog.Logger) (simulated, error) {
		sim, err := amazonsim.New(amazonsim.Config{StatePath: filepath.Join(o.Data, "amazon-simulator.db"), Now: now, Random: rand.Reader,
			BaseURL: base, ModelsDir: o.AmazonModels, Notify: notify, Logger: logger})
		if err != nil {
			return nil, err
		}
		at := sim.Endpoints()
		if o.AmazonModels != "" {
			at = sim.SandboxEndpoints() // answers from the models, as Amazon's static sandbox does
		}
		s.endpoints.Amazon = amazon.Endpoints{Consent: at.Consent, Token: at.Token, API: at.API}
		return sim, nil
	})
	if err == nil {
		err = s.serve("Sage", func(base func() string, logger *slog.Logger) (simulated, error) {
			sim, err := sagesim.New(sagesim.Config{StatePath: filepath.Join(o.Data, "sage-simulator.db"), Now: now, Random: rand.Reader,
				BaseURL: base, Logger: logger})
			if err != nil {
				return nil, err
			}
			s.endpoints.Sage = sage.Endpoints(sim.Endpoints())
			return sim, nil
		})
	}
	if err == nil {
		err = s.serveClara(o, now)
	}
	if err != nil {
		s.close()
	}
	return s, err
}

// serveClara serves the simulated Clara, which is reached by mutual TLS, and beside it, without, what steers it.
func (s *simulators) serveClara(o Options, now func() time.Time) error {
	sim, err := clarasim.New(clarasim.Config{StatePath: filepath.Join(o.Data, "clara-simulator.db"), Now: now, Random: rand.Reader,
		Logger: s.logger.With("simulator", "Clara")})
	if err != nil {
		return fmt.Errorf("the Clara simulator cannot start: %w", err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return errors.Join(fmt.Errorf("the simulators cannot listen: %w", err), sim.Close())
	}
	base := "https://" + listener.Addr().String()
	s.endpoints.Clara = clara.Endpoints{CAFile: sim.CAFile(), Base: map[string]string{"mx": base + "/mx", "br": base + "/br", "co": base + "/co"}}
	s.begin(tls.NewListener(listener, sim.TLSConfig()), sim.Handler(), sim)
	return s.serve("Clara's control", func(base func() string, _ *slog.Logger) (simulated, error) {
		sim.ServeFilesAt(base())
		s.controls = map[string]string{"clara": base()}
		return control{sim}, nil
	})
}

// control is the side of the simulated Clara that needs no certificate. The simulator is closed with its front.
type control struct{ sim *clarasim.Simulator }

func (c control) Handler() http.Handler { return c.sim.Control() }

func (control) Close() error { return nil }

// begin serves a handler until the simulators are closed.
func (s *simulators) begin(listener net.Listener, handler http.Handler, state io.Closer) {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(s.logger.Handler(), slog.LevelDebug)}
	s.servers, s.states = append(s.servers, server), append(s.states, state)
	go func() { _ = server.Serve(listener) }()
}

// serve puts a simulator on an address of its own.
func (s *simulators) serve(name string, start func(base func() string, logger *slog.Logger) (simulated, error)) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("the simulators cannot listen: %w", err)
	}
	base := "http://" + listener.Addr().String()
	sim, err := start(func() string { return base }, s.logger.With("simulator", name))
	if err != nil {
		return errors.Join(fmt.Errorf("the %s simulator cannot start: %w", name, err), listener.Close())
	}
	s.begin(listener, sim.Handler(), sim)
	return nil
}

func (s *simulators) close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	for i, server := range s.servers {
		if server.Shutdown(ctx) != nil { // a fault may hold an answer back for long
			_ = server.Close()
		}
		_ = s.states[i].Close()
	}
}
