package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// marks are what an entry's dates were told by, the oldest first.
func (v *vault) marks(entry string) []string {
	v.t.Helper()
	var told []string
	for _, e := range v.list("/v1/events?kind=expiring&vault_entry=" + entry).Items {
		told = append(told, fmt.Sprint(e["horizon"].(object)["name"], " in ", e["days_before"]))
	}
	return told
}

// horizon is an entry's dates by name.
func (v *vault) horizon(entry string) map[string]time.Time {
	v.t.Helper()
	dates := map[string]time.Time{}
	for _, h := range v.shown(entry)["horizon"].([]any) {
		at, err := time.Parse(time.RFC3339, h.(object)["at"].(string))
		if err != nil {
			v.t.Fatal(err)
		}
		dates[h.(object)["name"].(string)] = at
	}
	return dates
}

// An entry shows when its project ends and when its certificate does; both are told of at each mark once, by the schedule
// alone; and once one has ended, whoever reads hears which it is.
func TestClarasDatesAreToldAndNamed(t *testing.T) {
	t.Parallel()
	v := start(t, t.TempDir())
	const day = 24 * time.Hour
	began := time.Now().UTC()
	projectEnd := began.Truncate(day).Add(46 * day)
	certificateEnd := began.Truncate(time.Second).Add(60 * day)
	project := v.claraProject(object{"country": "mx", "side": "production", "expires_at": projectEnd, "not_after": certificateEnd})
	e := v.must(201, "POST", "/v1/vault-entries", claraEntry("cards", object{"download": project, "project_expires_at": projectEnd.Format(time.DateOnly)})).text(t, "id")
	if got := v.horizon(e); len(got) != 2 || !got["project"].Equal(projectEnd) || !got["certificate"].Equal(certificateEnd) {
		t.Fatalf("the horizon is %v", got)
	}
	read := "/v1/connectors/" + v.must(201, "POST", "/v1/connectors", object{"name": "cards", "vault_entry": e}).text(t, "id") + "/cards?limit=1"

	passed := time.Duration(0)
	until := func(at time.Time) {
		t.Helper()
		if left := at.Sub(began) - passed; left > 0 {
			v.advance(left)
			passed += left
		}
	}
	var want []string
	mark := func(name string, end time.Time, days int) {
		t.Helper()
		until(end.Add(-time.Duration(days) * day).Add(62 * time.Minute)) // an entry is looked at within the hour after its mark
		want = append(want, fmt.Sprint(name, " in ", days))
		v.schedule()
		if got := v.marks(e); !slices.Equal(got, want) {
			t.Fatalf("told is %v, want %v", got, want)
		}
	}
	ended := func(status int, code, what string, at time.Time) {
		t.Helper()
		a := v.do("GET", read, nil)
		refused(t, what, a, status, code)
		if detail := a.text(t, "detail"); !strings.Contains(detail, what) || !strings.Contains(detail, at.Format(time.DateOnly)) {
			t.Errorf("once the %s has ended, a read says %s", what, a.body)
		}
	}

	mark("project", projectEnd, 30)
	mark("certificate", certificateEnd, 30)
	mark("project", projectEnd, 14)
	mark("project", projectEnd, 7)
	mark("project", projectEnd, 1)
	if g := v.shown(e)["token"].(object)["generation"]; g != 1.0 {
		t.Errorf("to look at the dates, tokens were asked for: generation %v", g)
	}
	v.must(200, "GET", read, nil)
	mark("certificate", certificateEnd, 14)
	ended(502, "client_misconfigured", "API project", projectEnd)
	longer := certificateEnd.Truncate(day).Add(100 * day)
	v.clara(200, "PATCH", "projects/"+project["clientId"].(string), object{"expires_at": longer})
	v.must(200, "PATCH", "/v1/vault-entries/"+e, object{"project_expires_at": longer.Format(time.DateOnly)})
	if got := v.horizon(e); !got["project"].Equal(longer) {
		t.Errorf("the horizon is %v", got)
	}
	v.advance(time.Minute)
	passed += time.Minute
	v.must(200, "GET", read, nil)
	mark("certificate", certificateEnd, 7)
	mark("certificate", certificateEnd, 1)
	until(certificateEnd.Add(2 * time.Hour))
	if err := v.stop(); err != nil { // a connection that was made before the end would go on
		t.Fatal(err)
	}
	v = start(t, v.dir)
	ended(409, "client_certificate_missing_or_rejected", "client certificate", certificateEnd)
	if f := v.shown(e)["last_failure"].(object); f["outcome"] != "client_misconfigured" || f["code"] != "client_certificate_missing_or_rejected" {
		t.Errorf("the entry says %v", f)
	}
}

// Whoever saves material that Clara does not take hears what it is about, however Clara says it; and nothing is left.
func TestClarasRefusalIsHeardWhenSaving(t *testing.T) {
	t.Parallel()
	v := start(t, t.TempDir())
	stranger := v.claraProject(object{"country": "mx", "side": "production", "issuer": "other"})
	closed := v.claraProject(object{"country": "mx", "side": "production", "expires_at": time.Now().Add(time.Minute)})
	v.advance(time.Hour)
	save := func(what string, project object, status int, code string) {
		t.Helper()
		refused(t, what, v.do("POST", "/v1/vault-entries", claraEntry(what, object{"download": project})), status, code)
	}
	save("an authority that Clara does not know", stranger, 400, "client_certificate_missing_or_rejected")
	save("a project that has ended", closed, 400, "client_misconfigured")
	v.clara(200, "PUT", "tls", object{"mode": "request"})
	save("by a status", stranger, 400, "client_certificate_missing_or_rejected")
	if items := v.list("/v1/vault-entries").Items; len(items) != 0 {
		t.Errorf("%d entries are left", len(items))
	}
}

// A token endpoint that speaks of a grant where there is none means the client. The entry stays as it is, since nobody could
// authorize it again, and works once the endpoint takes the client.
func TestWhatIsSaidOfClarasGrantIsSaidOfItsClient(t *testing.T) {
	t.Parallel()
	v := start(t, t.TempDir())
	entry, connector, _ := v.connectedClara("cards", nil)
	says := object{"name": "oauth_error", "error": "invalid_grant", "status": 403, "times": 1}
	v.clara(200, "POST", "faults", says)
	refused(t, "saving", v.do("POST", "/v1/vault-entries", claraEntry("another", object{"download": v.claraProject(object{"country": "mx", "side": "production"})})), 400, "client_misconfigured")
	v.advance(2 * time.Hour)
	v.clara(200, "POST", "faults", says)
	read := "/v1/connectors/" + connector + "/cards?limit=1"
	refused(t, "reading", v.do("GET", read, nil), 502, "client_misconfigured")
	if e := v.shown(entry); e["status"] != "active" || e["last_failure"].(object)["code"] != "invalid_grant" {
		t.Errorf("the entry is %v: %v", e["status"], e["last_failure"])
	}
	v.advance(time.Minute)
	v.must(200, "GET", read, nil)
	if kinds := v.events(entry); !slices.Equal(kinds, []string{"authorized", "recovered"}) {
		t.Errorf("told is %v", kinds)
	}
}

// An entry that was saved while Clara could not answer is pending, and connected by whoever reads it.
func TestClaraIsConnectedLaterByWhoeverReads(t *testing.T) {
	t.Parallel()
	v := start(t, t.TempDir())
	v.clara(200, "POST", "faults", object{"name": "error_503", "endpoint": "token", "times": 1})
	project := v.claraProject(object{"country": "mx", "side": "production"})
	e := v.must(201, "POST", "/v1/vault-entries", claraEntry("later", object{"download": project})).json(t)
	if e["status"] != "pending" {
		t.Fatalf("it is %v", e["status"])
	}
	connector := v.must(201, "POST", "/v1/connectors", object{"name": "later", "vault_entry": e["id"]}).text(t, "id")
	v.clara(200, "POST", "faults", object{"name": "error_503", "endpoint": "token", "times": 1})
	refused(t, "while Clara cannot answer", v.do("GET", "/v1/connectors/"+connector+"/cards?limit=1", nil), 503, "provider_unavailable")
	v.must(200, "GET", "/v1/connectors/"+connector+"/cards?limit=1", nil)
	if now := v.shown(e["id"].(string)); now["status"] != "active" || now["account"] == nil {
		t.Errorf("it is %v", now)
	}
}
