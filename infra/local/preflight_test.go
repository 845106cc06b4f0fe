package main

import (
	"strings"
	"testing"

	amazonsim "connectorvault/infra/sim/amazon"
)

// checks asks what is missing, and returns the codes of the checks that did not pass, by check.
func (v *vault) checks(body object) (ready bool, failed map[string][]string, all string) {
	v.t.Helper()
	out := v.must(200, "POST", "/v1/preflight", body).json(v.t)
	failed = map[string][]string{}
	var names []string
	for _, c := range out["checks"].([]any) {
		c := c.(object)
		name := c["check"].(string)
		names = append(names, name)
		if c["passed"] != true {
			code, _ := c["code"].(string)
			if field, _ := c["field"].(string); field != "" {
				code += " " + field
			}
			if action, _ := c["action"].(string); action == "" {
				v.t.Errorf("nobody is told what to do: %v", c)
			}
			failed[name] = append(failed[name], code)
		}
	}
	return out["ready"].(bool), failed, strings.Join(names, " ")
}

func TestPreflightSaysWhatIsMissingBeforeAnybodyStarts(t *testing.T) {
	t.Parallel()
	v := start(t, t.TempDir(), "--providers", "amazon,clara")
	amazon := object{"provider": "amazon", "alias": "US store", "environment": "production", "region": "na"}
	wants := func(body object, ready bool, check, codes string) {
		t.Helper()
		got, failed, all := v.checks(body)
		if got != ready || strings.Join(failed[check], ", ") != codes || check != "" && !strings.Contains(all, check) {
			t.Errorf("%v: ready %t, %v of %s; want %s of %s", body, got, failed, all, codes, check)
		}
	}
	wants(amazon, false, "provider_app", "client_misconfigured")
	wants(amazon, false, "callback_registered", "callback_not_registered")
	wants(amazon, false, "callback_reachable", "") // it is
	v.app()
	wants(amazon, false, "provider_app", "")
	wants(amazon, false, "callback_registered", "callback_not_registered")
	app := object{"application_id": amazonsim.SeededApplicationID, "client_id": amazonsim.SeededClientID, "client_secret": amazonsim.SeededClientSecret, "callback_registered": true}
	shown := v.must(200, "PUT", "/v1/provider-apps/amazon", app).json(t)
	if shown["callback_registered"] != v.url+"/oauth/amazon/callback" {
		t.Errorf("it is %v", shown)
	}
	wants(amazon, true, "", "")
	wants(object{"provider": "amazon"}, false, "fields", "invalid_field alias, invalid_field environment")
	wants(object{"provider": "amazon", "alias": "a", "environment": "b", "marketplace": "Mars"}, false, "fields", "unknown_marketplace marketplace")
	wants(object{"provider": "amazon", "api_environment": "sandbox", "alias": "a", "environment": "b", "region": "na"}, false, "provider_app", "client_misconfigured")
	wants(object{"provider": "clara"}, false, "fields", "invalid_field alias, invalid_field environment, invalid_field country, invalid_field token_key, invalid_field secret_key, invalid_field client_certificate, invalid_field private_key")
	if _, _, all := v.checks(object{"provider": "clara"}); strings.Contains(all, "callback") || strings.Contains(all, "provider_app") {
		t.Errorf("a provider without consent is asked for %s", all)
	}
	project := v.claraProject(object{"country": "mx", "side": "production"})
	wants(claraEntry("cards", object{"download": project}), true, "", "")

	// One that this deployment does not connect.
	sage := object{"provider": "sage", "alias": "ledger", "environment": "test", "provider_app": true}
	wants(sage, false, "enabled", "not_licensed")
	for _, refused := range []struct {
		method, path string
		body         object
	}{{"POST", "/v1/vault-entries", sage}, {"PUT", "/v1/provider-apps/sage", object{"oauth_api_key": "a/b", "oauth_api_secret": "canary"}}} {
		if a := v.do(refused.method, refused.path, refused.body); a.status != 403 || a.text(t, "code") != "not_licensed" {
			t.Errorf("%s %s: %d %s", refused.method, refused.path, a.status, a.body)
		}
	}
	if p := v.must(200, "GET", "/v1/providers/sage", nil).json(t); p["enabled"] != false {
		t.Errorf("it is enabled: %v", p["enabled"])
	}
	for body, want := range map[string]int{`{}`: 400, `{"provider":"mars"}`: 400, `{"provider":5}`: 400, `{"provider":"amazon","x":1}`: 400, `[]`: 400, `{"provider":"amazon","api_environment":"moon"}`: 400} {
		if a := v.do("POST", "/v1/preflight", body); a.status != want || a.text(t, "action") == "" {
			t.Errorf("%s: %d %s", body, a.status, a.body)
		}
	}
	if items := v.must(200, "GET", "/v1/vault-entries", nil).json(t)["items"].([]any); len(items) != 0 {
		t.Errorf("%d entries were made", len(items))
	}
	// Nobody else's request passes for the vault's own.
	for _, query := range []string{"?preflight=probe_0000000000000000", "?preflight=", "?preflight=x&preflight=y"} {
		if a := v.do("GET", "/oauth/amazon/callback"+query, nil); a.status < 400 {
			t.Errorf("%s: %d", query, a.status)
		}
	}
}

func TestADeploymentKnowsNoProviderThatIsNotShipped(t *testing.T) {
	t.Parallel()
	log := &buffer{}
	if code := run(t.Context(), []string{"--listen", "127.0.0.1:0", "--data", t.TempDir(), "--providers", "amazon,mars"}, log, log); code == 0 || !strings.Contains(log.String(), "mars") {
		t.Errorf("%d: %s", code, log)
	}
}
