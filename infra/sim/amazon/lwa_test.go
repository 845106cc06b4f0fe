package amazonsim_test

import (
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	amazonsim "connectorvault/infra/sim/amazon"
	"connectorvault/infra/sim/engine/enginetest"
)

type tokenFailure struct {
	Index       string `json:"error_index"`
	Description string `json:"error_description"`
	Code        string `json:"error"`
	RequestID   string `json:"request_id"`
}

func wantTokenError(t *testing.T, a answer, status int, code string) {
	t.Helper()
	wantStatus(t, a, status)
	if got := decode[tokenFailure](t, a).Code; got != code {
		t.Fatalf("error %q, want %q", got, code)
	}
}

func (f *front) code() string {
	f.t.Helper()
	return f.confirm(consentQuery(), amazonsim.SellerEurope+"@eu").Query().Get("spapi_oauth_code")
}

func codeForm(code string) url.Values {
	return url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {callback},
		"client_id": {amazonsim.SeededClientID}, "client_secret": {amazonsim.SeededClientSecret},
	}
}

func TestCodeExchange(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	form := codeForm(f.code())
	a := f.post("/auth/o2/token", form)
	wantStatus(t, a, http.StatusOK)
	got := decode[tokens](t, a)
	if !strings.HasPrefix(got.Access, "Atza|") || len(got.Access) != 353 || !strings.HasPrefix(got.Refresh, "Atzr|") ||
		got.Type != "bearer" || got.Expires != 3600 {
		t.Errorf("token shapes: access %d characters, type %q, expires %d", len(got.Access), got.Type, got.Expires)
	}
	if a.header.Get("Content-Type") != "application/json;charset=UTF-8" || !strings.Contains(a.header.Get("Cache-Control"), "no-store") {
		t.Errorf("headers %v", a.header)
	}

	spent := f.post("/auth/o2/token", form)
	wantTokenError(t, spent, http.StatusBadRequest, "invalid_grant")
	failure := decode[tokenFailure](t, spent)
	if failure.Description != "The request has an invalid grant parameter : code" || failure.RequestID == "" || failure.Index == "" {
		t.Errorf("failure %+v", failure)
	}
	if !strings.HasPrefix(spent.header.Get("X-Amzn-Errortype"), "OA2InvalidRequestException:") {
		t.Errorf("error type %q", spent.header.Get("X-Amzn-Errortype"))
	}
}

func TestCodeRefusals(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(*front, url.Values)
		status int
		code   string
	}{
		{"at the end of five minutes", func(f *front, _ url.Values) { f.clock.Step(5 * time.Minute) }, 400, "invalid_grant"},
		{"just before it", func(f *front, _ url.Values) { f.clock.Step(5*time.Minute - time.Second) }, 200, ""},
		{"other redirect", func(_ *front, v url.Values) { v.Set("redirect_uri", callback+"/other") }, 400, "invalid_grant"},
		{"no redirect, as in Amazon's older example", func(_ *front, v url.Values) { v.Del("redirect_uri") }, 200, ""},
		{"another application's client", func(_ *front, v url.Values) {
			v.Set("client_id", amazonsim.DraftClientID)
			v.Set("client_secret", amazonsim.DraftClientSecret)
		}, 400, "invalid_grant"},
		{"wrong secret", func(_ *front, v url.Values) { v.Set("client_secret", "wrong") }, 401, "invalid_client"},
		{"unknown code", func(_ *front, v url.Values) { v.Set("code", "RHunknown") }, 400, "invalid_grant"},
		{"no code", func(_ *front, v url.Values) { v.Del("code") }, 400, "invalid_request"},
		{"repeated parameter", func(_ *front, v url.Values) { v.Add("code", "x") }, 400, "invalid_request"},
		{"unknown grant type", func(_ *front, v url.Values) { v.Set("grant_type", "password") }, 400, "unsupported_grant_type"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f := newFront(t)
			form := codeForm(f.code())
			test.change(f, form)
			a := f.post("/auth/o2/token", form)
			if test.code == "" {
				wantStatus(t, a, test.status)
				return
			}
			wantTokenError(t, a, test.status, test.code)
		})
	}
}

func TestExactTokenErrorBodies(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	form := refreshForm("Atzr|unknown")
	failure := decode[tokenFailure](t, f.post("/auth/o2/token", form))
	if failure.Description != "The request has an invalid grant parameter : refresh_token. User may have revoked or didn't grant the permission." {
		t.Errorf("description %q", failure.Description)
	}
	form.Set("client_secret", "wrong")
	a := f.post("/auth/o2/token", form)
	if a.body != `{"error_description":"Client authentication failed","error":"invalid_client"}` || len(a.body) != 77 {
		t.Errorf("body %q", a.body)
	}
	form.Del("refresh_token")
	a = f.post("/auth/o2/token", form)
	if a.body != `{"error":"invalid_request","error_description":"The request is missing a required parameter : refresh_token"}` {
		t.Errorf("body %q", a.body)
	}
}

func TestRefreshTokenDoesNotRotateAndOldAccessTokensLive(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	refresh := f.refreshToken(amazonsim.SellerNorthAmerica, "na")
	one, two := f.refresh(refresh), f.refresh(refresh)
	if one.Refresh != refresh || two.Refresh != refresh {
		t.Error("the refresh token changed")
	}
	if one.Access == two.Access {
		t.Error("two refreshes gave the same access token")
	}
	wantStatus(t, f.get("na/sellers/v1/marketplaceParticipations", one.Access), http.StatusOK)
	f.clock.Step(time.Hour)
	wantFailure(t, f.get("na/sellers/v1/marketplaceParticipations", one.Access), http.StatusForbidden, "Unauthorized",
		"The access token you provided has expired.")
	wantStatus(t, f.get("na/sellers/v1/marketplaceParticipations", f.refresh(refresh).Access), http.StatusOK)
}

func TestGrantsEnd(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	revoked := f.refreshToken(amazonsim.SellerNorthAmerica, "na")
	access := f.refresh(revoked).Access
	if got := decode[map[string]int](t, f.control(http.MethodPost, "/_sim/revocations",
		`{"selling_partner_id":"`+amazonsim.SellerNorthAmerica+`"}`))["revoked"]; got != 1 {
		t.Errorf("revoked %d", got)
	}
	wantTokenError(t, f.post("/auth/o2/token", refreshForm(revoked)), http.StatusBadRequest, "invalid_grant")
	wantFailure(t, f.get("na/sellers/v1/marketplaceParticipations", access), http.StatusForbidden, "Unauthorized",
		"The access token you provided is revoked, malformed or invalid.")

	yearly := f.refreshToken(amazonsim.SellerEurope, "eu")
	f.clock.Step(365*24*time.Hour - time.Minute)
	f.refresh(yearly)
	f.clock.Step(time.Minute)
	wantTokenError(t, f.post("/auth/o2/token", refreshForm(yearly)), http.StatusBadRequest, "invalid_grant")
}

func TestSecretRotation(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	refresh := f.refreshToken(amazonsim.SellerEurope, "eu")
	fresh := decode[map[string]string](t, f.control(http.MethodPost, "/_sim/apps/"+amazonsim.SeededApplicationID+"/secrets", `{}`))["client_secret"]
	renewed := refreshForm(refresh)
	renewed.Set("client_secret", fresh)
	wantStatus(t, f.post("/auth/o2/token", renewed), http.StatusOK)
	f.clock.Step(7*24*time.Hour - time.Second)
	access := f.refresh(refresh).Access // the old secret still works
	f.clock.Step(time.Second)
	wantTokenError(t, f.post("/auth/o2/token", refreshForm(refresh)), http.StatusUnauthorized, "invalid_client")
	wantFailure(t, f.get("eu/sellers/v1/marketplaceParticipations", access), http.StatusForbidden, "Unauthorized",
		"The LWA secret token you provided has expired.")
	wantStatus(t, f.post("/auth/o2/token", renewed), http.StatusOK)
	f.clock.Step(173 * 24 * time.Hour)
	wantTokenError(t, f.post("/auth/o2/token", renewed), http.StatusUnauthorized, "invalid_client")
}

func TestClientCredentials(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	form := url.Values{
		"grant_type": {"client_credentials"}, "scope": {"sellingpartnerapi::notifications"},
		"client_id": {amazonsim.SeededClientID}, "client_secret": {amazonsim.SeededClientSecret},
	}
	a := f.post("/auth/o2/token", form)
	wantStatus(t, a, http.StatusOK)
	got := decode[tokens](t, a)
	if got.Refresh != "" {
		t.Error("a grantless token came with a refresh token")
	}
	wantStatus(t, f.get("na/notifications/v1/destinations", got.Access), http.StatusOK)
	wantFailure(t, f.get("na/sellers/v1/marketplaceParticipations", got.Access), http.StatusForbidden, "Unauthorized", "")
	form.Set("scope", "sellingpartnerapi::migration")
	wantTokenError(t, f.post("/auth/o2/token", form), http.StatusBadRequest, "invalid_scope")
}

func TestSelfAuthorizationsDoNotReplaceEachOther(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	body := `{"application_id":"` + amazonsim.SeededApplicationID + `","selling_partner_id":"` + amazonsim.SellerGlobal + `","region":"fe"}`
	one := decode[map[string]string](t, f.control(http.MethodPost, "/_sim/self-authorizations", body))["refresh_token"]
	two := decode[map[string]string](t, f.control(http.MethodPost, "/_sim/self-authorizations", body))["refresh_token"]
	if one == two || one == "" {
		t.Fatal("the second authorization gave no token of its own")
	}
	f.refresh(one)
	f.refresh(two)
	bad := f.control(http.MethodPost, "/_sim/self-authorizations", strings.Replace(body, `"fe"`, `"xx"`, 1))
	wantStatus(t, bad, http.StatusBadRequest)
}

func TestOneCodeIsSpentOnceByTwoProcesses(t *testing.T) {
	t.Parallel()
	state, at := filepath.Join(t.TempDir(), "sim.db"), enginetest.NewClock()
	fronts := []*front{openFront(t, state, at, ""), openFront(t, state, at, "")}
	form := codeForm(fronts[0].code())
	const racers = 20
	statuses := make([]int, racers)
	var wait sync.WaitGroup
	for i := range racers {
		wait.Go(func() {
			f := fronts[i%2]
			a, err := f.trySend(http.MethodPost, f.base+"/auth/o2/token",
				http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, form.Encode())
			if err == nil {
				statuses[i] = a.status
			}
		})
	}
	wait.Wait()
	won := 0
	for _, status := range statuses {
		switch status {
		case http.StatusOK:
			won++
		case http.StatusBadRequest:
		default:
			t.Errorf("a racer got status %d", status)
		}
	}
	if won != 1 {
		t.Errorf("%d exchanges of one code succeeded", won)
	}
	calls, err := fronts[1].sim.Calls(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	counted := map[string]int{}
	for _, c := range calls {
		if c.Endpoint == "token" {
			counted[c.Operation+" "+c.Outcome] = c.Count
		}
	}
	if counted["authorization_code success"] != 1 || counted["authorization_code invalid_grant"] != racers-1 {
		t.Errorf("counters %v", counted)
	}
}

func TestTwoProcessesWaitForEachOther(t *testing.T) {
	t.Parallel()
	state, at := filepath.Join(t.TempDir(), "sim.db"), enginetest.NewClock()
	fronts := []*front{openFront(t, state, at, ""), openFront(t, state, at, "")}
	form := refreshForm(fronts[0].refreshToken(amazonsim.SellerEurope, "eu")).Encode()
	var wait sync.WaitGroup
	for i := range 8 {
		wait.Go(func() {
			f := fronts[i%2]
			for range 40 {
				a, err := f.trySend(http.MethodPost, f.base+"/auth/o2/token", http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, form)
				if err != nil || a.status != http.StatusOK {
					t.Errorf("a refresh ended with %d, %v", a.status, err)
					return
				}
			}
		})
	}
	wait.Wait()
}

func TestTokenEndpointTakesJSONAndIgnoresTheQuery(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	refresh := f.refreshToken(amazonsim.SellerEurope, "eu")
	body := `{"grant_type":"refresh_token","refresh_token":"` + refresh + `","client_id":"` + amazonsim.SeededClientID +
		`","client_secret":"` + amazonsim.SeededClientSecret + `"}`
	wantStatus(t, f.control(http.MethodPost, "/auth/o2/token", body), http.StatusOK)
	wantTokenError(t, f.post("/auth/o2/token?"+refreshForm(refresh).Encode(), url.Values{}), http.StatusBadRequest, "invalid_request")
	wantStatus(t, f.send(http.MethodGet, f.base+"/auth/o2/token", nil, ""), http.StatusMethodNotAllowed)
}
