package handler_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"connectorvault/shared/webhook"
)

// The life of a webhook over HTTP. Its secret is in the answers that make one, and in no other.
func TestWebhooksOverHTTP(t *testing.T) {
	b := newBench(t)
	sent := 0
	b.Admin.Announce = func(context.Context, []webhook.Message) error { sent++; return nil }
	send := func(status int, method, target, body string) map[string]any {
		t.Helper()
		out := b.send(b.Owner, method, target, body)
		if out.StatusCode != status {
			t.Fatalf("%s %s: %d, want %d: %s", method, target, out.StatusCode, status, out.Body)
		}
		got := map[string]any{}
		if out.Body != "" {
			b.OK(json.Unmarshal([]byte(out.Body), &got))
		}
		if _, shown := got["secret"]; shown != (method == "POST" && status < 202) {
			t.Errorf("%s %s: a secret is shown: %t", method, target, shown)
		}
		if strings.Contains(out.Body, "sealed") {
			t.Errorf("%s %s: what is sealed is shown: %s", method, target, out.Body)
		}
		return got
	}
	made := send(http.StatusCreated, "POST", "/v1/webhooks", `{"url": "https://Hooks.Example.com/x", "label": "on call"}`)
	if kinds, _ := made["kinds"].([]any); len(kinds) != 4 || made["url"] != "https://hooks.example.com/x" || made["disabled"] != false {
		t.Errorf("%v", made)
	}
	one := "/v1/webhooks/" + made["id"].(string)
	if list := send(http.StatusOK, "GET", "/v1/webhooks", ""); len(list["items"].([]any)) != 1 {
		t.Errorf("%v", list)
	}
	send(http.StatusOK, "GET", one, "")
	send(http.StatusOK, "PATCH", one, `{"kinds": ["recovered"]}`)
	rotated := send(http.StatusOK, "POST", one+"/rotate-secret", "")
	if rotated["secret"] == made["secret"] || rotated["previous_secret_signs_until"] == nil {
		t.Errorf("%v", rotated)
	}
	if tried := send(http.StatusAccepted, "POST", one+"/test", "{}"); tried["event"] == "" || sent != 1 {
		t.Errorf("%v, %d sent", tried, sent)
	}
	for target, body := range map[string]string{"/v1/webhooks": `{"url": "https://hooks.example.com/", "secret": "mine"}`, one + "/test": `{"event": "x"}`, one + "/rotate-secret": `[]`} {
		send(http.StatusBadRequest, "POST", target, body)
	}
	send(http.StatusBadRequest, "PATCH", one, `{"id": "wh_1"}`)
	send(http.StatusBadRequest, "GET", "/v1/webhooks?limit=0", "")
	send(http.StatusBadRequest, "GET", "/v1/webhooks?kind=x", "")
	for _, strange := range []string{"wh_1", "ve_0000000000000000", "wh_0000000000000000"} {
		for _, r := range [][2]string{{"GET", ""}, {"DELETE", ""}, {"POST", "/test"}, {"POST", "/rotate-secret"}} {
			send(http.StatusNotFound, r[0], "/v1/webhooks/"+strange+r[1], "")
		}
		send(http.StatusNotFound, "PATCH", "/v1/webhooks/"+strange, "{}")
	}
	if out := b.send(b.Alien, "GET", one, ""); out.StatusCode != http.StatusNotFound {
		t.Errorf("another tenant: %d", out.StatusCode)
	}
	send(http.StatusNoContent, "DELETE", one, "")
	send(http.StatusNotFound, "GET", one, "")
	if secret, _ := made["secret"].(string); secret == "" || strings.Contains(b.log.String(), strings.TrimPrefix(secret, "whsec_")) {
		t.Error("the secret is in the log")
	}
}
