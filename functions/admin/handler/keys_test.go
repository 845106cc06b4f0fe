package handler_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"connectorvault/shared/bundle/bundletest"
	"connectorvault/shared/record"
	"connectorvault/shared/secret"
)

func TestAKeyFromItsMakingToItsEnd(t *testing.T) {
	b := newBench(t)
	body := `{"role":"reader","label":"reports","personal_data":true,"expires_in_days":30}`
	made := b.want(201, "POST", "/v1/keys", body, "idempotency-key", "k")
	id, text := made["id"].(string), made["key"].(string)
	if made["role"] != "reader" || made["personal_data"] != true || made["connectors"] != nil || made["status"] != "active" ||
		made["expires_at"] != "2026-06-19T12:00:00Z" || made["last_used_at"] != nil || made["created_by"] != b.Owner.ID || !strings.HasPrefix(text, made["prefix"].(string)) {
		t.Errorf("made is %v", made)
	}
	p, ok, err := b.Vault.Authenticate(t.Context(), secret.New(text))
	if err != nil || !ok || p.Role != record.Reader || !p.PersonalData || p.ID != id {
		t.Errorf("its holder is %+v: %v", p, err)
	}
	b.OK(b.Vault.NoteKeyUse(t.Context(), bundletest.Tenant, id))
	again := b.send(b.Owner, "POST", "/v1/keys", body, "idempotency-key", "k")
	if again.StatusCode != http.StatusConflict || !strings.Contains(again.Body, `"key_shown_once"`) || !strings.Contains(again.Body, id) {
		t.Errorf("again: %d %s", again.StatusCode, again.Body)
	}
	if got := b.want(409, "POST", "/v1/keys", strings.Replace(body, "30", "31", 1), "idempotency-key", "k"); got["code"] != "idempotency_key_reused" {
		t.Errorf("another request: %v", got)
	}
	shown := b.want(200, "GET", "/v1/keys/"+id, "")
	if shown["label"] != "reports" || shown["last_used_at"] != "2026-05-20T12:00:00Z" {
		t.Errorf("shown is %v", shown)
	}
	list := b.want(200, "GET", "/v1/keys?limit=2", "")
	rest := b.want(200, "GET", "/v1/keys?cursor="+list["next_cursor"].(string), "")
	if n := len(list["items"].([]any)) + len(rest["items"].([]any)); n != 3 { // the bench's two besides
		t.Errorf("%d keys are listed", n)
	}
	for range 2 {
		if out := b.send(b.Owner, "DELETE", "/v1/keys/"+id, ""); out.StatusCode != http.StatusNoContent {
			t.Errorf("revoking: %d %s", out.StatusCode, out.Body)
		}
	}
	if got := b.want(200, "GET", "/v1/keys/"+id, ""); got["status"] != "revoked" {
		t.Errorf("revoked is %v", got)
	}
	if _, ok, _ := b.Vault.Authenticate(t.Context(), secret.New(text)); ok {
		t.Error("a revoked key is let in")
	}
	b.want(204, "DELETE", "/v1/keys/"+b.Clerk.ID, "")
	if got := b.want(409, "DELETE", "/v1/keys/"+b.Owner.ID, ""); got["code"] != "last_owner_key" {
		t.Errorf("the last owner: %v", got)
	}
	for _, target := range []string{"/v1/keys/key_1000000000000000", "/v1/keys/nonsense", "/v1/keys/" + id} {
		for _, method := range []string{"GET", "DELETE"} {
			if out := b.send(b.Alien, method, target, ""); out.StatusCode != http.StatusNotFound {
				t.Errorf("another tenant's %s %s: %d", method, target, out.StatusCode)
			}
		}
	}
	hidden := text[len(made["prefix"].(string)):]
	all, err := json.Marshal([]any{again.Body, shown, list, rest})
	b.OK(err)
	if strings.Contains(string(all)+b.log.String(), hidden) || strings.Contains(string(all), "hash") {
		t.Error("a key is shown twice, or logged")
	}
}

func TestABodyThatIsNoKeyIsRefused(t *testing.T) {
	b := newBench(t)
	for body, field := range map[string]string{
		`{"role":"owner","label":"x","tenant":"t_1000000000000000"}`: "tenant",
		`{"role":"owner","label":"x","connectors":"all"}`:            "connectors",
		`{"role":"owner","label":"x","personal_data":"yes"}`:         "personal_data",
		`{"role":"owner","label":"x","expires_in_days":"7"}`:         "expires_in_days",
		`{"role":"owner","label":"x","subject":"owner"}`:             "subject",
	} {
		if got := b.want(400, "POST", "/v1/keys", body); got["field"] != field {
			t.Errorf("%s: %v", body, got)
		}
	}
}

// What a role may do beyond its routes.
func TestRolesAtTheAdminAPI(t *testing.T) {
	b := newBench(t)
	b.App()
	entry, connector := b.Reader()
	as := func(role record.Role, connectors ...string) record.Principal {
		return record.Principal{Tenant: bundletest.Tenant, ID: "key_" + string(role), Role: role, Connectors: connectors}
	}
	token := fmt.Sprintf(`{"mode":"refresh_token","refresh_token":%q}`, b.Upstream.Issue("acct-1").Refresh.Reveal())
	fresh := b.Entry("fresh")
	authorize := "/v1/vault-entries/" + fresh.ID + "/authorize"
	for _, c := range []struct {
		who                  record.Principal
		method, target, body string
		want                 int
	}{
		{as(record.Admin), "POST", authorize, token, 403},
		{as(record.Operator), "POST", authorize, token, 403},
		{as(record.Operator), "POST", authorize, `{"mode":"browser"}`, 200},
		{as(record.Reader), "POST", authorize, `{"mode":"browser"}`, 403},
		{as(record.Owner), "POST", authorize, token, 200},
		{as(record.Reader), "GET", "/v1/connectors/" + connector.ID, "", 200},
		{as(record.Reader, connector.ID), "GET", "/v1/connectors/" + connector.ID, "", 200},
		{as(record.Reader, "con_1000000000000000"), "GET", "/v1/connectors/" + connector.ID, "", 403},
		{as(record.Reader, connector.ID), "GET", "/v1/connectors/con_1000000000000000", "", 403},
		{as(record.Reader), "GET", "/v1/connectors/con_1000000000000000", "", 404},
		{as(record.Reader), "GET", "/v1/vault-entries/" + entry.ID, "", 403},
		{as(record.Operator), "GET", "/v1/vault-entries/" + entry.ID, "", 200},
		{as(record.Operator), "PATCH", "/v1/vault-entries/" + entry.ID, `{"alias":"x"}`, 403},
		{as(record.Admin), "PATCH", "/v1/vault-entries/" + entry.ID, `{"alias":"x"}`, 200},
		{as(record.Admin), "GET", "/v1/keys", "", 403},
		{as(record.Admin), "POST", "/v1/keys", `{"role":"owner","label":"mine"}`, 403},
		{as(record.Admin), "PUT", "/v1/provider-apps/acme", `{}`, 403},
		{as("connector_token"), "GET", "/v1/vault-entries", "", 403},
	} {
		out := b.send(c.who, c.method, c.target, c.body)
		if out.StatusCode != c.want || c.want == 403 && !strings.Contains(out.Body, `"code":"forbidden"`) {
			t.Errorf("%s: %s %s: %d %s; want %d", c.who.Role, c.method, c.target, out.StatusCode, out.Body, c.want)
		}
	}
}
