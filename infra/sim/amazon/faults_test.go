package amazonsim_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	amazonsim "connectorvault/infra/sim/amazon"
	"connectorvault/infra/sim/engine/enginetest"
)

func TestFaultsOfTheAPI(t *testing.T) {
	t.Parallel()
	tests := []struct {
		body   string
		status int
		want   string // in the body
	}{
		{`{"name":"missing_role"}`, 403, `"details":""`},
		{`{"name":"wrong_region"}`, 403, `"details":""`},
		{`{"name":"token_expired"}`, 403, "has expired"},
		{`{"name":"secret_expired","endpoint":"api"}`, 403, "LWA secret token"},
		{`{"name":"revoked_grant","endpoint":"api"}`, 403, "revoked, malformed or invalid"},
		{`{"name":"throttled","retry_after":7}`, 429, "QuotaExceeded"},
		{`{"name":"error_500"}`, 500, "InternalFailure"},
		{`{"name":"error_503"}`, 503, "ServiceUnavailable"},
		{`{"name":"html_400"}`, 400, "<html>"},
		{`{"name":"garbled"}`, 200, "<html>"},
		{`{"name":"status","status":504}`, 504, ""},
		{`{"name":"empty_body"}`, 200, ""},
		{`{"name":"slow","delay_ms":1}`, 200, "payload"},
	}
	f := newFront(t)
	token := f.access(amazonsim.SellerEurope, "eu")
	for _, test := range tests {
		t.Run(test.body, func(t *testing.T) {
			limited := strings.Replace(test.body, "{", `{"operation":"getMarketplaceParticipations","times":1,`, 1)
			wantStatus(t, f.control(http.MethodPost, "/_sim/faults", limited), http.StatusOK)
			a := f.get("eu"+participations, token)
			if a.status != test.status || !strings.Contains(a.body, test.want) || (test.want == "" && a.body != "") {
				t.Errorf("%d %q", a.status, a.body)
			}
			if (a.header.Get("Retry-After") == "7") != strings.Contains(test.body, "retry_after") {
				t.Errorf("Retry-After %q", a.header.Get("Retry-After"))
			}
			wantStatus(t, f.get("eu"+participations, token), http.StatusOK) // it fired once
			if err := f.sim.ResetThrottles(t.Context()); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestDropLosesTheAnswerAfterTheWork(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	f.fault(amazonsim.Fault{Name: amazonsim.FaultDrop, Endpoint: "token", Times: 1})
	form := codeForm(f.code())
	if _, err := f.trySend(http.MethodPost, f.base+"/auth/o2/token",
		http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, form.Encode()); err == nil {
		t.Fatal("an answer came through")
	}
	wantTokenError(t, f.post("/auth/o2/token", form), http.StatusBadRequest, "invalid_grant")
	f.fault(amazonsim.Fault{Name: amazonsim.FaultTruncated, Endpoint: "token", Times: 1})
	a := f.post("/auth/o2/token", refreshForm(f.refreshToken(amazonsim.SellerEurope, "eu")))
	if a.status != http.StatusOK || strings.HasSuffix(a.body, "}") {
		t.Errorf("truncated answer: %d, %d characters", a.status, len(a.body))
	}
}

func TestResetDoesNoWork(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	f.fault(amazonsim.Fault{Name: amazonsim.FaultReset, Endpoint: "token", Operation: "authorization_code", Times: 1})
	form := codeForm(f.code())
	if _, err := f.trySend(http.MethodPost, f.base+"/auth/o2/token",
		http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, form.Encode()); err == nil {
		t.Fatal("an answer came through")
	}
	wantStatus(t, f.post("/auth/o2/token", form), http.StatusOK)
}

func TestFaultsOfDocuments(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	token := f.access(amazonsim.SellerEurope, "eu")
	address := f.document(token, f.finishedReport(token, "GET_AFN_INVENTORY_DATA", ""), "").URL
	whole := f.download(address)
	for name, want := range map[string]int{
		amazonsim.FaultError503: http.StatusServiceUnavailable, amazonsim.FaultDocumentExpired: http.StatusForbidden,
		amazonsim.FaultTruncated: http.StatusOK,
	} {
		f.fault(amazonsim.Fault{Name: name, Endpoint: "documents", Times: 1})
		a := f.download(address)
		if a.status != want || a.body == whole.body || (want != http.StatusOK && !strings.Contains(a.body, "<Error>")) {
			t.Errorf("%s: %d %.100q", name, a.status, a.body)
		}
	}
	if again := f.download(address); again.body != whole.body {
		t.Error("the document changed")
	}
}

func TestHeldRequestGoesOnUnderTheSwitchesOfItsRelease(t *testing.T) {
	t.Parallel()
	state, at := filepath.Join(t.TempDir(), "sim.db"), enginetest.NewClock()
	f, other := openFront(t, state, at, ""), openFront(t, state, at, "")
	token := f.access(amazonsim.SellerEurope, "eu")
	f.fault(amazonsim.Fault{Name: amazonsim.FaultHold, Endpoint: "api", Times: 1})
	answers := make(chan answer)
	go func() {
		a, _ := f.trySend(http.MethodGet, f.base+"/eu"+participations, http.Header{"X-Amz-Access-Token": {token}}, "")
		answers <- a
	}()
	for held := false; !held; {
		calls, err := other.sim.Calls(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range calls {
			held = held || c.Outcome == "held"
		}
	}
	wantStatus(t, other.get("eu"+participations, token), http.StatusOK) // one time only
	other.fault(amazonsim.Fault{Name: amazonsim.FaultError503, Times: 1})
	wantStatus(t, other.control(http.MethodDelete, "/_sim/faults?name=hold", ""), http.StatusNoContent)
	if a := <-answers; a.status != http.StatusServiceUnavailable {
		t.Errorf("the held request ended with %d", a.status)
	}
}

func TestFaultsAreScopedAndListed(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	europe, global := f.access(amazonsim.SellerEurope, "eu"), f.access(amazonsim.SellerGlobal, "eu")
	body := `[{"name":"missing_role","selling_partner_id":"` + amazonsim.SellerEurope + `"},{"name":"error_500","region":"na"}]`
	wantStatus(t, f.control(http.MethodPost, "/_sim/faults", body), http.StatusOK)
	wantStatus(t, f.get("eu"+participations, europe), http.StatusForbidden)
	wantStatus(t, f.get("eu"+participations, global), http.StatusOK)
	if got := decode[struct{ Items []amazonsim.Fault }](t, f.control(http.MethodGet, "/_sim/faults", "")); len(got.Items) != 2 {
		t.Errorf("switches %+v", got.Items)
	}
	wantStatus(t, f.control(http.MethodDelete, "/_sim/faults", ""), http.StatusNoContent)
	wantStatus(t, f.get("eu"+participations, europe), http.StatusOK)
	for _, bad := range []string{`{"name":"unknown"}`, `{"name":"status"}`, `{"name":"error_500","status":500}`, `{"name":"slow","times":-1}`, `{`} {
		wantStatus(t, f.control(http.MethodPost, "/_sim/faults", bad), http.StatusBadRequest)
	}
	foreign := f.send(http.MethodPost, f.base+"/_sim/faults", http.Header{"Content-Type": {"text/plain"}}, body)
	wantStatus(t, foreign, http.StatusBadRequest) // what a foreign page's form could send
}

func TestEmptyPagesGoOnAtTheSamePlace(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	token := f.access(amazonsim.SellerEurope, "eu")
	f.fault(amazonsim.Fault{Name: amazonsim.FaultEmptyPages, Times: 1})
	search := "eu/orders/2026-01-01/orders?createdAfter=2026-06-14T00:00:00Z"
	page := decode[orderPage](t, f.get(search, token))
	if len(page.Orders) != 0 || page.Pagination == nil {
		t.Fatalf("page %+v", page)
	}
	next := decode[orderPage](t, f.send(http.MethodGet, f.base+"/"+search+"&paginationToken="+url.QueryEscape(page.Pagination.NextToken),
		http.Header{"X-Amz-Access-Token": {token}}, ""))
	if len(next.Orders) == 0 {
		t.Error("the page after the empty one is empty too")
	}
}

func TestTheLogHoldsNoSecrets(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	code := f.code()
	got := decode[tokens](t, f.post("/auth/o2/token", codeForm(code)))
	f.get("eu"+participations+"?access_token=canary-in-query", got.Access)
	f.clock.Step(time.Second)
	log := f.log.String()
	if !strings.Contains(log, "path=/auth/o2/token status=200") || !strings.Contains(log, "status=302") {
		t.Errorf("log %s", log)
	}
	for _, secret := range []string{code, got.Access, got.Refresh, amazonsim.SeededClientSecret, "state-1", "canary-in-query"} {
		if strings.Contains(log, secret) {
			t.Errorf("the log holds %q", secret)
		}
	}
	index := f.send(http.MethodGet, f.base+"/", nil, "")
	wantStatus(t, index, http.StatusOK)
	if strings.Contains(index.body, amazonsim.SeededClientSecret) || !strings.Contains(index.body, amazonsim.SeededApplicationID) {
		t.Error("index page: secret shown, or applications missing")
	}
}

func TestEndpoints(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	production, sandbox := f.sim.Endpoints(), f.sim.SandboxEndpoints()
	if production.Consent != f.base+"/apps/authorize/consent" || production.Token != f.base+"/auth/o2/token" ||
		production.API["fe"] != f.base+"/fe" || sandbox.API["fe"] != f.base+"/sandbox/fe" || len(sandbox.API) != 3 {
		t.Errorf("endpoints %+v, %+v", production, sandbox)
	}
}

type exhausted struct{}

func (exhausted) Read([]byte) (int, error) { return 0, errors.New("no randomness left") }

func TestNothingIsIssuedWithoutRandomness(t *testing.T) {
	t.Parallel()
	state := filepath.Join(t.TempDir(), "sim.db")
	openFront(t, state, enginetest.NewClock(), "") // makes the seeded state
	f := &front{t: t, clock: enginetest.NewClock()}
	sim, err := amazonsim.New(amazonsim.Config{StatePath: state, Random: exhausted{}, BaseURL: func() string { return f.base }})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(sim.Handler())
	t.Cleanup(func() {
		server.Close()
		if err := sim.Close(); err != nil {
			t.Error(err)
		}
	})
	f.base, f.client = server.URL, server.Client()
	form := consentQuery()
	form.Set("account", amazonsim.SellerEurope+"@eu")
	wantStatus(t, f.post("/apps/authorize/consent", form), http.StatusInternalServerError)
	grants, err := sim.Grants(t.Context())
	if err != nil || len(grants) != 0 {
		t.Errorf("grants %v, %v", grants, err)
	}
}
