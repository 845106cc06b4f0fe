package amazonsim_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"testing"

	amazonsim "connectorvault/infra/sim/amazon"
	"connectorvault/infra/sim/engine/enginetest"
)

// front is one simulator behind one listener.
type front struct {
	t      *testing.T
	sim    *amazonsim.Simulator
	clock  *enginetest.Clock
	base   string
	client *http.Client // follows no redirects
	log    *enginetest.Log
}

func newFront(t *testing.T) *front {
	t.Helper()
	return openFront(t, filepath.Join(t.TempDir(), "sim.db"), enginetest.NewClock(), "")
}

func openFront(t *testing.T, state string, at *enginetest.Clock, models string) *front {
	t.Helper()
	return openNotified(t, state, at, models, nil)
}

// openNotified is openFront with a queue for messages about client secrets.
func openNotified(t *testing.T, state string, at *enginetest.Clock, models string, notify func(context.Context, []byte) error) *front {
	t.Helper()
	f := &front{t: t, clock: at, log: &enginetest.Log{}}
	sim, err := amazonsim.New(amazonsim.Config{
		StatePath: state, Now: at.Now, BaseURL: func() string { return f.base }, ModelsDir: models, Notify: notify,
		Logger: slog.New(slog.NewTextHandler(f.log, nil)),
	})
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	server := httptest.NewServer(sim.Handler())
	t.Cleanup(func() {
		server.Close()
		if err := sim.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	f.sim, f.base, f.client = sim, server.URL, server.Client()
	f.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return f
}

// answer is a response that has been read.
type answer struct {
	status int
	header http.Header
	body   string
}

func (f *front) send(method, address string, header http.Header, body string) answer {
	f.t.Helper()
	a, err := f.trySend(method, address, header, body)
	if err != nil {
		f.t.Fatalf("%s %s: %v", method, address, err)
	}
	return a
}

func (f *front) trySend(method, address string, header http.Header, body string) (answer, error) {
	whole := http.Header{"User-Agent": {"SimulatorTest/1.0 (Language=Go)"}}
	maps.Copy(whole, header)
	status, answered, text, err := enginetest.Send(context.Background(), f.client, method, address, whole, body)
	return answer{status, answered, text}, err
}

func (f *front) post(path string, form url.Values) answer {
	f.t.Helper()
	return f.send(http.MethodPost, f.base+path, http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, form.Encode())
}

func (f *front) control(method, path, body string) answer {
	f.t.Helper()
	return f.send(method, f.base+path, http.Header{"Content-Type": {"application/json"}}, body)
}

// fault turns a switch on.
func (f *front) fault(fault amazonsim.Fault) {
	f.t.Helper()
	if _, err := f.sim.SetFault(f.t.Context(), fault); err != nil {
		f.t.Fatalf("SetFault: %v", err)
	}
}

// get reads an API path of a region ("na/orders/…") with a token.
func (f *front) get(path, token string) answer {
	f.t.Helper()
	return f.send(http.MethodGet, f.base+"/"+path, http.Header{"X-Amz-Access-Token": {token}}, "")
}

func (f *front) call(method, path, token, body string) answer {
	f.t.Helper()
	return f.send(method, f.base+"/"+path, http.Header{"X-Amz-Access-Token": {token}, "Content-Type": {"application/json"}}, body)
}

// refreshToken self-authorizes the seeded application.
func (f *front) refreshToken(seller, region string) string {
	f.t.Helper()
	token, err := f.sim.SelfAuthorize(f.t.Context(), amazonsim.SelfAuthorization{
		ApplicationID: amazonsim.SeededApplicationID, SellerID: seller, Region: region,
	})
	if err != nil {
		f.t.Fatalf("SelfAuthorize: %v", err)
	}
	return token
}

type tokens struct {
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
	Type    string `json:"token_type"`
	Expires int    `json:"expires_in"`
}

func refreshForm(refresh string) url.Values {
	return url.Values{
		"grant_type": {"refresh_token"}, "refresh_token": {refresh},
		"client_id": {amazonsim.SeededClientID}, "client_secret": {amazonsim.SeededClientSecret},
	}
}

// refresh trades a refresh token in.
func (f *front) refresh(refresh string) tokens {
	f.t.Helper()
	a := f.post("/auth/o2/token", refreshForm(refresh))
	wantStatus(f.t, a, http.StatusOK)
	return decode[tokens](f.t, a)
}

// access is an access token of a seller in a region.
func (f *front) access(seller, region string) string {
	f.t.Helper()
	return f.refresh(f.refreshToken(seller, region)).Access
}

func wantStatus(t *testing.T, a answer, status int) {
	t.Helper()
	if a.status != status {
		t.Fatalf("status %d, want %d; body %.400s", a.status, status, a.body)
	}
}

func decode[T any](t *testing.T, a answer) T {
	t.Helper()
	var into T
	if err := json.Unmarshal([]byte(a.body), &into); err != nil {
		t.Fatalf("decoding %.200q: %v", a.body, err)
	}
	return into
}

// apiFailure is the API's error body.
type apiFailure struct {
	Errors []struct{ Code, Message, Details string } `json:"errors"`
}

func wantFailure(t *testing.T, a answer, status int, code, details string) {
	t.Helper()
	wantStatus(t, a, status)
	failure := decode[apiFailure](t, a)
	if len(failure.Errors) != 1 || failure.Errors[0].Code != code || failure.Errors[0].Details != details {
		t.Fatalf("errors %+v, want code %q details %q", failure.Errors, code, details)
	}
}
