package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	amazonsim "connectorvault/infra/sim/amazon"
)

// process is one that this program started and ends.
type process struct {
	command *exec.Cmd
	url     string
	ready   struct {
		URL      string `json:"url"`
		OwnerKey string `json:"owner_key"`
	}
}

func (p *process) stop() error {
	if err := p.command.Process.Signal(os.Interrupt); err != nil {
		return err
	}
	return p.command.Wait()
}

func startVault(ctx context.Context, program, data string, flags ...string) (*process, error) {
	if err := os.MkdirAll(data, 0o700); err != nil {
		return nil, err
	}
	file := filepath.Join(data, fmt.Sprintf("perf-%d.json", time.Now().UnixNano()))
	args := append([]string{"--listen", "127.0.0.1:0", "--data", data, "--ready-file", file}, flags...)
	p := &process{command: exec.Command(program, args...)} //nolint:gosec // our own program
	p.command.Stderr = os.Stderr
	if err := p.command.Start(); err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline) && ctx.Err() == nil; time.Sleep(time.Millisecond) {
		if body, err := os.ReadFile(file); err == nil {
			return p, json.Unmarshal(body, &p.ready)
		}
	}
	return nil, errors.Join(errors.New("the program does not serve"), p.stop())
}

// connect registers the simulator's application, connects an account and makes a connector; it returns the path to read.
func (p *process) connect(ctx context.Context, resource string) (string, error) {
	var entry, begun, connector struct {
		ID  string `json:"id"`
		URL string `json:"oauth_request_url"`
	}
	type object = map[string]string
	steps := []struct {
		method, path string
		body         func() any
		into         any
	}{
		{"PUT", "/v1/provider-apps/amazon", func() any {
			return object{"application_id": amazonsim.SeededApplicationID, "client_id": amazonsim.SeededClientID, "client_secret": amazonsim.SeededClientSecret}
		}, nil},
		{"POST", "/v1/vault-entries", func() any {
			return object{"provider": "amazon", "alias": resource, "environment": "perf", "region": "na"}
		}, &entry},
	}
	for _, s := range steps {
		if err := p.call(ctx, s.method, s.path, s.body(), s.into); err != nil {
			return "", err
		}
	}
	if err := p.call(ctx, "POST", "/v1/vault-entries/"+entry.ID+"/authorize", object{"mode": "result_url"}, &begun); err != nil {
		return "", err
	}
	result, err := consent(ctx, begun.URL)
	if err != nil {
		return "", err
	}
	if err := p.call(ctx, "POST", "/v1/vault-entries/"+entry.ID+"/validate", object{"result_url": result}, nil); err != nil {
		return "", err
	}
	err = p.call(ctx, "POST", "/v1/connectors", object{"name": "perf", "vault_entry": entry.ID}, &connector)
	return "/v1/connectors/" + connector.ID + "/" + resource, err
}

func (p *process) call(ctx context.Context, method, path string, body, into any) error {
	encoded, err := json.Marshal(body)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, method, p.ready.URL+path, bytes.NewReader(encoded))
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+p.ready.OwnerKey)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode >= 400 {
		return fmt.Errorf("%s %s: %d %s", method, path, response.StatusCode, answer)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(answer, into)
}

var firstAccount = regexp.MustCompile(`<option value="([^"]+)"`)

// consent confirms at the simulated consent page and returns where it sends the browser.
func consent(ctx context.Context, address string) (string, error) {
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return "", err
	}
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	page, err := io.ReadAll(response.Body)
	if err := errors.Join(err, response.Body.Close()); err != nil {
		return "", err
	}
	account := firstAccount.FindSubmatch(page)
	if account == nil {
		return "", errors.New("the consent page offers no account")
	}
	u, err := url.Parse(address)
	if err != nil {
		return "", err
	}
	form := u.Query()
	form.Set("account", string(account[1]))
	form.Set("decision", "confirm")
	form.Set("email", "perf@example.com")
	form.Set("password", "simulated")
	u.RawQuery = ""
	if request, err = http.NewRequestWithContext(ctx, http.MethodPost, u.String(), strings.NewReader(form.Encode())); err != nil {
		return "", err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if response, err = client.Do(request); err != nil {
		return "", err
	}
	return response.Header.Get("Location"), response.Body.Close()
}

// upstream answers every request with the same 2 KB.
type upstream struct {
	url, body string
	server    *http.Server
}

func startUpstream() (*upstream, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	up := &upstream{url: "http://" + listener.Addr().String(), body: sample()}
	up.server = &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("X-Amzn-Requestid", "00000000-0000-4000-8000-000000000000")
		_, _ = io.WriteString(w, up.body)
	})}
	go func() { _ = up.server.Serve(listener) }()
	return up, nil
}

func (u *upstream) close() { _ = u.server.Close() }

func startProxy(ctx context.Context, self, target string) (*process, error) {
	p := &process{command: exec.CommandContext(ctx, self, "-proxy", target)} //nolint:gosec // this program
	p.command.Stderr = os.Stderr
	out, err := p.command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.command.Start(); err != nil {
		return nil, err
	}
	_, err = fmt.Fscanln(out, &p.url)
	return p, err
}

// serveUntilTold serves on a free port, says which, and ends on an interrupt.
func serveUntilTold(handler http.Handler) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println("http://" + listener.Addr().String())
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	go func() {
		<-ctx.Done()
		_ = server.Close()
	}()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
