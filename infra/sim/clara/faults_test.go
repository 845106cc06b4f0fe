package clarasim_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	clarasim "connectorvault/infra/sim/clara"
)

func TestSwitchesThatAnswer(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	c := f.seeded()
	token := c.token()
	for _, test := range []struct {
		fault  clarasim.Fault
		status int
		code   string // of an API's body; "" for none
		body   string // in it
		retry  string
	}{
		{clarasim.Fault{Name: clarasim.FaultThrottled}, 429, "TOO_MANY_REQUESTS", "", ""},
		{clarasim.Fault{Name: clarasim.FaultThrottled, RetryAfter: 7}, 429, "TOO_MANY_REQUESTS", "", "7"},
		{clarasim.Fault{Name: clarasim.FaultError500}, 500, "INTERNAL_SERVER_ERROR", "", ""},
		{clarasim.Fault{Name: clarasim.FaultError503, RetryAfter: 1}, 503, "SERVICE_UNAVAILABLE", "", "1"},
		{clarasim.Fault{Name: clarasim.FaultHTMLBefore}, 502, "", "<!DOCTYPE html>", ""},
		{clarasim.Fault{Name: clarasim.FaultHTMLBefore, Status: 200}, 200, "", "<!DOCTYPE html>", ""},
		{clarasim.Fault{Name: clarasim.FaultStatus, Status: 418, RetryAfter: 3}, 418, "", "", "3"},
		{clarasim.Fault{Name: clarasim.FaultStatus, Status: 204}, 204, "", "", ""},
		{clarasim.Fault{Name: clarasim.FaultCertificateMissing}, 511, "NETWORK_AUTHENTICATION_REQUIRED", "", ""},
		{clarasim.Fault{Name: clarasim.FaultCertificateMissing, Status: 401}, 401, "UNAUTHORIZED", "", ""},
	} {
		for _, endpoint := range []string{"api", "token"} {
			test.fault.Endpoint, test.fault.Times = endpoint, 1
			f.fault(test.fault)
			answered := func() answer {
				if endpoint == "token" {
					return c.tryToken()
				}
				return c.get("/v3/cards", token)
			}
			a := answered()
			if test.code != "" {
				wantRefusal(t, a, test.status, test.code)
			}
			if a.status != test.status || !strings.Contains(a.body, test.body) || a.header.Get("Retry-After") != test.retry || (test.body == "" && test.code == "" && a.body != "") {
				t.Errorf("%+v: %d %v %.100s", test.fault, a.status, a.header, a.body)
			}
			if line := f.lastRequest(); line.Fault != test.fault.Name || line.Status != test.status || line.Endpoint != endpoint {
				t.Errorf("%+v: line %+v", test.fault, line)
			}
			if endpoint == "token" {
				if line := f.ledger()[len(f.ledger())-1]; line.Outcome != "fault:"+test.fault.Name || line.Credential != 0 {
					t.Errorf("%+v: ledger %+v", test.fault, line)
				}
			}
			wantStatus(t, answered(), http.StatusOK)
		}
	}
}

func TestSwitchesOfTheAPI(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	c := f.seeded()
	token := c.token()
	for _, test := range []struct {
		fault  clarasim.Fault
		status int
		code   string
	}{
		{clarasim.Fault{Name: clarasim.FaultTokenExpired}, 401, "UNAUTHORIZED"},
		{clarasim.Fault{Name: clarasim.FaultForbidden}, 403, "FORBIDDEN"},
		{clarasim.Fault{Name: clarasim.FaultBusiness, Error: "B013"}, 422, "B013"},
	} {
		test.fault.Times = 1
		f.fault(test.fault)
		wantRefusal(t, c.get("/v3/cards", token), test.status, test.code)
		if f.lastRequest().Why != "switch" {
			t.Errorf("line %+v", f.lastRequest())
		}
		wantStatus(t, c.get("/v3/cards", token), http.StatusOK)
	}
}

func TestSwitchesOfTheTokenEndpoint(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	c := f.seeded()
	f.fault(clarasim.Fault{Name: clarasim.FaultInvalidClient, Times: 1})
	wantTokenError(t, c.tryToken(), http.StatusUnauthorized, "invalid_client")
	f.fault(clarasim.Fault{Name: clarasim.FaultOAuthError, Error: "access_denied", Times: 1})
	wantTokenError(t, c.tryToken(), http.StatusBadRequest, "access_denied")
	f.fault(clarasim.Fault{Name: clarasim.FaultOAuthError, Error: "slow_down", Status: 403, Times: 1})
	wantTokenError(t, c.tryToken(), http.StatusForbidden, "slow_down")
	if line := f.ledger()[1]; line.Outcome != "fault:oauth_error" {
		t.Errorf("line %+v", line)
	}
	c.token()
}

func TestSwitchesThatLoseTheAnswer(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	c := f.seeded()
	token := c.token()
	whole := c.get("/v3/cards?size=5", token).body
	ask := func() (answer, error) {
		return try(t.Context(), c.http, http.MethodGet, f.base+"/mx/api/v3/cards?size=5", bearer(token), "")
	}
	for _, test := range []struct {
		name   string
		body   string
		broken bool
		status int // as the log has it
	}{
		{clarasim.FaultReset, "", true, 0},
		{clarasim.FaultDrop, "", true, 0},
		{clarasim.FaultCut, whole[:len(whole)/2], true, 200},
		{clarasim.FaultTruncated, whole[:len(whole)/2], false, 200},
		{clarasim.FaultEmpty, "", false, 200},
	} {
		for _, h2 := range []bool{false, true} {
			f.tls(clarasim.TLSSettings{HTTP2: h2})
			c.http.CloseIdleConnections()
			f.fault(clarasim.Fault{Name: test.name, Times: 1})
			a, err := ask()
			if (err != nil) != test.broken || a.body != test.body {
				t.Errorf("%s: %v, %.100q", test.name, err, a.body)
			}
			if test.name == clarasim.FaultCut && !h2 && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("cut: %v", err)
			}
			if line := f.lastRequest(); line.Fault != test.name || line.Status != test.status {
				t.Errorf("%s: line %+v", test.name, line)
			}
			if a, err := ask(); err != nil || a.body != whole {
				t.Errorf("after %s: %v", test.name, err)
			}
		}
	}
	f.fault(clarasim.Fault{Name: clarasim.FaultHTMLAfter, Times: 1})
	if a, err := ask(); err != nil || a.status != 200 || !strings.HasPrefix(a.body, "<!DOCTYPE html>") || a.header.Get("Content-Type") != "text/html" {
		t.Errorf("%+v, %v", a, err)
	}
	f.fault(clarasim.Fault{Name: clarasim.FaultHTMLAfter, Status: 500, Times: 1})
	if a, err := ask(); err != nil || a.status != 500 {
		t.Errorf("%+v, %v", a, err)
	}
	// A refusal is not what is lost.
	f.fault(clarasim.Fault{Name: clarasim.FaultDrop, Times: 1})
	wantStatus(t, c.get("/v3/cards/x", token), http.StatusNotFound)
	if _, err := ask(); err == nil {
		t.Error("the switch was used up by a refusal")
	}
}

// A token that was issued and lost is in the ledger.
func TestTokenIsIssuedAndLost(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	c := f.seeded()
	f.fault(clarasim.Fault{Name: clarasim.FaultDrop, Endpoint: "token", Times: 1})
	_ = c.failing(http.MethodPost, "/mx/oauth/token", c.basic())
	f.fault(clarasim.Fault{Name: clarasim.FaultReset, Endpoint: "token", Times: 1})
	_ = c.failing(http.MethodPost, "/mx/oauth/token", c.basic())
	list := f.ledger()
	if len(list) != 2 || list[0].Outcome != "issued" || list[0].Fault != clarasim.FaultDrop || list[1].Outcome != "fault:reset" || list[1].Fault != "" {
		t.Errorf("ledger %+v", list)
	}
}

func TestHold(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	c := f.seeded()
	token := c.token()
	f.fault(clarasim.Fault{Name: clarasim.FaultHold, Endpoint: "api", Times: 1})
	done := make(chan answer)
	go func() {
		a, err := try(t.Context(), c.http, http.MethodGet, f.base+"/mx/api/v3/cards", bearer(token), "")
		if err != nil {
			t.Errorf("%v", err)
		}
		done <- a
	}()
	f.waitHeld()
	wantStatus(t, c.get("/v3/cards", token), http.StatusOK) // it holds one
	select {
	case <-done:
		t.Fatal("the held call was answered")
	default:
	}
	// It goes on under the switches of its release.
	f.fault(clarasim.Fault{Name: clarasim.FaultError500, Endpoint: "api", Times: 1})
	wantStatus(t, f.steer(http.MethodDelete, "/_sim/faults?name=hold", ""), http.StatusNoContent)
	wantStatus(t, <-done, http.StatusInternalServerError)
}

// waitHeld waits until a call is held.
func (f *front) waitHeld() {
	f.t.Helper()
	for range 1000 {
		counted, err := f.sim.Calls(f.t.Context())
		if err != nil {
			f.t.Fatal(err)
		}
		for _, c := range counted {
			if c.Outcome == "held" {
				return
			}
		}
		<-time.After(10 * time.Millisecond)
	}
	f.t.Fatal("nothing is held")
}

// The token endpoint decides although the client has left; the API does not.
func TestHoldWhenTheClientLeaves(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	c := f.seeded()
	f.fault(clarasim.Fault{Name: clarasim.FaultHold, Endpoint: "token", Times: 1})
	ctx, leave := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		_, err := try(ctx, c.http, http.MethodPost, f.base+"/mx/oauth/token", c.basic(), "")
		done <- err
	}()
	f.waitHeld()
	leave()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if err := f.sim.ClearFaults(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 1000 {
		if len(f.ledger()) > 0 {
			break
		}
		<-time.After(10 * time.Millisecond)
	}
	if list := f.ledger(); len(list) != 1 || list[0].Outcome != "issued" {
		t.Errorf("ledger %+v", list)
	}
}

func TestSlow(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	c := f.seeded()
	token := c.token()
	f.fault(clarasim.Fault{Name: clarasim.FaultSlow, DelayMS: 40, Times: 1})
	begun := time.Now()
	wantStatus(t, c.get("/v3/cards", token), http.StatusOK)
	if passed := time.Since(begun); passed < 40*time.Millisecond {
		t.Errorf("it took %s", passed)
	}
	// Who does not wait does not make the simulator fail.
	f.fault(clarasim.Fault{Name: clarasim.FaultSlow, DelayMS: 10000, Times: 1})
	ctx, leave := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer leave()
	if _, err := try(ctx, c.http, http.MethodGet, f.base+"/mx/api/v3/cards", bearer(token), ""); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
}

func TestSwitchesOfFiles(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	c := f.seeded()
	f.sim.ServeFilesAt(f.control)
	address := c.attached(c.token())["pdf"]
	f.fault(clarasim.Fault{Name: clarasim.FaultError503, Endpoint: "files", Times: 1})
	wantStatus(t, fetch(t, address), http.StatusServiceUnavailable)
	f.fault(clarasim.Fault{Name: clarasim.FaultTruncated, Endpoint: "files", Times: 1})
	if a := fetch(t, address); strings.Contains(a.body, "%%EOF") || a.body == "" {
		t.Errorf("body %q", a.body)
	}
	if a := fetch(t, address); !strings.Contains(a.body, "%%EOF") {
		t.Errorf("body %q", a.body)
	}
}

func TestScopes(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	c, other := f.seeded(), f.clientOf(f.download(clarasim.SeedOtherClientID, 1))
	token, otherToken := c.token(), other.token()
	for _, test := range []struct {
		scope clarasim.Fault
		hit   func() answer
		miss  func() answer
	}{
		{clarasim.Fault{Endpoint: "api"}, func() answer { return c.get("/v3/cards", token) }, c.tryToken},
		{clarasim.Fault{Endpoint: "token"}, c.tryToken, func() answer { return c.get("/v3/cards", token) }},
		{clarasim.Fault{Operation: "v3/cards/{uuid}"}, func() answer { return c.get("/v3/cards/x", token) }, func() answer { return c.get("/v3/cards", token) }},
		{clarasim.Fault{Operation: "v3/transactions/{uuid}/documents"}, func() answer { return c.get("/v3/transactions/x/documents", token) }, func() answer { return c.get("/v3/transactions/x", token) }},
		{clarasim.Fault{ClientID: clarasim.SeedClientID}, func() answer { return c.get("/v3/cards", token) }, func() answer { return other.get("/v3/cards", otherToken) }},
		{clarasim.Fault{Country: "br"}, other.tryToken, c.tryToken},
		{clarasim.Fault{Side: "sandbox"}, func() answer { return other.get("/v3/cards", otherToken) }, func() answer { return c.get("/v3/cards", token) }},
		{clarasim.Fault{TaxIdentifier: clarasim.SeedTaxIdentifierSecond}, func() answer { return c.getFor("/v3/cards", token, clarasim.SeedTaxIdentifierSecond) }, func() answer { return c.get("/v3/cards", token) }},
		{clarasim.Fault{TaxIdentifier: clarasim.SeedTaxIdentifier}, func() answer { return c.get("/v3/cards", token) }, func() answer { return c.getFor("/v3/cards", token, clarasim.SeedTaxIdentifierSecond) }},
		{clarasim.Fault{Fingerprint: c.issued.Fingerprint}, c.tryToken, other.tryToken},
	} {
		test.scope.Name, test.scope.Status = clarasim.FaultStatus, 418
		f.fault(test.scope)
		if a := test.miss(); a.status == http.StatusTeapot {
			t.Errorf("%+v acts elsewhere", test.scope)
		}
		if a := test.hit(); a.status != http.StatusTeapot {
			t.Errorf("%+v does not act: %d", test.scope, a.status)
		}
		if err := f.sim.ClearFaults(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSwitchesAreKept(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	listed := func() []clarasim.Fault {
		t.Helper()
		return decode[struct{ Items []clarasim.Fault }](t, f.steer(http.MethodGet, "/_sim/faults", "")).Items
	}
	a := f.steer(http.MethodPost, "/_sim/faults", `[{"name":"slow","delay_ms":1},{"name":"throttled","times":2,"endpoint":"api","retry_after":3}]`)
	wantStatus(t, a, http.StatusOK)
	wantStatus(t, f.steer(http.MethodPost, "/_sim/faults", `{"name":"throttled","endpoint":"token"}`), http.StatusOK) // beside the first one
	if got := listed(); len(got) != 3 || got[2].Endpoint != "token" {
		t.Errorf("switches %+v", got)
	}
	wantStatus(t, f.steer(http.MethodPost, "/_sim/faults", `{"name":"slow","delay_ms":2}`), http.StatusOK) // in the first one's place
	if got := listed(); len(got) != 3 || got[2].DelayMS != 2 || got[0].RetryAfter != 3 || got[0].Times != 2 || got[0].ID == 0 {
		t.Errorf("switches %+v", got)
	}
	c := f.seeded()
	wantStatus(t, c.get("/v3/cards", "x"), http.StatusTooManyRequests)
	if got := listed(); got[0].Times != 1 {
		t.Errorf("switches %+v", got)
	}
	wantStatus(t, f.steer(http.MethodDelete, "/_sim/faults?name=slow", ""), http.StatusNoContent)
	if got := listed(); len(got) != 2 {
		t.Errorf("switches %+v", got)
	}
	wantStatus(t, f.steer(http.MethodDelete, "/_sim/faults", ""), http.StatusNoContent)
	if a := f.steer(http.MethodGet, "/_sim/faults", ""); a.body != `{"items":[]}` {
		t.Errorf("body %s", a.body)
	}
}

func TestSwitchesThatMeanNothing(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	for _, body := range []string{
		`{"name":"x"}`, `{"name":""}`, `{"name":"slow"}`, `{"name":"slow","delay_ms":-1}`, `{"name":"slow","delay_ms":1,"times":-1}`, `{"name":"reset","delay_ms":1}`,
		`{"name":"status"}`, `{"name":"status","status":42}`, `{"name":"status","status":600}`, `{"name":"reset","status":500}`, `{"name":"reset","retry_after":1}`,
		`{"name":"throttled","retry_after":-1}`, `{"name":"throttled","endpoint":"tokens"}`, `{"name":"token_lifetime"}`, `{"name":"token_lifetime","seconds":-5}`, `{"name":"slow","delay_ms":1,"seconds":2}`,
		`{"name":"envelope"}`, `{"name":"envelope","shape":"string"}`, `{"name":"shapes"}`, `{"name":"shapes","shape":"array"}`, `{"name":"reset","shape":"page"}`,
		`{"name":"oauth_error"}`, `{"name":"business"}`, `{"name":"reset","error":"x"}`, `{"name":"bound_tokens","times":1}`, `{"name":"handshake_refused","client_id":"x"}`,
		`{"name":"reset","tims":1}`, `[{"name":"reset"},{"name":"x"}]`, `x`,
	} {
		if a := f.steer(http.MethodPost, "/_sim/faults", body); a.status != http.StatusBadRequest || !strings.Contains(a.body, `"error"`) {
			t.Errorf("%s: %d %s", body, a.status, a.body)
		}
	}
	if list, err := f.sim.Faults(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("switches %+v, %v", list, err)
	}
	a, err := try(t.Context(), &http.Client{}, http.MethodPost, f.control+"/_sim/faults", formHeader(http.Header{}), `{"name":"reset"}`)
	if err != nil || a.status != http.StatusBadRequest {
		t.Errorf("a form steers: %d, %v", a.status, err)
	}
}
