package sage_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"connectorvault/shared/fault"
	"connectorvault/shared/provider"
	"connectorvault/shared/provider/sage"
	"connectorvault/shared/record"
	"connectorvault/shared/resource"
	"connectorvault/shared/secret"
)

func noon() time.Time { return time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC) }

// list is the list operation of a resource.
func list(t *testing.T, name string) resource.Operation {
	t.Helper()
	res, ok := sage.New(sage.Options{}).Descriptor().Resource(name)
	if !ok || res.List == nil {
		t.Fatalf("there is no list of %s", name)
	}
	return *res.List
}

// unscoped are the operations that belong to no business.
func unscoped() []string {
	return []string{"getBusinesses", "getBusinessesKey", "getBusinessesLead", "getUser"}
}

func everyOperation() []resource.Operation {
	var all []resource.Operation
	for _, r := range sage.New(sage.Options{}).Descriptor().Resources {
		for _, op := range []*resource.Operation{r.List, r.Item} {
			if op != nil {
				all = append(all, *op)
			}
		}
	}
	return all
}

func session(entry record.Entry, who record.Account, c record.Connector, secrets map[string]string) provider.Session {
	on := provider.Session{Target: provider.Target{Entry: entry, Account: who, Connector: c}, Access: secret.New("canary-access"), Secrets: map[string]secret.Text{}}
	for name, value := range secrets {
		on.Secrets[name] = secret.New(value)
	}
	return on
}

func signed(t *testing.T, a *sage.Adapter, on provider.Session, op resource.Operation) (http.Header, error) {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, "https://api.example/v3.1/contacts?page=2", nil)
	before := r.URL.String()
	err := a.Sign(r, on, provider.Call{Op: op, Params: url.Values{}}, noon())
	if r.URL.String() != before {
		t.Errorf("the address became %s", r.URL)
	}
	return r.Header, err
}

// Every operation of a business names it, and the few others do not.
func TestSignNamesTheBusiness(t *testing.T) {
	t.Parallel()
	a := sage.New(sage.Options{})
	for _, op := range everyOperation() {
		header, err := signed(t, a, session(shared(), account(), connectorOf(business), nil), op)
		if err != nil {
			t.Errorf("%s: %v", op.ID, err)
			continue
		}
		want := http.Header{"Authorization": {"Bearer canary-access"}, "User-Agent": {"ConnectorVault/1.0"}}
		if !slices.Contains(unscoped(), op.ID) {
			want.Set("X-Business", business)
		}
		if !maps.EqualFunc(header, want, slices.Equal[[]string]) {
			t.Errorf("%s is signed %v", op.ID, header)
		}
	}
}

// A connector that names no business reads nothing of any, and what is nobody's in particular all the same.
func TestSignWithoutABusiness(t *testing.T) {
	t.Parallel()
	a := sage.New(sage.Options{})
	nobody := account()
	nobody.Members = nil
	lapsed := account()
	lapsed.Members = lapsed.Members[:1]
	for name, on := range map[string]provider.Session{
		"no setting":        session(shared(), account(), record.Connector{ID: "con_1"}, nil),
		"an empty one":      session(shared(), account(), connectorOf(""), nil),
		"no id":             session(shared(), account(), connectorOf("x\r\nX-Business: y"), nil),
		"two":               session(shared(), account(), record.Connector{ID: "con_1", Settings: map[string][]string{"business": {business, business2}}}, nil),
		"other settings":    session(shared(), account(), record.Connector{Settings: map[string][]string{"resources": {"contacts"}}}, nil),
		"no account":        session(shared(), record.Account{}, record.Connector{}, nil),
		"no members":        session(shared(), nobody, record.Connector{}, nil),
		"none that is live": session(shared(), lapsed, record.Connector{}, nil),
	} {
		for _, op := range everyOperation() {
			header, err := signed(t, a, on, op)
			problem := fault.As(err)
			switch {
			case slices.Contains(unscoped(), op.ID):
				if err != nil || header.Get("X-Business") != "" {
					t.Errorf("%s, %s: %v, %v", name, op.ID, header, err)
				}
			case err == nil || problem.Kind != fault.Invalid || problem.Code != "invalid_field" || problem.Field != "settings.business" || header.Get("X-Business") != "":
				t.Errorf("%s, %s: %v, %v", name, op.ID, header, err)
			}
		}
	}
}

// A check of an entry has no connector: it reads the first business that is active.
func TestSignForAnEntry(t *testing.T) {
	t.Parallel()
	header, err := signed(t, sage.New(sage.Options{}), session(shared(), account(), record.Connector{}, nil), list(t, "contacts"))
	if err != nil || header.Get("X-Business") != business {
		t.Errorf("signed %v, %v", header, err)
	}
}

func TestSignLegacy(t *testing.T) {
	t.Parallel()
	a := sage.New(sage.Options{Random: bytes.NewReader(bytes.Repeat([]byte{0xab, 0x01}, 16))})
	entry := shared("profile", "legacy_v3", "country_code", "GB")
	who := record.Account{ID: site}
	want := http.Header{"Authorization": {"Bearer canary-access"}, "User-Agent": {"ConnectorVault/1.0"}, "X-Site": {site},
		"Ocp-Apim-Subscription-Key": {"sub-key"}, "Content-Type": {"application/json"}}
	header, err := signed(t, a, session(entry, who, record.Connector{}, map[string]string{"apim_subscription_key": "sub-key"}), list(t, "contacts"))
	if err != nil || !maps.EqualFunc(header, want, slices.Equal[[]string]) {
		t.Errorf("signed %v, %v", header, err)
	}
	nonces := map[string]bool{}
	for range 2 {
		header, err = signed(t, a, session(entry, who, record.Connector{}, map[string]string{"apim_subscription_key": "sub-key", "signature_secret": "sig"}), list(t, "contacts"))
		nonce, signature := header.Get("X-Nonce"), header.Get("X-Signature")
		if err != nil || !regexp.MustCompile(`^[0-9a-f]{32}$`).MatchString(nonce) || nonce != strings.Repeat("ab01", 8) || len(signature) != 28 {
			t.Errorf("signed %v, %v", header, err)
		}
		nonces[nonce+signature] = true
	}
	if len(nonces) != 1 { // the source above repeats itself
		t.Errorf("the same is signed differently: %v", nonces)
	}
}

// Nonces are drawn anew each time.
func TestNoncesDiffer(t *testing.T) {
	t.Parallel()
	a := sage.New(sage.Options{})
	on := session(shared("profile", "legacy_v3", "country_code", "GB"), record.Account{ID: site}, record.Connector{},
		map[string]string{"apim_subscription_key": "sub-key", "signature_secret": "sig"})
	seen := map[string]bool{}
	for range 20 {
		header, err := signed(t, a, on, list(t, "contacts"))
		nonce := header.Get("X-Nonce")
		if raw, bad := hex.DecodeString(nonce); err != nil || bad != nil || len(raw) != 16 || seen[nonce] {
			t.Fatalf("the nonce is %q, %v", nonce, err)
		}
		seen[nonce] = true
	}
}

func TestSignLegacyRefuses(t *testing.T) {
	t.Parallel()
	entry := shared("profile", "legacy_v3", "country_code", "GB")
	good := map[string]string{"apim_subscription_key": "sub-key"}
	full := map[string]string{"apim_subscription_key": "sub-key", "signature_secret": "canary-signature"}
	dry := sage.New(sage.Options{Random: io.MultiReader(strings.NewReader("short"), failing{})})
	for name, test := range map[string]struct {
		adapter *sage.Adapter
		account string
		secrets map[string]string
		code    string
	}{
		"no key":        {sage.New(sage.Options{}), site, nil, "client_misconfigured"},
		"no such key":   {sage.New(sage.Options{}), site, map[string]string{"apim_subscription_key": "a\r\nb"}, "client_misconfigured"},
		"no account":    {sage.New(sage.Options{}), "", good, "reauthorization_required"},
		"no identifier": {sage.New(sage.Options{}), "a b", good, "reauthorization_required"},
		"no randomness": {dry, site, full, "internal_error"},
	} {
		header, err := signed(t, test.adapter, session(entry, record.Account{ID: test.account}, record.Connector{}, test.secrets), list(t, "contacts"))
		if fault.CodeOf(err) != test.code || header.Get("X-Signature") != "" || header.Get("X-Nonce") != "" || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v, %v", name, header, err)
		}
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("dry") }

func TestConfirm(t *testing.T) {
	t.Parallel()
	a := sage.New(sage.Options{})
	current := session(shared(), account(), connectorOf(business), nil)
	older := session(shared("profile", "legacy_v3", "country_code", "GB"), record.Account{ID: site}, record.Connector{}, nil)
	tests := map[string]struct {
		on       provider.Session
		resource string
		answered []string
		passes   bool
	}{
		"the same":            {current, "contacts", []string{business}, true},
		"in upper case":       {current, "contacts", []string{strings.ToUpper(business)}, true},
		"another":             {current, "contacts", []string{business2}, false},
		"missing":             {current, "contacts", nil, false},
		"empty":               {current, "contacts", []string{""}, false},
		"both":                {current, "contacts", []string{business, business2}, false},
		"the list":            {current, "businesses", nil, true},
		"the list, another":   {current, "businesses", []string{business2}, true},
		"the leading one":     {current, "lead-business", []string{business2}, true},
		"the user":            {current, "user", nil, true},
		"business settings":   {current, "business-settings", nil, false},
		"nobody asked for":    {session(shared(), record.Account{}, record.Connector{ID: "con_1"}, nil), "contacts", []string{""}, false},
		"an entry's check":    {session(shared(), account(), record.Connector{}, nil), "contacts", []string{business}, true},
		"and for another one": {session(shared(), account(), record.Connector{}, nil), "contacts", []string{business2}, false},
		"the older API":       {older, "contacts", nil, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			header := http.Header{"X-Request-Id": {"R1"}}
			if test.answered != nil {
				header["X-Business"] = test.answered
			}
			err := a.Confirm(test.on, provider.Call{Op: list(t, test.resource)}, header)
			problem := fault.As(err)
			switch {
			case test.passes && err != nil:
				t.Error(err)
			case !test.passes && (err == nil || problem.Code != "business_mismatch" || problem.Kind != fault.Refused || problem.Action == "" ||
				problem.Provider == nil || problem.Provider.RequestID != "R1"):
				t.Errorf("got %+v", *problem)
			}
		})
	}
}

// Nothing of an answer for another business comes through a call, whatever it is.
func TestAnswersForAnotherBusinessStay(t *testing.T) {
	t.Parallel()
	for _, answered := range []string{business2, ""} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if got := r.Header.Get("X-Business"); got != business {
				t.Errorf("asked for %q", got)
			}
			if answered != "" {
				w.Header().Set("X-Business", answered)
			}
			_, _ = io.WriteString(w, `{"$items":[{"id":"canary-item"}],"$next":null}`)
		}))
		a := sage.New(sage.Options{Endpoints: sage.Endpoints{API: server.URL}})
		client := provider.Client{HTTP: server.Client(), Reader: a, Now: noon}
		answer, verdict, err := client.Do(context.Background(), session(shared(), account(), connectorOf(business), nil), provider.Call{Op: list(t, "contacts"), Params: url.Values{}})
		if fault.CodeOf(err) != "business_mismatch" || len(answer.Body) > 0 || verdict.TokenRejected {
			t.Errorf("answered for %q: %q, %v", answered, answer.Body, err)
		}
		server.Close()
	}
}

func TestMeta(t *testing.T) {
	t.Parallel()
	a := sage.New(sage.Options{})
	for want, header := range map[string]http.Header{
		"":   {"X-Amzn-Requestid": {"R0"}},
		"R1": {"X-Request-Id": {"R1"}},
		"R2": {http.CanonicalHeaderKey("x_request_id"): {"R2"}},
		"R3": {"X-Request-Id": {"R3"}, "X_request_id": {"R4"}},
	} {
		if id, rate := a.Meta(header); id != want || rate != 0 {
			t.Errorf("%v: %q, %v", header, id, rate)
		}
	}
}

// What a check asks: one small page an area, and nothing of a business where there is none to ask for.
func TestProbes(t *testing.T) {
	t.Parallel()
	a := sage.New(sage.Options{})
	areas := []string{"contacts", "sales-invoices", "ledger-accounts", "bank-accounts"}
	none := account()
	none.Members = none.Members[:1]
	for name, test := range map[string]struct {
		target provider.Target
		want   []string
	}{
		"an entry":          {provider.Target{Entry: shared(), Account: account()}, append([]string{"businesses"}, areas...)},
		"a connector":       {provider.Target{Entry: shared(), Account: account(), Connector: connectorOf(business2)}, append([]string{"businesses"}, areas...)},
		"nothing is active": {provider.Target{Entry: shared(), Account: none}, []string{"businesses"}},
		"the older API":     {provider.Target{Entry: shared("profile", "legacy_v3", "country_code", "GB"), Account: record.Account{ID: site}}, areas},
	} {
		var got []string
		for _, p := range a.Probes(test.target, noon()) {
			got = append(got, p.Resource)
			if p.Resource != "businesses" && p.Params.Get("items_per_page") != "1" {
				t.Errorf("%s: %s is asked with %v", name, p.Resource, p.Params)
			}
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}
