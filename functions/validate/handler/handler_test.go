package handler_test

import (
	"encoding/json"
	"log/slog"
	"net/url"
	"strings"
	"testing"

	"connectorvault/functions/validate/handler"
	"connectorvault/shared/authorize"
	"connectorvault/shared/bundle/bundletest"
	"connectorvault/shared/record"
	"connectorvault/shared/route"
)

func TestAResultURLIsValidatedAndNeverSaidBack(t *testing.T) {
	t.Parallel()
	b := bundletest.New(t, bundletest.Options{})
	b.App()
	log := &strings.Builder{}
	h := handler.New(handler.Config{Authorize: b.Authorize, Vault: b.Vault, Logger: slog.New(slog.NewJSONHandler(log, nil)), Now: b.Clock.Now})
	for _, r := range route.Table() {
		if _, ok := h.Routes()[r.Key()]; ok != (r.Function == route.Validate) {
			t.Errorf("%s is answered here: %t", r.Key(), ok)
		}
	}
	entry := b.Entry("one")
	send := func(p record.Principal, body string) (int, map[string]any, string) {
		out, err := h.Handle(b.Context(), b.Event(p, "POST", "/v1/vault-entries/"+entry.ID+"/validate", body))
		b.OK(err)
		var doc map[string]any
		b.OK(json.Unmarshal([]byte(out.Body), &doc))
		return out.StatusCode, doc, out.Body
	}
	begun, err := b.Authorize.Begin(b.Context(), b.Owner, entry.ID, authorize.Begin{Mode: record.ResultURL})
	b.OK(err)
	consent, err := url.Parse(begun.OAuthRequestURL.Reveal())
	b.OK(err)
	state, code := consent.Query().Get("state"), b.Upstream.Consent("acct-1", consent.Query().Get("code_challenge"))
	landed := "https://vault.example/oauth/acme/callback?" + url.Values{"state": {state}, "code": {code}}.Encode()
	quoted, err := json.Marshal(map[string]string{"result_url": landed})
	b.OK(err)

	for body, want := range map[string]string{
		``:                                  "invalid_request",
		`{}`:                                "result_url_empty",
		`{"result_url":null}`:               "result_url_empty",
		`{"result_url":["` + code + `"]}`:   "invalid_field",
		`{"result":"` + code + `"}`:         "invalid_field",
		`{"result_url":"` + code + `"}`:     "result_url_malformed",
		`{"result_url":"` + landed + `#x"}`: "result_url_fragment",
		`{"result_url":"` + strings.Replace(landed, "vault.example", "evil.example", 1) + `"}`: "result_url_foreign",
		`{"result_url":"` + landed + `&code=` + code + `"}`:                                    "result_url_duplicate_parameter",
	} {
		status, doc, text := send(b.Owner, body)
		if status != 400 || doc["code"] != want || strings.Contains(text, code) || strings.Contains(text, state) {
			t.Errorf("%.40s: %d %s", body, status, text)
		}
	}
	if status, doc, _ := send(b.Clerk, string(quoted)); status != 403 || doc["code"] != "forbidden" {
		t.Errorf("another key hears %d %v", status, doc)
	}
	if status, _, _ := send(b.Alien, string(quoted)); status != 404 {
		t.Errorf("another tenant hears %d", status)
	}
	if status, _, _ := send(record.Principal{}, string(quoted)); status != 403 {
		t.Errorf("nobody hears %d", status)
	}
	for range 2 {
		status, doc, text := send(b.Owner, string(quoted))
		if status != 200 || doc["status"] != "active" || strings.Contains(text, "canary") {
			t.Errorf("validated is %d %s", status, text)
		}
	}
	if strings.Contains(log.String(), code) || strings.Contains(log.String(), state) {
		t.Errorf("the log has %s", log)
	}
}
