// Package events_test feeds every sample event through the function that it is for.
//
// The folders beside this file hold one JSON file for each thing that AWS sends to a function: requests of the HTTP
// API, questions to the authorizer, the schedule, batches of the queues, and what functions send to the token service.
// They are for people who want to see an event, or to send one by hand; a sample that does not work is worse than none,
// so each runs here, with the rights that the template gives its function and nothing more. Every secret in them says
// EXAMPLE.
package events_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/tidwall/gjson"

	"connectorvault/infra/stack"
	"connectorvault/shared/provider/amazon"
	"connectorvault/shared/record"
	"connectorvault/shared/route"
	"connectorvault/shared/store"
	"connectorvault/shared/vault"
)

// want is what a sample leads to. Of an HTTP answer, path is looked up in the body, or in the headers when it begins
// with "header."; of anything else, in the whole reply.
type want struct {
	status int // 0: not an HTTP answer
	path   string
	value  string // "*": anything that is not empty
}

var samples = map[string]want{
	"admin/list-providers.json":                         {200, "items.0.name", "amazon"},
	"admin/get-provider.json":                           {200, "redirect_uri", "https://vault.example.com/oauth/amazon/callback"},
	"admin/list-provider-apps.json":                     {200, "items.0.provider", "amazon"},
	"admin/put-provider-app.json":                       {200, "client_secret_expires_at", "2027-05-20T00:00:00Z"},
	"admin/rotate-provider-app-secret.json":             {202, "status", "requested"},
	"admin/create-vault-entry.json":                     {201, "status", "pending"},
	"admin/create-vault-entry-in-no-marketplace.json":   {400, "code", "unknown_marketplace"},
	"admin/create-sage-vault-entry.json":                {201, "secrets.#", "3"},
	"admin/update-secrets-of-sage-vault-entry.json":     {200, "secrets.#", "1"},
	"admin/create-sage-connector.json":                  {201, "settings.business", business},
	"admin/list-vault-entries.json":                     {200, "items.#", "1"},
	"admin/get-vault-entry.json":                        {200, "status", "active"},
	"admin/update-vault-entry.json":                     {200, "alias", "US store, renamed"},
	"admin/delete-vault-entry.json":                     {204, "", ""},
	"admin/authorize-in-browser.json":                   {200, "start_url", "*"},
	"admin/authorize-by-result-url.json":                {200, "oauth_request_url", "*"},
	"admin/authorize-from-appstore.json":                {200, "start_url", "*"},
	"admin/authorize-with-refresh-token.json":           {200, "vault_entry.status", "active"},
	"admin/refresh-vault-entry.json":                    {200, "token.generation", "2"},
	"admin/create-connector.json":                       {201, "vault_entry", connected},
	"admin/list-connectors.json":                        {200, "items.0.id", connector},
	"admin/get-connector.json":                          {200, "id", connector},
	"admin/update-connector.json":                       {200, "name", "Orders for the new warehouse"},
	"admin/delete-connector.json":                       {204, "", ""},
	"admin/create-key.json":                             {201, "key", "*"},
	"admin/list-keys.json":                              {200, "items.0.prefix", vault.KeyPrefix(tenant, keyID)},
	"admin/get-key.json":                                {200, "role", "owner"},
	"admin/revoke-key.json":                             {204, "", ""},
	"admin/create-connector-token.json":                 {201, "token", "*"},
	"admin/list-connector-tokens.json":                  {200, "items.0.prefix", vault.ConnectorTokenText(tenant, tokenID)},
	"admin/get-connector-token.json":                    {200, "uses_left", "2"},
	"admin/revoke-connector-token.json":                 {204, "", ""},
	"admin/create-vault-entry-with-token.json":          {201, "connector_token", tokenID},
	"admin/create-connector-with-token.json":            {201, "vault_entry", handed},
	"admin/get-vault-entry-of-another-token.json":       {404, "code", "not_found"},
	"admin/delete-vault-entry-with-token.json":          {204, "", ""},
	"admin/list-events.json":                            {200, "items.0.kind", "expiring"},
	"admin/list-audit-events.json":                      {200, "items.0.action", "vault_entry.created"},
	"admin/preflight.json":                              {200, "ready", "false"}, // nobody answers at the example's host
	"admin/create-clara-vault-entry.json":               {201, "status", "active"},
	"admin/create-clara-vault-entry-from-download.json": {201, "account.reads.#(resource==\"transactions\").allowed", "true"},
	"admin/list-credentials.json":                       {200, "items.#", "2"},
	"admin/add-credential.json":                         {201, "tried_at", "*"},
	"admin/promote-credential.json":                     {200, "token_key", "EXAMPLE-next-token-key"},
	"admin/delete-credential.json":                      {204, "", ""},
	"admin/create-webhook.json":                         {201, "secret", "*"},
	"admin/create-webhook-at-an-address.json":           {400, "code", "webhook_url_refused"},
	"admin/list-webhooks.json":                          {200, "items.#", "2"},
	"admin/get-webhook.json":                            {200, "id", hook},
	"admin/update-webhook.json":                         {200, "disabled", "true"},
	"admin/delete-webhook.json":                         {204, "", ""},
	"admin/rotate-webhook-secret.json":                  {200, "secret", "*"},
	"admin/test-webhook.json":                           {202, "event", "*"},

	"callback/openapi-document.json": {200, "header.Content-Type", "application/yaml"},

	"validate/validate.json":                    {200, "status", "active"},
	"validate/validate-foreign-result-url.json": {400, "code", "result_url_foreign"},

	"callback/start-page.json":                        {200, "header.Content-Type", "text/html; charset=utf-8"},
	"callback/start-continue.json":                    {303, "header.Location", "*"},
	"callback/start-continue-from-another-site.json":  {403, "header.Content-Type", "text/html; charset=utf-8"},
	"callback/oauth-callback.json":                    {200, "header.Content-Type", "text/html; charset=utf-8"},
	"callback/oauth-callback-in-another-browser.json": {403, "header.Content-Type", "text/html; charset=utf-8"},
	"callback/oauth-callback-to-copy.json":            {200, "header.Content-Type", "text/html; charset=utf-8"},
	"callback/store-login.json":                       {200, "header.Content-Type", "text/html; charset=utf-8"},

	"read/list-orders.json":                                {200, "items.0.orderId", "111-0000000-0000001"},
	"read/list-orders-as-lines.json":                       {200, "header.Content-Type", "application/x-ndjson"},
	"read/list-orders-with-personal-data-not-granted.json": {403, "code", "personal_data_not_granted"},
	"read/list-contacts.json":                              {200, "items.0.id", "0000000000000000000000000000c0de"},
	"read/read-order.json":                                 {200, "items.0.orderId", "111-0000000-0000001"},
	"read/create-report.json":                              {201, "items.0.reportId", "50001"},
	"read/report-document.json":                            {206, "header.Content-Range", "bytes 0-24/25"},
	"read/list-transactions.json":                          {200, "items.0.uuid", "00000000-0000-4000-8000-00000000c1a2"},
	"read/check-vault-entry.json":                          {200, "works", "true"},

	"authorizer/known-key.json":       {0, "context.tenant", tenant},
	"authorizer/connector-token.json": {0, "context.role", "connector_token"},
	"authorizer/unknown-key.json":     {0, "isAuthorized", "false"},

	"planner/schedule.json":                 {0, "providers.amazon.planned", "1"},
	"planner/schedule-after-an-outage.json": {0, "providers.sage.planned", "2"},

	"refresh/schedule.json":                    {0, "removed", "1"},
	"refresh/due-batch.json":                   {0, "batchItemFailures.0.itemIdentifier", ""},
	"refresh/due-batch-with-a-stranger.json":   {0, "batchItemFailures.#", "1"},
	"refresh/rescue-batch.json":                {0, "batchItemFailures.0.itemIdentifier", ""},
	"refresh/rescue-batch-of-an-exchange.json": {0, "batchItemFailures.0.itemIdentifier", ""},
	"refresh/call-refresh.json":                {0, "answer.outcome", "success"},
	"refresh/call-refresh-after-refusal.json":  {0, "answer.generation", "2"},
	"refresh/call-complete.json":               {0, "answer.outcome", "success"},
	"refresh/call-adopt.json":                  {0, "answer.outcome", "success"},
	"refresh/call-forget.json":                 {0, "answer.outcome", "success"},
	"refresh/call-refresh-sage.json":           {0, "answer.outcome", "success"},
	"refresh/call-forget-pending.json":         {0, "answer.outcome", "success"},
	"refresh/call-forget-sage.json":            {0, "answer.outcome", "success"},
	"refresh/call-acquire.json":                {0, "answer.outcome", "success"},
	"refresh/call-due-clara.json":              {0, "answer.outcome", "success"},
	"refresh/call-refresh-clara.json":          {0, "answer.outcome", "success"},
	"refresh/call-try.json":                    {0, "answer.reads.0.allowed", "true"},
	"refresh/call-promote.json":                {0, "answer.outcome", "success"},
	"refresh/call-due.json":                    {0, "answer.outcome", "success"},
	"refresh/call-rescue.json":                 {0, "answer.generation", "2"},
	"refresh/call-rotate.json":                 {0, "answer.outcome", "success"},
	"refresh/secret-expiry-batch.json":         {0, "batchItemFailures.0.itemIdentifier", ""},
	"refresh/new-secret-batch.json":            {0, "batchItemFailures.0.itemIdentifier", ""},
	"refresh/new-secret-of-a-stranger.json":    {0, "batchItemFailures.#", "1"},

	"tenant/create.json":                                  {0, "owner_key", "*"},
	"tenant/create-once.json":                             {0, "tenant", "t_405wkp13drtpqmyt"},
	"tenant/create-misspelt.json":                         {0, "error.field", "nam"},
	"tenant/mint-key.json":                                {0, "owner_key", "*"},
	"tenant/revoke-key.json":                              {0, "revoked", keyID},
	"tenant/rotate-keyring.json":                          {0, "seals_from", "2026-11-21T12:20:00Z"},
	"tenant/list.json":                                    {0, "items.0.name", "Example Trading"},
	"tenant/verify.json":                                  {0, "events", "*"},
	"tenant/delete.json":                                  {0, "state", "closing"},
	"tenant/delete-at-once.json":                          {0, "destroyed_at", "2026-11-21T12:00:00Z"},
	"tenant/schedule.json":                                {0, "items.#", "0"},
	"notify/webhook-batch.json":                           {0, "batchItemFailures.0.itemIdentifier", ""},
	"notify/webhook-batch-to-an-endpoint-that-fails.json": {0, "batchItemFailures.#", "1"},
}

// effects are what samples leave behind, where the answer does not say it.
var effects = map[string]func(*testing.T, *world){
	"admin/test-webhook.json": func(t *testing.T, w *world) {
		if len(w.announced) != 1 || w.announced[0].Webhook != hook {
			t.Errorf("%d messages went out", len(w.announced))
		}
	},
	"refresh/call-complete.json": func(t *testing.T, w *world) {
		if len(w.announced) != 2 || w.announced[0].Event.Kind != record.EventAuthorized {
			t.Errorf("%d messages went out", len(w.announced))
		}
	},
	"notify/webhook-batch.json": func(t *testing.T, w *world) {
		if got, err := w.vault.Webhook(t.Context(), tenant, hook); err != nil || got.Last == nil || !got.Last.Delivered || w.postponed != 0 {
			t.Errorf("noted is %+v: %v", got.Last, err)
		}
	},
	"notify/webhook-batch-to-an-endpoint-that-fails.json": func(t *testing.T, w *world) {
		if got, err := w.vault.Webhook(t.Context(), tenant, brokenHook); err != nil || got.Last == nil || got.Last.Status != 500 || w.postponed == 0 {
			t.Errorf("noted is %+v: %v", got.Last, err)
		}
	},
	"admin/delete-vault-entry.json": func(t *testing.T, w *world) {
		if _, err := w.vault.Entry(t.Context(), tenant, waiting); err == nil {
			t.Error("the vault entry is still there")
		}
	},
	"admin/revoke-key.json": func(t *testing.T, w *world) {
		if key, err := w.vault.Key(t.Context(), tenant, spareKey); err != nil || !key.Revoked {
			t.Errorf("the key is still good: %v", err)
		}
	},
	"authorizer/known-key.json": func(t *testing.T, w *world) {
		used := []record.APIKey{{ID: keyID}}
		if err := w.vault.WithLastUse(t.Context(), tenant, used); err != nil || !used[0].LastUsed.Equal(noon) {
			t.Errorf("the key's last use is %s: %v", used[0].LastUsed, err)
		}
	},
	"admin/revoke-connector-token.json": func(t *testing.T, w *world) {
		if token, err := w.vault.ConnectorToken(t.Context(), tenant, tokenID); err != nil || !token.Revoked {
			t.Errorf("the token is still good: %v", err)
		}
	},
	"admin/create-vault-entry-with-token.json":        func(t *testing.T, w *world) { hasUses(t, w, 1) },
	"admin/delete-vault-entry-with-token.json":        func(t *testing.T, w *world) { hasUses(t, w, 3) },
	"refresh/call-forget-pending.json":                func(t *testing.T, w *world) { hasUses(t, w, 3) },
	"callback/oauth-callback.json":                    func(t *testing.T, w *world) { isAuthorized(t, w, travelling, true) },
	"callback/oauth-callback-in-another-browser.json": func(t *testing.T, w *world) { isAuthorized(t, w, travelling, false) },
	"callback/oauth-callback-to-copy.json":            func(t *testing.T, w *world) { isAuthorized(t, w, pasting, false) },
	"validate/validate-foreign-result-url.json":       func(t *testing.T, w *world) { isAuthorized(t, w, pasting, false) },
	"planner/schedule.json": func(t *testing.T, w *world) {
		if len(w.enqueued) != 1 || len(w.enqueued["AmazonDueQueue"]) != 1 || w.enqueued["AmazonDueQueue"][0].Entry != connected {
			t.Errorf("the planner passed on %v", w.enqueued)
		}
	},
	"planner/schedule-after-an-outage.json": func(t *testing.T, w *world) {
		if len(w.enqueued["AmazonDueQueue"]) != 1 || len(w.enqueued["SageDueQueue"]) != 2 || len(w.enqueued["ClaraDueQueue"]) == 0 {
			t.Errorf("the planner passed on %v", w.enqueued)
		}
	},
	"refresh/schedule.json": func(t *testing.T, w *world) {
		if _, err := w.secrets.GetSecret(t.Context(), orphan); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("the secret that no record names is still there: %v", err)
		}
	},
	"refresh/call-forget-sage.json": func(t *testing.T, w *world) {
		if w.provider.revoked.Load() != 1 {
			t.Error("the provider was not told that the token is not needed any more")
		}
	},
	"admin/rotate-provider-app-secret.json": wasRotated,
	"refresh/call-rotate.json":              wasRotated,
	"refresh/secret-expiry-batch.json":      wasRotated,
	"refresh/new-secret-batch.json": func(t *testing.T, w *world) {
		app, _, err := w.vault.App(t.Context(), tenant, amazon.Name, record.Production)
		if err != nil || app.SecretExpires.Format(time.DateOnly) != "2027-05-20" || app.Previous == nil || app.Previous.Version != "v_1000000000000001" ||
			app.Previous.Until.Format(time.DateOnly) != "2026-11-28" {
			t.Errorf("the application is %+v: %v", app, err)
		}
		text, err := w.secrets.GetSecret(t.Context(), vault.AppSecret(tenant, amazon.Name, record.Production, app.Version))
		if err != nil || !strings.Contains(text.Reveal(), "EXAMPLE-not-a-real-secret") {
			t.Errorf("the new secret is not there: %v", err)
		}
	},
	"tenant/delete.json": func(t *testing.T, w *world) {
		if w.provider.revoked.Load() != 2 {
			t.Errorf("%d providers were told", w.provider.revoked.Load())
		}
		isEmpty(t, w)
	},
	"tenant/delete-at-once.json": isEmpty,
	"tenant/revoke-key.json": func(t *testing.T, w *world) {
		if key, err := w.vault.Key(t.Context(), tenant, keyID); err != nil || !key.Revoked {
			t.Errorf("the key is %+v: %v", key, err)
		}
	},
	"admin/promote-credential.json":   func(t *testing.T, w *world) { inForce(t, w, replaced, 2, 2) },
	"admin/delete-credential.json":    func(t *testing.T, w *world) { inForce(t, w, replaced, 1, 1) },
	"admin/add-credential.json":       func(t *testing.T, w *world) { inForce(t, w, cards, 1, 1) },
	"refresh/call-promote.json":       func(t *testing.T, w *world) { inForce(t, w, replaced, 2, 2) },
	"refresh/call-try.json":           func(t *testing.T, w *world) { inForce(t, w, replaced, 1, 1) },
	"refresh/call-due-clara.json":     func(t *testing.T, w *world) { inForce(t, w, cards, 1, 2) },
	"refresh/call-refresh-clara.json": func(t *testing.T, w *world) { inForce(t, w, cards, 1, 2) },
	"refresh/due-batch.json":          func(t *testing.T, w *world) { hasGeneration(t, w, 2) },
	"refresh/rescue-batch.json":       func(t *testing.T, w *world) { hasGeneration(t, w, 2) },
	"refresh/due-batch-with-a-stranger.json": func(t *testing.T, w *world) {
		if _, err := w.vault.Entry(t.Context(), tenant, connected); err != nil {
			t.Errorf("a queue removed a vault entry: %v", err)
		}
		hasGeneration(t, w, 2)
	},
	"refresh/rescue-batch-of-an-exchange.json": func(t *testing.T, w *world) {
		r, err := w.vault.Request(t.Context(), tenant, "ar_1000000000000006")
		if err != nil || r.Stage != "exchanged" {
			t.Errorf("the request is %s: %v", r.Stage, err)
		}
	},
}

func wasRotated(t *testing.T, w *world) {
	if n := w.provider.rotated.Load(); n != 1 {
		t.Errorf("the provider was asked for a new secret %d times", n)
	}
}

// isEmpty looks for what a deletion should have removed.
func isEmpty(t *testing.T, w *world) {
	t.Helper()
	if n, err := w.vault.Left(t.Context(), tenant, 100); err != nil || n != 0 {
		t.Errorf("%d items are left: %v", n, err)
	}
	if names, _, err := w.secrets.ListSecrets(t.Context(), tenant, ""); err != nil || len(names) != 0 {
		t.Errorf("left are the secrets %v: %v", names, err)
	}
	isAuthorized(t, w, connected, false)
}

func isAuthorized(t *testing.T, w *world, entry string, want bool) {
	t.Helper()
	_, found, err := w.vault.Credential(t.Context(), tenant, entry)
	if err != nil || found != want {
		t.Errorf("authorized = %t: %v", found, err)
	}
}

func hasGeneration(t *testing.T, w *world, want int64) {
	t.Helper()
	c, _, err := w.vault.Credential(t.Context(), tenant, connected)
	if err != nil || c.Generation != want {
		t.Errorf("generation %d is in force: %v", c.Generation, err)
	}
}

func deployed(t *testing.T) map[string]stack.Function {
	t.Helper()
	template, err := stack.Load("../template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	functions, err := template.Functions()
	if err != nil {
		t.Fatal(err)
	}
	return functions
}

func TestEverySampleWorks(t *testing.T) {
	t.Parallel()
	functions := deployed(t)
	used := &usage{seen: map[string]bool{}}
	ran := 0
	t.Run("samples", func(t *testing.T) {
		for name, w := range samples {
			ran++
			t.Run(strings.TrimSuffix(name, ".json"), func(t *testing.T) {
				t.Parallel()
				send(t, name, w, newWorld(t, functions, used, clockOf(name)))
			})
		}
		// The same read an hour later: its token is dead, and the token service is asked for another.
		t.Run("read/list-orders an hour later", func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, functions, used, func() time.Time { return noon.Add(time.Hour) })
			send(t, "read/list-orders.json", samples["read/list-orders.json"], w)
			hasGeneration(t, w, 2)
		})
	})
	if !t.Failed() && ran == len(samples) && !filtered() {
		checkUnused(t, used, functions)
	}
}

// filtered reports whether only some samples were asked for, which then use only some rights.
func filtered() bool {
	for _, argument := range os.Args {
		if strings.HasPrefix(argument, "-test.run=") && strings.Contains(argument, "/") {
			return true
		}
	}
	return false
}

func send(t *testing.T, name string, w want, world *world) {
	payload, err := os.ReadFile(filepath.FromSlash(name))
	if err != nil {
		t.Fatal(err)
	}
	reply, err := world.functions[path.Dir(name)].Invoke(t.Context(), compact(t, withProject(t, payload)))
	if err != nil {
		t.Fatalf("%v\n%s", err, world.log)
	}
	body := reply
	if w.status != 0 {
		body = checkAnswer(t, reply, w, world)
	}
	if !strings.HasPrefix(w.path, "header.") {
		checkValue(t, w, gjson.GetBytes(body, w.path).String(), body)
	}
	if effect := effects[name]; effect != nil {
		effect(t, world)
	}
	if len(world.rescued) > 0 {
		t.Errorf("something went to rescue: %s", world.log)
	}
	checkSilence(t, name, string(reply)+string(body), world.log.String())
}

func checkAnswer(t *testing.T, reply []byte, w want, world *world) (body []byte) {
	t.Helper()
	var answer events.APIGatewayV2HTTPResponse
	if err := json.Unmarshal(reply, &answer); err != nil {
		t.Fatal(err)
	}
	body = []byte(answer.Body)
	if answer.IsBase64Encoded {
		var err error
		if body, err = base64.StdEncoding.DecodeString(answer.Body); err != nil {
			t.Fatal(err)
		}
	}
	if answer.StatusCode != w.status {
		t.Errorf("the status is %d instead of %d: %s\n%s", answer.StatusCode, w.status, body, world.log)
	}
	if answer.Headers["Cache-Control"] != "no-store" {
		t.Errorf("somebody may keep the answer: %v", answer.Headers)
	}
	if header, ok := strings.CutPrefix(w.path, "header."); ok {
		checkValue(t, w, answer.Headers[header], body)
	}
	return body
}

func checkValue(t *testing.T, w want, got string, body []byte) {
	t.Helper()
	if got != w.value && (w.value != "*" || got == "") {
		t.Errorf("%s is %q instead of %q in %s", w.path, got, w.value, body)
	}
}

// checkSilence looks for what must not be said. Samples that begin an authorization are answered with a link, which is
// for the caller; it is in no log either.
func checkSilence(t *testing.T, name, said, logged string) {
	t.Helper()
	for _, canary := range []string{canaryAccess, canaryRefresh, canaryClient, "CANARY"} {
		if strings.Contains(said+logged, canary) {
			t.Errorf("%s: a secret came out", name)
		}
	}
	for _, secret := range []string{secretOfKey, secretOfToken, secretOfStart, secretOfBrowser, secretOfPasted, secretOfCookie, secretOfVisit, code, "EXAMPLE-not-a-real"} {
		if strings.Contains(logged, secret) {
			t.Errorf("%s: %q was logged", name, secret)
		}
	}
	if key := strings.Split(newProject(t).key, "\n")[1]; strings.Contains(said+logged, key) {
		t.Errorf("%s: a private key came out", name)
	}
	if strings.Contains(said, "PERSON") {
		t.Errorf("%s: personal data came out unasked", name)
	}
}

// files lists the samples on disk, with slashes.
func files(t *testing.T) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.HasSuffix(name, ".json") {
			out = append(out, filepath.ToSlash(name))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestEveryFileIsASample(t *testing.T) {
	t.Parallel()
	found := map[string]bool{}
	for _, name := range files(t) {
		found[name] = true
		if _, ok := samples[name]; !ok {
			t.Errorf("%s is sent to nobody", name)
		}
	}
	for name := range samples {
		if !found[name] {
			t.Errorf("%s is missing", name)
		}
	}
	for name := range effects {
		if !found[name] {
			t.Errorf("%s has an effect and no sample", name)
		}
	}
}

func TestEveryRouteHasASample(t *testing.T) {
	t.Parallel()
	sampled := map[string]bool{}
	for _, name := range files(t) {
		if event, ok := request(t, name); ok {
			sampled[path.Dir(name)+" "+event.RouteKey] = true
		}
	}
	for _, r := range route.Table() {
		if !sampled[string(r.Function)+" "+r.Key()] {
			t.Errorf("%s has no sample", r.Key())
		}
	}
}

// request decodes a sample as a request of the HTTP API; ok is false for other events. A member that the events
// package does not know is a mistake in the sample.
func request(t *testing.T, name string) (event events.APIGatewayV2HTTPRequest, ok bool) {
	t.Helper()
	text, err := os.ReadFile(filepath.FromSlash(name))
	if err != nil {
		t.Fatal(err)
	}
	if !gjson.GetBytes(text, "requestContext").Exists() || gjson.GetBytes(text, "type").Exists() {
		return event, false
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&event); err != nil {
		t.Errorf("%s: %v", name, err)
	}
	return event, true
}

// A sample must be what the gateway would send: everything that stands in it twice is the same, and the route is the
// one that the path leads to.
func TestRequestsAreConsistent(t *testing.T) {
	t.Parallel()
	for _, name := range files(t) {
		event, ok := request(t, name)
		if !ok {
			continue
		}
		http := event.RequestContext.HTTP
		r, parameters, found := route.Match(http.Method, event.RawPath)
		if !found || r.Key() != event.RouteKey || event.RequestContext.RouteKey != event.RouteKey || http.Path != event.RawPath {
			t.Errorf("%s: %s %s is not %s", name, http.Method, event.RawPath, event.RouteKey)
		}
		if len(parameters)+len(event.PathParameters) > 0 && !reflect.DeepEqual(parameters, event.PathParameters) {
			t.Errorf("%s: the path has %v, the event %v", name, parameters, event.PathParameters)
		}
		if (event.RequestContext.Authorizer == nil) != r.Open || (event.Headers["authorization"] == "") != r.Open {
			t.Errorf("%s: open routes have no key, others have one", name)
		}
		query, err := url.ParseQuery(event.RawQueryString)
		if err != nil || len(query) != len(event.QueryStringParameters) {
			t.Errorf("%s: the query differs: %v", name, err)
		}
		for key, value := range event.QueryStringParameters {
			if query.Get(key) != value {
				t.Errorf("%s: %s differs", name, key)
			}
		}
	}
}

func TestFunctionsAnswerTheirRoutes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, deployed(t), &usage{seen: map[string]bool{}}, atNoon)
	for _, r := range route.Table() {
		if w.routes[string(r.Function)][r.Key()] == nil {
			t.Errorf("%s does not answer %s", r.Function, r.Key())
		}
	}
	count := 0
	for _, routes := range w.routes {
		count += len(routes)
	}
	if count != len(route.Table()) {
		t.Errorf("the functions answer %d routes, the table has %d", count, len(route.Table()))
	}
}
