package sage_test

import (
	"context"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"connectorvault/shared/fault"
	"connectorvault/shared/provider"
	"connectorvault/shared/provider/sage"
	"connectorvault/shared/record"
)

// scripted answers calls by what they are, and remembers them. An error goes before a body.
type scripted struct {
	bodies map[string]string
	errs   map[string]error
	asked  []string
}

func (s *scripted) call(_ context.Context, call provider.Call) (provider.Answer, error) {
	key := call.Op.ID
	if item := call.Params.Get("item"); item != "" {
		key += " " + item
	}
	s.asked = append(s.asked, key)
	if err := s.errs[key]; err != nil {
		return provider.Answer{}, err
	}
	return provider.Answer{Status: 200, Body: []byte(s.bodies[key])}, nil
}

const userBody = `{"id":"c0ffee00c0ffee00c0ffee00c0ffee00","displayed_as":"Synthetic User","first_name":"Synthetic","email":"canary@example.com","locale":"en-GB"}`

func refusal(code string, status int) error {
	return fault.New(fault.Refused, code, "No.").Do("x").Said(fault.Provider{Status: status})
}

func TestIdentify(t *testing.T) {
	t.Parallel()
	member := func(id, country, name string, active bool) record.Member {
		return record.Member{Kind: "business", ID: id, Country: country, Name: name, Active: active}
	}
	short := func(ids ...string) string {
		var items []string
		for _, id := range ids {
			items = append(items, fmt.Sprintf(`{"displayed_as":"Example %s","id":%q,"$path":"/businesses/%s"}`, id[:4], id, id))
		}
		return strings.Join(items, ",")
	}
	full := func(id, country, name, subscriptions string) string {
		return fmt.Sprintf(`{"id":%q,"displayed_as":%q,"name":"%s Ltd","telephone":"canary-phone","country":%s,"subscriptions":%s}`, id, name, name, country, subscriptions)
	}
	tests := map[string]struct {
		bodies map[string]string
		errs   map[string]error
		want   []record.Member
	}{
		"the envelope, in full": {map[string]string{"getBusinesses": `{"$total":2,"$items_per_page":2147483647,"$next":null,"$items":[` +
			full(business, `{"id":"GB","displayed_as":"United Kingdom"}`, "Example", `[{"id":"START","active":false},{"id":"ACCOUNTING","active":true}]`) + "," +
			full(business2, `"ie"`, "Lapsed", `[{"id":"START","active":false}]`) + `]}`}, nil,
			[]record.Member{member(business, "GB", "Example", true), member(business2, "IE", "Lapsed", false)}},
		"an array": {map[string]string{"getBusinesses": "[" + full(business, `null`, "Example", `[]`) + "]"}, nil,
			[]record.Member{member(business, "", "Example", false)}},
		"looked at one by one": {map[string]string{"getBusinesses": `{"$items":[` + short(business, business2) + `]}`,
			"getBusinessesKey " + business:  full(business, `{"id":"CA"}`, "Example", `[{"active":true}]`),
			"getBusinessesKey " + business2: full(business2, `{"id":"CA"}`, "Lapsed", `[{"active":false}]`)}, nil,
			[]record.Member{member(business, "CA", "Example", true), member(business2, "CA", "Lapsed", false)}},
		"looks that fail": {map[string]string{"getBusinesses": `{"$items":[` + short(business, business2) + `]}`},
			map[string]error{"getBusinessesKey " + business: refusal("provider_refused", 403), "getBusinessesKey " + business2: refusal("subscription_lapsed", 401)},
			[]record.Member{member(business, "", "Example 0123", true), member(business2, "", "Example fedc", false)}},
		"an answer about another": {map[string]string{"getBusinesses": `{"$items":[` + short(business) + `]}`,
			"getBusinessesKey " + business: full(business2, `{"id":"CA"}`, "Another", `[{"active":false}]`)}, nil,
			[]record.Member{member(business, "", "Example 0123", true)}},
		"an answer that is none": {map[string]string{"getBusinesses": `{"$items":[` + short(business) + `]}`, "getBusinessesKey " + business: `<html>`}, nil,
			[]record.Member{member(business, "", "Example 0123", true)}},
		"ids in upper case, and none": {map[string]string{"getBusinesses": `{"$items":[{"id":"x"},{"displayed_as":"y"},` + full(strings.ToUpper(business), `{"id":"gbr"}`, "Example", `[{"active":true}]`) + `]}`}, nil,
			[]record.Member{member(business, "", "Example", true)}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.bodies["getUser"] = userBody
			s := &scripted{bodies: test.bodies, errs: test.errs}
			got, err := sage.New(sage.Options{}).Identify(t.Context(), shared(), nil, s.call)
			if err != nil {
				t.Fatal(err)
			}
			want := record.Account{ID: "c0ffee00c0ffee00c0ffee00c0ffee00", Name: "Synthetic User", Members: test.want, Identity: record.Verified}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
			if strings.Contains(fmt.Sprintf("%+v", got), "canary") {
				t.Error("more is kept than who it is")
			}
		})
	}
}

// Of many businesses only some are looked at, and all are members.
func TestIdentifyLooksAtSome(t *testing.T) {
	t.Parallel()
	var items []string
	for i := range 40 {
		items = append(items, fmt.Sprintf(`{"id":"%032x","displayed_as":"Example %d"}`, i, i))
	}
	s := &scripted{bodies: map[string]string{"getUser": userBody, "getBusinesses": `{"$items":[` + strings.Join(items, ",") + `]}`}}
	got, err := sage.New(sage.Options{}).Identify(t.Context(), shared(), nil, s.call)
	if err != nil || len(got.Members) != 40 || len(s.asked) != 2+10 {
		t.Errorf("%d members after %d questions, %v", len(got.Members), len(s.asked), err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s.asked = nil
	if got, err = sage.New(sage.Options{}).Identify(ctx, shared(), nil, s.call); err != nil || len(got.Members) != 40 || len(s.asked) != 2 {
		t.Errorf("without time: %d members after %d questions, %v", len(got.Members), len(s.asked), err)
	}
}

// An email address is nobody's name.
func TestIdentifyNames(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		`"displayed_as":"Synthetic User"`:                        "Synthetic User",
		`"displayed_as":"canary@example.com","name":"Synthetic"`: "Synthetic",
		`"displayed_as":"canary@example.com"`:                    "",
		`"displayed_as":null,"email":"canary@example.com"`:       "",
		`"displayed_as":" Line\nfeed "`:                          "Line feed",
	} {
		s := &scripted{bodies: map[string]string{"getUser": `{"id":"u1",` + given + `}`, "getBusinesses": `[{"id":"` + business + `","subscriptions":[]}]`}}
		got, err := sage.New(sage.Options{}).Identify(t.Context(), shared(), nil, s.call)
		if err != nil || got.Name != want {
			t.Errorf("%s: %q, %v", given, got.Name, err)
		}
	}
}

func TestIdentifyFails(t *testing.T) {
	t.Parallel()
	list := `{"$items":[{"id":"` + business + `","subscriptions":[{"active":true}]}]}`
	down := fault.New(fault.Unavailable, "provider_unavailable", "No.").Do("x")
	tests := map[string]struct {
		user, list string
		errs       map[string]error
		kind       fault.Kind
	}{
		"no user":                {`{"displayed_as":"Synthetic"}`, list, nil, fault.Unavailable},
		"a user of another kind": {`{"id":"a b"}`, list, nil, fault.Unavailable},
		"no JSON":                {`<html>`, list, nil, fault.Unavailable},
		"no list":                {userBody, `{"id":"x"}`, nil, fault.Unavailable},
		"a list that is none":    {userBody, `{"$items":{}}`, nil, fault.Unavailable},
		"not JSON either":        {userBody, `{"$items":[`, nil, fault.Unavailable},
		"no business":            {userBody, `{"$items":[]}`, nil, fault.Refused},
		"the user cannot be had": {userBody, list, map[string]error{"getUser": down}, fault.Unavailable},
		"nor the businesses":     {userBody, list, map[string]error{"getBusinesses": refusal("provider_refused", 403)}, fault.Refused},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &scripted{bodies: map[string]string{"getUser": test.user, "getBusinesses": test.list}, errs: test.errs}
			got, err := sage.New(sage.Options{}).Identify(t.Context(), shared(), map[string]string{"resource_owner_id": "x"}, s.call)
			if problem := fault.As(err); err == nil || problem.Kind != test.kind || problem.Action == "" || !reflect.DeepEqual(got, record.Account{}) {
				t.Errorf("got %+v, %+v", got, problem)
			}
		})
	}
}

// The older API's account is what the token endpoint said, and nothing is asked.
func TestIdentifyLegacy(t *testing.T) {
	t.Parallel()
	entry := shared("profile", "legacy_v3", "country_code", "GB")
	for name, test := range map[string]struct {
		claims map[string]string
		want   string
	}{
		"the owner":         {map[string]string{"resource_owner_id": site, "country": "GB"}, site},
		"somebody else":     {map[string]string{"requested_by_id": "x", "country": "GB"}, ""},
		"nobody":            {nil, ""},
		"no identifier":     {map[string]string{"resource_owner_id": "a\r\nX-Site: b"}, ""},
		"longer than an id": {map[string]string{"resource_owner_id": strings.Repeat("a", 129)}, ""},
	} {
		s := &scripted{}
		got, err := sage.New(sage.Options{}).Identify(t.Context(), entry, test.claims, s.call)
		problem := fault.As(err)
		switch {
		case len(s.asked) > 0:
			t.Errorf("%s: asked %v", name, s.asked)
		case test.want != "" && (err != nil || !reflect.DeepEqual(got, record.Account{ID: test.want, Identity: record.Verified})):
			t.Errorf("%s: %+v, %v", name, got, err)
		case test.want == "" && (err == nil || problem.Kind != fault.Refused || !strings.Contains(problem.Action, "owner")):
			t.Errorf("%s: %+v", name, *problem)
		}
	}
}

// Whose account it is, is asked without a business: Sage would answer for one all the same.
func TestIdentifySendsNoBusiness(t *testing.T) {
	t.Parallel()
	a := sage.New(sage.Options{})
	on := provider.Session{Target: provider.Target{Entry: shared()}}
	_, err := a.Identify(t.Context(), shared(), nil, func(_ context.Context, call provider.Call) (provider.Answer, error) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://api.example/", nil)
		if err != nil {
			return provider.Answer{}, err
		}
		if err := a.Sign(r, on, call, noon()); err != nil || r.Header.Get("X-Business") != "" {
			t.Errorf("%s: %v, %v", call.Op.ID, r.Header, err)
		}
		if err := a.Confirm(on, call, http.Header{}); err != nil {
			t.Errorf("%s: %v", call.Op.ID, err)
		}
		return provider.Answer{Body: []byte(map[string]string{"getUser": userBody, "getBusinesses": `[{"id":"` + business + `"}]`}[call.Op.ID])}, nil
	})
	if err != nil {
		t.Error(err)
	}
}
