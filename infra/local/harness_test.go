package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/html"

	amazonsim "connectorvault/infra/sim/amazon"
	sagesim "connectorvault/infra/sim/sage"
)

// asProgram makes the test binary be the program: tests that kill, or need several processes, start it anew.
const asProgram = "CONNECTOR_VAULT_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	os.Exit(m.Run())
}

// vault is a running program and a client of it.
type vault struct {
	t    *testing.T
	dir  string
	url  string
	key  string
	sims struct {
		Amazon struct {
			Consent string            `json:"consent"`
			Token   string            `json:"token"`
			API     map[string]string `json:"api"`
		} `json:"amazon"`
		Sage sagesim.Endpoints `json:"sage"`
	}
	log    *buffer
	stop   func() error // asks it to stop and waits
	kill   func()       // only of a process of its own
	client *http.Client
}

// buffer collects what is written at once by many.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// start runs the program within the test.
func start(t *testing.T, dir string, flags ...string) *vault {
	t.Helper()
	v := newVault(t, dir)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan int, 1)
	args := v.args(flags)
	go func() { done <- run(ctx, args, v.log, v.log) }()
	var once sync.Once
	var err error
	v.stop = func() error {
		once.Do(func() {
			cancel()
			if code := <-done; code != 0 {
				err = fmt.Errorf("the program ended with %d", code)
			}
		})
		return err
	}
	t.Cleanup(func() {
		if err := v.stop(); err != nil {
			t.Error(err)
		}
	})
	v.awaitReady(func() bool { return len(done) > 0 })
	return v
}

// spawn runs the program as a process of its own.
func spawn(t *testing.T, dir string, flags ...string) *vault {
	t.Helper()
	v := newVault(t, dir)
	command := exec.Command(os.Args[0], v.args(flags)...)
	command.Env = append(os.Environ(), asProgram+"=1")
	command.Stdout, command.Stderr = v.log, v.log
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	var waited error
	go func() { waited = command.Wait(); close(done) }()
	v.kill = func() { _ = command.Process.Kill(); <-done }
	v.stop = func() error {
		_ = command.Process.Signal(syscall.SIGTERM)
		<-done
		return waited
	}
	t.Cleanup(v.kill)
	v.awaitReady(func() bool {
		select {
		case <-done:
			return true
		default:
			return false
		}
	})
	return v
}

var readyFiles struct {
	sync.Mutex
	n int
}

func newVault(t *testing.T, dir string) *vault {
	return &vault{t: t, dir: dir, log: &buffer{}, client: &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: 200},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

func (v *vault) args(flags []string) []string {
	readyFiles.Lock()
	readyFiles.n++
	file := filepath.Join(v.dir, fmt.Sprintf("ready-%d-%d.json", os.Getpid(), readyFiles.n))
	readyFiles.Unlock()
	v.url = file // until it is read
	return append([]string{"--listen", "127.0.0.1:0", "--data", v.dir, "--ready-file", file, "--clock", "--by-hand", "--verbose", "--metrics", filepath.Join(v.dir, "metrics")}, flags...)
}

// byItself makes a program do by itself what its tests otherwise ask for, see schedule.
const byItself = "--by-hand=false"

// schedule has everything done that is due by now: what reads left to be done behind them, the housekeeping, the schedule, and
// the queues. Nothing of it is done at any other time, so that none of it comes between two steps of a test.
func (v *vault) schedule() {
	v.t.Helper()
	v.must(200, "POST", "/local/schedule", nil)
}

func (v *vault) awaitReady(ended func() bool) {
	v.t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		body, err := os.ReadFile(v.url)
		if err != nil {
			if ended() {
				break
			}
			continue
		}
		var ready struct {
			URL        string          `json:"url"`
			OwnerKey   string          `json:"owner_key"`
			Simulators json.RawMessage `json:"simulators"`
		}
		if err := errors.Join(json.Unmarshal(body, &ready), json.Unmarshal(ready.Simulators, &v.sims)); err != nil {
			v.t.Fatal(err)
		}
		v.url, v.key = ready.URL, ready.OwnerKey
		return
	}
	v.t.Fatalf("the program does not serve:\n%s", v.log)
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (a answer) json(t *testing.T) map[string]any {
	t.Helper()
	var out map[string]any
	if err := json.Unmarshal(a.body, &out); err != nil {
		t.Fatalf("not a JSON object: %v: %.200s", err, a.body)
	}
	return out
}

func (a answer) text(t *testing.T, name string) string {
	t.Helper()
	s, _ := a.json(t)[name].(string)
	return s
}

type object = map[string]any

// do sends a request with the owner's key.
func (v *vault) do(method, path string, body any) answer {
	v.t.Helper()
	return v.with(map[string]string{"Authorization": "Bearer " + v.key}, method, path, body)
}

func (v *vault) with(header map[string]string, method, path string, body any) answer {
	v.t.Helper()
	a, err := v.try(header, method, v.url+path, body)
	if err != nil {
		v.t.Fatal(err)
	}
	return a
}

func (v *vault) try(header map[string]string, method, address string, body any) (answer, error) {
	var reader io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		reader = strings.NewReader(b)
	default:
		encoded, err := json.Marshal(b)
		if err != nil {
			return answer{}, err
		}
		reader = bytes.NewReader(encoded)
	}
	request, err := http.NewRequest(method, address, reader)
	if err != nil {
		return answer{}, err
	}
	for name, value := range header {
		request.Header.Set(name, value)
	}
	response, err := v.client.Do(request)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = response.Body.Close() }()
	got, err := io.ReadAll(response.Body)
	return answer{response.StatusCode, response.Header, got}, err
}

// must is do, for what has to succeed.
func (v *vault) must(want int, method, path string, body any) answer {
	v.t.Helper()
	a := v.do(method, path, body)
	if a.status != want {
		v.t.Fatalf("%s %s: %d, want %d: %.600s", method, path, a.status, want, a.body)
	}
	return a
}

// app registers the simulator's own application.
func (v *vault) app() {
	v.t.Helper()
	v.must(200, "PUT", "/v1/provider-apps/amazon", object{"application_id": amazonsim.SeededApplicationID,
		"client_id": amazonsim.SeededClientID, "client_secret": amazonsim.SeededClientSecret})
}

// entry makes an entry of the American simulated seller.
func (v *vault) entry(alias string) string {
	v.t.Helper()
	return v.must(201, "POST", "/v1/vault-entries", object{"provider": "amazon", "alias": alias, "environment": "test", "region": "na"}).text(v.t, "id")
}

// consent begins in Result URL mode, gives consent, and returns the URL that the browser lands on.
func (v *vault) consent(entry string) string {
	v.t.Helper()
	begun := v.must(200, "POST", "/v1/vault-entries/"+entry+"/authorize", object{"mode": "result_url"})
	return v.giveConsent(begun.text(v.t, "oauth_request_url"))
}

// giveConsent confirms at the simulated consent page and returns where it sends the browser.
func (v *vault) giveConsent(requestURL string) string {
	v.t.Helper()
	b := newBrowser(v.t)
	b.open(requestURL)
	return b.submit("")
}

// connected makes an authorized entry.
func (v *vault) connected(alias string) string {
	v.t.Helper()
	id := v.entry(alias)
	v.must(200, "POST", "/v1/vault-entries/"+id+"/validate", object{"result_url": v.consent(id)})
	return id
}

func (v *vault) connector(entry string) string {
	v.t.Helper()
	return v.must(201, "POST", "/v1/connectors", object{"name": "test", "vault_entry": entry}).text(v.t, "id")
}

func (v *vault) advance(d time.Duration) {
	v.t.Helper()
	v.must(200, "POST", "/local/clock", object{"advance": d.String()})
}

// fault switches something on in the simulator.
func (v *vault) fault(f object) {
	v.t.Helper()
	v.sim("POST", "/_sim/faults", f)
}

func (v *vault) sim(method, path string, body any) answer {
	v.t.Helper()
	u, err := url.Parse(v.sims.Amazon.Token)
	if err != nil {
		v.t.Fatal(err)
	}
	a, err := v.try(map[string]string{"Content-Type": "application/json"}, method, u.Scheme+"://"+u.Host+path, body)
	if err != nil {
		v.t.Fatal(err)
	}
	if a.status >= 400 {
		v.t.Fatalf("%s %s: %d: %s", method, path, a.status, a.body)
	}
	return a
}

// faults are the switches that are on. One that fires once is gone when it has, and one that holds a request says so.
func (v *vault) faults() []object {
	v.t.Helper()
	var list struct{ Items []object }
	if err := json.Unmarshal(v.sim("GET", "/_sim/faults", nil).body, &list); err != nil {
		v.t.Fatal(err)
	}
	return list.Items
}

// posts counts what the token endpoint was asked with a grant type; "" counts all.
func (v *vault) posts(grant string) int {
	v.t.Helper()
	var list struct {
		Items []amazonsim.CallCount `json:"items"`
	}
	if err := json.Unmarshal(v.sim("GET", "/_sim/calls", nil).body, &list); err != nil {
		v.t.Fatal(err)
	}
	n := 0
	for _, c := range list.Items {
		if c.Endpoint == "token" && (grant == "" || c.Operation == grant) {
			n += c.Count
		}
	}
	return n
}

// browser is a person's: cookies, redirects one at a time, forms.
type browser struct {
	t      *testing.T
	client *http.Client
	at     *url.URL
	page   *html.Node
	last   *http.Response
	body   []byte
}

func newBrowser(t *testing.T) *browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &browser{t: t, client: &http.Client{Jar: jar, Timeout: time.Minute,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

func (b *browser) open(address string) {
	b.t.Helper()
	request, err := http.NewRequest(http.MethodGet, address, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	b.send(request)
}

func (b *browser) send(request *http.Request) {
	b.t.Helper()
	response, err := b.client.Do(request)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if b.body, err = io.ReadAll(response.Body); err != nil {
		b.t.Fatal(err)
	}
	b.last, b.at = response, request.URL
	if b.page, err = html.Parse(bytes.NewReader(b.body)); err != nil {
		b.t.Fatal(err)
	}
}

// submit presses the form's button (the first, or the one with that value) and returns where the answer redirects to; ""
// when it is a page.
func (b *browser) submit(button string) string {
	b.t.Helper()
	values, action := b.form(button)
	target, err := b.at.Parse(action)
	if err != nil {
		b.t.Fatal(err)
	}
	request, err := http.NewRequest(http.MethodPost, target.String(), strings.NewReader(values.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Origin", b.at.Scheme+"://"+b.at.Host)
	b.send(request)
	return b.last.Header.Get("Location")
}

func (b *browser) form(button string) (url.Values, string) {
	b.t.Helper()
	values, action, pressed, found := url.Values{}, "", false, false
	for n := range b.page.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		name, value := attribute(n, "name"), attribute(n, "value")
		switch {
		case n.Data == "form" && !found:
			found, action = true, attribute(n, "action")
		case n.Data == "input" && name != "":
			values.Set(name, value)
		case n.Data == "option" && n.Parent != nil && n.Parent.Data == "select":
			if of := attribute(n.Parent, "name"); !values.Has(of) {
				values.Set(of, value)
			}
		case n.Data == "button" && !pressed && (button == "" || button == value):
			pressed = true
			if name != "" {
				values.Set(name, value)
			}
		}
	}
	if !found {
		b.t.Fatalf("no form at %s: %d %.300s", b.at, b.last.StatusCode, b.body)
	}
	return values, action
}

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}
