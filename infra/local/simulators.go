package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"path/filepath"
	"time"

	amazonsim "connectorvault/infra/sim/amazon"
	"connectorvault/shared/provider/amazon"
	"connectorvault/shared/provider/catalog"
)

// simulators are the simulated providers of this process. Their state lies in the data folder, so those of another
// process on it are the same.
type simulators struct {
	endpoints catalog.Options
	server    *http.Server
	amazon    *amazonsim.Simulator
}

func startSimulators(o options, now func() time.Time, logger *slog.Logger) (*simulators, error) {
	s := &simulators{}
	if !o.simulators {
		return s, nil
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return s, fmt.Errorf("the simulators cannot listen: %w", err)
	}
	base := "http://" + listener.Addr().String()
	s.amazon, err = amazonsim.New(amazonsim.Config{StatePath: filepath.Join(o.data, "amazon-simulator.db"), Now: now, Random: rand.Reader,
		BaseURL: func() string { return base }, ModelsDir: o.models, Logger: logger.With("simulator", "amazon")})
	if err != nil {
		_ = listener.Close()
		return s, fmt.Errorf("the Amazon simulator cannot start: %w", err)
	}
	addresses := s.amazon.Endpoints()
	if o.models != "" {
		addresses = s.amazon.SandboxEndpoints() // answers from the models, as Amazon's static sandbox does
	}
	s.endpoints.Amazon = amazon.Endpoints{Consent: addresses.Consent, Token: addresses.Token, API: addresses.API}
	s.server = &http.Server{Handler: s.amazon.Handler(), ReadHeaderTimeout: 10 * time.Second,
		ErrorLog: slog.NewLogLogger(logger.Handler(), slog.LevelDebug)}
	go func() { _ = s.server.Serve(listener) }()
	return s, nil
}

func (s *simulators) close() {
	if s.server == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if s.server.Shutdown(ctx) != nil { // a fault may hold an answer back for long
		_ = s.server.Close()
	}
	_ = s.amazon.Close()
}

// merge lets the addresses of the endpoints file win.
func merge(simulated, given catalog.Options) catalog.Options {
	out := simulated
	if given.Amazon.Consent != "" {
		out.Amazon.Consent = given.Amazon.Consent
	}
	if given.Amazon.Token != "" {
		out.Amazon.Token = given.Amazon.Token
	}
	if len(given.Amazon.API) > 0 {
		out.Amazon.API = maps.Clone(simulated.Amazon.API)
		if out.Amazon.API == nil {
			out.Amazon.API = map[string]string{}
		}
		maps.Copy(out.Amazon.API, given.Amazon.API)
	}
	return out
}
