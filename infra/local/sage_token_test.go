package main

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	sagesim "connectorvault/infra/sim/sage"
)

// An access token lives five minutes. Over an hour of reads every read has one that lives, and no more tokens are bought than
// that takes.
func TestSageHourOfReads(t *testing.T) {
	t.Parallel()
	v, _, entry, base := books(t, sagesim.BusinessGB)
	for range 60 {
		v.must(200, "GET", base+"/currencies/GBP", nil)
		v.schedule()
		v.advance(time.Minute)
	}
	n := len(v.ledger("refresh_token"))
	if n < 11 || n > 16 {
		t.Errorf("%d refreshes in an hour of tokens that live five minutes", n)
	}
	if m := v.reuses(); m != 0 {
		t.Errorf("%d refresh tokens were offered twice", m)
	}
	if e := v.shown(entry); e["health"] != "ok" || len(v.events(entry)) != 1 {
		t.Errorf("health %v, events %v", e["health"], v.events(entry))
	}
}

// However many read with a token that has run out, in three processes, one refresh is made.
func TestSageHundredReadsWithAnExpiredToken(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, flags := listen(t, dir)
	v := start(t, dir, flags...)
	all := []*vault{v, spawn(t, dir, flags...), spawn(t, dir, flags...)}
	entry := v.sageEntry(v.sageOwn("thundering", nil))
	v.sageConnect(entry, sagesim.UserGB)
	base := v.sageConnector(entry, sagesim.BusinessGB)
	for round := range 3 {
		v.advance(6 * time.Minute)
		var wait sync.WaitGroup
		for i := range 100 {
			wait.Go(func() {
				through := all[i%3]
				a, err := through.try(map[string]string{"Authorization": "Bearer " + through.key}, "GET", through.url+base+"/currencies/GBP", nil)
				if err != nil || a.status != http.StatusOK && a.status != http.StatusTooManyRequests {
					t.Errorf("read %d: %v %d %.300s", i, err, a.status, a.body)
				}
			})
		}
		wait.Wait()
		if n := len(v.ledger("refresh_token")); n != round+1 || v.reuses() != 0 {
			t.Fatalf("round %d: %d refreshes, %d tokens offered twice", round, n, v.reuses())
		}
	}
}

// What does not come back from the token endpoint before anything was spent costs a wait; the same token is good for the
// next try.
func TestSageTokenTroubleBefore(t *testing.T) {
	t.Parallel()
	v, _, entry, base := books(t, sagesim.BusinessGB)
	for _, f := range []object{
		{"name": "error_500"}, {"name": "error_503", "retry_after": 3}, {"name": "throttled", "retry_after": 3}, {"name": "throttled"},
		{"name": "html_before"}, {"name": "html_before", "status": 200}, {"name": "html_before", "status": 400}, {"name": "status", "status": 502}, {"name": "reset"},
		{"name": "oauth_error", "error": "temporarily_unavailable"}, {"name": "oauth_error", "error": "server_error", "status": 500},
		{"name": "invalid_client"},
	} {
		f["endpoint"] = "token"
		f["times"] = 1
		v.advance(6 * time.Minute)
		v.sageFault(f)
		a := v.do("GET", base+"/currencies/GBP", nil)
		if code := a.text(t, "code"); a.status != 503 && (a.status != 502 || code != "client_misconfigured") || a.text(t, "action") == "" {
			t.Errorf("%v: %d %s", f, a.status, a.body)
		}
		if e := v.shown(entry); e["status"] != "active" || e["health"] != "failing" {
			t.Errorf("%v: the entry is %v, %v", f, e["status"], e["health"])
		}
		v.sageWell()
		v.advance(2 * time.Minute) // the pause after a failure
		v.must(200, "GET", base+"/currencies/GBP", nil)
	}
	if n := v.reuses(); n != 0 {
		t.Errorf("%d refresh tokens were offered twice", n)
	}
	// Each outage was told when it was over, and nobody was asked to consent.
	if kinds := v.events(entry); slices.Contains(kinds, "reauthorization_required") || !slices.Contains(kinds, "recovered") {
		t.Errorf("events: %v", kinds)
	}
}

// An answer that was lost after the token was spent cannot be had again. With a window of grace the next try recovers;
// without one the entry says that nobody knows, what to do, and a new consent heals it.
func TestSageLostAnswer(t *testing.T) {
	t.Parallel()
	for _, lost := range []string{"drop_after_commit", "html_after", "empty", "truncated"} {
		for _, c := range []struct {
			name    string
			setting object
			heals   bool
		}{
			{"strict", nil, false},
			{"grace", object{"name": "grace", "grace_seconds": 900}, true},
			{"family revocation", object{"name": "family_revocation"}, false},
		} {
			t.Run(lost+", "+c.name, func(t *testing.T) {
				t.Parallel()
				v, _, entry, base := books(t, sagesim.BusinessGB)
				if c.setting != nil {
					v.sageFault(c.setting)
				}
				v.advance(6 * time.Minute)
				v.sageFault(object{"name": lost, "endpoint": "token", "operation": "refresh_token", "times": 1})
				a := v.do("GET", base+"/currencies/GBP", nil)
				refused(t, "the read that met it", a, 503, "provider_unavailable")
				if e := v.shown(entry); e["status"] != "active" || e["health"] != "failing" || e["last_failure"] == nil {
					t.Errorf("before the next try: %v, %v, %v", e["status"], e["health"], e["last_failure"])
				}
				v.advance(3 * time.Minute) // whoever holds off does no longer
				if c.heals {
					v.must(200, "GET", base+"/currencies/GBP", nil)
					v.graceUsed()
					return
				}
				v.lostAndHealed(entry, base)
			})
		}
	}
}

// graceUsed holds the ledger against a recovery: one token was offered again and taken, and reads go on by rotation.
func (v *vault) graceUsed() {
	v.t.Helper()
	outcomes := map[string]int{}
	for _, c := range v.ledger("refresh_token") {
		outcomes[c.Outcome]++
	}
	if outcomes["grace"] != 1 || outcomes["issued"] != 1 || len(outcomes) != 2 {
		v.t.Errorf("the ledger: %v", outcomes)
	}
}

// lostAndHealed holds an entry whose token is lost against what a person needs, and heals it by a new consent.
func (v *vault) lostAndHealed(entry, base string) {
	t := v.t
	t.Helper()
	a := v.do("GET", base+"/currencies/GBP", nil)
	checkProblem(t, "a read", a, "reauthorization_required")
	if !strings.Contains(a.text(t, "action"), "/v1/vault-entries/"+entry+"/authorize") {
		t.Errorf("what to do is not said: %s", a.body)
	}
	if e := v.shown(entry); e["status"] != "reauthorization_required" || e["cause"] != "rotation_unknown" {
		t.Errorf("the entry is %v, %v", e["status"], e["cause"])
	}
	n := len(v.ledger(""))
	v.do("GET", base+"/currencies/GBP", nil)
	checkProblem(t, "a refresh by hand", v.do("POST", "/v1/vault-entries/"+entry+"/refresh", nil), "reauthorization_required")
	if m := len(v.ledger("")); m != n || v.reuses() != 1 {
		t.Errorf("the token endpoint was asked %d times more; %d credentials were offered twice, want the one try", m-n, v.reuses())
	}
	v.sageConnect(entry, sagesim.UserGB)
	v.must(200, "GET", base+"/currencies/GBP", nil)
	if e := v.shown(entry); e["status"] != "active" || e["health"] != "ok" || e["cause"] != nil || e["last_failure"] != nil {
		t.Errorf("after the new consent: %v, %v, %v, %v", e["status"], e["health"], e["cause"], e["last_failure"])
	}
	kinds := v.events(entry)
	if slices.Sort(kinds); !slices.Equal(kinds, []string{"authorized", "authorized", "reauthorization_required", "recovered"}) {
		t.Errorf("events: %v", kinds)
	}
	for _, e := range v.list("/v1/events?kind=reauthorization_required").Items {
		if e["cause"] != "rotation_unknown" || e["vault_entry"] != entry {
			t.Errorf("the event: %v", e)
		}
	}
	v.advance(6 * time.Minute)
	v.must(200, "GET", base+"/currencies/GBP", nil)
}

// An answer that holds no new refresh token gives what it holds: reads go on while that lives, and then a person is asked.
func TestSageNoNewRefreshToken(t *testing.T) {
	t.Parallel()
	v, _, entry, base := books(t, sagesim.BusinessGB)
	v.advance(6 * time.Minute)
	v.sageFault(object{"name": "no_refresh_token", "endpoint": "token", "times": 1})
	v.must(200, "GET", base+"/currencies/GBP", nil)
	v.advance(2 * time.Minute)
	v.must(200, "GET", base+"/currencies/GBP", nil)
	v.advance(4 * time.Minute)
	checkProblem(t, "a read", v.do("GET", base+"/currencies/GBP", nil), "reauthorization_required")
	v.sageConnect(entry, sagesim.UserGB)
	v.must(200, "GET", base+"/currencies/GBP", nil)
	if n := v.reuses(); n != 1 {
		t.Errorf("%d credentials were offered twice, want the one try", n)
	}
}

// While the token lives, a refresh that fails is nobody's concern but the entry's health.
func TestSageLivingTokenIsServed(t *testing.T) {
	t.Parallel()
	v, _, entry, base := books(t, sagesim.BusinessGB)
	v.must(200, "GET", base+"/currencies/GBP", nil)
	v.sageFault(object{"name": "error_500", "endpoint": "token"})
	v.advance(4*time.Minute + 20*time.Second)
	v.must(200, "GET", base+"/currencies/GBP", nil)
	v.schedule() // the refresh that the read set off has failed by then
	if h := v.shown(entry)["health"]; h != "degraded" {
		t.Errorf("the health is %v", h)
	}
	v.must(200, "GET", base+"/currencies/GBP", nil)
	v.sageWell()
	v.advance(10 * time.Second)
	v.must(200, "POST", "/v1/vault-entries/"+entry+"/refresh", nil)
	if e := v.shown(entry); e["health"] != "ok" || len(v.events(entry)) != 1 {
		t.Errorf("health %v, events %v", e["health"], v.events(entry))
	}
}

// A refresh token that is not used ends after 31 days. The schedule uses it in time; when nothing ran for longer, the entry
// asks for a person.
func TestSageRefreshTokenIsKeptAlive(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	v := start(t, dir)
	entry := v.sageEntry(v.sageOwn("idle", nil))
	v.sageConnect(entry, sagesim.UserGB)
	base := v.sageConnector(entry, sagesim.BusinessGB)
	for n := range 3 {
		v.advance(17 * 24 * time.Hour)
		v.schedule()
		if g := generation(v.shown(entry)); g != float64(n+2) {
			t.Errorf("after %d days the generation is %v", 17*(n+1), g)
		}
	}
	v.must(200, "GET", base+"/currencies/GBP", nil)
	if err := v.stop(); err != nil {
		t.Fatal(err)
	}
	again := start(t, dir)
	again.advance(40 * 24 * time.Hour)
	again.schedule()
	if s := again.shown(entry)["status"]; s != "reauthorization_required" {
		t.Errorf("the entry is %v", s)
	}
	checkProblem(t, "a read", again.do("GET", base+"/currencies/GBP", nil), "reauthorization_required")
	again.sageConnect(entry, sagesim.UserGB)
	again.must(200, "GET", base+"/currencies/GBP", nil)
}
