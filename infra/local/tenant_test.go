package main

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	amazonsim "connectorvault/infra/sim/amazon"
	sagesim "connectorvault/infra/sim/sage"

	"connectorvault/infra/local/program"
	"connectorvault/shared/ident"
	"connectorvault/shared/route"
)

// tenantCommand runs `local tenant` and returns what it printed, and what it said besides.
func tenantCommand(t *testing.T, want int, args ...string) (printed object, said string) {
	t.Helper()
	var out, log bytes.Buffer
	if code := run(t.Context(), append([]string{"tenant"}, args...), &out, &log); code != want {
		t.Fatalf("%v ended with %d: %s", args, code, log.String())
	}
	if want == 0 {
		if err := json.Unmarshal(out.Bytes(), &printed); err != nil {
			t.Fatalf("%v printed %s: %v", args, out.String(), err)
		}
	} else if out.Len() > 0 {
		t.Errorf("%v failed and printed %s", args, out.String())
	}
	return printed, log.String()
}

// as is a client of the same program with another key.
func (v *vault) as(key string) *vault {
	other := *v
	other.key = key
	return &other
}

// neighbour makes a tenant beside the program's own and returns a client of it, and its id.
func (v *vault) neighbour(name string) (*vault, string) {
	v.t.Helper()
	made, _ := tenantCommand(v.t, 0, "create", name, "--data", v.dir)
	return v.as(made["owner_key"].(string)), made["tenant"].(string)
}

// readyFile finds the file that the program has written.
func (v *vault) readyFile() string {
	v.t.Helper()
	found, err := filepath.Glob(filepath.Join(v.dir, "ready-*.json"))
	if err != nil || len(found) != 1 {
		v.t.Fatalf("%v %v", found, err)
	}
	return found[0]
}

// row is an item of the store's file.
type row struct{ table, partition, sort, attrs string }

func rows(t *testing.T, dir string) (out []row, secrets []string, messages []string) {
	t.Helper()
	query := func(file, statement string, scan func(*sql.Rows) error) {
		db, err := sql.Open("sqlite", filepath.Join(dir, file))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = db.Close() }()
		found, err := db.Query(statement)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = found.Close() }()
		for found.Next() {
			if err := scan(found); err != nil {
				t.Fatal(err)
			}
		}
		if err := found.Err(); err != nil {
			t.Fatal(err)
		}
	}
	query("vault.db", "SELECT tbl, partition, sort, attrs FROM items", func(found *sql.Rows) error {
		var r row
		err := found.Scan(&r.table, &r.partition, &r.sort, &r.attrs)
		out = append(out, r)
		return err
	})
	query("vault.db", "SELECT name FROM secrets", func(found *sql.Rows) error {
		var name string
		err := found.Scan(&name)
		secrets = append(secrets, name)
		return err
	})
	query("queue.db", "SELECT body FROM messages", func(found *sql.Rows) error {
		var body string
		err := found.Scan(&body)
		messages = append(messages, body)
		return err
	})
	return out, secrets, messages
}

// journey does in a tenant what a tenant does: entries of several providers, reads with cursors and documents, requests
// that are open, repeatable ones.
func (v *vault) journey(mark string) (entry, connector string) {
	v.t.Helper()
	v.app()
	v.sageApp()
	entry = v.connected(mark + " store")
	connector = v.connector(entry)
	v.must(200, "GET", "/v1/connectors/"+connector+"/orders?limit=2", nil)
	v.must(200, "POST", "/v1/vault-entries/"+entry+"/check", nil)
	books := v.sageEntry(v.sageOwn(mark+" books", nil))
	v.sageConnect(books, sagesim.UserGB)
	v.must(200, "GET", v.sageConnector(books, v.business(books))+"/contacts?limit=1", nil)
	v.must(200, "POST", "/v1/vault-entries/"+v.entry(mark+" open")+"/authorize", object{"mode": "result_url"})
	v.must(200, "POST", "/v1/vault-entries/"+v.entry(mark+" browser")+"/authorize", object{"mode": "browser"})
	if a := v.with(map[string]string{"Authorization": "Bearer " + v.key, "Idempotency-Key": mark + "-once"}, "POST", "/v1/vault-entries",
		object{"provider": "amazon", "alias": mark + " once", "environment": "test", "region": "na"}); a.status != 201 {
		v.t.Fatalf("%d %s", a.status, a.body)
	}
	return entry, connector
}

// business is the first business of a Sage entry.
func (v *vault) business(entry string) string {
	v.t.Helper()
	var shown struct {
		Account struct {
			Members []struct{ ID string }
		}
	}
	if err := json.Unmarshal(v.must(200, "GET", "/v1/vault-entries/"+entry, nil).body, &shown); err != nil || len(shown.Account.Members) == 0 {
		v.t.Fatalf("the entry has no businesses: %v", err)
	}
	return shown.Account.Members[0].ID
}

// What lies outside every tenant, by the beginnings of the sort keys, with why it is of none.
var shared = map[string]string{
	"tenant#":   "the list of tenants: their ids, and whether they are being deleted",
	"orphan":    "the search for secrets that no record names: it goes through the secret store's one list",
	"slot#":     "calls at once of one application, which several tenants may use",
	"bucket#":   "likewise its rate; the application is named by a fingerprint",
	"client#":   "who has an application of a client, which a provider names by its id; it is a fingerprint, and says whose and of which side",
	"rotation#": "when a new secret of a client was asked for, by a fingerprint of it",
	"request#":  "a visit from a provider's store that nobody has claimed yet",
}

// Every key of the store begins with the tenant whose it is, and what begins with none holds nothing of any.
func TestEveryKeyBeginsWithItsTenant(t *testing.T) {
	t.Parallel()
	v := start(t, t.TempDir())
	other, id := v.neighbour("Neighbour & Sons")
	v.journey("mine")
	other.journey("theirs")
	// A visit from Amazon's store, which belongs to nobody yet.
	newBrowser(t).open(v.url + "/oauth/amazon/login?amazon_callback_uri=" + "https%3A%2F%2Fsellercentral.amazon.com%2Fapps%2Fauthorize%2Fconfirm%2F" +
		amazonsim.SeededApplicationID + "&amazon_state=EXAMPLE-state&selling_partner_id=A1EXAMPLESELLER")
	v.advance(time.Hour)

	items, secrets, messages := rows(t, v.dir)
	owned := regexp.MustCompile(`^(` + program.Tenant + `|` + id + `)(#ve_[0-9a-z]{16})?$`)
	count := map[string]int{}
	for _, r := range items {
		if m := owned.FindStringSubmatch(r.partition); m != nil {
			count[m[1]]++
			continue
		}
		known := false
		for prefix := range shared {
			known = known || r.partition == ident.Outside && strings.HasPrefix(r.sort, prefix)
		}
		if !known {
			t.Errorf("%s %s / %s belongs to nobody", r.table, r.partition, r.sort)
		}
		for _, private := range []string{"mine", "theirs", "Neighbour", "ve_", "con_", "key_", "ar_"} {
			if strings.Contains(r.attrs, private) {
				t.Errorf("%s / %s holds %q of a tenant: %s", r.table, r.sort, private, r.attrs)
			}
		}
	}
	if count[program.Tenant] < 20 || count[id] < 20 {
		t.Errorf("the journey left %v", count)
	}
	for _, name := range secrets {
		if strings.TrimLeft(name, "\x00 \x01") == "key" {
			continue
		}
		if !strings.HasPrefix(name, program.Tenant+"/") && !strings.HasPrefix(name, id+"/") {
			t.Errorf("the secret %s belongs to nobody", name)
		}
	}
	for _, body := range messages {
		var call struct{ Tenant string }
		if err := json.Unmarshal([]byte(body), &call); err != nil || !owned.MatchString(call.Tenant) {
			t.Errorf("a message belongs to nobody: %v", err)
		}
	}
	// No item of one holds anything that names the other.
	for _, r := range items {
		mine, theirs := strings.HasPrefix(r.partition, program.Tenant), strings.HasPrefix(r.partition, id)
		if mine && strings.Contains(r.attrs, id) || theirs && strings.Contains(r.attrs, program.Tenant) {
			t.Errorf("%s %s / %s names the other tenant", r.table, r.partition, r.sort)
		}
	}
}

// Whoever asks with the id of another tenant's record is answered as with one that does not exist, byte for byte, on every
// route that takes an id, wherever it stands.
func TestAnotherTenantsIdsAreUnknownOnes(t *testing.T) {
	t.Parallel()
	v := start(t, t.TempDir())
	other, _ := v.neighbour("Neighbour")
	entry, connector := v.journey("mine")
	other.journey("theirs")
	order := v.must(200, "GET", "/v1/connectors/"+connector+"/orders?limit=1", nil)
	var first struct {
		Items []struct {
			OrderID string `json:"orderId"`
		}
	}
	if err := json.Unmarshal(order.body, &first); err != nil || len(first.Items) == 0 {
		t.Fatalf("%s: %v", order.body, err)
	}
	before := v.must(200, "GET", "/v1/vault-entries", nil)
	beforeConnectors := v.must(200, "GET", "/v1/connectors", nil)

	type question struct {
		method, path string
		body         any
	}
	var questions []question // with ID where an id stands
	for _, r := range route.Table() {
		if !strings.Contains(r.Path, "{id}") {
			continue
		}
		path := strings.NewReplacer("{id}", "ID", "{number}", "1", "{resource}", "orders", "{item}", first.Items[0].OrderID).Replace(r.Path)
		bodies := []any{nil}
		switch {
		case strings.HasSuffix(r.Path, "/authorize"):
			bodies = []any{object{"mode": "browser"}, object{"mode": "result_url"}, object{"mode": "refresh_token", "refresh_token": "Atzr|x", "selling_partner_id": "A1"}}
		case strings.HasSuffix(r.Path, "/credentials") && r.Method == http.MethodPost:
			bodies = []any{object{"client_id": "x", "client_secret": "y"}}
		case strings.HasSuffix(r.Path, "/validate"):
			bodies = []any{object{"result_url": v.url + "/oauth/amazon/callback?state=x&spapi_oauth_code=y"}}
		case r.Method == http.MethodPatch && strings.Contains(r.Path, "vault-entries"):
			bodies = []any{object{"alias": "renamed"}, object{"disabled": true}}
		case r.Method == http.MethodPatch:
			bodies = []any{object{"name": "renamed"}}
		case r.Method == http.MethodPost && strings.Contains(r.Path, "{resource}"):
			path = strings.Replace(path, "/orders", "/reports", 1)
			bodies = []any{object{"reportType": "GET_MERCHANT_LISTINGS_ALL_DATA"}}
		}
		for _, body := range bodies {
			questions = append(questions, question{r.Method, path, body})
		}
	}
	if len(questions) < 15 {
		t.Fatalf("only %d questions", len(questions))
	}
	questions = append(questions,
		question{"GET", "/v1/events?vault_entry=ID", nil},
		question{"GET", "/v1/connectors?vault_entry=ID", nil},
		question{"POST", "/v1/connectors", object{"name": "theirs", "vault_entry": "ID"}})

	requestID := regexp.MustCompile(`"request_id":"[^"]*"`)
	for _, q := range questions {
		foreign, unknown := entry, ident.Entry+"0000000000000009"
		if strings.HasPrefix(q.path, "/v1/connectors/") {
			foreign, unknown = connector, ident.Connector+"0000000000000009"
		}
		ask := func(id string) string {
			body := q.body
			if o, ok := body.(object); ok && o["vault_entry"] != nil {
				body = object{"name": o["name"], "vault_entry": id}
			}
			a := other.do(q.method, strings.Replace(q.path, "ID", id, 1), body)
			for _, name := range []string{"Date", "Apigw-Requestid", "Content-Length"} { // the ids are of one length
				a.header.Del(name)
			}
			text := requestID.ReplaceAllString(string(a.body), `"request_id":""`)
			return strings.ReplaceAll(fmt.Sprintf("%d %v %s", a.status, a.header, text), id, "ID")
		}
		got, want := ask(foreign), ask(unknown)
		if got != want {
			t.Errorf("%s %s %v:\n%s\n%s", q.method, q.path, q.body, got, want)
		}
		if !strings.HasPrefix(got, "404 ") && q.method != "GET" && !strings.Contains(q.path, "validate") {
			t.Errorf("%s %s %v is answered %.300s", q.method, q.path, q.body, got)
		}
	}
	if after := v.must(200, "GET", "/v1/vault-entries", nil); !bytes.Equal(after.body, before.body) {
		t.Errorf("something was changed:\n%s\n%s", before.body, after.body)
	}
	if after := v.must(200, "GET", "/v1/connectors", nil); !bytes.Equal(after.body, beforeConnectors.body) {
		t.Errorf("something was changed:\n%s\n%s", beforeConnectors.body, after.body)
	}
}

// A tenant that is made while the program serves is served; its tokens are kept warm by the same schedule; deleted, it is
// gone, and its neighbour does not notice.
func TestTenantsComeAndGoWhileTheProgramServes(t *testing.T) {
	t.Parallel()
	v := start(t, t.TempDir())
	other, id := v.neighbour("Neighbour & Sons")
	mine, _ := v.journey("mine")
	theirs, connector := other.journey("theirs")
	warm := func(c *vault, entry string) bool {
		token, _ := c.shown(entry)["token"].(map[string]any)
		return token["generation"] == 2.0
	}
	v.advance(58 * time.Minute) // both were read, so both get their next tokens before these end
	v.schedule()
	if !warm(v, mine) || !warm(other, theirs) {
		t.Errorf("the tokens are not kept warm: %v, %v", v.shown(mine)["token"], other.shown(theirs)["token"])
	}

	again, _ := tenantCommand(t, 0, "--data", v.dir, "key", id)
	if other.as(again["owner_key"].(string)).do("GET", "/v1/vault-entries/"+theirs, nil).status != 200 {
		t.Error("a second key does not work")
	}
	revoked := v.revocations()
	gone, _ := tenantCommand(t, 0, "delete", id, "--data", v.dir, "--ready-file", v.readyFile())
	if gone["state"] != "closing" || gone["remaining"] != 0.0 || gone["problem"] != nil || gone["destroyed_at"] == nil {
		t.Errorf("the deletion says %v", gone)
	}
	if told := v.revocations() - revoked; told != 1 {
		t.Errorf("Sage was told of %d tokens", told)
	}
	v.eventually("the tenant's keys are refused", func() bool {
		return other.do("GET", "/v1/connectors/"+connector+"/orders", nil).status == http.StatusForbidden &&
			other.as(again["owner_key"].(string)).do("GET", "/v1/providers", nil).status == http.StatusForbidden
	})
	v.must(200, "GET", "/v1/vault-entries/"+mine, nil)
	v.advance(21 * time.Minute)
	v.schedule()
	if list, _ := tenantCommand(t, 0, "list", "--data", v.dir); len(list["items"].([]any)) != 1 {
		t.Errorf("the program does not end the deletion: %v", list)
	}
	items, secrets, messages := rows(t, v.dir)
	for _, r := range items {
		if strings.Contains(r.partition+r.sort+r.attrs, id) && r.sort != "tenant" && !strings.HasPrefix(r.sort, "orphan#") {
			t.Errorf("left is %+v", r)
		}
		if strings.Contains(r.attrs, "Neighbour") || strings.Contains(r.attrs, "theirs") {
			t.Errorf("a name is left in %s / %s", r.partition, r.sort)
		}
	}
	if text := strings.Join(append(secrets, messages...), "\n"); strings.Contains(text, id) {
		t.Errorf("left is %s", text)
	}
	v.must(200, "POST", "/v1/vault-entries/"+mine+"/refresh", nil)
}

// revocations counts the tokens that the simulated Sage was told are not needed any more.
func (v *vault) revocations() int {
	v.t.Helper()
	var list struct {
		Items []sagesim.CallCount `json:"items"`
	}
	if err := json.Unmarshal(v.sageSim("GET", "/_sim/calls", nil).body, &list); err != nil {
		v.t.Fatal(err)
	}
	n := 0
	for _, c := range list.Items {
		if c.Endpoint == "revoke" && c.Outcome == "success" {
			n += c.Count
		}
	}
	return n
}

func TestTenantsOfAFolderThatNobodyServes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	made, _ := tenantCommand(t, 0, "--data", dir, "create", "Example Trading", "--request", "req-1")
	repeated, _ := tenantCommand(t, 0, "create", "--request", "req-1", "--data", dir, "Example Trading")
	if made["tenant"] != repeated["tenant"] || made["owner_key"] == repeated["owner_key"] {
		t.Errorf("%v, repeated: %v", made["tenant"], repeated["tenant"])
	}
	v := start(t, dir)
	if a := v.as(made["owner_key"].(string)).do("GET", "/v1/providers", nil); a.status != http.StatusForbidden {
		t.Errorf("the key of the first answer: %d", a.status)
	}
	v.as(repeated["owner_key"].(string)).must(200, "GET", "/v1/providers", nil)
	if err := v.stop(); err != nil {
		t.Fatal(err)
	}
	gone, said := tenantCommand(t, 0, "delete", made["tenant"].(string), "--data", dir)
	if gone["remaining"] != 0.0 || gone["destroyed_at"] == nil || !strings.Contains(said, "none is told") {
		t.Errorf("the deletion says %v, %s", gone, said)
	}
	for _, wrong := range [][]string{{}, {"create"}, {"create", "a", "b"}, {"delete"}, {"key"}, {"list", "x"}, {"destroy", "x"}, {"create", "x", "--at-once"},
		{"delete", "x", "--request", "y"}, {"list", "--nonsense"}, {"delete", "t_0000000000000009"}, {"delete", program.Tenant}, {"create", "a\nb"},
		{"delete", made["tenant"].(string), "--ready-file", filepath.Join(dir, "none.json")}, {"key", made["tenant"].(string)}} {
		if _, said := tenantCommand(t, 1, append(wrong, "--data", dir)...); said == "" {
			t.Errorf("%v fails silently", wrong)
		}
	}
}

func TestATenantCommandMakesNoVaultByMistake(t *testing.T) {
	t.Parallel()
	for _, words := range [][]string{{"list"}, {"delete", "t_0000000000000001"}, {"key", "t_0000000000000001"}} {
		missing, empty := filepath.Join(t.TempDir(), "missing"), t.TempDir()
		for _, dir := range []string{missing, empty} {
			_, said := tenantCommand(t, 1, append(words, "--data", dir)...)
			if !strings.Contains(said, "there is no vault in "+dir) {
				t.Errorf("%v: %s", words, said)
			}
			if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) > 0 {
				t.Errorf("%v left %v", words, left)
			}
		}
		if left, _ := filepath.Glob(missing); len(left) > 0 {
			t.Errorf("%v made %s", words, missing)
		}
	}
	fresh := filepath.Join(t.TempDir(), "fresh")
	tenantCommand(t, 0, "create", "Shop", "--data", fresh)
	tenantCommand(t, 0, "list", "--data", fresh)
}
