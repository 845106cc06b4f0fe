package sagesim_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"connectorvault/infra/sim/engine/enginetest"
	sagesim "connectorvault/infra/sim/sage"
)

// front is one simulator behind one listener.
type front struct {
	t      testing.TB
	sim    *sagesim.Simulator
	clock  *enginetest.Clock
	base   string
	client *http.Client // follows no redirects
	log    *enginetest.Log
}

func newFront(t testing.TB) *front {
	t.Helper()
	return openFront(t, filepath.Join(t.TempDir(), "sim.db"), enginetest.NewClock())
}

func openFront(t testing.TB, state string, at *enginetest.Clock) *front {
	t.Helper()
	f := &front{t: t, clock: at, log: &enginetest.Log{}}
	sim, err := sagesim.New(sagesim.Config{
		StatePath: state, Now: at.Now, BaseURL: func() string { return f.base }, Logger: slog.New(slog.NewTextHandler(f.log, nil)),
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
		if strings.Contains(f.log.String(), "level=ERROR") {
			t.Errorf("the simulator failed:\n%s", f.log)
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
	return f.trySendUntil(context.Background(), method, address, header, body)
}

func (f *front) trySendUntil(ctx context.Context, method, address string, header http.Header, body string) (answer, error) {
	status, answered, text, err := enginetest.Send(ctx, f.client, method, address, header, body)
	return answer{status, answered, text}, err
}

func formHeader() http.Header {
	return http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
}

func (f *front) post(path string, form url.Values) answer {
	f.t.Helper()
	return f.send(http.MethodPost, f.base+path, formHeader(), form.Encode())
}

func (f *front) control(method, path, body string) answer {
	f.t.Helper()
	return f.send(method, f.base+path, http.Header{"Content-Type": {"application/json"}}, body)
}

// fault turns a switch on.
func (f *front) fault(fault sagesim.Fault) {
	f.t.Helper()
	if _, err := f.sim.SetFault(f.t.Context(), fault); err != nil {
		f.t.Fatalf("SetFault: %v", err)
	}
}

func (f *front) grant(want sagesim.GrantRequest) sagesim.GrantedTokens {
	f.t.Helper()
	granted, err := f.sim.Grant(f.t.Context(), want)
	if err != nil {
		f.t.Fatalf("Grant: %v", err)
	}
	return granted
}

type tokens struct {
	Access         string `json:"access_token"`
	Refresh        string `json:"refresh_token"`
	Type           string `json:"token_type"`
	Scope          string `json:"scope"`
	Expires        int    `json:"expires_in"`
	RefreshExpires int    `json:"refresh_token_expires_in"`
	RequestedBy    string `json:"requested_by_id"`
	ResourceOwner  string `json:"resource_owner_id"`
}

func refreshForm(refresh string) url.Values {
	return url.Values{
		"grant_type": {"refresh_token"}, "refresh_token": {refresh},
		"client_id": {sagesim.SeedClientID}, "client_secret": {sagesim.SeedClientSecret},
	}
}

func (f *front) tryRefresh(refresh string) answer {
	f.t.Helper()
	return f.post("/token", refreshForm(refresh))
}

func (f *front) refresh(refresh string) tokens {
	f.t.Helper()
	a := f.tryRefresh(refresh)
	wantStatus(f.t, a, http.StatusOK)
	return decode[tokens](f.t, a)
}

// authorization makes a code by the control API.
func (f *front) authorization(body string) (code, location string) {
	f.t.Helper()
	a := f.control(http.MethodPost, "/_sim/authorizations", body)
	wantStatus(f.t, a, http.StatusOK)
	got := decode[struct{ Code, Location string }](f.t, a)
	return got.Code, got.Location
}

const seededCallback = "http://127.0.0.1:4711/oauth/sage/callback"

func (f *front) code() string {
	f.t.Helper()
	code, _ := f.authorization(`{"client_id":"` + sagesim.SeedClientID + `","redirect_uri":"` + seededCallback + `"}`)
	return code
}

func codeForm(code string) url.Values {
	return url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {seededCallback},
		"client_id": {sagesim.SeedClientID}, "client_secret": {sagesim.SeedClientSecret},
	}
}

// get reads a path of API v3.1, such as "/contacts", for a business ("" sends none).
func (f *front) get(path, token, business string) answer {
	f.t.Helper()
	return f.call(http.MethodGet, path, token, business, "")
}

func apiHeader(token, business string) http.Header {
	header := http.Header{"Authorization": {"Bearer " + token}, "Accept": {"application/json"}}
	if business != "" {
		header.Set("X-Business", business)
	}
	return header
}

func (f *front) call(method, path, token, business, body string) answer {
	f.t.Helper()
	header := apiHeader(token, business)
	if body != "" {
		header.Set("Content-Type", "application/json")
	}
	return f.send(method, f.base+"/v3.1"+path, header, body)
}

// access is an access token of a user's.
func (f *front) access(user string) string {
	f.t.Helper()
	return f.grant(sagesim.GrantRequest{User: user}).AccessToken
}

func wantStatus(t testing.TB, a answer, status int) {
	t.Helper()
	if a.status != status {
		t.Fatalf("status %d, want %d; body %.400s", a.status, status, a.body)
	}
}

func decode[T any](t testing.TB, a answer) T {
	t.Helper()
	var into T
	if err := json.Unmarshal([]byte(a.body), &into); err != nil {
		t.Fatalf("decoding %.200q: %v", a.body, err)
	}
	return into
}

func wantTokenError(t testing.TB, a answer, status int, code string) {
	t.Helper()
	wantStatus(t, a, status)
	if got := decode[struct{ Error string }](t, a); got.Error != code {
		t.Fatalf("error %q, want %q", got.Error, code)
	}
}

// refusal is one object of the APIs' error body.
type refusal struct {
	Severity string `json:"$severity"`
	Code     string `json:"$dataCode"`
	Message  string `json:"$message"`
	Source   string `json:"$source"`
}

func wantRefusal(t testing.TB, a answer, status int, code string) refusal {
	t.Helper()
	wantStatus(t, a, status)
	list := decode[[]refusal](t, a)
	if len(list) != 1 || list[0].Code != code {
		t.Fatalf("refusals %+v, want %s", list, code)
	}
	return list[0]
}

// page is the envelope of a list.
type page struct {
	Total   int              `json:"$total"`
	Page    int              `json:"$page"`
	Next    *string          `json:"$next"`
	Back    *string          `json:"$back"`
	PerPage int              `json:"$itemsPerPage"`
	Items   []map[string]any `json:"$items"`
}

func (f *front) page(path, token, business string) page {
	f.t.Helper()
	a := f.get(path, token, business)
	wantStatus(f.t, a, http.StatusOK)
	return decode[page](f.t, a)
}

// all follows $next to the end.
func (f *front) all(path, token, business string) []map[string]any {
	f.t.Helper()
	var items []map[string]any
	for {
		p := f.page(path, token, business)
		items = append(items, p.Items...)
		if p.Next == nil {
			if len(items) != p.Total {
				f.t.Fatalf("%s: %d items, $total %d", path, len(items), p.Total)
			}
			return items
		}
		path = *p.Next
	}
}

func fingerprint(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func (f *front) ledger(query string) (items []sagesim.TokenCall, counters sagesim.TokenCounters) {
	f.t.Helper()
	a := f.control(http.MethodGet, "/_sim/token-calls"+query, "")
	wantStatus(f.t, a, http.StatusOK)
	got := decode[struct {
		Items    []sagesim.TokenCall
		Counters sagesim.TokenCounters
	}](f.t, a)
	return got.Items, got.Counters
}

func (f *front) family(label string) sagesim.Family {
	f.t.Helper()
	got := decode[struct{ Items []sagesim.Family }](f.t, f.control(http.MethodGet, "/_sim/families?label="+label, ""))
	if len(got.Items) != 1 {
		f.t.Fatalf("%d families with label %q", len(got.Items), label)
	}
	return got.Items[0]
}
