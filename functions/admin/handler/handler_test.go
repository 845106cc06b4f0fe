package handler_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-lambda-go/events"

	"connectorvault/functions/admin/handler"
	"connectorvault/shared/bundle/bundletest"
	"connectorvault/shared/record"
	"connectorvault/shared/route"
	"connectorvault/shared/tokens"
)

// bench is the admin function over a bundle.
type bench struct {
	*bundletest.Bench
	handler *handler.Handler
	log     *buffer
}

// buffer collects what is written at once by many.
type buffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func newBench(t *testing.T) *bench {
	t.Helper()
	t.Parallel()
	b := &bench{Bench: bundletest.New(t, bundletest.Options{}), log: &buffer{}}
	b.handler = handler.New(handler.Config{Admin: b.Admin, Authorize: b.Authorize, Vault: b.Vault, PublicURL: bundletest.PublicURL,
		Logger: slog.New(slog.NewJSONHandler(b.log, nil)), Now: b.Clock.Now})
	return b
}

func (b *bench) send(p record.Principal, method, target, body string, headers ...string) events.APIGatewayV2HTTPResponse {
	b.Helper()
	out, err := b.handler.Handle(b.Context(), b.Event(p, method, target, body, headers...))
	b.OK(err)
	return out
}

// want sends as the owner and reads the JSON answer.
func (b *bench) want(status int, method, target, body string, headers ...string) map[string]any {
	b.Helper()
	out := b.send(b.Owner, method, target, body, headers...)
	var doc map[string]any
	if out.Body != "" {
		b.OK(json.Unmarshal([]byte(out.Body), &doc))
	}
	if out.StatusCode != status {
		b.Fatalf("%s %s: %d %s; want %d", method, target, out.StatusCode, out.Body, status)
	}
	return doc
}

const good = `{"provider":"acme","alias":"one","environment":"production"}`

func (b *bench) entry() string {
	b.Helper()
	return b.want(201, "POST", "/v1/vault-entries", good)["id"].(string)
}

func TestTheFunctionAnswersItsRoutes(t *testing.T) {
	b := newBench(t)
	n := 0
	for _, r := range route.Table() {
		if _, ok := b.handler.Routes()[r.Key()]; ok != (r.Function == route.Admin) || ok && r.Open {
			t.Errorf("%s is answered here: %t", r.Key(), ok)
		}
		if r.Function == route.Admin {
			n++
		}
	}
	if n != len(b.handler.Routes()) {
		t.Errorf("%d routes are answered, %d are asked for", len(b.handler.Routes()), n)
	}
}

func TestNobodyGetsInWithoutAKey(t *testing.T) {
	b := newBench(t)
	id := b.entry()
	for _, r := range route.Table() {
		if r.Function != route.Admin {
			continue
		}
		path := strings.NewReplacer("{id}", id, "{provider}", bundletest.Name).Replace(r.Path)
		if out := b.send(record.Principal{}, r.Method, path, good); out.StatusCode != http.StatusForbidden {
			t.Errorf("%s: %d %s", r.Key(), out.StatusCode, out.Body)
		}
		// Another tenant finds nothing of ours, and is told no more than that.
		if strings.Contains(r.Path, "{id}") {
			body := map[string]string{"POST": `{"mode":"browser"}`, "PATCH": `{"alias":"mine"}`}[r.Method]
			if strings.Contains(r.Path, "connectors") {
				continue // below
			}
			out := b.send(b.Alien, r.Method, path, body)
			if out.StatusCode != http.StatusNotFound || !strings.Contains(out.Body, `"not_found"`) {
				t.Errorf("%s of another tenant: %d %s", r.Key(), out.StatusCode, out.Body)
			}
		}
	}
	connector := b.want(201, "POST", "/v1/connectors", fmt.Sprintf(`{"name":"c","vault_entry":%q}`, id))["id"].(string)
	for method, body := range map[string]string{"GET": "", "PATCH": `{"name":"mine"}`, "DELETE": ""} {
		if out := b.send(b.Alien, method, "/v1/connectors/"+connector, body); out.StatusCode != http.StatusNotFound {
			t.Errorf("%s of another tenant's connector: %d %s", method, out.StatusCode, out.Body)
		}
	}
	if out := b.send(b.Alien, "GET", "/v1/vault-entries", ""); out.Body != `{"items":[],"next_cursor":null}` {
		t.Errorf("another tenant sees %s", out.Body)
	}
}

func TestAnEntryFromItsCreationToItsEnd(t *testing.T) {
	b := newBench(t)
	b.App()
	made := b.want(201, "POST", "/v1/vault-entries", good, "idempotency-key", "k")
	again := b.want(201, "POST", "/v1/vault-entries", good, "idempotency-key", "k")
	path := "/v1/vault-entries/" + made["id"].(string)
	if made["id"] != again["id"] || made["status"] != "pending" || made["region"] != "eu" || made["connectors"] != 0.0 {
		t.Errorf("made is %v, again %v", made, again)
	}
	b.want(409, "POST", "/v1/vault-entries", strings.Replace(good, "one", "two", 1), "idempotency-key", "k")
	if got := b.want(200, "PATCH", path, `{"alias":"renamed","disabled":true}`); got["alias"] != "renamed" || got["status"] != "disabled" {
		t.Errorf("changed is %v", got)
	}
	b.want(200, "PATCH", path, `{"disabled":false}`)
	if got := b.want(200, "POST", path+"/authorize", `{"mode":"refresh_token","refresh_token":"`+b.Upstream.Issue("acct-1").Refresh.Reveal()+`"}`); got["expires_at"] != nil ||
		got["vault_entry"].(map[string]any)["status"] != "active" {
		t.Errorf("authorized is %v", got)
	}
	got := b.want(200, "POST", path+"/refresh", "")
	if got["token"].(map[string]any)["generation"] != 2.0 || got["health"] != "ok" || got["identity"] != "verified" {
		t.Errorf("refreshed is %v", got)
	}
	connector := b.want(201, "POST", "/v1/connectors", fmt.Sprintf(`{"name":"c","vault_entry":%q,"settings":{"resources":["orders"]}}`, made["id"]))
	if problem := b.want(409, "DELETE", path, ""); problem["code"] != "vault_entry_in_use" {
		t.Errorf("the problem is %v", problem)
	}
	b.want(200, "PATCH", "/v1/connectors/"+connector["id"].(string), `{"settings":{}}`)
	b.want(204, "DELETE", "/v1/connectors/"+connector["id"].(string), "")
	b.want(404, "GET", "/v1/connectors/"+connector["id"].(string), "")
	b.want(204, "DELETE", path, "")
	b.want(404, "GET", path, "")
	for _, canary := range []string{"canary", bundletest.ClientSecret} {
		if strings.Contains(b.log.String(), canary) {
			t.Errorf("the log has %s", b.log)
		}
	}
}

func TestNoSecretThatCameInGoesOut(t *testing.T) {
	b := newBench(t)
	body, err := json.Marshal(bundletest.AppFields())
	b.OK(err)
	answers := []events.APIGatewayV2HTTPResponse{
		b.send(b.Owner, "PUT", "/v1/provider-apps/acme", string(body)),
		b.send(b.Owner, "PUT", "/v1/provider-apps/acme", strings.Replace(string(body), "app-1", "wrong", 1)),
		b.send(b.Owner, "PUT", "/v1/provider-apps/acme", strings.Replace(string(body), `"client_secret":`, `"client_secrte":`, 1)),
		b.send(b.Owner, "PUT", "/v1/provider-apps/acme", strings.Replace(string(body), `}`, `,}`, 1)),
		b.send(b.Owner, "GET", "/v1/provider-apps", ""),
		b.send(b.Owner, "GET", "/v1/providers/acme", ""),
		b.send(b.Owner, "POST", "/v1/vault-entries/"+b.entry()+"/authorize", `{"mode":"refresh_token","refresh_token":"`+bundletest.ClientSecret+`"}`),
		b.send(b.Owner, "POST", "/v1/vault-entries/"+b.Entry("two").ID+"/authorize", `{"mode":"browser","refresh_token":"`+bundletest.ClientSecret+`"}`),
	}
	if answers[0].StatusCode != 200 || answers[1].StatusCode != 400 || answers[6].StatusCode != 400 || answers[7].StatusCode != 400 {
		t.Errorf("the answers are %d %d %d %d", answers[0].StatusCode, answers[1].StatusCode, answers[6].StatusCode, answers[7].StatusCode)
	}
	for i, out := range answers {
		if strings.Contains(out.Body, bundletest.ClientSecret) {
			t.Errorf("answer %d is %s", i, out.Body)
		}
	}
	if strings.Contains(b.log.String(), bundletest.ClientSecret) {
		t.Errorf("the log has %s", b.log)
	}
}

func TestARequestToAuthorizeIsForOneDoor(t *testing.T) {
	b := newBench(t)
	b.App()
	path := "/v1/vault-entries/" + b.entry() + "/authorize"
	for body, field := range map[string]string{
		`{"mode":"telnet"}`:                              "mode",
		`{"mode":""}`:                                    "mode",
		`{"mode":5}`:                                     "mode",
		`{"mode":"browser","handle":"h"}`:                "handle",
		`{"handle":"h"}`:                                 "handle",
		`{"mode":"result_url","refresh_token":"x"}`:      "refresh_token",
		`{"mode":"browser","account":"a"}`:               "account",
		`{"colour":"red"}`:                               "colour",
		`{"mode":"appstore"}`:                            "handle",
		`{"mode":"appstore","handle":"x"}`:               "handle",
		`{"mode":"refresh_token"}`:                       "refresh_token",
		`{"mode":"refresh_token","refresh_token":["x"]}`: "refresh_token",
		`{"mode":"refresh_token","refresh_token":"` + strings.Repeat("x", 4097) + `"}`:     "refresh_token",
		`{"mode":"refresh_token","refresh_token":"x","` + strings.Repeat("ü", 60) + `":5}`: strings.Repeat("ü", 20) + "…",
	} {
		if problem := b.want(400, "POST", path, body); problem["field"] != field || problem["action"] == nil {
			t.Errorf("%.60s: %v", body, problem)
		}
	}
	b.want(400, "POST", path, "null")
	if got := b.want(200, "POST", path, ""); got["mode"] != "browser" {
		t.Errorf("nothing said is %v", got)
	}
	if got := b.want(200, "POST", path, `{}`); got["mode"] != "browser" || !strings.HasPrefix(got["start_url"].(string), bundletest.PublicURL+"/oauth/start/") || got["oauth_request_url"] != nil {
		t.Errorf("begun is %v", got)
	}
	got := b.want(200, "POST", path, `{"mode":"result_url"}`)
	if got["start_url"] != nil || !strings.HasPrefix(got["oauth_request_url"].(string), bundletest.ConsentHost) || got["expires_at"] != "2026-05-20T12:10:00Z" {
		t.Errorf("begun is %v", got)
	}
	if len(b.Calls(tokens.Complete)) != 0 {
		t.Error("an exchange was asked for")
	}
}

func TestAListTakesLimitAndCursor(t *testing.T) {
	b := newBench(t)
	for i := range 5 {
		b.Entry(fmt.Sprintf("e%d", i))
	}
	seen, target := map[any]bool{}, "/v1/vault-entries?limit=2"
	for range 3 {
		page := b.want(200, "GET", target, "")
		for _, item := range page["items"].([]any) {
			seen[item.(map[string]any)["alias"]] = true
		}
		if page["next_cursor"] == nil {
			break
		}
		target = "/v1/vault-entries?limit=2&cursor=" + url.QueryEscape(page["next_cursor"].(string))
	}
	if len(seen) != 5 {
		t.Errorf("seen were %v", seen)
	}
	forge := func(key string) string { return base64.RawURLEncoding.EncodeToString([]byte(key)) }
	for _, wrong := range []string{"limit=0", "limit=101", "limit=-1", "limit=x", "limit=", "limit=1&limit=2", "limit=1e2", "status=asleep", "colour=red", "cursor=!",
		"cursor=" + forge("key#key_0000000000000000"), "cursor=" + forge("app#acme#production"), "cursor=" + forge("entry#\xff\xfe"), "Cursor=x"} {
		if problem := b.want(400, "GET", "/v1/vault-entries?"+wrong, ""); problem["field"] == nil || problem["action"] == nil {
			t.Errorf("%s: %v", wrong, problem)
		}
	}
	// A cursor that names what is not there goes on from where it would be, and shows nobody else's.
	if page := b.want(200, "GET", "/v1/vault-entries?cursor="+forge("entry#zzz"), ""); len(page["items"].([]any)) != 0 {
		t.Errorf("after the last there is %v", page)
	}
	if page := b.want(200, "GET", "/v1/vault-entries?cursor="+forge("entry#\x00"), ""); len(page["items"].([]any)) != 5 {
		t.Errorf("from before the first there is %v", page)
	}
	b.want(400, "GET", "/v1/connectors?cursor="+forge("entry#x"), "")
}

func TestAProviderIsShownWithItsAddresses(t *testing.T) {
	b := newBench(t)
	got := b.want(200, "GET", "/v1/providers/acme", "")
	if got["redirect_uri"] != "https://vault.example/oauth/acme/callback" || got["login_uri"] != "https://vault.example/oauth/acme/login" {
		t.Errorf("the provider is %v", got)
	}
	if got := b.want(200, "GET", "/v1/providers/bare", ""); got["login_uri"] != nil {
		t.Errorf("one without a store is %v", got)
	}
	if list := b.want(200, "GET", "/v1/providers", ""); len(list["items"].([]any)) != 1 {
		t.Errorf("the list is %v", list)
	}
	b.want(404, "GET", "/v1/providers/"+url.PathEscape(strings.Repeat("ü", 100)), "")
}

func TestAFieldOfAProviderIsNoneOfOurs(t *testing.T) {
	b := newBench(t)
	got := b.want(201, "POST", "/v1/vault-entries", `{"provider":"bare","alias":"one","environment":"test","token":"forged","account":"forged","tint":"blue"}`)
	if got["token"] != nil || got["account"] != nil || got["tint"] != "blue" {
		t.Errorf("the entry is %v", got)
	}
}

func TestAnIDThatIsNoneIsNotFound(t *testing.T) {
	b := newBench(t)
	for _, id := range []string{"x", "ve_0000000000000000", "con_0000000000000000", "..", "entry%23ve_1", strings.Repeat("v", 300)} {
		for method, suffix := range map[string]string{"GET": "", "PATCH": "", "DELETE": "", "POST": "/authorize"} {
			b.want(404, method, "/v1/vault-entries/"+id+suffix, `{}`)
		}
	}
}
