package sagesim_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"connectorvault/infra/sim/engine/enginetest"
	sagesim "connectorvault/infra/sim/sage"
)

const refreshLife = 31 * 24 * time.Hour

var uuidPattern = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

func TestTokenAnswer(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	a := f.post("/token", codeForm(f.code()))
	wantStatus(t, a, http.StatusOK)
	var names []string
	decoder := json.NewDecoder(strings.NewReader(a.body))
	for depth := 0; ; {
		token, err := decoder.Token()
		if err != nil {
			break
		}
		if name, is := token.(string); is && depth%2 == 0 {
			names = append(names, name)
		}
		if token != json.Delim('{') {
			depth++
		}
	}
	if want := []string{"access_token", "scope", "token_type", "expires_in", "refresh_token", "refresh_token_expires_in", "requested_by_id"}; !slices.Equal(names, want) {
		t.Errorf("members %q", names)
	}
	set := decode[tokens](t, a)
	if set.Type != "bearer" || set.Expires != 300 || set.RefreshExpires != 2678400 || set.RequestedBy != sagesim.UserGB || set.ResourceOwner != "" {
		t.Errorf("tokens %+v", set)
	}
	if a.header.Get("Cache-Control") != "no-store" || !uuidPattern.MatchString(a.header.Get("X-Request-Id")) || a.header.Get("Content-Type") != "application/json" {
		t.Errorf("header %v", a.header)
	}
	for name, token := range map[string]string{"access": set.Access, "refresh": set.Refresh} {
		parts := strings.Split(token, ".")
		if len(parts) != 3 || len(token) < 1000 || len(token) > 2048 {
			t.Fatalf("%s token: %d parts, %d characters", name, len(parts), len(token))
		}
		header, _ := base64.RawURLEncoding.DecodeString(parts[0])
		payload, _ := base64.RawURLEncoding.DecodeString(parts[1])
		var claims map[string]any
		if err := json.Unmarshal(payload, &claims); err != nil || !strings.Contains(string(header), `"RS512"`) {
			t.Fatalf("%s token: %v", name, err)
		}
		if claims["sub"] != sagesim.UserGB || claims["azp"] != sagesim.SeedClientID || claims["jti"] == "" {
			t.Errorf("%s token claims %v", name, claims)
		}
	}
}

func TestRotation(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	first := f.grant(sagesim.GrantRequest{Label: "a"})
	second := f.refresh(first.RefreshToken)
	if second.Refresh == first.RefreshToken || second.Access == first.AccessToken {
		t.Fatal("nothing new was given")
	}
	if family := f.family("a"); family.Current != 2 || family.RefreshToken != fingerprint(second.Refresh) || family.Revoked {
		t.Errorf("family %+v", family)
	}
	wantTokenError(t, f.tryRefresh(first.RefreshToken), http.StatusBadRequest, "invalid_grant")
	if a := f.tryRefresh(first.RefreshToken); a.body != `{"error":"invalid_grant"}` {
		t.Errorf("body %s", a.body)
	}
	third := f.refresh(second.Refresh) // offering a spent one did no harm
	items, counters := f.ledger("?label=a")
	want := []sagesim.TokenCall{
		{Parent: 1, Issued: 2, Outcome: "issued"}, {Parent: 1, Outcome: "reuse"}, {Parent: 1, Outcome: "reuse"}, {Parent: 2, Issued: 3, Outcome: "issued"},
	}
	if len(items) != len(want) {
		t.Fatalf("ledger %+v", items)
	}
	for i, got := range items {
		if got.Parent != want[i].Parent || got.Issued != want[i].Issued || got.Outcome != want[i].Outcome || got.User != sagesim.UserGB ||
			got.ClientID != sagesim.SeedClientID || got.GrantType != "refresh_token" || got.Family != first.Family || got.At != f.clock.Now().Unix() || got.Wall == 0 {
			t.Errorf("line %d: %+v", i, got)
		}
	}
	if counters != (sagesim.TokenCounters{Issued: 2, Reuses: 2}) {
		t.Errorf("counters %+v", counters)
	}
	if rest, _ := f.ledger(fmt.Sprintf("?after=%d&limit=2", items[0].Seq)); len(rest) != 2 || rest[0].Seq != items[1].Seq || rest[1].Seq != items[2].Seq {
		t.Errorf("part of the ledger %+v", rest)
	}
	for _, token := range []string{first.AccessToken, second.Access, third.Access} { // every access token lives its whole life
		wantStatus(t, f.get("/user", token, ""), http.StatusOK)
	}
	wantStatus(t, f.control(http.MethodDelete, "/_sim/token-calls", ""), http.StatusNoContent)
	if items, counters := f.ledger(""); len(items) != 0 || counters != (sagesim.TokenCounters{}) {
		t.Errorf("after the reset %+v %+v", items, counters)
	}
}

func TestLifetimes(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	granted := f.grant(sagesim.GrantRequest{})
	f.clock.Step(299 * time.Second)
	wantStatus(t, f.get("/user", granted.AccessToken, ""), http.StatusOK)
	f.clock.Step(time.Second)
	wantRefusal(t, f.get("/user", granted.AccessToken, ""), http.StatusUnauthorized, "AuthorizationFailure")
	f.clock.Step(refreshLife - 301*time.Second)
	set := f.refresh(granted.RefreshToken) // in its last second
	f.clock.Step(refreshLife)
	wantTokenError(t, f.tryRefresh(set.Refresh), http.StatusBadRequest, "invalid_grant")
	if items, _ := f.ledger("?outcome=expired"); len(items) != 1 || items[0].Parent != 2 {
		t.Errorf("ledger %+v", items)
	}
}

// Two processes share one state; fifty callers offer one token to both.
func TestOneOfFiftyRacingRefreshesWins(t *testing.T) {
	t.Parallel()
	state, at := filepath.Join(t.TempDir(), "sim.db"), enginetest.NewClock()
	fronts := []*front{openFront(t, state, at), openFront(t, state, at)}
	granted := fronts[0].grant(sagesim.GrantRequest{Label: "race"})
	var winners sync.Map
	var wait sync.WaitGroup
	for i := range 50 {
		wait.Go(func() {
			f := fronts[i%2]
			a, err := f.trySend(http.MethodPost, f.base+"/token", formHeader(), refreshForm(granted.RefreshToken).Encode())
			switch {
			case err != nil:
				t.Errorf("call %d: %v", i, err)
			case a.status == http.StatusOK:
				winners.Store(i, a)
			case a.status != http.StatusBadRequest || !strings.Contains(a.body, "invalid_grant"):
				t.Errorf("call %d: %d %s", i, a.status, a.body)
			}
		})
	}
	wait.Wait()
	count := 0
	winners.Range(func(_, value any) bool {
		count++
		set := decode[tokens](t, value.(answer))
		if family := fronts[1].family("race"); family.RefreshToken != fingerprint(set.Refresh) || family.Current != 2 {
			t.Errorf("the winner does not hold the current token: %+v", family)
		}
		return true
	})
	if _, counters := fronts[0].ledger(""); count != 1 || counters.Issued != 1 || counters.Reuses != 49 {
		t.Errorf("%d winners, counters %+v", count, counters)
	}
}

func TestProcessesShareEverything(t *testing.T) {
	t.Parallel()
	state, at := filepath.Join(t.TempDir(), "sim.db"), enginetest.NewClock()
	one, two := openFront(t, state, at), openFront(t, state, at)
	a := two.post("/token", codeForm(one.code()))
	wantStatus(t, a, http.StatusOK)
	set := one.refresh(decode[tokens](t, a).Refresh)
	wantStatus(t, two.get("/contacts", set.Access, sagesim.BusinessGBSecond), http.StatusOK)
	if x, y := one.get("/ledger_entries?attributes=all", set.Access, ""), two.get("/ledger_entries?attributes=all", set.Access, ""); x.body != y.body {
		t.Error("two processes compute different books")
	}
	one.fault(sagesim.Fault{Name: sagesim.FaultThrottled})
	wantStatus(t, two.get("/contacts", set.Access, ""), http.StatusTooManyRequests)
	calls, err := one.sim.Calls(t.Context())
	if err != nil || !slices.Contains(calls, sagesim.CallCount{Endpoint: "api", Operation: "contacts", Outcome: "200", Count: 1}) ||
		!slices.Contains(calls, sagesim.CallCount{Endpoint: "api", Operation: "contacts", Outcome: "fault throttled", Count: 1}) {
		t.Errorf("calls %+v, %v", calls, err)
	}
}

func TestGrace(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	f.fault(sagesim.Fault{Name: sagesim.FaultGrace, GraceSeconds: 10})
	f.fault(sagesim.Fault{Name: sagesim.FaultFamilyRevocation})
	granted := f.grant(sagesim.GrantRequest{Label: "g"})
	second := f.refresh(granted.RefreshToken)
	f.clock.Step(5 * time.Second)
	third := f.refresh(second.Refresh)
	f.clock.Step(5 * time.Second)
	for _, spent := range []string{granted.RefreshToken, second.Refresh} {
		again := f.refresh(spent)
		if again.Refresh != third.Refresh || again.Access == third.Access {
			t.Fatal("the current refresh token and a fresh access token were expected")
		}
		if again.RefreshExpires != int(refreshLife.Seconds())-5 {
			t.Errorf("refresh_token_expires_in %d", again.RefreshExpires)
		}
		wantStatus(t, f.get("/user", again.Access, ""), http.StatusOK)
	}
	f.clock.Step(time.Second) // the first one's window is over, the second one's is not
	wantStatus(t, f.tryRefresh(second.Refresh), http.StatusOK)
	wantTokenError(t, f.tryRefresh(granted.RefreshToken), http.StatusBadRequest, "invalid_grant")
	wantTokenError(t, f.tryRefresh(second.Refresh), http.StatusBadRequest, "invalid_grant") // no grace in a family that ended
	wantTokenError(t, f.tryRefresh(third.Refresh), http.StatusBadRequest, "invalid_grant")
	if _, counters := f.ledger(""); counters != (sagesim.TokenCounters{Issued: 2, Reuses: 2, FamilyRevocations: 1}) {
		t.Errorf("counters %+v", counters)
	}
	if items, _ := f.ledger("?outcome=grace"); len(items) != 3 || items[0].Parent != 1 || items[0].Issued != 3 {
		t.Errorf("ledger %+v", items)
	}
	if items, _ := f.ledger("?outcome=revoked"); len(items) != 1 || items[0].Parent != 3 {
		t.Errorf("ledger %+v", items)
	}
}

func TestFamilyRevocation(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	granted, sister := f.grant(sagesim.GrantRequest{Label: "f"}), f.grant(sagesim.GrantRequest{})
	second := f.refresh(granted.RefreshToken)
	wantTokenError(t, f.tryRefresh(granted.RefreshToken), http.StatusBadRequest, "invalid_grant")
	second = f.refresh(second.Refresh)
	f.fault(sagesim.Fault{Name: sagesim.FaultFamilyRevocation, ClientID: sagesim.SeedClientID})
	wantTokenError(t, f.tryRefresh(granted.RefreshToken), http.StatusBadRequest, "invalid_grant")
	wantTokenError(t, f.tryRefresh(second.Refresh), http.StatusBadRequest, "invalid_grant")
	if !f.family("f").Revoked {
		t.Error("the family is not revoked")
	}
	wantStatus(t, f.get("/user", second.Access, ""), http.StatusOK) // an access token lives on
	f.refresh(sister.RefreshToken)                                  // and so do other families

	code := f.code()
	a := f.post("/token", codeForm(code))
	wantStatus(t, a, http.StatusOK)
	wantTokenError(t, f.post("/token", codeForm(code)), http.StatusBadRequest, "invalid_grant") // a code offered twice does it too
	wantTokenError(t, f.tryRefresh(decode[tokens](t, a).Refresh), http.StatusBadRequest, "invalid_grant")
	if _, counters := f.ledger(""); counters.FamilyRevocations != 2 {
		t.Errorf("counters %+v", counters)
	}
}

func TestTokenRefusals(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	granted := f.grant(sagesim.GrantRequest{})
	changed := func(pairs ...string) url.Values {
		form := refreshForm(granted.RefreshToken)
		for i := 0; i < len(pairs); i += 2 {
			form.Set(pairs[i], pairs[i+1])
			if pairs[i+1] == "" {
				form.Del(pairs[i])
			}
		}
		return form
	}
	for code, forms := range map[string][]url.Values{
		"invalid_client":         {changed("client_secret", "wrong"), changed("client_id", sagesim.SeedOtherClientID)},
		"invalid_grant":          {changed("refresh_token", "a.b.c"), changed("client_id", sagesim.SeedOtherClientID, "client_secret", sagesim.SeedOtherClientSecret), changed("refresh_token", granted.AccessToken)},
		"unsupported_grant_type": {changed("grant_type", "client_credentials")},
		"DataParsingError":       {changed("refresh_token", granted.RefreshToken+"\n")},
		"invalid_request": {
			changed("client_secret", ""), changed("client_id", ""), changed("grant_type", ""), changed("refresh_token", ""),
			{"grant_type": {"authorization_code"}, "code": {"GB/1"}, "client_id": {sagesim.SeedClientID}, "client_secret": {sagesim.SeedClientSecret}},
		},
	} {
		for _, form := range forms {
			wantTokenError(t, f.post("/token", form), http.StatusBadRequest, code)
		}
	}
	for name, a := range map[string]answer{
		"repeated": f.send(http.MethodPost, f.base+"/token", formHeader(), refreshForm(granted.RefreshToken).Encode()+"&grant_type=refresh_token"),
		"json":     f.send(http.MethodPost, f.base+"/token", http.Header{"Content-Type": {"application/json"}}, `{}`),
		"type":     f.send(http.MethodPost, f.base+"/token", http.Header{"Content-Type": {"application/json"}}, refreshForm(granted.RefreshToken).Encode()),
		"query":    f.send(http.MethodPost, f.base+"/token?"+refreshForm(granted.RefreshToken).Encode(), formHeader(), ""),
		"no form":  f.send(http.MethodPost, f.base+"/token", formHeader(), "%"),
		"basic": f.send(http.MethodPost, f.base+"/token", http.Header{
			"Content-Type":  {"application/x-www-form-urlencoded"},
			"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte(sagesim.SeedClientID+":"+sagesim.SeedClientSecret))},
		}, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {granted.RefreshToken}}.Encode()),
	} {
		if a.status != http.StatusBadRequest || !strings.Contains(a.body, `"error":"invalid_request","error_description":`) {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	wantStatus(t, f.send(http.MethodGet, f.base+"/token", nil, ""), http.StatusMethodNotAllowed)
	f.refresh(granted.RefreshToken) // none of them spent it
	if _, counters := f.ledger(""); counters != (sagesim.TokenCounters{Issued: 1}) {
		t.Errorf("counters %+v", counters)
	}
}

func TestRevoke(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	granted := f.grant(sagesim.GrantRequest{})
	form := func(token string) url.Values {
		return url.Values{"client_id": {sagesim.SeedClientID}, "client_secret": {sagesim.SeedClientSecret}, "token": {token}}
	}
	wrong := form(granted.RefreshToken)
	wrong.Set("client_secret", "wrong")
	wantTokenError(t, f.post("/revoke", wrong), http.StatusBadRequest, "invalid_client")
	foreign := form(granted.RefreshToken)
	foreign.Set("client_id", sagesim.SeedOtherClientID)
	foreign.Set("client_secret", sagesim.SeedOtherClientSecret)
	wantStatus(t, f.post("/revoke", foreign), http.StatusOK)
	wantTokenError(t, f.post("/revoke", form("")), http.StatusBadRequest, "invalid_request")
	wantStatus(t, f.post("/revoke", form(granted.AccessToken)), http.StatusOK)
	set := f.refresh(granted.RefreshToken)                                      // nothing of that has revoked it
	wantStatus(t, f.post("/revoke", form(granted.RefreshToken)), http.StatusOK) // nor does a spent one
	set = f.refresh(set.Refresh)
	a := f.post("/revoke", form(set.Refresh))
	if a.status != http.StatusOK || a.body != `{"success":"ok"}` {
		t.Fatalf("%d %s", a.status, a.body)
	}
	wantTokenError(t, f.tryRefresh(set.Refresh), http.StatusBadRequest, "invalid_grant")
	wantStatus(t, f.get("/user", set.Access, ""), http.StatusOK)

	one, two := f.grant(sagesim.GrantRequest{Label: "x"}), f.grant(sagesim.GrantRequest{Label: "y"})
	a = f.control(http.MethodPost, "/_sim/revocations", `{"label":"x"}`)
	if a.body != `{"revoked":1}` {
		t.Errorf("revocations %s", a.body)
	}
	wantTokenError(t, f.tryRefresh(one.RefreshToken), http.StatusBadRequest, "invalid_grant")
	f.refresh(two.RefreshToken)
}

// The state file, the log and the control API show no token, code or secret.
func TestNothingShowsSecrets(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	f := openFront(t, filepath.Join(folder, "sim.db"), enginetest.NewClock())
	legacy := f.grant(sagesim.GrantRequest{ClientID: "quiet/one", ClientSecret: "a-quiet-secret", Legacy: true})
	wantStatus(t, f.legacyGet("/uki/sageone/accounts/v3/contacts", legacyHeader(legacy.AccessToken, "a-quiet-key", legacy.ResourceOwnerID)), http.StatusOK)
	granted := f.grant(sagesim.GrantRequest{Label: "quiet"})
	set := f.refresh(granted.RefreshToken)
	f.tryRefresh(granted.RefreshToken)
	code := f.code()
	wantStatus(t, f.post("/token", codeForm(code)), http.StatusOK)
	shown := f.log.String()
	for _, path := range []string{"families", "token-calls", "apps", "users", "businesses", "calls", "faults", "concurrency"} {
		a := f.control(http.MethodGet, "/_sim/"+path, "")
		wantStatus(t, a, http.StatusOK)
		shown += a.body
	}
	files, err := filepath.Glob(filepath.Join(folder, "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, name := range files {
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		shown += string(content)
	}
	for _, secret := range []string{
		granted.RefreshToken, granted.AccessToken, set.Refresh, set.Access, code, sagesim.SeedClientSecret, sagesim.SeedSubscriptionKey,
		"a-quiet-secret", "a-quiet-key", legacy.AccessToken, legacy.RefreshToken,
	} {
		if strings.Contains(shown, secret) {
			t.Errorf("%.12s… is shown", secret)
		}
	}
}

func TestTokenFaultsBeforeTheWork(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	tests := []struct {
		body    string
		status  int // 0: no answer
		want    string
		outcome string
	}{
		{`{"name":"status","status":502}`, 502, "", "fault:status"},
		{`{"name":"throttled","retry_after":7}`, 429, "temporarily_unavailable", "fault:throttled"},
		{`{"name":"throttled"}`, 429, "temporarily_unavailable", "fault:throttled"},
		{`{"name":"error_500"}`, 500, "server_error", "fault:error_500"},
		{`{"name":"error_503"}`, 503, "temporarily_unavailable", "fault:error_503"},
		{`{"name":"html_before"}`, 502, "<html>", "fault:html_before"},
		{`{"name":"html_before","status":200}`, 200, "<html>", "fault:html_before"},
		{`{"name":"invalid_client"}`, 400, `{"error":"invalid_client"}`, "fault:invalid_client"},
		{`{"name":"invalid_grant"}`, 400, `{"error":"invalid_grant"}`, "fault:invalid_grant"},
		{`{"name":"oauth_error","error":"unauthorized_client"}`, 400, `{"error":"unauthorized_client"}`, "fault:oauth_error"},
		{`{"name":"oauth_error","error":"slow_down","status":429}`, 429, `{"error":"slow_down"}`, "fault:oauth_error"},
		{`{"name":"reset"}`, 0, "", "fault:reset"},
		{`{"name":"slow","delay_ms":1}`, 200, "access_token", "issued"},
	}
	granted := f.grant(sagesim.GrantRequest{Label: "faulty"})
	refresh := granted.RefreshToken
	for _, test := range tests {
		t.Run(test.body, func(t *testing.T) {
			limited := strings.Replace(test.body, "{", `{"endpoint":"token","operation":"refresh_token","label":"faulty","user":"`+sagesim.UserGB+`","times":1,`, 1)
			wantStatus(t, f.control(http.MethodPost, "/_sim/faults", limited), http.StatusOK)
			wantStatus(t, f.post("/token", codeForm(f.code())), http.StatusOK)   // another grant type
			f.refresh(f.grant(sagesim.GrantRequest{Label: "well"}).RefreshToken) // another label
			a, err := f.trySend(http.MethodPost, f.base+"/token", formHeader(), refreshForm(refresh).Encode())
			if (err != nil) != (test.status == 0) || a.status != test.status || !strings.Contains(a.body, test.want) || test.want == "" && a.body != "" {
				t.Errorf("%d %q %v", a.status, a.body, err)
			}
			if (a.header.Get("Retry-After") == "7") != strings.Contains(test.body, "retry_after") {
				t.Errorf("Retry-After %q", a.header.Get("Retry-After"))
			}
			items, _ := f.ledger("?label=faulty")
			last := items[len(items)-1]
			if last.Outcome != test.outcome || last.Family != granted.Family || last.Parent == 0 || last.Fault != "" {
				t.Errorf("ledger %+v", last)
			}
			if test.outcome != "issued" {
				a = f.tryRefresh(refresh) // it fired once, and nothing was spent
				wantStatus(t, a, http.StatusOK)
			}
			refresh = decode[tokens](t, a).Refresh
		})
	}
}

func TestTokenFaultsAfterTheWork(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	for _, test := range []struct {
		fault  sagesim.Fault
		status int // 0: no answer
		check  func(body string) bool
	}{
		{sagesim.Fault{Name: sagesim.FaultDrop}, 0, func(body string) bool { return body == "" }},
		{sagesim.Fault{Name: sagesim.FaultEmpty}, 200, func(body string) bool { return body == "" }},
		{sagesim.Fault{Name: sagesim.FaultTruncated}, 200, func(body string) bool { return len(body) > 500 && !strings.HasSuffix(body, "}") }},
		{sagesim.Fault{Name: sagesim.FaultHTMLAfter}, 200, func(body string) bool { return strings.Contains(body, "<html>") }},
		{sagesim.Fault{Name: sagesim.FaultHTMLAfter, Status: 503}, 503, func(body string) bool { return strings.Contains(body, "<html>") }},
		{sagesim.Fault{Name: sagesim.FaultNoRefreshToken}, 200, func(body string) bool {
			return !strings.Contains(body, "refresh_token") && strings.Contains(body, "access_token")
		}},
	} {
		granted := f.grant(sagesim.GrantRequest{Label: test.fault.Name + fmt.Sprint(test.fault.Status)})
		test.fault.Times = 1
		f.fault(test.fault)
		a, err := f.trySend(http.MethodPost, f.base+"/token", formHeader(), refreshForm(granted.RefreshToken).Encode())
		if (err != nil) != (test.status == 0) || a.status != test.status || !test.check(a.body) {
			t.Errorf("%s: %d %.100q %v", test.fault.Name, a.status, a.body, err)
		}
		wantTokenError(t, f.tryRefresh(granted.RefreshToken), http.StatusBadRequest, "invalid_grant") // spent, though nobody has the successor
		items, _ := f.ledger("?family=" + granted.Family)
		if len(items) != 2 || items[0].Outcome != "issued" || items[0].Issued != 2 || items[0].Fault != test.fault.Name || items[1].Outcome != "reuse" {
			t.Errorf("%s: ledger %+v", test.fault.Name, items)
		}
	}
	code := f.code()
	f.fault(sagesim.Fault{Name: sagesim.FaultDrop, Times: 1, Operation: "authorization_code"})
	if _, err := f.trySend(http.MethodPost, f.base+"/token", formHeader(), codeForm(code).Encode()); err == nil {
		t.Error("an answer came through")
	}
	wantTokenError(t, f.post("/token", codeForm(code)), http.StatusBadRequest, "invalid_grant")
}

// A refusal is not lost by the switches that lose tokens: they wait for an answer that has done something.
func TestDropWaitsForWork(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	f.fault(sagesim.Fault{Name: sagesim.FaultDrop, Times: 1})
	wantTokenError(t, f.tryRefresh("a.b.c"), http.StatusBadRequest, "invalid_grant")
	if _, err := f.trySend(http.MethodPost, f.base+"/token", formHeader(), refreshForm(f.grant(sagesim.GrantRequest{}).RefreshToken).Encode()); err == nil {
		t.Error("an answer came through")
	}
}

// A client that gave up does not undo what its request does: the request is held until released, then spends the token.
func TestHeldRefreshSpendsTheTokenWithoutItsClient(t *testing.T) {
	t.Parallel()
	state, at := filepath.Join(t.TempDir(), "sim.db"), enginetest.NewClock()
	f, other := openFront(t, state, at), openFront(t, state, at)
	granted := f.grant(sagesim.GrantRequest{Label: "held"})
	f.fault(sagesim.Fault{Name: sagesim.FaultHold, Endpoint: "token", Times: 1})
	ctx, leave := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		_, err := f.trySendUntil(ctx, http.MethodPost, f.base+"/token", formHeader(), refreshForm(granted.RefreshToken).Encode())
		done <- err
	}()
	for held := false; !held; {
		calls, err := other.sim.Calls(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		held = slices.ContainsFunc(calls, func(c sagesim.CallCount) bool { return c.Outcome == "held" })
	}
	leave()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("the client left with %v", err)
	}
	if family := f.family("held"); family.Current != 1 {
		t.Error("the token was spent before the release")
	}
	wantStatus(t, other.control(http.MethodDelete, "/_sim/faults?name=hold", ""), http.StatusNoContent)
	for f.family("held").Current != 2 {
		if items, _ := f.ledger("?label=held&outcome=reuse"); len(items) > 0 {
			t.Fatalf("ledger %+v", items)
		}
	}
	wantTokenError(t, other.tryRefresh(granted.RefreshToken), http.StatusBadRequest, "invalid_grant")
}

func TestFaultsAreChecked(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	for _, bad := range []string{
		`{"name":"unknown"}`, `{"name":"status"}`, `{"name":"error_500","status":500}`, `{"name":"slow"}`, `{"name":"slow","delay_ms":-1}`, `{"name":"grace"}`,
		`{"name":"concurrency"}`, `{"name":"oauth_error"}`, `{"name":"drop_after_commit","error":"x"}`, `{"name":"status","status":99}`,
		`{"name":"slow","delay_ms":1,"endpoint":"tokens"}`, `{"name":"throttled","tines":1}`, `{`,
	} {
		wantStatus(t, f.control(http.MethodPost, "/_sim/faults", bad), http.StatusBadRequest)
	}
	wantStatus(t, f.send(http.MethodPost, f.base+"/_sim/faults", formHeader(), `{"name":"throttled"}`), http.StatusBadRequest) // what a foreign page could send
	wantStatus(t, f.control(http.MethodPost, "/_sim/faults", `[{"name":"throttled","times":3},{"name":"grace","grace_seconds":5},{"name":"throttled","times":2}]`), http.StatusOK)
	got := decode[struct{ Items []sagesim.Fault }](t, f.control(http.MethodGet, "/_sim/faults", ""))
	if len(got.Items) != 2 || got.Items[1].Times != 2 {
		t.Errorf("switches %+v", got.Items)
	}
	for _, scoped := range []sagesim.Fault{{Name: sagesim.FaultReset, User: "a"}, {Name: sagesim.FaultReset, User: "b"}, {Name: sagesim.FaultReset, Label: "b"}} {
		f.fault(scoped)
	}
	if on, err := f.sim.Faults(t.Context()); err != nil || len(on) != 5 { // only the same scope replaces
		t.Errorf("switches %+v, %v", on, err)
	}
	wantStatus(t, f.control(http.MethodDelete, "/_sim/faults", ""), http.StatusNoContent)
	f.refresh(f.grant(sagesim.GrantRequest{}).RefreshToken)
}

func TestGrantRequests(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	a := f.control(http.MethodPost, "/_sim/grants", `{"client_id":"c/d","client_secret":"s","user":"`+sagesim.UserDE+`","scope":"readonly","label":"l"}`)
	wantStatus(t, a, http.StatusOK)
	granted := decode[sagesim.GrantedTokens](t, a)
	form := refreshForm(granted.RefreshToken)
	form.Set("client_id", "c/d")
	form.Set("client_secret", "s")
	a = f.post("/token", form)
	wantStatus(t, a, http.StatusOK)
	if set := decode[tokens](t, a); set.Scope != "readonly" || set.RequestedBy != sagesim.UserDE {
		t.Errorf("tokens %+v", set)
	}
	wantStatus(t, f.control(http.MethodPost, "/_sim/grants", `{"client_id":"c/d","client_secret":"t"}`), http.StatusBadRequest)
	wantStatus(t, f.control(http.MethodPost, "/_sim/grants", `{"scope":"x"}`), http.StatusBadRequest)
	wantStatus(t, f.control(http.MethodPost, "/_sim/grants", `{"user":"x"}`), http.StatusNotFound)
	if _, err := f.sim.SetFault(t.Context(), sagesim.Fault{Name: sagesim.FaultStrictApps}); err != nil {
		t.Fatal(err)
	}
	wantStatus(t, f.control(http.MethodPost, "/_sim/grants", `{"client_id":"e/f","client_secret":"t"}`), http.StatusBadRequest)
}
