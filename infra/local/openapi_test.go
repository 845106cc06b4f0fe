package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"connectorvault/infra/local/gateway"
	amazonsim "connectorvault/infra/sim/amazon"
	sagesim "connectorvault/infra/sim/sage"
	"connectorvault/shared/openapi/openapitest"
	"connectorvault/shared/route"
)

// performance sends the examples of the document to the program. What is called by chance has one name in the document and
// another one here; whichever stand at one place of an answer are the same thing from then on.
type performance struct {
	t       *testing.T
	v       *vault
	doc     *openapitest.Document
	here    map[string]string // by the document's names
	there   map[string]string // by the names here
	known   *strings.Replacer // of names here
	last    answer
	browser string // the cookie of the one that began
}

// step is one example; before prepares it, and with are parameters of an example that has no place for them.
type step struct {
	operation, name string
	before          func(p *performance)
	with            map[string]any
	as              string // the document's text of a key or connector token; "" is the owner's
}

// theExamples are all of the document's, in an order in which each finds what it needs.
var theExamples = []step{
	{operation: "getOpenAPI"},
	{operation: "listProviders", name: "all"},
	{operation: "getProvider", name: "amazon"},
	{operation: "preflight", name: "missing"},
	{operation: "putProviderApp", name: "amazon"},
	{operation: "putProviderApp", name: "sage"},
	{operation: "listProviderApps", name: "one"},
	{operation: "preflight", name: "ready"},

	{operation: "createWebhook", name: "some"},
	{operation: "createWebhook", name: "inside"},
	{operation: "listWebhooks", name: "all"},
	{operation: "getWebhook", name: "one"},
	{operation: "rotateWebhookSecret", name: "rotated"},
	{operation: "updateWebhook", name: "off"},
	{operation: "testWebhook", name: "sent", before: func(p *performance) {
		p.v.must(200, "PATCH", "/v1/webhooks/"+p.here["wh_1000000000000001"], object{"disabled": false})
	}},
	{operation: "deleteWebhook"},

	{operation: "createVaultEntry", name: "amazon"},
	{operation: "createVaultEntry", name: "aliasTaken"},
	{operation: "createVaultEntry", name: "noSuchMarketplace"},
	{operation: "createConnectorToken", name: "handed"},
	{operation: "listConnectorTokens", name: "all"},
	{operation: "getConnectorToken", name: "one"},
	{operation: "createVaultEntry", name: "withToken", as: "cvt_EXAMPLE-1"},
	{operation: "createVaultEntry", name: "sage"},
	{operation: "createVaultEntry", name: "clara", before: func(p *performance) { p.project("EXAMPLE first") }},
	{operation: "createVaultEntry", name: "fromStore"},
	{operation: "createVaultEntry", name: "private"},
	{operation: "refreshVaultEntry", name: "never"},

	{operation: "authorize", name: "browser"},
	{operation: "showStartPage", before: (*performance).startLink, with: object{"handle": "EXAMPLE-handle"}},
	{operation: "continueToProvider", with: object{"handle": "EXAMPLE-handle"}},
	{operation: "oauthCallback", before: (*performance).comeBack, with: object{"state": "EXAMPLE-state",
		"selling_partner_id": "EXAMPLE-selling_partner_id", "spapi_oauth_code": "EXAMPLE-spapi_oauth_code"}},
	{operation: "authorize", name: "resultURL"},
	{operation: "validate", name: "foreign"},
	{operation: "validate", name: "pasted", before: func(p *performance) {
		p.call("https://vault.example.com/oauth/amazon/callback?state=EXAMPLE&selling_partner_id=EXAMPLE&spapi_oauth_code=EXAMPLE",
			p.v.giveConsent(p.here["https://consent.example.com/EXAMPLE-1"]))
	}},
	{operation: "authorize", name: "resultURLSage"},
	{operation: "validate", name: "pastedSage", before: func(p *performance) {
		p.call("https://vault.example.com/oauth/sage/callback?code=EXAMPLE&country=GB&state=EXAMPLE", p.v.allow(p.here["https://consent.example.com/EXAMPLE-2"], sagesim.UserGB))
	}},
	{operation: "storeLogin", before: (*performance).visitStore, with: object{"amazon_callback_uri": "EXAMPLE-amazon_callback_uri",
		"amazon_state": "EXAMPLE-amazon_state", "selling_partner_id": "EXAMPLE-selling_partner_id", "version": "EXAMPLE-version"}},
	{operation: "authorize", name: "appstore", before: (*performance).shownHandle},
	{operation: "authorize", name: "refreshToken", before: (*performance).ownToken},

	{operation: "getVaultEntry", name: "active"},
	{operation: "listVaultEntries", name: "ofSage"},
	{operation: "listVaultEntries", name: "otherCursor"},
	{operation: "updateVaultEntry", name: "renamed"},
	{operation: "refreshVaultEntry", name: "refreshed"},
	{operation: "checkVaultEntry", name: "works"},

	{operation: "addCredential", name: "next", before: func(p *performance) { p.project("EXAMPLE next") }},
	{operation: "listCredentials", name: "two"},
	{operation: "promoteCredential", name: "promoted"},
	{operation: "deleteCredential", with: object{"id": "ve_1000000000000004", "number": 3}, before: func(p *performance) {
		p.v.must(201, "POST", "/v1/vault-entries/"+p.here["ve_1000000000000004"]+"/credentials",
			object{"download": p.v.claraProject(object{"country": "mx", "side": "production"})})
	}},

	{operation: "createConnector", name: "amazon"},
	{operation: "createConnector", name: "sage"},
	{operation: "listConnectors", name: "ofEntry"},
	{operation: "getConnector", name: "one"},
	{operation: "getConnector", name: "unknown"},
	{operation: "updateConnector", name: "renamed"},

	{operation: "createKey", name: "reader"},
	{operation: "createKey", name: "again"},
	{operation: "listKeys", name: "all"},
	{operation: "getKey", name: "one"},
	{operation: "listKeys", name: "reader", as: "cvk_EXAMPLE-1"},

	{operation: "listItems", name: "invoices"},
	{operation: "listItems", name: "lines"},
	{operation: "listItems", name: "inventory"},
	{operation: "listItems", name: "unknownFilter"},
	{operation: "listItems", name: "unknownResource"},
	{operation: "createItem", name: "report"},
	{operation: "getItem", name: "report", before: func(p *performance) { p.v.advance(10 * time.Minute) }},
	{operation: "getDocument", name: "part"},
	{operation: "getDocument", name: "whole"},

	{operation: "listEvents", name: "first"},
	{operation: "listEvents", name: "next"},
	{operation: "listAuditEvents", name: "ofEntry"},

	{operation: "deleteVaultEntry", name: "inUse"},
	{operation: "deleteVaultEntry", with: object{"id": "ve_1000000000000006"}},
	{operation: "deleteConnector", with: object{"id": "con_1000000000000002"}},
	{operation: "revokeKey"},
	{operation: "revokeConnectorToken"},
	{operation: "rotateProviderAppSecret", name: "asked"},
}

// TestExamplesOfTheDocumentWork sends every example to the running program, and holds each answer against its schema and
// against the answer that the document shows.
func TestExamplesOfTheDocumentWork(t *testing.T) {
	t.Parallel()
	doc, err := openapitest.Read()
	if err != nil {
		t.Fatal(err)
	}
	p := &performance{t: t, v: start(t, t.TempDir()), doc: doc, here: map[string]string{}, there: map[string]string{}}
	for name, here := range map[string]string{"https://vault.example.com": p.v.url,
		"amzn1.sp.solution.EXAMPLE": amazonsim.SeededApplicationID, "amzn1.application-oa2-client.EXAMPLE": amazonsim.SeededClientID,
		"EXAMPLE LWA client secret": amazonsim.SeededClientSecret, "EXAMPLE-api/key": sagesim.SeedClientID, "EXAMPLE API secret": sagesim.SeedClientSecret} {
		p.call(name, here)
	}
	examples := map[string]openapitest.Example{}
	for _, o := range doc.Operations() {
		of, err := doc.Examples(o)
		if err != nil {
			t.Error(err)
		}
		for _, e := range of {
			examples[o.ID+" "+e.Name] = e
		}
	}
	if len(examples) < 75 {
		t.Errorf("there are only %d examples", len(examples))
	}
	for _, s := range theExamples {
		e, ok := examples[s.operation+" "+s.name]
		if !ok {
			t.Fatalf("the document has no example %s of %s", s.name, s.operation)
		}
		delete(examples, s.operation+" "+s.name)
		p.play(s, e)
	}
	for name := range examples {
		t.Errorf("nobody sends %s", name)
	}
	p.shared()
}

// call says what the document's name for something is here.
func (p *performance) call(name, here string) { p.here[name], p.there[here] = here, name }

// replacer puts names of one side for those of the other, the longest first.
func replacer(names map[string]string) *strings.Replacer {
	var pairs []string
	for _, name := range slices.SortedFunc(maps.Keys(names), func(a, b string) int { return len(b) - len(a) }) {
		pairs = append(pairs, name, names[name])
	}
	return strings.NewReplacer(pairs...)
}

// mapped is a value with each of its strings changed.
func mapped(value any, change func(string) string) any {
	switch v := value.(type) {
	case string:
		return change(v)
	case []any:
		out := make([]any, len(v))
		for i, item := range v {
			out[i] = mapped(item, change)
		}
		return out
	case object:
		out := object{}
		for name, item := range v {
			out[name] = mapped(item, change)
		}
		return out
	default:
		return value
	}
}

func (p *performance) play(s step, e openapitest.Example) {
	p.t.Helper()
	if s.before != nil {
		s.before(p)
	}
	what := s.operation + " " + s.name
	header := map[string]string{}
	if _, open := e.Operation.Node["security"]; !open {
		header["Authorization"] = "Bearer " + p.v.key
	}
	if s.as != "" {
		header["Authorization"] = "Bearer " + p.here[s.as]
	}
	if p.browser != "" && strings.HasPrefix(e.Operation.Key, "GET /oauth/") {
		header["Cookie"] = p.browser
	}
	method, path := p.address(s, e, header)
	var body any
	if e.Body != nil {
		if err := p.doc.Validate(e.Operation.RequestSchema(), e.Body); err != nil && e.Status < 400 {
			p.t.Errorf("%s: the request does not fit its schema: %v", what, err)
		}
		body = mapped(e.Body, replacer(p.here).Replace)
	}
	a := p.v.with(header, method, path, body)
	p.last = a
	if a.status != e.Status {
		p.t.Fatalf("%s: %s %s: %d, the document has %d: %.800s", what, method, path, a.status, e.Status, a.body)
	}
	p.compare(what, a, e.Type, e.Schema, e.Answer)
	p.fits(what, a, p.doc.Response(e.Operation, fmt.Sprint(a.status)))
}

// address fills in an operation's path, query and headers: the example's own parameters, or what the document says of each that
// must be there.
func (p *performance) address(s step, e openapitest.Example, header map[string]string) (method, path string) {
	p.t.Helper()
	method, path, _ = strings.Cut(e.Operation.Key, " ")
	given := object{}
	for _, parameter := range p.doc.Parameters(e.Operation) {
		if value, ok := parameter["example"]; ok && parameter["required"] == true {
			given[parameter["name"].(string)] = value
		}
	}
	maps.Copy(given, e.Parameters)
	maps.Copy(given, s.with)
	query := url.Values{}
	change := replacer(p.here)
	for name, value := range given {
		text := change.Replace(fmt.Sprint(value))
		switch {
		case strings.Contains(path, "{"+name+"}"):
			path = strings.ReplaceAll(path, "{"+name+"}", url.PathEscape(text))
		case name[0] >= 'A' && name[0] <= 'Z':
			header[name] = text
		default:
			query.Set(name, text)
		}
	}
	if strings.Contains(path, "{") {
		p.t.Fatalf("%s %s: not all of %s is known", s.operation, s.name, path)
	}
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return method, path
}

// fits holds headers and the kind of content against what the document says of the response.
func (p *performance) fits(what string, a answer, response object) {
	p.t.Helper()
	content, _ := response["content"].(object)
	kind, _, _ := strings.Cut(a.header.Get("Content-Type"), ";")
	_, known := content[kind]
	_, whatever := content["*/*"]
	if !known && !whatever && (len(a.body) > 0 || len(content) > 0) {
		p.t.Errorf("%s: %q is none of the document's kinds of content", what, kind)
	}
	headers, _ := response["headers"].(object)
	for name := range headers {
		if a.header.Get(name) == "" && name != "Retry-After" {
			p.t.Errorf("%s has no %s", what, name)
		}
	}
}

// compare holds a body against its schema, and against the example.
func (p *performance) compare(what string, a answer, kind, schema string, want any) {
	p.t.Helper()
	switch kind {
	case "":
	case "application/json", "application/problem+json":
		var got any
		if err := json.Unmarshal(a.body, &got); err != nil {
			p.t.Fatalf("%s: %v", what, err)
		}
		p.same(what, schema, want, got)
	case "application/x-ndjson":
		wanted, had := lines(p.t, fmt.Sprint(want)), lines(p.t, string(a.body))
		end := len(had) - 1
		if err := p.doc.Validate("/components/schemas/StreamEnd", had[end]); err != nil {
			p.t.Errorf("%s: %v", what, err)
		}
		p.same(what, schema, object{"items": wanted[:len(wanted)-1], "end": wanted[len(wanted)-1]}, object{"items": had[:end], "end": had[end]})
	default: // of the whole the document shows the beginning
		text := string(a.body)
		if text != want && (a.status != http.StatusOK || !strings.HasPrefix(text, fmt.Sprint(want)) || want == "") {
			p.t.Errorf("%s: %.300q, the document has %q", what, text, want)
		}
	}
}

func lines(t *testing.T, text string) (out []any) {
	t.Helper()
	for _, line := range strings.Split(strings.TrimSpace(text), "\n") {
		var item any
		if err := json.Unmarshal([]byte(line), &item); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		out = append(out, item)
	}
	return out
}

func (p *performance) same(what, schema string, want, got any) {
	p.t.Helper()
	if !strings.Contains(schema, "x-ndjson") {
		if err := p.doc.Validate(schema, got); err != nil {
			p.t.Errorf("%s: the answer does not fit its schema: %v", what, err)
		}
		if err := p.doc.Validate(schema, want); err != nil {
			p.t.Errorf("%s: the example does not fit its schema: %v", what, err)
		}
	}
	learned := map[string]string{}
	p.known = replacer(p.there)
	if err := p.equal("", want, got, learned); err != nil {
		shown, _ := json.MarshalIndent(mapped(got, p.known.Replace), "", "  ")
		p.t.Errorf("%s: %v\n%.3000s", what, err, shown)
	}
	for name, here := range learned {
		p.call(name, here)
	}
}

var (
	identifier = regexp.MustCompile(`^(ve|con|key|ct|wh|ev|ae|ar)_[0-9a-z]{16}$`)
	// chance are members whose value is another one each time; it may be asked for by what it is called later on.
	chance = []string{"key", "token", "secret", "prefix", "cursor", "next_cursor", "start_url", "oauth_request_url", "reportId", "reportDocumentId"}
	// passing are members of which nothing but their presence can be said.
	passing = []string{"request_id", "fingerprint", "token_key", "subject", "issuer"}
)

// equal compares an answer with the document's. Of a list the document may leave out what would not fit on a page, but it shows
// some of one that has something; of an object nothing is left out.
func (p *performance) equal(path string, want, got any, learned map[string]string) error {
	switch w := want.(type) {
	case object:
		g, ok := got.(object)
		if !ok {
			return fmt.Errorf("%s is no object", path)
		}
		for _, name := range slices.Sorted(maps.Keys(g)) {
			if _, ok := w[name]; !ok {
				return fmt.Errorf("%s.%s is not in the document", path, name)
			}
		}
		for _, name := range slices.Sorted(maps.Keys(w)) {
			value, ok := g[name]
			if !ok {
				return fmt.Errorf("%s.%s is in the document alone", path, name)
			}
			if err := p.equal(path+"."+name, w[name], value, learned); err != nil {
				return err
			}
		}
		return nil
	case []any:
		g, ok := got.([]any)
		if !ok || len(w) == 0 && len(g) > 0 {
			return fmt.Errorf("%s is not such a list", path)
		}
		return p.within(path, w, g, learned)
	case string:
		g, ok := got.(string)
		if !ok {
			return fmt.Errorf("%s is %v, the document has %q", path, got, w)
		}
		return p.text(path, w, g, learned)
	default:
		if want != got {
			return fmt.Errorf("%s is %v, the document has %v", path, got, want)
		}
		return nil
	}
}

// within finds each of the document's elements, in their order.
func (p *performance) within(path string, want, got []any, learned map[string]string) error {
	next := 0
	for i, w := range want {
		var first error
		found := false
		for ; next < len(got) && !found; next++ {
			trial := maps.Clone(learned)
			err := p.equal(fmt.Sprintf("%s[%d]", path, i), w, got[next], trial)
			if found = err == nil; found {
				maps.Copy(learned, trial)
			}
			first = errors.Join(first, err)
		}
		if !found {
			return fmt.Errorf("%s[%d] is not there: %w", path, i, first)
		}
	}
	return nil
}

func (p *performance) text(path, want, got string, learned map[string]string) error {
	name := path[strings.LastIndex(path, ".")+1:]
	switch {
	case want == p.known.Replace(got):
		return nil
	case moment(want) && moment(got), slices.Contains(passing, name) && want != "" && got != "":
		return nil
	case identifier.MatchString(want) && identifier.MatchString(got) && want[:3] == got[:3], slices.Contains(chance, name):
		known, twice := learned[want]
		if p.here[want] == "" && p.there[got] == "" && (!twice || known == got) {
			learned[want] = got
			return nil
		}
	}
	return fmt.Errorf("%s is %q, the document has %q", path, got, want)
}

func moment(text string) bool {
	_, err := time.Parse(time.RFC3339, text)
	return err == nil
}

// startLink names the handle of the start link that was answered last.
func (p *performance) startLink() {
	p.t.Helper()
	link := p.here["https://vault.example.com/oauth/start/EXAMPLE-1"]
	p.call("EXAMPLE-handle", link[strings.LastIndex(link, "/")+1:])
}

// comeBack gives consent in the browser that went on, and names what the provider sends it back with.
func (p *performance) comeBack() {
	p.t.Helper()
	p.browser, _, _ = strings.Cut(p.last.header.Get("Set-Cookie"), ";")
	p.query(p.v.giveConsent(p.last.header.Get("Location")))
}

// query names the parameters of an address that a browser is sent to.
func (p *performance) query(address string) {
	p.t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		p.t.Fatal(err)
	}
	for name := range u.Query() {
		p.here["EXAMPLE-"+name] = u.Query().Get(name)
	}
}

// visitStore is the visit of the provider's own store, up to where it sends the browser to us.
func (p *performance) visitStore() {
	p.t.Helper()
	base, err := url.Parse(p.v.sims.Amazon.Consent)
	if err != nil {
		p.t.Fatal(err)
	}
	b := newBrowser(p.t)
	b.open(base.Scheme + "://" + base.Host + "/apps/store/" + amazonsim.SeededApplicationID)
	values, _ := b.form("")
	values.Set("login_uri", p.v.url+"/oauth/amazon/login")
	request, err := http.NewRequest(http.MethodPost, b.at.String(), strings.NewReader(values.Encode()))
	if err != nil {
		p.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	b.send(request)
	p.query(b.last.Header.Get("Location"))
}

// shownHandle names the handle that the page shows.
func (p *performance) shownHandle() {
	p.t.Helper()
	found := handleOnPage.FindSubmatch(p.last.body)
	if found == nil {
		p.t.Fatalf("the page shows no handle: %.500s", p.last.body)
	}
	p.call("EXAMPLE-visit", string(found[1]))
}

// ownToken names the refresh token of a private application.
func (p *performance) ownToken() {
	p.t.Helper()
	var token struct {
		RefreshToken string `json:"refresh_token"`
		Seller       string `json:"selling_partner_id"`
	}
	a := p.v.sim("POST", "/_sim/self-authorizations", object{"application_id": amazonsim.SeededApplicationID, "selling_partner_id": "A1SYNSELLERNA1", "region": "na"})
	if err := json.Unmarshal(a.body, &token); err != nil {
		p.t.Fatal(err)
	}
	p.call("Atzr|EXAMPLE", token.RefreshToken)
}

// project names the parts of a new API project of Clara's.
func (p *performance) project(mark string) {
	p.t.Helper()
	project := p.v.claraProject(object{"country": "mx", "side": "production"})
	if credentials, ok := project["credentials"].(object); ok {
		project = credentials
	}
	for ours, theirs := range map[string]string{"token key": "clientId", "secret key": "clientSecret", "certificate": "publicKey", "private key": "privateKey"} {
		value, ok := project[theirs].(string)
		if !ok {
			p.t.Fatalf("the project has no %s: %v", theirs, slices.Collect(maps.Keys(project)))
		}
		p.call(mark+" "+ours, value)
	}
}

// unheard are answers of the gateway that nothing on one machine makes, or not within the time of a test: its throttle, and the
// end of its patience with a function.
var unheard = []string{"TooMany gateway", "Unavailable gateway"}

// shared provokes the answers that many operations have.
func (p *performance) shared() {
	p.t.Helper()
	owner := map[string]string{"Authorization": "Bearer " + p.v.key}
	as := func(header map[string]string, method, path string, body any) func() answer {
		return func() answer { return p.v.with(header, method, path, body) }
	}
	provoke := map[string]func() answer{
		"NoKey gateway":     as(nil, "GET", "/v1/providers", nil),
		"Forbidden gateway": as(map[string]string{"Authorization": "Bearer cvk_nobody"}, "GET", "/v1/providers", nil),
		"Forbidden role": func() answer {
			reader := p.v.must(201, "POST", "/v1/keys", object{"role": "reader", "label": "somebody"}).text(p.t, "key")
			return p.v.with(map[string]string{"Authorization": "Bearer " + reader}, "GET", "/v1/vault-entries", nil)
		},
		"NotFound gateway":      as(owner, "GET", "/v1/nothing", nil),
		"NotFound unknownEntry": as(owner, "GET", "/v1/vault-entries/ve_0000000000000000", nil),
		"Invalid unknownMember": as(owner, "POST", "/v1/connectors", object{"nmae": "Orders"}),
		"Conflict reused": func() answer {
			with := map[string]string{"Idempotency-Key": "EXAMPLE-idempotency", "Authorization": owner["Authorization"]}
			p.v.with(with, "POST", "/v1/connector-tokens", object{"providers": []string{"sage"}, "environment": "test", "uses": 1, "expires_in_hours": 1})
			return p.v.with(with, "POST", "/v1/connector-tokens", object{"providers": []string{"sage"}, "environment": "test", "uses": 2, "expires_in_hours": 1})
		},
		"TooLarge gateway": as(owner, "POST", "/v1/connectors", strings.Repeat(" ", 10<<20+1)),
		"TooLarge body":    as(owner, "POST", "/v1/connectors", strings.Repeat(" ", 256<<10+1)),
		"TooMany rate": func() (a answer) {
			p.v.sim("POST", "/_sim/rates", object{"unlimited": true}) // so that it is our word and not the provider's
			var asking sync.WaitGroup
			answers := make([]answer, 50) // at once, since its burst is two, and two a second follow
			for i := range answers {
				asking.Go(func() {
					answers[i], _ = p.v.try(owner, "GET", p.v.url+"/v1/connectors/"+p.here["con_1000000000000001"]+"/inventory", nil)
				})
			}
			asking.Wait()
			for _, a = range answers {
				if a.status == http.StatusTooManyRequests {
					break
				}
			}
			return a
		},
		"Failed gateway": func() answer {
			g := gateway.New(gateway.Config{Now: time.Now, Random: strings.NewReader(strings.Repeat("x", 64)), Logger: slog.New(slog.DiscardHandler)})
			r, w := httptest.NewRequest(http.MethodGet, "/openapi.yaml", nil), httptest.NewRecorder()
			g.Functions = map[route.Function]gateway.Function{route.Callback: func(context.Context, []byte) ([]byte, error) {
				return nil, errors.New("it fails")
			}}
			g.ServeHTTP(w, r)
			return answer{w.Code, w.Header(), w.Body.Bytes()}
		},
	}
	statuses := map[string]int{"NoKey": 401, "Forbidden": 403, "NotFound": 404, "Invalid": 400, "Conflict": 409, "TooLarge": 413, "TooMany": 429, "Failed": 500}
	for _, e := range p.doc.SharedExamples() {
		what := e.Response + " " + e.Name
		if slices.Contains(unheard, what) {
			if err := p.doc.Validate(e.Schema, e.Answer); err != nil {
				p.t.Errorf("%s: %v", what, err)
			}
			continue
		}
		if provoke[what] == nil {
			p.t.Errorf("nobody provokes %s", what)
			continue
		}
		a := provoke[what]()
		delete(provoke, what)
		if a.status != statuses[e.Response] || !strings.HasPrefix(a.header.Get("Content-Type"), e.Type) {
			p.t.Errorf("%s: %d %s", what, a.status, a.header.Get("Content-Type"))
		}
		p.compare(what, a, e.Type, e.Schema, e.Answer)
	}
	for what := range provoke {
		p.t.Errorf("the document has no %s", what)
	}
}
