package events_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambda"

	admin "connectorvault/functions/admin/handler"
	authorizer "connectorvault/functions/authorizer/handler"
	callback "connectorvault/functions/callback/handler"
	notifying "connectorvault/functions/notify/handler"
	planning "connectorvault/functions/planner/handler"
	read "connectorvault/functions/read/handler"
	token "connectorvault/functions/refresh/handler"
	tenancy "connectorvault/functions/tenant/handler"
	validate "connectorvault/functions/validate/handler"
	"connectorvault/infra/stack"
	"connectorvault/shared/authorize"
	"connectorvault/shared/bundle"
	"connectorvault/shared/lambdahttp"
	"connectorvault/shared/notify"
	"connectorvault/shared/planner"
	"connectorvault/shared/provider/amazon"
	"connectorvault/shared/provider/catalog"
	"connectorvault/shared/provider/sage"
	"connectorvault/shared/record"
	"connectorvault/shared/secret"
	"connectorvault/shared/store"
	"connectorvault/shared/store/sqlitestore"
	"connectorvault/shared/tokens"
	"connectorvault/shared/vault"
	"connectorvault/shared/webhook"
)

// What the samples name.
const (
	tenant    = "t_1000000000000000"
	keyID     = "key_1000000000000001"
	spareKey  = "key_1000000000000002" // another owner's, which may be revoked
	connector = "con_1000000000000001"
	seller    = "A1EXAMPLESELLER"
	publicURL = "https://vault.example.com"
	code      = "EXAMPLE-code"
	clientID  = "amzn1.application-oa2-client.00000000000000000000000000000000"

	secretsQueue = "arn:aws:sqs:eu-central-1:111122223333:connector-vault-SecretsQueue-EXAMPLE"

	connected   = "ve_1000000000000001" // authorized, and due
	waiting     = "ve_1000000000000002" // never authorized
	invited     = "ve_1000000000000003" // has a start link
	travelling  = "ve_1000000000000004" // its browser is at the provider
	pasting     = "ve_1000000000000005" // begun for a pasted Result URL
	interrupted = "ve_1000000000000006" // its code is being exchanged
	ledger      = "ve_1000000000000007" // a Sage account with a client of its own, authorized
	closed      = "ve_1000000000000008" // another, which no connector uses

	hook       = "wh_1000000000000001"
	brokenHook = "wh_1000000000000002" // its endpoint fails

	books    = "con_1000000000000007"
	business = "0000000000000000000000000000000a"
)

// The secret parts of the samples' values. 43 characters, as the real ones, and plainly none of them.
const (
	secretOfKey     = "EXAMPLE-api-key-no-real-secret-AAAAAAAAAAAA"
	secretOfStart   = "EXAMPLE-start-handle-no-real-secret-AAAAAAA"
	secretOfBrowser = "EXAMPLE-browser-state-no-real-secret-AAAAAA"
	secretOfPasted  = "EXAMPLE-result-url-state-no-real-secret-AAA"
	secretOfCookie  = "EXAMPLE-browser-cookie-no-real-secret-AAAAA"
	secretOfVisit   = "EXAMPLE-appstore-handle-no-real-secret-AAAA"
)

// What must never come out of any function.
const (
	canaryAccess  = "Atza|CANARY-access-token"
	canaryRefresh = "Atzr|CANARY-refresh-token"
	canaryClient  = "amzn1.oa2-cs.v1.CANARY-client-secret"
)

// noon is when everything happens.
var noon = time.Date(2026, time.November, 21, 12, 0, 0, 0, time.UTC)

func atNoon() time.Time { return noon }

// world is the bundle as the template deploys it, every function behind its own role, on one embedded store.
type world struct {
	functions map[string]lambda.Handler
	routes    map[string]map[string]lambdahttp.Handler // function → what it answers
	vault     *vault.Vault                             // past every role, for the test itself
	provider  *standIn
	secrets   store.Secrets // past every role, for the test itself
	log       *syncBuffer
	rescued   []tokens.Call
	enqueued  map[string][]tokens.Call // by queue
	announced []webhook.Message
	postponed time.Duration
	queues    sync.Mutex
}

func newWorld(t *testing.T, deployed map[string]stack.Function, used *usage, now func() time.Time) *world {
	t.Helper()
	ctx := t.Context()
	others := &standIn{}
	provider := httptest.NewServer(others.handler())
	t.Cleanup(provider.Close)
	items, queue, err := sqlitestore.OpenFolder(ctx, sqlitestore.FolderConfig{Path: t.TempDir(), Now: now, Random: rand.Reader})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(items.Close(), queue.Close()); err != nil {
			t.Error(err)
		}
	})
	w := &world{functions: map[string]lambda.Handler{}, routes: map[string]map[string]lambdahttp.Handler{}, enqueued: map[string][]tokens.Call{}, provider: others, log: &syncBuffer{}}
	logger := slog.New(slog.NewJSONHandler(w.log, nil))
	providers := catalog.New(catalog.Options{Amazon: amazon.Endpoints{Token: provider.URL, // no function calls a consent page
		API: map[string]string{"na": provider.URL, "eu": provider.URL, "fe": provider.URL}},
		Sage: sage.Endpoints{Token: provider.URL + "/token", Revoke: provider.URL + "/revoke", API: provider.URL + "/v3.1"}, Clara: claraStandIn(t)})

	seeding := bundle.New(bundle.Parts{Items: items, Due: items, Secrets: items, Catalog: providers, Now: atNoon, Random: rand.Reader, Logger: logger})
	seed(t, seeding)
	w.vault, w.secrets = seeding.Vault, items

	parts := func(folder string) bundle.Parts {
		g := &guard{under: items, function: deployed[folder], used: used}
		p := bundle.Parts{Items: g, Due: g, Secrets: g, Catalog: providers, HTTP: &http.Client{Transport: loopback{}}, Now: now, Random: rand.Reader, Logger: logger}
		if g.function.Environment["CV_PUBLIC_URL"] != "" {
			p.PublicURL = publicURL
		}
		if g.function.Environment["CV_REFRESH_FUNCTION"] != "" {
			p.Invoke = func(ctx context.Context, call tokens.Call) (tokens.Answer, error) { return w.invoke(ctx, g, call) }
			p.Nudge = func(ctx context.Context, call tokens.Call) error { _, err := w.invoke(ctx, g, call); return err }
		}
		if arn := g.function.Environment["CV_QUEUE_SECRETS_ARN"]; arn != "" {
			p.Notices = map[string]string{secretsQueue: amazon.Name}
		}
		p.Rescue = func(_ context.Context, call tokens.Call) error {
			return w.send(g, "RescueQueue", func() { w.rescued = append(w.rescued, call) })
		}
		p.Enqueue = func(_ context.Context, provider string, calls []tokens.Call) error {
			queue := dueQueue(g, provider)
			return w.send(g, queue, func() { w.enqueued[queue] = append(w.enqueued[queue], calls...) })
		}
		p.Announce = func(_ context.Context, messages []webhook.Message) error {
			if err := g.may("sqs:SendMessage", "WebhookQueue.Arn"); err != nil {
				return err
			}
			w.queues.Lock()
			defer w.queues.Unlock()
			w.announced = append(w.announced, messages...)
			return nil
		}
		return p
	}
	w.assemble(parts, logger, now)
	return w
}

// loopback is a network without anybody outside this machine.
type loopback struct{}

// RoundTrip implements http.RoundTripper.
func (loopback) RoundTrip(r *http.Request) (*http.Response, error) {
	if ip := net.ParseIP(r.URL.Hostname()); ip == nil || !ip.IsLoopback() {
		return nil, errors.New("nobody answers there")
	}
	return http.DefaultTransport.RoundTrip(r)
}

// assemble makes the functions as their mains do.
func (w *world) assemble(parts func(folder string) bundle.Parts, logger *slog.Logger, now func() time.Time) {
	b := bundle.New(parts("admin"))
	a := admin.New(admin.Config{Admin: b.Admin(), Authorize: b.Authorize(), Vault: b.Vault, PublicURL: b.PublicURL, Logger: logger, Now: now})
	w.functions["admin"], w.routes["admin"] = fresh{a.Handle}, a.Routes()

	b = bundle.New(parts("callback"))
	c := callback.New(callback.Config{Authorize: b.Authorize(), PublicURL: b.PublicURL, Logger: logger, Now: now})
	w.functions["callback"], w.routes["callback"] = fresh{c.Handle}, c.Routes()

	b = bundle.New(parts("validate"))
	v := validate.New(validate.Config{Authorize: b.Authorize(), Vault: b.Vault, Logger: logger, Now: now})
	w.functions["validate"], w.routes["validate"] = fresh{v.Handle}, v.Routes()

	r := read.New(read.Config{Read: bundle.New(parts("read")).Read(), Logger: logger, Now: now})
	w.functions["read"], w.routes["read"] = fresh{r.Handle}, r.Routes()

	w.functions["refresh"] = fresh{token.New(bundle.New(parts("refresh")).Refresh(), logger).Handle}

	w.functions["planner"] = fresh{w.plans(parts("planner"), logger).Handle}

	w.functions["tenant"] = fresh{tenancy.New(bundle.New(parts("tenant")).Tenants(), logger).Handle}
	// What delivers webhooks has a vault, and calls endpoints that fail or do not.
	p := parts("notify")
	g := p.Items.(*guard)
	w.functions["notify"] = fresh{notifying.New(notifying.Config{Logger: logger,
		Notify: notify.New(notify.Config{Vault: bundle.New(p).Vault, HTTP: &http.Client{Transport: endpoints{}}, Now: now, Logger: logger}),
		Postpone: func(_ context.Context, _ string, d time.Duration) error {
			err := g.may("sqs:ChangeMessageVisibility", "WebhookQueue.Arn")
			if err == nil {
				w.postponed = d
			}
			return err
		}}).Handle}

	// The authorizer is given a vault and nothing else.
	p = parts("authorizer")
	w.functions["authorizer"] = fresh{authorizer.New(vault.New(vault.Config{Items: p.Items, Now: now, Random: p.Random}), logger).Handle}
}

// endpoints stand in for the tenant's: those that fail, and the others.
type endpoints struct{}

func (endpoints) RoundTrip(r *http.Request) (*http.Response, error) {
	answer := httptest.NewRecorder()
	if strings.HasPrefix(r.URL.Path, "/broken") {
		answer.WriteHeader(http.StatusInternalServerError)
	}
	return answer.Result(), nil
}

// fresh makes a function's handler anew for each invocation: what Invoke of one returns lies in a buffer that its next invocation
// writes to, and here several are under way.
type fresh struct{ handle any }

// Invoke implements lambda.Handler.
func (f fresh) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	return lambda.NewHandler(f.handle).Invoke(ctx, payload)
}

// invoke calls the token service over bytes, if the caller's role lets it.
func (w *world) invoke(ctx context.Context, g *guard, call tokens.Call) (tokens.Answer, error) {
	if err := g.may("lambda:InvokeFunction", g.function.Environment["CV_REFRESH_FUNCTION"]); err != nil {
		return tokens.Answer{}, err
	}
	payload, err := tokens.Encode(call)
	if err != nil {
		return tokens.Answer{}, err
	}
	reply, err := w.functions["refresh"].Invoke(ctx, payload)
	if err != nil {
		return tokens.Answer{}, err
	}
	return tokens.DecodeReply(reply)
}

func (w *world) send(g *guard, queue string, take func()) error {
	if err := g.may("sqs:SendMessage", queue+".Arn"); err != nil {
		return err
	}
	w.queues.Lock()
	defer w.queues.Unlock()
	take()
	return nil
}

// dueQueue is the queue of a provider's due entries, as the function is told.
func dueQueue(g *guard, provider string) string {
	for pair := range strings.SplitSeq(g.function.Environment["CV_QUEUES_DUE"], ",") {
		if name, queue, _ := strings.Cut(pair, "="); name == provider {
			return queue
		}
	}
	return ""
}

// plans makes the planner, which is given the due index and the queues.
func (w *world) plans(p bundle.Parts, logger *slog.Logger) *planning.Handler {
	g := p.Items.(*guard)
	return planning.New(planner.New(planner.Config{Vault: vault.New(vault.Config{Due: p.Due, Now: p.Now}), Providers: p.Catalog.Names(),
		Workers: func(string) int { return 2 }, Send: p.Enqueue, Now: p.Now, Logger: logger,
		Waiting: func(_ context.Context, provider string) (int, error) {
			return 0, g.may("sqs:GetQueueAttributes", dueQueue(g, provider)+".Arn")
		}}))
}

// seed makes what the samples speak of.
func seed(t *testing.T, b *bundle.Bundle) {
	t.Helper()
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	v := b.Vault
	must(b.Keyring.Create(ctx, tenant))
	must(v.CreateTenant(ctx, record.Tenant{ID: tenant, Name: "Example Trading", CreatedAt: noon}))
	seedKey(t, b)
	seedConnectorToken(t, b)

	app := record.App{Tenant: tenant, Provider: amazon.Name, APIEnvironment: record.Production, Version: "v_1000000000000001", CreatedAt: noon, UpdatedAt: noon,
		Fields: map[string]string{"application_id": "amzn1.sp.solution.11111111-2222-3333-4444-555555555555",
			"client_id": "amzn1.application-oa2-client.00000000000000000000000000000000"}}
	text, err := vault.Secrets{Version: app.Version, Fields: map[string]secret.Text{"client_secret": secret.New(canaryClient)}}.Encode()
	must(err)
	must(b.Secrets.PutSecret(ctx, vault.AppSecret(tenant, amazon.Name, record.Production, app.Version), text))
	app.Client = clientID
	must(v.ReplaceApp(ctx, record.App{}, app))

	for id, alias := range map[string]string{connected: "US store", waiting: "second", invited: "third", travelling: "fourth", pasting: "fifth", interrupted: "sixth"} {
		_, err := v.CreateEntry(ctx, record.Entry{Tenant: tenant, ID: id, Provider: amazon.Name, Alias: alias, Environment: "production",
			APIEnvironment: record.Production, Settings: map[string]string{"marketplace": "US", "region": "na", "account_type": "seller"},
			CreatedBy: keyID, CreatedAt: noon, UpdatedAt: noon, Revision: 1}, nil)
		must(err)
	}
	seedCredential(t, v)
	seedSage(t, b)
	seedClara(t, b)
	seedOrphan(t, b)
	seedRequests(t, v)
	seedWebhooks(t, v)
	if _, err := v.CreateConnector(ctx, record.Connector{Tenant: tenant, ID: connector, Name: "Orders for the warehouse", Entry: connected,
		Provider: amazon.Name, Settings: map[string][]string{}, CreatedBy: keyID, CreatedAt: noon, UpdatedAt: noon, Revision: 1}, nil); err != nil {
		t.Fatal(err)
	}
}

// seedSage makes two Sage accounts with clients of their own, one of them with a connector.
func seedSage(t *testing.T, b *bundle.Bundle) {
	t.Helper()
	ctx, v := t.Context(), b.Vault
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for id, alias := range map[string]string{ledger: "Ledger", closed: "Closed ledger"} {
		entry := record.Entry{Tenant: tenant, ID: id, Provider: sage.Name, Alias: alias, Environment: "production", APIEnvironment: record.Production,
			Settings: map[string]string{"oauth_api_key": "EXAMPLE/key", "country_code": "GB", "scope": "readonly", "profile": "v3.1",
				"oauth_callback_url": authorize.RedirectURI(publicURL, sage.Name)},
			Secrets: record.SecretGroups{}, CreatedBy: keyID, CreatedAt: noon, UpdatedAt: noon, Revision: 1}
		for group, fields := range map[record.SecretGroup][]string{record.ClientSecrets: {"oauth_api_secret"}, record.ReadSecrets: {"apim_subscription_key", "signature_secret"}} {
			values := vault.Secrets{Version: "v_1000000000000007", Fields: map[string]secret.Text{}}
			for _, name := range fields {
				values.Fields[name] = secret.New("CANARY-" + name)
			}
			text, err := values.Encode()
			must(err)
			must(b.Secrets.PutSecret(ctx, vault.GroupSecret(vault.EntrySecret(tenant, id, values.Version), group), text))
			entry.Secrets[group] = record.StoredSecret{Version: values.Version, Fields: fields}
		}
		_, err := v.CreateEntry(ctx, entry, nil)
		must(err)
		c := record.Credential{Tenant: tenant, Entry: id, Provider: sage.Name, Status: record.Active, Generation: 1, Lifetime: 5 * time.Minute,
			Expires: noon.Add(4 * time.Minute), Refreshed: noon.Add(-time.Minute), Authorized: noon.Add(-time.Hour), DueAt: noon.Add(time.Hour),
			Commit: "commit_1000000000000007", Account: &record.Account{ID: "00000000-0000-4000-8000-00000000000b", Name: "Example Trading", Identity: record.Verified,
				Members: []record.Member{{Kind: "business", ID: business, Country: "GB", Name: "Example Trading Ltd", Active: true}}}}
		c.Sealed, err = v.SealTokens(ctx, c, 1, vault.TokenSet{Access: secret.New("CANARY-sage-access"), Refresh: secret.New("CANARY-sage-refresh")})
		must(err)
		must(v.Authorize(ctx, nil, c, nil))
	}
	_, err := v.CreateConnector(ctx, record.Connector{Tenant: tenant, ID: books, Name: "Books", Entry: ledger, Provider: sage.Name,
		Settings: map[string][]string{"business": {business}}, Singles: []string{"business"}, CreatedBy: keyID, CreatedAt: noon, UpdatedAt: noon, Revision: 1}, nil)
	must(err)
}

// seedWebhooks makes one whose endpoint works, and one whose endpoint does not.
func seedWebhooks(t *testing.T, v *vault.Vault) {
	t.Helper()
	for id, path := range map[string]string{hook: "/vault", brokenHook: "/broken"} {
		w := record.Webhook{Tenant: tenant, ID: id, URL: "https://hooks.example.com" + path, CreatedBy: keyID, CreatedAt: noon, UpdatedAt: noon}
		sealed, err := v.SealWebhookSecret(t.Context(), w, 1, secret.New("whsec_Q0FOQVJZLXdlYmhvb2stc2VjcmV0LWZvci10ZXN0cw=="))
		w.Secrets = []record.WebhookSecret{sealed}
		if err == nil {
			_, err = v.CreateWebhook(t.Context(), w, nil)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// orphan is a secret of an application that no record names, and was seen so a day ago.
var orphan = vault.AppSecret(tenant, amazon.Name, record.Sandbox, "v_1000000000000009")

func seedOrphan(t *testing.T, b *bundle.Bundle) {
	t.Helper()
	yesterday := *b.Vault
	yesterday.Now = func() time.Time { return noon.Add(-24 * time.Hour) }
	_, err := yesterday.NoteOrphan(t.Context(), orphan, "")
	if err := errors.Join(err, b.Secrets.PutSecret(t.Context(), orphan, secret.New("CANARY-orphan"))); err != nil {
		t.Fatal(err)
	}
}

// seedKey makes the samples' API key: its id and its secret are drawn from a source that holds just those.
func seedKey(t *testing.T, b *bundle.Bundle) {
	t.Helper()
	secretBits, err := base64.RawURLEncoding.DecodeString(secretOfKey)
	if err != nil {
		t.Fatal(err)
	}
	id := []byte{0x08, 0, 0, 0, 0, 0, 0, 0, 0, 0x01} // 1000000000000001 in base 32
	drawing := *b.Vault
	drawing.Random = io.MultiReader(bytes.NewReader(append(id, secretBits...)), rand.Reader)
	key, _, err := drawing.CreateKey(t.Context(), record.APIKey{Tenant: tenant, Role: record.Owner, Label: "example"})
	if err != nil || key.ID != keyID {
		t.Fatalf("the key is %s: %v", key.ID, err)
	}
	drawing.Random = io.MultiReader(bytes.NewReader([]byte{0x08, 0, 0, 0, 0, 0, 0, 0, 0, 0x02}), rand.Reader)
	spare, _, err := drawing.CreateKey(t.Context(), record.APIKey{Tenant: tenant, Role: record.Owner, Label: "spare"})
	if err != nil || spare.ID != spareKey {
		t.Fatalf("the other key is %s: %v", spare.ID, err)
	}
}

// seedCredential authorizes an entry. Its token lives for two minutes yet: enough to read with, and time for the schedule
// to get the next one.
func seedCredential(t *testing.T, v *vault.Vault) {
	t.Helper()
	ctx := t.Context()
	c := record.Credential{Tenant: tenant, Entry: connected, Provider: amazon.Name, Status: record.Active, Generation: 1, Lifetime: time.Hour,
		Expires: noon.Add(2 * time.Minute), Refreshed: noon.Add(-58 * time.Minute), Authorized: noon.Add(-58 * time.Minute),
		AuthorizationExpires: noon.AddDate(1, 0, 0), DueAt: noon.Add(-time.Second), Commit: "commit_1000000000000000",
		Account: &record.Account{ID: seller, Name: "Example Trading", Identity: record.Verified,
			Members: []record.Member{{Kind: "marketplace", ID: "ATVPDKIKX0DER", Country: "US", Active: true}}}}
	var err error
	c.Sealed, err = v.SealTokens(ctx, c, 1, vault.TokenSet{Access: secret.New(canaryAccess), Refresh: secret.New(canaryRefresh)})
	if err == nil {
		err = v.Authorize(ctx, nil, c, nil)
	}
	if err == nil {
		err = v.NoteUse(ctx, tenant, connected, 1) // it is read, so it is kept warm
	}
	if err == nil {
		_, err = v.Publish(ctx, record.Event{Tenant: tenant, Kind: record.EventExpiring, Provider: amazon.Name, APIEnvironment: record.Production,
			Horizon: &record.Horizon{Name: record.ClientSecretEnd, At: noon.AddDate(0, 0, 14)}, DaysBefore: 14})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// seedRequests makes the authorization requests that the samples go on with, and a visit of the provider's store.
func seedRequests(t *testing.T, v *vault.Vault) {
	t.Helper()
	hash := func(text string) string { return secret.New(text).Fingerprint() }
	request := func(n, entry string, mode record.Mode, stage record.Stage) record.Request {
		return record.Request{Tenant: tenant, ID: "ar_" + n, Entry: entry, Provider: amazon.Name, Principal: keyID, Mode: mode, Stage: stage,
			RedirectURI: authorize.RedirectURI(publicURL, amazon.Name), CreatedAt: noon, Expires: noon.Add(authorize.RequestLife)}
	}
	start := request("1000000000000001", invited, record.Browser, record.Open)
	start.HandleHash = hash(secretOfStart)
	away := request("1000000000000002", travelling, record.Browser, record.Started)
	away.StateHash, away.CookieHash = hash(secretOfBrowser), hash(secretOfCookie)
	pasted := request("1000000000000003", pasting, record.ResultURL, record.Open)
	pasted.StateHash = hash(secretOfPasted)
	spent := request("1000000000000006", interrupted, record.ResultURL, record.Open)
	ctx := t.Context()
	for _, r := range []record.Request{start, away, pasted, spent} {
		if err := v.BeginRequest(ctx, r); err != nil {
			t.Fatal(err)
		}
	}
	spent.CodeHash = hash(code)
	visit := request("1000000000000004", "", record.Appstore, record.Open)
	visit.Tenant, visit.HandleHash, visit.CookieHash = authorize.Outside, hash(secretOfVisit), hash(secretOfCookie)
	visit.Callback, visit.CallbackState = "https://sellercentral.amazon.com/apps/authorize/confirm/amzn1.sp.solution.11111111-2222-3333-4444-555555555555", "EXAMPLE-amazon-state"
	if err := errors.Join(v.ClaimRequest(ctx, spent, "claim_1000000000000000", noon.Add(time.Minute)), v.ParkRequest(ctx, visit)); err != nil {
		t.Fatal(err)
	}
}

// standIn answers for the providers as far as the samples go. What it hands out are canaries.
type standIn struct{ revoked, rotated atomic.Int64 }

func (s *standIn) handler() http.Handler {
	mux := http.NewServeMux()
	answer := func(pattern string, status int, body string) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("X-Amzn-Requestid", "EXAMPLE-request")
			w.WriteHeader(status)
			_, _ = io.WriteString(w, strings.ReplaceAll(body, "{self}", "http://"+r.Host))
		})
	}
	answer("POST /auth/o2/token", 200, fmt.Sprintf(`{"access_token": %q, "refresh_token": %q, "token_type": "bearer", "expires_in": 3600}`, canaryAccess, canaryRefresh))
	answer("GET /sellers/v1/marketplaceParticipations", 200, `{"payload": [{"marketplace": {"id": "ATVPDKIKX0DER", "countryCode": "US"},
		"participation": {"isParticipating": true}, "storeName": "Example Trading"}]}`)
	answer("GET /orders/2026-01-01/orders", 200, `{"orders": [{"orderId": "111-0000000-0000001", "buyer": {"buyerName": "PERSON"}}], "pagination": {}}`)
	answer("GET /orders/2026-01-01/orders/{id}", 200, `{"order": {"orderId": "111-0000000-0000001", "buyer": {"buyerName": "PERSON"}}}`)
	answer("POST /reports/2021-06-30/reports", 202, `{"reportId": "50001"}`)
	answer("GET /reports/2021-06-30/reports/50001", 200, `{"reportId": "50001", "reportType": "GET_MERCHANT_LISTINGS_ALL_DATA",
		"processingStatus": "DONE", "reportDocumentId": "amzn1.spdoc.1"}`)
	answer("GET /reports/2021-06-30/documents/amzn1.spdoc.1", 200, `{"reportDocumentId": "amzn1.spdoc.1", "url": "{self}/document?signature=CANARY-presigned"}`)
	answer("POST /token", 200, `{"access_token": "CANARY-sage-access-2", "refresh_token": "CANARY-sage-refresh-2", "token_type": "bearer", "expires_in": 300,
		"refresh_token_expires_in": 2678400, "scope": "readonly", "requested_by_id": "00000000-0000-4000-8000-00000000000b"}`)
	mux.HandleFunc("POST /applications/2023-11-30/clientSecret", func(w http.ResponseWriter, _ *http.Request) {
		s.rotated.Add(1)
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("POST /revoke", func(w http.ResponseWriter, _ *http.Request) {
		s.revoked.Add(1)
		_, _ = io.WriteString(w, `{"success": "ok"}`)
	})
	mux.HandleFunc("GET /v3.1/contacts", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("X-Business", r.Header.Get("X-Business"))
		_, _ = io.WriteString(w, `{"$total": 1, "$page": 1, "$next": null, "$back": null, "$itemsPerPage": 20,
			"$items": [{"id": "0000000000000000000000000000c0de", "displayed_as": "PERSON", "email": "PERSON"}]}`)
	})
	answer("GET /", 200, `{}`)
	mux.HandleFunc("GET /document", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/tab-separated-values")
		_, _ = io.WriteString(w, "sku\tquantity\nEXAMPLE-1\t3\n")
	})
	return mux
}

// syncBuffer is a log that several functions write to.
type syncBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func compact(t *testing.T, text []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := json.Compact(&out, text); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
