package clara_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"connectorvault/shared/fault"
	"connectorvault/shared/provider"
	"connectorvault/shared/provider/clara"
	"connectorvault/shared/record"
	"connectorvault/shared/resource"
)

func TestJudge(t *testing.T) {
	t.Parallel()
	a := clara.New(clara.Options{})
	for what, row := range map[string]struct {
		status   int
		body     string
		kind     fault.Kind
		code     string
		rejected bool
		said     fault.Provider
	}{
		"a dead token":         {401, `{"code":"UNAUTHORIZED","message":"Token expired"}`, fault.Refused, "provider_refused", true, fault.Provider{Code: "UNAUTHORIZED", Message: "Token expired"}},
		"401 with no words":    {401, ``, fault.Refused, "provider_refused", true, fault.Provider{}},
		"401 of a certificate": {401, `{"code":"UNAUTHORIZED","message":"Missing client certificate"}`, fault.Misconfigured, "client_certificate_missing_or_rejected", false, fault.Provider{Code: "UNAUTHORIZED", Message: "Missing client certificate"}},
		"401 of mTLS":          {401, `{"error":"mTLS required"}`, fault.Misconfigured, "client_certificate_missing_or_rejected", false, fault.Provider{Code: "mTLS required"}},
		"511":                  {511, ``, fault.Misconfigured, "client_certificate_missing_or_rejected", false, fault.Provider{}},
		"495":                  {495, ``, fault.Misconfigured, "client_certificate_missing_or_rejected", false, fault.Provider{}},
		"496":                  {496, ``, fault.Misconfigured, "client_certificate_missing_or_rejected", false, fault.Provider{}},
		"a page of nginx":      {400, "<html>400 The SSL certificate error</html>", fault.Misconfigured, "client_certificate_missing_or_rejected", false, fault.Provider{}},
		"403 of a certificate": {403, "client certificate not authorized", fault.Misconfigured, "client_certificate_missing_or_rejected", false, fault.Provider{}},
		"no permission":        {403, `{"code":"FORBIDDEN","message":"no scope"}`, fault.Refused, "provider_refused", false, fault.Provider{Code: "FORBIDDEN", Message: "no scope"}},
		"a wrong date":         {400, `{"code":"VALIDATION_ERROR","message":"Invalid date","details":["startDate",{"field":"f","message":"m"},{}]}`, fault.Invalid, "provider_refused", false, fault.Provider{Code: "VALIDATION_ERROR", Message: "Invalid date", Details: "startDate; f m"}},
		"a business rule":      {422, `{"code":"B013","message":"Threshold"}`, fault.Invalid, "provider_refused", false, fault.Provider{Code: "B013", Message: "Threshold"}},
		"no such item":         {404, `{"code":"NOT_FOUND","message":"Card with certificate required"}`, fault.NotFound, "provider_refused", false, fault.Provider{Code: "NOT_FOUND", Message: "Card with certificate required"}},
		"too much":             {429, ``, fault.RateLimited, "rate_limited", false, fault.Provider{}},
		"broken":               {500, `{"message":"client certificate"}`, fault.Unavailable, "provider_unavailable", false, fault.Provider{Message: "client certificate"}},
		"another":              {409, `[1]`, fault.Refused, "provider_refused", false, fault.Provider{}},
	} {
		header := http.Header{"X-Request-Id": {"R\x00" + strings.Repeat("r", 600)}}
		v := a.Judge(row.status, header, []byte(row.body))
		row.said.Status, row.said.RequestID = row.status, "R "+strings.Repeat("r", 498)+"…"
		if v.Fault.Kind != row.kind || v.Fault.Code != row.code || v.TokenRejected != row.rejected || *v.Fault.Provider != row.said || v.Fault.Action == "" {
			t.Errorf("%s: %+v, %+v", what, v.Fault, v.Fault.Provider)
		}
	}
	for text, want := range map[string]time.Duration{"": 5 * time.Second, "7": 7 * time.Second, "soon": 5 * time.Second, "-1": 5 * time.Second, "99999": time.Hour, "0": 0} {
		if got := a.Judge(429, http.Header{"Retry-After": {text}}, nil).Fault.RetryAfter; got != want {
			t.Errorf("after %q it is %s", text, got)
		}
	}
}

func TestSign(t *testing.T) {
	t.Parallel()
	a := clara.New(clara.Options{})
	sign := func(e record.Entry) (http.Header, error) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://a.example/", nil)
		if err != nil {
			t.Fatal(err)
		}
		return r.Header, a.Sign(r, session(e, nil), provider.Call{}, today)
	}
	header, err := sign(entry())
	if err != nil || header.Get("Authorization") != "Bearer "+token || header.Get("User-Agent") == "" || len(header.Values("X-Tax-Identifier")) != 0 {
		t.Errorf("%v, %v", header, err)
	}
	if header, err = sign(entry("tax_identifier", "ÑAXX010101&00")); err != nil || header.Get("X-Tax-Identifier") != "ÑAXX010101&00" {
		t.Errorf("%v, %v", header, err)
	}
	if _, err := sign(entry("tax_identifier", "A\r\nX: y")); fault.CodeOf(err) != "client_misconfigured" {
		t.Errorf("a header is broken by %v", err)
	}
}

// Every resource has the path that Clara gave it, and pages of Spring's kind.
func TestResources(t *testing.T) {
	t.Parallel()
	a := clara.New(clara.Options{})
	for name, want := range map[string][2]string{
		"transactions": {"/v3/transactions?page=1&size=100", "/v3/transactions/u-1"}, "users": {"/v3/users?page=1&size=100", "/v3/users/u-1"},
		"cards": {"/v3/cards?page=1&size=100", "/v3/cards/u-1"}, "groups": {"/v2/groups?page=1&size=100", "/v2/groups/u-1"},
		"locations": {"/v2/locations?page=1&size=100", "/v2/locations/u-1"}, "billing-statements": {"/v3/billing-statements?page=1&size=100", "/v3/billing-statements/u-1"},
		"transaction-documents": {"", "/v3/transactions/u-1/documents"}, "extracted-documents": {"", "/v3/transactions/u-1/extracted-documents"},
		"billing-statement-transactions": {"", "/v3/billing-statements/u-1/transactions"},
	} {
		res, ok := a.Descriptor().Resource(name)
		if !ok || (res.List != nil) != (want[0] != "") || res.Document != (name == "transactions") {
			t.Errorf("%s is %+v", name, res)
			continue
		}
		check := func(op resource.Operation, params url.Values, want string) {
			u, err := resource.Build(op, "https://a.example/api", params)
			if err != nil || u.RequestURI() != "/api"+want {
				t.Errorf("%s is read at %s, %v", name, u, err)
			}
		}
		if res.List != nil {
			check(*res.List, url.Values{"page": {"1"}, "size": {"100"}}, want[0])
			if _, err := resource.Build(*res.List, "https://a.example", url.Values{"size": {"101"}}); err == nil {
				t.Errorf("%s takes pages of any size", name)
			}
		}
		check(*res.Item, url.Values{"item": {"u-1"}}, want[1])
	}
	for name, filters := range map[string]string{
		"transactions": "operationDateRangeStart operationDateRangeEnd accountingDateRangeStart accountingDateRangeEnd status",
		"users":        "status role uuid name lastName fullName email mobilePhone taxIdentifier erpId createdAtStart createdAtEnd locationUuid locationName managerUuid",
		"cards":        "userUuid userErpId username status periodicity type",
	} {
		res, _ := a.Descriptor().Resource(name)
		for _, f := range strings.Fields(filters) {
			if !slices.ContainsFunc(res.List.Filters, func(have resource.Filter) bool { return have.Name == f }) {
				t.Errorf("%s has no filter %s", name, f)
			}
		}
	}
	res, _ := a.Descriptor().Resource("extracted-documents")
	if _, err := resource.Build(*res.Item, "https://a.example", url.Values{"item": {"u"}, "type": {"RECEIPT"}, "validationStatus": {"NOT_VERIFIED"}, "uuid": {"x"}, "page": {"2"}}); err != nil {
		t.Error(err)
	}
}

// Both envelopes and both shapes of what Clara's documents disagree about come through as they are, and what is personal
// or opens a file does not.
func TestPages(t *testing.T) {
	t.Parallel()
	a := clara.New(clara.Options{})
	for what, row := range map[string]struct {
		resource string
		item     bool
		answer   string
		kept     string // of one who may see no personal data
		next     string
	}{
		"a page": {"transactions", false, `{"content":[{"uuid":"1","status":"AUTHORIZED","hasAttachments":true}],"totalElements":9,"totalPages":9,"size":1,"number":0}`,
			`{"uuid":"1","status":"AUTHORIZED","hasAttachments":true}`, "1"},
		"the other shapes": {"transactions", false, `{"content":[{"uuid":"1","status":{"code":"OP","description":"AUTHORIZED"},"hasAttachments":{"value":true}}],"totalPages":1,"number":0}`,
			`{"uuid":"1","status":{"code":"OP","description":"AUTHORIZED"},"hasAttachments":{"value":true}}`, ""},
		"a bare list":          {"groups", false, `[{"uuid":"1","name":"Sales"}]`, `{"uuid":"1","name":"Sales"}`, ""},
		"numbers further down": {"locations", false, `{"content":[{"uuid":"1","status":"INACTIVE"}],"page":{"size":1,"number":2,"totalPages":4}}`, `{"uuid":"1","status":"INACTIVE"}`, "3"},
		"who holds a card": {"transactions", false, `[{"uuid":"1","user":{"name":"N","uuid":"u"},"card":{"lastFourDigits":"1234","user":{"username":"N","userFullName":"N"}},"merchant":{"name":"Shop"}}]`,
			`{"uuid":"1","user":{"uuid":"u"},"card":{"lastFourDigits":"1234","user":{}},"merchant":{"name":"Shop"}}`, ""},
		"a user": {"users", true, `{"uuid":"u","name":"N","lastName":"N","fullName":"N","email":"N","mobilePhone":"N","taxIdentifier":"N","role":"MANAGER","location":{"name":"Here"},"manager":{"uuid":"m","name":"N"}}`,
			`{"uuid":"u","role":"MANAGER","location":{"name":"Here"},"manager":{"uuid":"m"}}`, ""},
		"a card": {"cards", false, `[{"uuid":"c","alias":"N","maskedPan":"510979******9579","user":{"uuid":"u","fullName":"N","username":"N"}}]`,
			`{"uuid":"c","maskedPan":"510979******9579","user":{"uuid":"u"}}`, ""},
		"documents": {"transaction-documents", true, `{"transactionUuid":"t","attachments":[{"uuid":"d","fileName":"N.pdf","format":"pdf","download":{"urlExpiration":"2026","url":"https://N"}}]}`,
			`{"uuid":"d","format":"pdf","download":{"urlExpiration":"2026"}}`, ""},
		"a bare list of them": {"transaction-documents", true, `[{"uuid":"d","url":"https://N"}]`, `{"uuid":"d"}`, ""},
		"extracted":           {"extracted-documents", true, `{"content":[{"uuid":"e","type":"RECEIPT","data":{"issuer":{"legalName":"N"}}}],"totalPages":2,"number":0}`, `{"uuid":"e","type":"RECEIPT"}`, "1"},
	} {
		res, _ := a.Descriptor().Resource(row.resource)
		op := res.List
		if row.item {
			op = res.Item
		}
		items, next, err := resource.Page(*op, []byte(row.answer))
		if err != nil || len(items) != 1 || next != row.next {
			t.Errorf("%s: %s and %q, %v", what, items, next, err)
			continue
		}
		if strings.Contains(string(items[0]), "https://") {
			t.Errorf("%s: an address is given out: %s", what, items[0])
		}
		resource.StripPage(*op, items)
		if string(items[0]) != row.kept {
			t.Errorf("%s: kept is %s", what, items[0])
		}
	}
}

// answers is a provider that answers by the operation's path.
func answers(byPath map[string]any) provider.Caller {
	return func(_ context.Context, call provider.Call) (provider.Answer, error) {
		switch said := byPath[call.Op.Path].(type) {
		case error:
			return provider.Answer{}, said
		case string:
			return provider.Answer{Status: 200, Body: []byte(said)}, nil
		default:
			return provider.Answer{Status: 200, Body: []byte("[]")}, nil
		}
	}
}

func TestIdentify(t *testing.T) {
	t.Parallel()
	a := clara.New(clara.Options{})
	no := func(status int, body string) error { return a.Judge(status, nil, []byte(body)).Fault }
	account, err := a.Identify(t.Context(), entry("tax_identifier", "XAXX010101000", "country", "br"), nil, answers(map[string]any{
		"/v3/users": no(403, `{"code":"FORBIDDEN","message":"Not in the project"}`), "/v3/cards": no(403, ""), "/v2/groups": no(503, ""), "/v2/locations": no(400, "")}))
	if err != nil || account.ID != tokenKey || account.Identity != record.Verified || len(account.Members) != 1 || account.Members[0] != (record.Member{Kind: "tax_identifier", ID: "XAXX010101000", Country: "BR", Active: true}) {
		t.Fatalf("%+v, %v", account, err)
	}
	var got []string
	for _, p := range account.Reads {
		allowed := "?"
		if p.Allowed != nil {
			allowed = fmt.Sprint(*p.Allowed)
		}
		got = append(got, p.Resource+" "+allowed+" "+p.Code)
		if (p.Detail == "") != (allowed == "true") {
			t.Errorf("%+v says too much, or not enough", p)
		}
	}
	want := []string{"transactions true ", "users false FORBIDDEN", "cards false provider_refused", "groups ? provider_unavailable", "locations true ", "billing-statements true "}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	if !strings.HasSuffix(account.Reads[1].Detail, " Not in the project") {
		t.Errorf("it says %s", account.Reads[1].Detail)
	}

	everywhere := func(err error) map[string]any {
		all := map[string]any{}
		for _, p := range a.Probes(provider.Target{}, today) {
			all[p.Op.Path] = err
			if p.Params.Get("size") != "1" {
				t.Errorf("the probe of %s asks for %v", p.Resource, p.Params)
			}
		}
		if len(all) != 6 {
			t.Errorf("there are %d probes", len(all))
		}
		return all
	}
	account, err = a.Identify(t.Context(), entry(), nil, answers(everywhere(no(403, ""))))
	if err != nil || len(account.Reads) != 6 || len(account.Members) != 0 {
		t.Errorf("a project that may read nothing is %+v, %v", account, err)
	}
	for what, failing := range map[string]error{"the token is refused": no(401, ""), "the certificate is": no(511, ""), "nobody answers": no(503, ""), "too much is asked": no(429, "")} {
		account, err := a.Identify(t.Context(), entry(), nil, answers(everywhere(failing)))
		if err == nil || fault.CodeOf(err) != fault.CodeOf(failing) || account.ID != "" {
			t.Errorf("%s: %+v, %v", what, account, err)
		}
	}
	if _, err := a.Identify(t.Context(), entry(), nil, answers(map[string]any{"/v2/locations": no(511, "")})); fault.CodeOf(err) != "client_certificate_missing_or_rejected" {
		t.Errorf("a certificate that is refused in between: %v", err)
	}
}

func TestLocate(t *testing.T) {
	t.Parallel()
	a := clara.New(clara.Options{})
	res, _ := a.Descriptor().Resource("transactions")
	const path = "/v3/transactions/{item}/documents"
	one := `{"attachments":[{"uuid":"d1","download":{"url":"https://files.example/canary"}}]}`
	two := `[{"uuid":"d1","url":"https://files.example/1"},{"uuid":"d2","url":"https://files.example/canary"}]`
	for what, row := range map[string]struct {
		item     string
		personal bool
		answer   any
		code     string
	}{
		"the only one":               {"t", true, one, ""},
		"by its id":                  {"t/d2", true, two, ""},
		"one of several":             {"t", true, two, "invalid_field"},
		"another":                    {"t/d3", true, two, "provider_refused"},
		"none":                       {"t", true, `{"attachments":[]}`, "document_absent"},
		"who may not":                {"t", false, one, "personal_data_not_granted"},
		"no JSON":                    {"t", true, "<html>", "provider_unavailable"},
		"no list":                    {"t", true, `{"attachments":null}`, "provider_unavailable"},
		"no address":                 {"t", true, `[{"uuid":"d"}]`, "provider_unavailable"},
		"an address without TLS":     {"t", true, `[{"uuid":"d","url":"http://files.example/canary"}]`, "provider_unavailable"},
		"an address with a user":     {"t", true, `[{"uuid":"d","url":"https://u@files.example/canary"}]`, "provider_unavailable"},
		"an address of another kind": {"t", true, `[{"uuid":"d","url":"file:///canary"}]`, "provider_unavailable"},
		"a simulator's address":      {"t", true, `[{"uuid":"d","url":"http://127.0.0.1:1/canary"}]`, ""},
		"refused":                    {"t", true, fault.New(fault.NotFound, "provider_refused", "x"), "provider_refused"},
	} {
		doc, err := a.Locate(t.Context(), provider.Target{}, res, row.item, row.personal, func(ctx context.Context, call provider.Call) (provider.Answer, error) {
			if call.Params.Get("item") != "t" {
				t.Errorf("%s: asked is %v", what, call.Params)
			}
			return answers(map[string]any{path: row.answer})(ctx, call)
		})
		switch {
		case fault.CodeOf(err) != row.code || err != nil && strings.Contains(err.Error(), "canary"):
			t.Errorf("%s: %v", what, err)
		case err == nil && (!strings.HasSuffix(doc.URL.Reveal(), "canary") || !doc.Personal || doc.Life != 12*time.Hour || doc.Call != nil):
			t.Errorf("%s: %+v", what, doc)
		}
	}
	users, _ := a.Descriptor().Resource("users")
	if _, err := a.Locate(t.Context(), provider.Target{}, users, "u", true, answers(nil)); fault.CodeOf(err) != "unknown_resource" {
		t.Error(err)
	}
}

func TestValidateEndpoints(t *testing.T) {
	t.Parallel()
	good := certificatePEM(newIssuer(t, "a").certificate)
	if err := (clara.Endpoints{Base: map[string]string{"mx": "https://127.0.0.1:1", "br": ""}, CAFile: file(t, good)}).Validate(); err != nil {
		t.Error(err)
	}
	for what, e := range map[string]clara.Endpoints{
		"us":      {Base: map[string]string{"us": "https://a.example"}},
		"base.mx": {Base: map[string]string{"mx": "http://127.0.0.1:1"}},
		"base.br": {Base: map[string]string{"br": "https://u@a.example"}},
		"base.co": {Base: map[string]string{"co": "https://a.example/?x"}},
		"read":    {CAFile: "/nowhere/at/all.pem"},
		"no cert": {CAFile: file(t, "hello")},
		"or some": {CAFile: file(t, good+keyPEM(t, newKey(t)))},
	} {
		if err := e.Validate(); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
