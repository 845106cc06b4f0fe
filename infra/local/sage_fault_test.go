package main

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	sagesim "connectorvault/infra/sim/sage"
)

// Whatever goes wrong at Sage has a status and a code that say what to do, Sage's own code and request id beside it, nothing
// of a page that was no answer, and costs no token.
func TestSageFaults(t *testing.T) {
	t.Parallel()
	v, w, entry, base := books(t, sagesim.BusinessGB)
	v.must(200, "GET", base+"/contacts?limit=1", nil)
	for _, c := range []struct {
		name   string
		fault  object // of the API, once
		path   string // "" = /contacts
		status int
		code   string
		wait   string // Retry-After; "*" = any, "" = none
		said   string // Sage's code
	}{
		{"the user may not", object{"name": "access_denied"}, "", 403, "provider_refused", "", "MultiUserAccessDenied"},
		{"a lapsed subscription", object{"name": "subscription_lapsed"}, "", 502, "subscription_lapsed", "", "AuthorizationFailure"},
		{"a value that Sage refuses", nil, "/contacts?updated_or_created_since=yesterday", 400, "provider_refused", "", "RecordInvalid"},
		{"an item that is not there", nil, "/products/" + strings.Repeat("0", 32), 404, "provider_refused", "", "RecordNotFound"},
		{"429 with Retry-After", object{"name": "throttled", "retry_after": 7}, "", 429, "rate_limited", "7", "TooManyRequests"},
		{"429 without Retry-After", object{"name": "throttled"}, "", 429, "rate_limited", "5", "TooManyRequests"},
		{"429 with nothing in it", object{"name": "status", "status": 429}, "", 429, "rate_limited", "5", ""},
		{"500", object{"name": "error_500"}, "", 503, "provider_unavailable", "*", "UnexpectedError"},
		{"503", object{"name": "error_503"}, "", 503, "provider_unavailable", "*", "ServiceUnavailable"},
		{"503 with Retry-After", object{"name": "error_503", "retry_after": 11}, "", 503, "provider_unavailable", "11", "ServiceUnavailable"},
		{"502", object{"name": "status", "status": 502}, "", 503, "provider_unavailable", "*", ""},
		{"504", object{"name": "status", "status": 504}, "", 503, "provider_unavailable", "*", ""},
		{"504 with all attributes", object{"name": "timeout_all"}, "/ledger-entries?attributes=all", 503, "provider_unavailable", "*", ""},
		{"a gateway's page", object{"name": "html_before"}, "", 503, "provider_unavailable", "*", ""},
		{"a gateway's page with 200, which names no business", object{"name": "html_before", "status": 200}, "", 502, "business_mismatch", "", ""},
		{"a page in place of the answer", object{"name": "html_after"}, "", 503, "provider_unavailable", "*", ""},
		{"an empty answer", object{"name": "empty"}, "", 503, "provider_unavailable", "*", ""},
		{"half an answer", object{"name": "truncated"}, "", 503, "provider_unavailable", "*", ""},
		{"no answer", object{"name": "drop_after_commit"}, "", 503, "provider_unavailable", "*", ""},
		{"no connection", object{"name": "reset"}, "", 503, "provider_unavailable", "*", ""},
		{"405", object{"name": "status", "status": 405}, "", 502, "provider_refused", "", ""},
		{"418", object{"name": "status", "status": 418}, "", 502, "provider_refused", "", ""},
	} {
		path := c.path
		if path == "" {
			path = "/contacts"
		}
		if c.fault != nil {
			c.fault["endpoint"] = "api"
			v.sageFault(c.fault) // until it is cleared: what is tried again fails again
		}
		a := v.do("GET", base+path, nil)
		refused(t, c.name, a, c.status, c.code)
		wait := a.header.Get("Retry-After")
		if c.wait == "*" && wait == "" || c.wait != "*" && wait != c.wait {
			t.Errorf("%s: Retry-After %q, want %q", c.name, wait, c.wait)
		}
		said, _ := a.json(t)["provider"].(object)
		code, _ := said["code"].(string)
		if last := w.last(t, "/v3.1"); code != c.said || last.status >= 400 && said["request_id"] != last.said.Get("X-Request-Id") {
			t.Errorf("%s: of Sage's words %v is left; request id %s", c.name, said, last.said.Get("X-Request-Id"))
		}
		for _, mark := range []string{"<html", "DOCTYPE", "back shortly", "$dataCode", "$items"} {
			if bytes.Contains(a.body, []byte(mark)) {
				t.Errorf("%s: the refusal quotes %s: %s", c.name, mark, a.body)
			}
		}
		if c.name == "504 with all attributes" && !strings.Contains(a.text(t, "action"), "fewer attributes") {
			t.Errorf("%s: what helps is not said: %s", c.name, a.body)
		}
		v.sageWell()
		if after := v.do("GET", base+"/contacts?limit=1", nil); after.status != http.StatusOK {
			t.Errorf("%s: afterwards %d %s", c.name, after.status, after.body)
		}
	}
	v.sageFault(object{"name": "slow", "endpoint": "api", "delay_ms": 300})
	v.must(200, "GET", base+"/contacts?limit=1", nil)
	if e := v.shown(entry); len(v.ledger("refresh_token")) != 0 || e["status"] != "active" || e["health"] != "ok" {
		t.Errorf("%d refreshes; the entry is %v, %v", len(v.ledger("refresh_token")), e["status"], e["health"])
	}
}

// A token that Sage refuses before its time is replaced once, unseen by the caller.
func TestSageRefusedToken(t *testing.T) {
	t.Parallel()
	v, _, _, base := books(t, sagesim.BusinessGB)
	v.sageFault(object{"name": "token_expired", "endpoint": "api", "times": 1})
	v.must(200, "GET", base+"/contacts?limit=1", nil)
	if n := len(v.ledger("refresh_token")); n != 1 {
		t.Errorf("%d refreshes, want 1", n)
	}
}

// A 401 that no token cures costs one refresh at most, however many read meanwhile and in however many processes, and
// it is over when Sage says so.
func TestSage401Forever(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w, flags := listen(t, dir)
	v, second := start(t, dir, flags...), spawn(t, dir, flags...)
	entry := v.sageEntry(v.sageOwn("401", nil))
	v.sageConnect(entry, sagesim.UserGB)
	base := v.sageConnector(entry, sagesim.BusinessGB)
	v.sageFault(object{"name": "token_expired", "endpoint": "api"})
	for i := range 50 {
		a := []*vault{v, second}[i%2].do("GET", base+"/contacts?limit=1", nil)
		if a.status < 400 || a.text(t, "code") != "provider_refused" {
			t.Fatalf("read %d: %d %s", i, a.status, a.body)
		}
	}
	if n := len(v.ledger("refresh_token")); n > 1 {
		t.Errorf("%d refreshes over 50 reads", n)
	}
	if n := len(w.heard("/v3.1/contacts")); n > 51 {
		t.Errorf("%d calls for 50 reads", n)
	}
	if e := v.shown(entry); e["status"] != "active" {
		t.Errorf("the entry is %v", e["status"])
	}
	v.sageWell()
	v.must(200, "GET", base+"/contacts?limit=1", nil)
	second.must(200, "GET", base+"/contacts?limit=1", nil)
}

// A business without a subscription is refused with Sage's status for a bad token. No token is spent on it, and another
// business of the account is read all the while.
func TestSageLapsedSubscription(t *testing.T) {
	t.Parallel()
	v, _ := tapped(t)
	entry := v.sageEntry(v.sageOwn("lapsed", nil))
	v.sageConnect(entry, sagesim.UserGBLapsed)
	active := map[string]any{}
	account, _ := v.shown(entry)["account"].(object)
	for _, m := range account["members"].([]any) {
		active[m.(object)["id"].(string)] = m.(object)["active"]
	}
	if active[sagesim.BusinessGBLapsed] == true || active[sagesim.BusinessGBActive] != true {
		t.Errorf("active are %v", active)
	}
	lapsed, well := v.sageConnector(entry, sagesim.BusinessGBLapsed), v.sageConnector(entry, sagesim.BusinessGBActive)
	for range 50 {
		a := v.do("GET", lapsed+"/contacts?limit=1", nil)
		refused(t, "a lapsed business", a, 502, "subscription_lapsed")
		if !strings.Contains(a.text(t, "action"), "Renew") {
			t.Fatalf("what to do: %s", a.body)
		}
	}
	v.must(200, "GET", well+"/contacts?limit=1", nil)
	if n := len(v.ledger("refresh_token")); n != 0 {
		t.Errorf("%d refreshes over 50 reads", n)
	}
	v.sageSim("POST", "/_sim/businesses", object{"id": sagesim.BusinessGBLapsed, "active": true})
	v.must(200, "GET", lapsed+"/contacts?limit=1", nil)
}

// Sage takes 150 calls at once of one application. Three processes with four hundred readers of two entries keep to it together, and
// who finds no place hears when to come again.
func TestSageTakes150AtOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w, flags := listen(t, dir)
	v := start(t, dir, flags...)
	all := []*vault{v, spawn(t, dir, flags...), spawn(t, dir, flags...)}
	v.sageApp()
	own, shared := v.sageEntry(v.sageOwn("own", nil)), v.sageEntry(sageShared("shared", nil))
	v.sageConnect(own, sagesim.UserGB)
	v.sageConnect(shared, sagesim.UserGB)
	bases := []string{v.sageConnector(own, sagesim.BusinessGB), v.sageConnector(shared, sagesim.BusinessGBSecond)}
	for _, through := range all {
		for _, base := range bases {
			through.must(200, "GET", base+"/currencies/GBP", nil)
		}
	}
	w.sim.ResetConcurrency()
	v.sageFault(object{"name": "slow", "endpoint": "api", "delay_ms": 1500})
	var wait sync.WaitGroup
	answers := make([]answer, 400)
	for i := range answers {
		wait.Go(func() {
			through := all[i%3]
			a, err := through.try(map[string]string{"Authorization": "Bearer " + through.key}, "GET", through.url+bases[i%2]+"/currencies/GBP", nil)
			if err != nil {
				t.Error(err)
			}
			answers[i] = a
		})
	}
	wait.Wait()
	good, later := 0, 0
	for i, a := range answers {
		switch {
		case a.status == http.StatusOK:
			good++
		case a.status == http.StatusTooManyRequests && a.text(t, "code") == "rate_limited" && a.header.Get("Retry-After") != "" && a.json(t)["provider"] == nil:
			later++
		default:
			t.Errorf("read %d: %d, Retry-After %q, %.300s", i, a.status, a.header.Get("Retry-After"), a.body)
		}
	}
	if c := w.sim.Concurrency(); c.Peak > 150 || c.Refused > 0 || good == 0 {
		t.Errorf("at Sage %d were under way at once, and %d were refused; %d reads got data, %d were told to wait", c.Peak, c.Refused, good, later)
	}
	v.sageWell()
	for _, through := range all { // the places are given back
		through.eventually("reads go on", func() bool { return through.do("GET", bases[0]+"/currencies/GBP", nil).status == http.StatusOK })
	}
}

// What the operator's check of an entry finds while Sage is not well.
func TestSageCheckInTrouble(t *testing.T) {
	t.Parallel()
	v, _, entry, _ := books(t, sagesim.BusinessGB)
	check := "/v1/vault-entries/" + entry + "/check"
	v.sageFault(object{"name": "error_503", "endpoint": "api"})
	got := v.must(200, "POST", check, nil).json(t)
	if text := fmt.Sprint(got["reads"]); got["works"] != false || !strings.Contains(text, "allowed:<nil>") || strings.Contains(text, "allowed:false") {
		t.Errorf("while Sage does not answer: %v", got)
	}
	v.sageWell()
	v.sageSim("POST", "/_sim/revocations", object{"user": sagesim.UserGB})
	v.advance(6 * time.Minute)
	refused(t, "a revoked authorization", v.do("POST", check, nil), 409, "reauthorization_required")
	if e := v.shown(entry); e["status"] != "reauthorization_required" || e["cause"] != "revoked" {
		t.Errorf("the entry is %v, %v", e["status"], e["cause"])
	}
}

// An application that another one replaces takes nobody's authorization with it, and back again it goes on.
func TestSageApplicationThatIsReplacedLosesNoAccount(t *testing.T) {
	t.Parallel()
	v := start(t, t.TempDir())
	v.sageApp()
	entry := v.sageEntry(sageShared("Shared", nil))
	v.sageConnect(entry, sagesim.UserGB)
	connector := v.sageConnector(entry, sagesim.BusinessGB)
	v.must(200, "PUT", "/v1/provider-apps/sage", object{"oauth_api_key": sagesim.SeedOtherClientID, "oauth_api_secret": sagesim.SeedOtherClientSecret})
	v.advance(301 * time.Second)
	before := len(v.ledger("refresh_token"))
	refused(t, "with another application", v.do("GET", connector+"/contacts", nil), 409, "client_misconfigured")
	if after := len(v.ledger("refresh_token")); after != before {
		t.Errorf("the token was offered %d times in another client's name", after-before)
	}
	v.sageApp()
	v.must(200, "GET", connector+"/contacts", nil)
}
