package bundletest

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"connectorvault/shared/admin"
	"connectorvault/shared/fault"
	"connectorvault/shared/oauth"
	"connectorvault/shared/provider"
	"connectorvault/shared/record"
	"connectorvault/shared/resource"
	"connectorvault/shared/secret"
)

// The names of the bench's providers.
const (
	Name     = "acme" // has every capability
	BareName = "bare" // has none
)

// ClientSecret is the application's, as AppFields gives it.
const ClientSecret = "canary-client-secret-0d1f"

// ConsentHost is where browsers are sent, and StoreHost where they come from.
const (
	ConsentHost = "https://consent.acme.example"
	StoreHost   = "https://store.acme.example"
)

// OwnSecret is the secret of a client that an entry brings along, and Signature is what its reads need.
const (
	OwnSecret = "canary-own-secret-77b2"
	Signature = "canary-signature-5ac0"
)

// OwnClient are the members of an entry that brings a client of its own along, of a provider with OwnClients.
func OwnClient(id string) []any {
	return []any{FieldClient, id, FieldSecret, OwnSecret, FieldSignature, Signature}
}

// AppFields registers the application.
func AppFields() admin.Fields {
	return Fields("application_id", "app-1", "client_id", "client-1", "client_secret", ClientSecret)
}

func raw(v any) json.RawMessage {
	if given, ok := v.(json.RawMessage); ok {
		return given
	}
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

// Adapter is a provider with every capability.
type Adapter struct {
	upstream   *Upstream
	options    Options
	descriptor provider.Descriptor
}

var (
	_ provider.Authorizer       = (*Adapter)(nil)
	_ provider.Redirector       = (*Adapter)(nil)
	_ provider.AppValidator     = (*Adapter)(nil)
	_ provider.Storefront       = (*Adapter)(nil)
	_ provider.TokenSource      = (*Adapter)(nil)
	_ provider.Identifier       = (*Adapter)(nil)
	_ provider.Reader           = (*Adapter)(nil)
	_ provider.Confirmer        = (*Adapter)(nil)
	_ provider.Prober           = (*Adapter)(nil)
	_ provider.Librarian        = (*Adapter)(nil)
	_ provider.ConnectorChecker = (*Adapter)(nil)
	_ provider.Rotator          = (*Adapter)(nil)
)

func newAdapter(u *Upstream, o Options) *Adapter {
	a := &Adapter{upstream: u, options: o, descriptor: provider.Descriptor{
		Name: Name, Title: "Acme", PKCE: true, Rotates: true, CodeLife: 5 * time.Minute, AuthorizationLife: 365 * 24 * time.Hour,
		SecretLife: 180 * 24 * time.Hour, SecretOverlap: 7 * 24 * time.Hour,
		Modes: []record.Mode{record.Browser, record.ResultURL, record.Appstore, record.RefreshToken},
		AppFields: []provider.Field{{Name: "application_id", Label: "Application id", Required: true}, {Name: "client_id", Label: "Client id", Required: true},
			{Name: "client_secret", Label: "Client secret", Required: true, Secret: true}},
		Fields: []provider.Field{{Name: "region", Label: "Region", Fixed: true}, {Name: "marketplace", Label: "Marketplace"},
			{Name: "account_type", Label: "Account type", Fixed: true}, {Name: "memo", Label: "Memo"}},
		Regions:  []provider.Region{{Code: "eu", Title: "Europe", Marketplaces: []provider.Marketplace{{ID: "M1", Country: "DE", Name: "DE"}, {ID: "M2", Country: "FR", Name: "FR"}}}, {Code: "na", Title: "America", Marketplaces: []provider.Marketplace{{ID: "M9", Country: "US", Name: "US"}}}},
		Settings: []provider.Setting{{Name: "marketplaces"}}, Resources: resources(), Notes: []string{"It exists nowhere."}}}
	for _, change := range o.Describe {
		change(&a.descriptor)
	}
	return a
}

func resources() []resource.Resource {
	paging := resource.Paging{Param: "page_token", Next: "next", Size: "page_size", MaxSize: 50}
	expiring := paging
	expiring.TokenTTL = time.Minute
	markets := resource.Filter{Name: "marketplaces", List: resource.CSV, Default: "$marketplaces"}
	include := resource.Filter{Name: "include", List: resource.CSV}
	return []resource.Resource{
		{Name: "orders", Title: "Orders",
			List: &resource.Operation{ID: "listOrders", Path: "/orders", Items: "orders", Paging: paging,
				Filters:  []resource.Filter{markets, include, {Name: "status", List: resource.CSV}, {Name: "since"}},
				Personal: []string{"buyer.name", "buyer.email", "ship.*"}, PersonalValues: map[string][]string{"include": {"BUYER"}}},
			Item: &resource.Operation{ID: "getOrder", Path: "/orders/{item}", Items: "order", Filters: []resource.Filter{include},
				Personal: []string{"buyer.name", "buyer.email", "ship.*"}}},
		{Name: "parts", Title: "Parts of an order", Item: &resource.Operation{ID: "listParts", Path: "/orders/{item}/parts", Items: "parts", Paging: paging}},
		{Name: "scarce", Title: "Scarce things", List: &resource.Operation{ID: "listScarce", Path: "/scarce", Items: "things", Paging: paging, Rate: 1, Burst: 2}},
		{Name: "fleeting", Title: "Fleeting things", List: &resource.Operation{ID: "listFleeting", Path: "/fleeting", Items: "things", Paging: expiring}},
		{Name: "people", Title: "People", List: &resource.Operation{ID: "listPeople", Path: "/people", Items: "people", PersonalWhole: true}},
		{Name: "eager", Title: "Asks for buyers by itself", List: &resource.Operation{ID: "listEager", Path: "/eager", Items: "things",
			Filters: []resource.Filter{{Name: "include", List: resource.CSV, Default: "BUYER,LINES"}}, PersonalValues: map[string][]string{"include": {"BUYER"}}}},
		{Name: "plans", Title: "Plans", List: &resource.Operation{ID: "listPlans", Path: "/plans", Items: "plans", Grantless: "plans:read"}},
		{Name: "for-vendors", Title: "For vendors", List: &resource.Operation{ID: "listForVendors", Path: "/vendors", Accounts: []string{"vendor"}}},
		{Name: "reports", Title: "Reports", Document: true,
			Item:   &resource.Operation{ID: "getReport", Path: "/reports/{item}"},
			Create: &resource.Operation{ID: "createReport", Method: http.MethodPost, Path: "/reports", Personal: []string{"buyer"}, Filters: []resource.Filter{{Name: "kind", In: resource.InBody, Required: true}}}},
	}
}

// Descriptor implements provider.Adapter.
func (a *Adapter) Descriptor() *provider.Descriptor { return &a.descriptor }

// Normalize implements provider.Adapter.
func (a *Adapter) Normalize(entry *record.Entry) error {
	if entry.Settings["region"] == "" {
		entry.Settings["region"] = "eu"
	}
	if !slices.Contains([]string{"eu", "na"}, entry.Settings["region"]) {
		return fault.New(fault.Invalid, "invalid_field", "Acme has no such region.").On("region").Do("Use eu or na.")
	}
	if a.descriptor.AppFlag == "" {
		return nil
	}
	shared := a.descriptor.UsesApp(*entry)
	if shared == (entry.Settings[FieldClient] != "") {
		return fault.New(fault.Invalid, "invalid_field", "There is no client, or there are two.").On(FieldClient).Do("Give one.")
	}
	if shared == entry.HasSecret(FieldSecret) {
		return fault.New(fault.Invalid, "invalid_field", "There is no client secret, or there are two.").On(FieldSecret).Do("Give one.")
	}
	return nil
}

// RedirectURI implements provider.Redirector.
func (a *Adapter) RedirectURI(entry record.Entry) string { return entry.Settings[FieldCallback] }

// client is the OAuth client that an entry uses.
func (a *Adapter) client(entry record.Entry, app record.App) string {
	if a.descriptor.UsesApp(entry) {
		return app.Fields[FieldClient]
	}
	return entry.Settings[FieldClient]
}

// ConsentURL implements provider.Authorizer.
func (a *Adapter) ConsentURL(c provider.Consent) (string, error) {
	return oauth.Query(ConsentHost+"/authorize", url.Values{"client_id": {a.client(c.Entry, c.App)}, "state": {c.State.Reveal()},
		"redirect_uri": {c.RedirectURI}, "code_challenge": {c.Challenge}})
}

// ParseCallback implements provider.Authorizer.
func (a *Adapter) ParseCallback(query url.Values) (provider.Callback, error) {
	out := provider.Callback{State: secret.New(query.Get("state")), Code: secret.New(query.Get("code")), Denied: query.Get("error"),
		Claims: map[string]string{"account": query.Get("account")}}
	if out.State.IsZero() || out.Denied == "" && out.Code.IsZero() {
		return out, fault.New(fault.Invalid, "result_url_incomplete", "The address holds no state or no code.").On("result_url").Do("Copy all of it.")
	}
	return out, nil
}

// ValidateApp implements provider.AppValidator.
func (a *Adapter) ValidateApp(fields map[string]string, _ map[string]secret.Text) error {
	if !strings.HasPrefix(fields["application_id"], "app-") {
		return fault.New(fault.Invalid, "invalid_field", "This is no application id.").On("application_id").Do("It begins with app-.")
	}
	return nil
}

// ParseLogin implements provider.Storefront.
func (a *Adapter) ParseLogin(query url.Values) (provider.Login, error) {
	login := provider.Login{Callback: query.Get("go_on"), State: query.Get("store_state"), Account: query.Get("account")}
	if !strings.HasPrefix(login.Callback, StoreHost+"/") || login.State == "" {
		return login, fault.New(fault.Invalid, "invalid_field", "This is no page of Acme's store.").On("go_on").Do("Begin again at the store.")
	}
	return login, nil
}

// ContinueURL implements provider.Storefront.
func (a *Adapter) ContinueURL(login provider.Login, redirectURI string, state secret.Text) (string, error) {
	return oauth.Query(login.Callback, url.Values{"store_state": {login.State}, "state": {state.Reveal()}, "redirect_uri": {redirectURI}})
}

// TokenClient implements provider.TokenSource.
func (a *Adapter) TokenClient(entry record.Entry, app provider.AppCredentials) oauth.Client {
	c := oauth.Client{HTTP: a.upstream.Client, TokenURL: a.upstream.URL + "/token", ID: a.client(entry, app.App), Secret: app.Secrets[FieldSecret],
		Claims: a.options.Claims}
	if a.options.Revokes {
		c.RevokeURL = a.upstream.URL + "/revoke"
	}
	return c
}

// Identify implements provider.Identifier.
func (a *Adapter) Identify(ctx context.Context, _ record.Entry, claims map[string]string, call provider.Caller) (record.Account, error) {
	answer, err := call(ctx, provider.Call{Op: resource.Operation{ID: "me", Path: "/me"}, Params: url.Values{}})
	if err != nil {
		return record.Account{}, err
	}
	id := gjson.GetBytes(answer.Body, "id").String()
	account := record.Account{ID: id, Name: "Account " + id, Identity: record.Verified}
	for _, member := range gjson.GetBytes(answer.Body, "members").Array() {
		account.Members = append(account.Members, record.Member{Kind: SettingBusiness, ID: member.String(), Active: true})
	}
	for _, name := range a.options.Claims {
		if account.Details == nil {
			account.Details = map[string]string{}
		}
		account.Details[name] = claims[name]
	}
	return account, nil
}

// BaseURL implements provider.Reader.
func (a *Adapter) BaseURL(entry record.Entry) string {
	return a.upstream.URL + "/" + entry.Settings["region"]
}

// Resolve implements provider.Reader.
func (a *Adapter) Resolve(name string, target provider.Target, _ time.Time) []string {
	if name != "$marketplaces" {
		return nil
	}
	if named := target.Connector.Settings["marketplaces"]; len(named) > 0 {
		return named
	}
	return []string{"M1"}
}

// Sign implements provider.Reader.
func (a *Adapter) Sign(r *http.Request, on provider.Session, _ provider.Call, _ time.Time) error {
	r.Header.Set("Authorization", "Bearer "+on.Access.Reveal())
	if named := on.Connector.Settings[SettingBusiness]; len(named) == 1 {
		r.Header.Set(EchoHeader, named[0])
	}
	if !a.descriptor.ReadsNeedSecrets() {
		return nil
	}
	signature, ok := on.Secrets[FieldSignature]
	if !ok {
		return fault.New(fault.Misconfigured, "client_misconfigured", "There is no signature.").Do("Set " + FieldSignature + ".")
	}
	r.Header.Set("X-Signature", signature.Reveal())
	return nil
}

// Confirm implements provider.Confirmer.
func (a *Adapter) Confirm(on provider.Session, _ provider.Call, header http.Header) error {
	named := on.Connector.Settings[SettingBusiness]
	if !a.options.Echo || len(named) == 0 || header.Get(EchoHeader) == named[0] {
		return nil
	}
	return fault.New(fault.Refused, "business_mismatch", "Acme answered for another business.").Do("Tell the operator.")
}

// Judge implements provider.Reader.
func (a *Adapter) Judge(status int, header http.Header, body []byte) provider.Verdict {
	said := provider.Verdict{}
	detail := fault.Provider{Status: status, Code: gjson.GetBytes(body, "code").String(), Details: gjson.GetBytes(body, "details").String(),
		RequestID: header.Get("X-Request-Id")}
	switch {
	case status == http.StatusUnauthorized:
		said.TokenRejected = true
		said.Fault = fault.New(fault.Refused, "provider_refused", "Acme takes no such token.").Do("Authorize again.")
	case status == http.StatusTooManyRequests:
		after, _ := strconv.Atoi(header.Get("Retry-After"))
		said.Fault = fault.New(fault.RateLimited, "rate_limited", "Acme's limit is used up.").Do("Wait.").After(time.Duration(after) * time.Second)
	case detail.Code == NotEnrolled:
		said.Fault = fault.New(fault.Invalid, "provider_refused", "Acme does not take this.").Do("Read what it said.")
	case status >= http.StatusInternalServerError:
		said.Fault = fault.New(fault.Unavailable, "provider_unavailable", "Acme cannot answer just now.").Do("Try again.")
	default:
		said.Fault = fault.New(fault.Refused, "provider_refused", "Acme refused.").Do("Read what it said.")
	}
	_ = said.Fault.Said(detail)
	return said
}

// Meta implements provider.Reader.
func (a *Adapter) Meta(header http.Header) (requestID string, rate float64) {
	rate, _ = strconv.ParseFloat(header.Get("X-Rate"), 64)
	return header.Get("X-Request-Id"), rate
}

// Probes implements provider.Prober.
func (a *Adapter) Probes(provider.Target, time.Time) []provider.Probe {
	orders, _ := a.descriptor.Resource("orders")
	scarce, _ := a.descriptor.Resource("scarce")
	return []provider.Probe{{Resource: "orders", Op: *orders.List, Params: url.Values{}}, {Resource: "scarce", Op: *scarce.List, Params: url.Values{}}}
}

// Locate implements provider.Librarian.
func (a *Adapter) Locate(ctx context.Context, _ provider.Target, _ resource.Resource, item string, personal bool, call provider.Caller) (provider.Document, error) {
	answer, err := call(ctx, provider.Call{Op: resource.Operation{ID: "locate", Path: "/reports/{item}/place"}, Params: url.Values{"item": {item}}})
	if err != nil {
		return provider.Document{}, err
	}
	body := gjson.ParseBytes(answer.Body)
	if body.Get("behind").Bool() {
		call := provider.Call{Op: resource.Operation{ID: "fetch", Path: "/reports/{item}/bytes"}, Params: url.Values{"item": {item}}, Accept: "text/csv"}
		return provider.Document{Call: &call, Gzip: body.Get("gzip").Bool(), Personal: body.Get("personal").Bool()}, nil
	}
	return provider.Document{URL: secret.New(body.Get("url").String()), Gzip: body.Get("gzip").Bool(), Personal: body.Get("personal").Bool(),
		Life: time.Duration(body.Get("life").Int()) * time.Second}, nil
}

// CheckConnector implements provider.ConnectorChecker.
func (a *Adapter) CheckConnector(_ record.Entry, _ *record.Account, c *record.Connector) error {
	for _, id := range c.Settings["marketplaces"] {
		if id != "M1" && id != "M2" {
			return fault.New(fault.Invalid, "unknown_marketplace", "Acme has no such marketplace.").On("marketplaces").Do("Use M1 or M2.")
		}
	}
	return nil
}

// bare is a provider with no capability at all.
type bare struct{}

func (bare) Descriptor() *provider.Descriptor {
	return &provider.Descriptor{Name: BareName, Title: "Bare", Fields: []provider.Field{{Name: "token", Label: "A name that the API has too"},
		{Name: "account", Label: "Another"}, {Name: "tint", Label: "One of its own"}}}
}

func (bare) Normalize(entry *record.Entry) error {
	entry.Settings = maps.Clone(entry.Settings)
	return nil
}
