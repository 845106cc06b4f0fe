package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"
)

// server is the local program, running as a process of its own.
type server struct {
	command *exec.Cmd
	done    chan error
	ready   ready
	client  *http.Client
}

type ready struct {
	URL      string `json:"url"`
	OwnerKey string `json:"owner_key"`
	// Where simulators are steered that have an address of their own for it.
	Controls map[string]string `json:"simulator_controls"`
}

// startTime is how long a machine may take to start the program.
const startTime = 30 * time.Second

func startServer(ctx context.Context, cfg Config) (*server, error) {
	file := filepath.Join(cfg.Data, "demo-ready.json")
	if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	// Not CommandContext: on Ctrl-C the program is asked to stop, not killed.
	command := exec.Command(cfg.Program, "--listen", "127.0.0.1:0", "--data", cfg.Data, "--ready-file", file, "--clock") //nolint:gosec // our own program
	command.Env = append(os.Environ(), cfg.Env...)
	command.Stderr = cfg.Log
	if err := command.Start(); err != nil {
		return nil, err
	}
	s := &server{command: command, done: make(chan error, 1), client: &http.Client{Timeout: time.Minute}}
	go func() { s.done <- command.Wait() }()
	deadline := time.After(startTime)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-s.done:
			return nil, fmt.Errorf("the program ended instead of serving: %w", err)
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), s.stop())
		case <-deadline:
			return nil, errors.Join(errors.New("the program does not serve"), s.stop())
		case <-tick.C:
		}
		if body, err := os.ReadFile(file); err == nil {
			return s, json.Unmarshal(body, &s.ready)
		}
	}
}

// server is one that runs already, and is nobody's here to stop.
func (p *Place) server() *server {
	return &server{ready: ready{URL: p.URL, OwnerKey: p.OwnerKey, Controls: p.Controls}, client: &http.Client{Timeout: time.Minute, Transport: p.Transport}}
}

// stop asks the program to stop, and waits for it.
func (s *server) stop() error {
	if s.command == nil {
		return nil
	}
	ask := os.Interrupt
	if runtime.GOOS == "windows" {
		ask = os.Kill // Windows has no other signal to send
	}
	err := s.command.Process.Signal(ask)
	s.command = nil
	if err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case err := <-s.done:
		var exit *exec.ExitError
		if errors.As(err, &exit) && ask == os.Kill {
			return nil
		}
		return err
	case <-time.After(time.Minute):
		return errors.New("the program does not stop")
	}
}

// call sends a request with the owner's key and reads the JSON answer. into may be nil.
func (s *server) call(ctx context.Context, method, path string, body, into any) error {
	reader := io.Reader(nil)
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return err
		}
		reader = bytes.NewReader(encoded)
	}
	answer, err := s.send(ctx, method, path, reader)
	if err != nil || into == nil {
		return err
	}
	return json.Unmarshal(answer, into)
}

func (s *server) bytes(ctx context.Context, path string) ([]byte, error) {
	return s.send(ctx, http.MethodGet, path, nil)
}

func (s *server) send(ctx context.Context, method, path string, body io.Reader) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, s.ready.URL+path, body)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+s.ready.OwnerKey)
	response, err := s.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	if response.StatusCode >= http.StatusBadRequest {
		return nil, problemOf(response.StatusCode, answer)
	}
	return answer, nil
}

// problemOf tells what a problem document says.
func problemOf(status int, body []byte) error {
	var problem struct{ Code, Detail, Action, Message string }
	if json.Unmarshal(body, &problem) != nil || problem.Detail == "" {
		return fmt.Errorf("the answer is %d %s", status, problem.Message)
	}
	return fmt.Errorf("%d %s: %s %s", status, problem.Code, problem.Detail, problem.Action)
}
