package handler_test

import (
	"crypto/rand"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/tidwall/gjson"

	"connectorvault/functions/tenant/handler"
	"connectorvault/shared/bundle/bundletest"
	"connectorvault/shared/keyring"
	"connectorvault/shared/secret"
	"connectorvault/shared/store"
	"connectorvault/shared/tenants"
)

type bench struct {
	*bundletest.Bench
	function lambda.Handler
	log      *strings.Builder
}

func newBench(t *testing.T) bench {
	t.Helper()
	b := bench{Bench: bundletest.New(t, bundletest.Options{}), log: &strings.Builder{}}
	logger := slog.New(slog.NewJSONHandler(b.log, nil))
	service := tenants.New(tenants.Config{Vault: b.Vault, Keyring: b.Vault.Sealer.(*keyring.Sealer), Secrets: b.Secrets, Tokens: b.Invoke,
		Now: b.Clock.Now, Random: rand.Reader, Logger: logger, Recovery: 35 * 24 * time.Hour})
	b.function = lambda.NewHandler(handler.New(service, logger).Handle)
	return b
}

// ask invokes the function as Lambda would.
func (b bench) ask(payload string) gjson.Result {
	b.Helper()
	reply, err := b.function.Invoke(b.Context(), []byte(payload))
	b.OK(err)
	if !json.Valid(reply) {
		b.Fatalf("the answer is %s", reply)
	}
	return gjson.ParseBytes(reply)
}

func TestAKeyIsShownOnceAndNowhereElse(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	made := b.ask(`{"operation": "create", "name": "Example Trading", "personal_data": true}`)
	minted := b.ask(`{"operation": "mint_key", "tenant": "` + made.Get("tenant").Str + `", "label": "warehouse"}`)
	for _, answer := range []gjson.Result{made, minted} {
		key := answer.Get("owner_key").Str
		p, ok, err := b.Vault.Authenticate(b.Context(), secret.New(key))
		if err != nil || !ok || p.Tenant != made.Get("tenant").Str || p.ID != answer.Get("key").Str {
			t.Errorf("the key stands for %+v, %t: %v", p, ok, err)
		}
		if strings.Contains(b.log.String(), key[36:79]) {
			t.Error("the key was logged")
		}
		if list := b.ask(`{"operation": "list"}`).Raw; strings.Contains(list, key[36:79]) {
			t.Error("the key is listed")
		}
	}
	first, _, _ := b.Vault.Authenticate(b.Context(), secret.New(made.Get("owner_key").Str))
	second, _, _ := b.Vault.Authenticate(b.Context(), secret.New(minted.Get("owner_key").Str))
	if !first.PersonalData || second.PersonalData {
		t.Errorf("personal data: %t, %t", first.PersonalData, second.PersonalData)
	}
	plain := b.ask(`{"operation": "create", "name": "Example Trading"}`)
	if p, ok, _ := b.Vault.Authenticate(b.Context(), secret.New(plain.Get("owner_key").Str)); !ok || p.PersonalData {
		t.Errorf("a key that was not asked for personal data stands for %+v", p)
	}
	revoked := b.ask(`{"operation": "revoke_key", "tenant": "` + made.Get("tenant").Str + `", "key": "` + made.Get("key").Str + `"}`)
	if _, ok, _ := b.Vault.Authenticate(b.Context(), secret.New(made.Get("owner_key").Str)); ok || revoked.Get("revoked").Str != made.Get("key").Str {
		t.Errorf("the key works after %s", revoked)
	}
}

// A request that is not to the letter what an operation takes does nothing.
func TestWhatIsMisspeltDoesNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	before := b.ask(`{"operation": "list"}`).Raw
	for payload, want := range map[string][2]string{
		``:                         {"invalid_request", ""},
		`null`:                     {"invalid_field", "operation"},
		`[]`:                       {"invalid_request", ""},
		`"create"`:                 {"invalid_request", ""},
		`{}`:                       {"invalid_field", "operation"},
		`{"operation": 7}`:         {"invalid_request", ""},
		`{"operation": "destroy"}`: {"invalid_field", "operation"},
		`{"operation": "CREATE"}`:  {"invalid_field", "operation"},
		`{"operation": "create"}`:  {"invalid_field", "name"},
		`{"operation": "create", "name": "x", "tenant": "t_0000000000000001"}`:         {"invalid_field", "tenant"},
		`{"operation": "create", "name": 7}`:                                           {"invalid_field", "name"},
		`{"operation": "create", "name": "a\nb"}`:                                      {"invalid_field", "name"},
		`{"operation": "create", "name": "x", "request": "a b"}`:                       {"invalid_field", "request"},
		`{"operation": "delete"}`:                                                      {"not_found", ""},
		`{"operation": "delete", "tenant": "t_0000000000000001", "atonce": true}`:      {"invalid_field", "atonce"},
		`{"operation": "delete", "tenant": "t_0000000000000001", "at_once": "yes"}`:    {"invalid_field", "at_once"},
		`{"operation": "delete", "tenant": "t_0000000000000000"}`:                      {"not_found", ""},
		`{"operation": "delete", "tenant": "t_0000000000000009"}`:                      {"not_found", ""},
		`{"operation": "delete", "tenant": ["t_0000000000000001"]}`:                    {"invalid_field", "tenant"},
		`{"operation": "mint_key", "tenant": "t_0000000000000001", "role": "reader"}`:  {"invalid_field", "role"},
		`{"operation": "revoke_key", "tenant": "t_0000000000000001", "key": "key_1"}`:  {"not_found", ""},
		`{"operation": "rotate_keyring", "tenant": "t_0000000000000001", "at": "now"}`: {"invalid_field", "at"},
		`{"operation": "finish", "tenant": "t_0000000000000001"}`:                      {"", ""},
		`{"operation": "list", "limit": 3}`:                                            {"invalid_field", "limit"},
	} {
		if strings.Contains(payload, "finish") {
			if _, err := b.function.Invoke(b.Context(), []byte(payload)); err == nil {
				t.Errorf("%s is taken", payload)
			}
			continue
		}
		reply, err := b.function.Invoke(b.Context(), []byte(payload))
		if payload == "" {
			if err == nil && gjson.GetBytes(reply, "error.code").Str == "" {
				t.Errorf("nothing is taken: %s", reply)
			}
			continue
		}
		b.OK(err)
		answer := gjson.ParseBytes(reply)
		if answer.Get("error.code").Str != want[0] || answer.Get("error.field").Str != want[1] || answer.Get("error.detail").Str == "" || answer.Get("error.action").Str == "" {
			t.Errorf("%s: %s", payload, reply)
		}
	}
	if after := b.ask(`{"operation": "list"}`).Raw; after != before {
		t.Errorf("something was done:\n%s\n%s", before, after)
	}
	if page, err := b.Vault.Keys(b.Context(), bundletest.Tenant, "", 10); err != nil || len(page.Items) != 2 {
		t.Errorf("there are %d keys: %v", len(page.Items), err)
	}
}

func TestADeletionSaysWhatIsGoneAndWhatRemains(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.App()
	b.Reader()
	answer := b.ask(`{"operation": "delete", "tenant": "` + bundletest.Tenant + `"}`)
	for path, want := range map[string]string{"state": "closing", "remaining": "0", "removed.vault_entries": "1", "removed.connectors": "1",
		"destroyed_at": "2026-05-20T12:00:00Z", "deleted_from": "2026-05-20T12:20:00Z", "deleted_at": "",
		"still_held.0.what": "backups of the tables", "still_held.0.until": "2026-06-24T12:00:00Z", "still_held.#": "3"} {
		if got := answer.Get(path).String(); got != want {
			t.Errorf("%s is %q instead of %q in %s", path, got, want, answer)
		}
	}
	if list := b.ask(`{"operation": "list"}`); list.Get("items.0.state").Str != "closing" {
		t.Errorf("the list is %s", list)
	}
	b.Clock.Add(time.Hour)
	if finished := b.ask(`{"operation": "finish"}`); finished.Get("items.0.state").Str != "deleted" || finished.Get("items.0.next").Exists() {
		t.Errorf("the schedule is answered %s", finished)
	}
	if list := b.ask(`{"operation": "list"}`); list.Get("items.#").Int() != 0 {
		t.Errorf("the list is %s", list)
	}
	if again := b.ask(`{"operation": "delete", "tenant": "` + bundletest.Tenant + `"}`); again.Get("state").Str != "deleted" {
		t.Errorf("again is answered %s", again)
	}
}

// What people can mend is an answer; trouble of our own, and whatever ends a deletion that nobody watches, is an error of
// the function, and says nothing of our inside.
func TestTroubleOfOurOwnIsAnError(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.Store.Fail(func(string, store.Table) bool { return true })
	answer := b.ask(`{"operation": "delete", "tenant": "` + bundletest.Tenant + `"}`)
	if answer.Get("error.code").Str != "store_unavailable" || strings.Contains(answer.Raw, "10.0.0.7") {
		t.Errorf("the answer is %s", answer)
	}
	b.Store.Fail(nil)
	b.Secrets.Before(func(string, string) error { return bundletest.ErrStore })
	if _, err := b.function.Invoke(b.Context(), []byte(`{"operation": "rotate_keyring", "tenant": "`+bundletest.Tenant+`"}`)); err == nil || strings.Contains(err.Error(), "10.0.0.7") {
		t.Errorf("the error is %v", err)
	}
	b.ask(`{"operation": "delete", "tenant": "` + bundletest.Tenant + `", "at_once": true}`)
	if _, err := b.function.Invoke(b.Context(), []byte(`{"operation": "finish"}`)); err == nil || strings.Contains(err.Error(), "10.0.0.7") {
		t.Errorf("a deletion that does not go on: %v", err)
	}
	if !strings.Contains(b.log.String(), "ERROR") {
		t.Errorf("the log has %s", b.log)
	}
}
