package amazon_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"connectorvault/shared/fault"
	"connectorvault/shared/provider"
	"connectorvault/shared/provider/amazon"
	"connectorvault/shared/record"
	"connectorvault/shared/resource"
)

// script is a provider that answers what it was told to: by operation, and by host where the call names one.
type script struct {
	t       *testing.T
	adapter *amazon.Adapter
	answers map[string]reply // "operation", or "operation host"
	calls   []string         // what was called, in order
	last    map[string]provider.Call
}

type reply struct {
	status int
	body   string
}

func (s *script) call(_ context.Context, call provider.Call) (provider.Answer, error) {
	base := call.Base
	if base == "" {
		base = "https://sellingpartnerapi-eu.amazon.com"
	}
	if _, err := resource.Build(call.Op, base, call.Params); err != nil {
		s.t.Errorf("%s cannot be called: %v", call.Op.ID, err)
	}
	name := strings.TrimSpace(call.Op.ID + " " + strings.TrimSuffix(strings.TrimPrefix(call.Base, "https://sellingpartnerapi-"), ".amazon.com"))
	s.calls = append(s.calls, name)
	if s.last == nil {
		s.last = map[string]provider.Call{}
	}
	s.last[call.Op.ID] = call
	r, ok := s.answers[name]
	if !ok {
		r = reply{403, deniedBody("")}
	}
	if r.status >= 400 {
		return provider.Answer{Status: r.status}, s.adapter.Judge(r.status, nil, []byte(r.body)).Fault
	}
	return provider.Answer{Status: r.status, Body: []byte(r.body)}, nil
}

func participations(ids ...string) reply {
	var all []string
	for i, id := range ids {
		all = append(all, fmt.Sprintf(`{"marketplace":{"id":"%s","countryCode":"UK"},"storeName":"Store %d","participation":{"isParticipating":true,"hasSuspendedListings":false}}`, id, i+1))
	}
	return reply{200, `{"payload":[` + strings.Join(all, ",") + `]}`}
}

const (
	germanyID = "A1PA6795UKMFR9"
	britainID = "A1F83G8C2ARO7P"
	americaID = "ATVPDKIKX0DER"
)

func identify(t *testing.T, e record.Entry, claims map[string]string, answers map[string]reply) (record.Account, error, *script) {
	t.Helper()
	adapter := amazon.New(amazon.Options{})
	s := &script{t: t, adapter: adapter, answers: answers}
	account, err := adapter.Identify(t.Context(), e, claims, s.call)
	return account, err, s
}

var claimed = map[string]string{"selling_partner_id": "A1SYN"}

func TestIdentifySeller(t *testing.T) {
	t.Parallel()
	listings, balances := reply{200, `{"numberOfResults":0,"items":[]}`}, reply{200, `{"balances":[{"partnerMetadata":{"partnerId":"A1SYN"}}]}`}
	for name, test := range map[string]struct {
		answers  map[string]reply
		identity record.Identity
		store    string
		members  int
		missing  string
	}{
		"listings prove it":     {map[string]reply{"getMarketplaceParticipations": participations(britainID, germanyID), "searchListingsItems": listings}, record.Verified, "Store 2", 2, ""},
		"balances prove it":     {map[string]reply{"getMarketplaceParticipations": participations(germanyID), "listBalances": balances}, record.Verified, "Store 1", 1, ""},
		"another id proves not": {map[string]reply{"getMarketplaceParticipations": participations(germanyID), "listBalances": {200, `{"balances":[{"partnerMetadata":{"partnerId":"OTHER"}}]}`}}, record.Claimed, "Store 1", 1, ""},
		"no role to prove it":   {map[string]reply{"getMarketplaceParticipations": participations(germanyID)}, record.Claimed, "Store 1", 1, ""},
		"a role for that alone": {map[string]reply{"searchListingsItems": listings}, record.Verified, "", 0, ""},
		"no role at all":        {nil, record.Claimed, "", 0, ""},
		"sells elsewhere":       {map[string]reply{"getMarketplaceParticipations": participations(britainID), "searchListingsItems": listings}, record.Verified, "Store 1", 1, "DE"},
		"an answer to another":  {map[string]reply{"getMarketplaceParticipations": {200, `{"orders":[]}`}, "searchListingsItems": {200, `{"orders":[]}`}}, record.Claimed, "", 0, ""},
		"a path nobody knows":   {map[string]reply{"getMarketplaceParticipations": {404, `{"errors":[]}`}, "searchListingsItems": {404, ""}}, record.Claimed, "", 0, ""},
		"a place of its own":    {map[string]reply{"getMarketplaceParticipations": participations("AMZNEXTRA", germanyID)}, record.Claimed, "Store 2", 2, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err, _ := identify(t, german(t), claimed, test.answers)
			if err != nil {
				t.Fatal(err)
			}
			if got.ID != "A1SYN" || got.Identity != test.identity || got.Name != test.store || len(got.Members) != test.members || got.Details["missing_marketplace"] != test.missing {
				t.Errorf("got %+v", got)
			}
		})
	}
	got, _, s := identify(t, german(t), claimed, map[string]reply{"getMarketplaceParticipations": participations(britainID), "searchListingsItems": listings})
	if want := (record.Member{Kind: "marketplace", ID: britainID, Country: "GB", Name: "Store 1", Active: true}); got.Members[0] != want {
		t.Errorf("got %+v", got.Members[0])
	}
	if params := s.last["searchListingsItems"].Params; params.Get("sellerId") != "A1SYN" || params.Get("marketplaceIds") != britainID {
		t.Errorf("asked %v", params)
	}
}

func TestIdentifyFindsTheRegion(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		answers map[string]reply
		words   string
	}{
		"its own list has another's": {map[string]reply{"getMarketplaceParticipations": participations(americaID)}, "region na (US)"},
		"empty here, full there":     {map[string]reply{"getMarketplaceParticipations": participations(), "getMarketplaceParticipations na": participations(americaID, "A2EUQ1WTGCTBG2")}, "region na (US, CA)"},
		"denied here, full there":    {map[string]reply{"getMarketplaceParticipations fe": participations("A1VC38T7YXB528")}, "region fe (JP)"},
		"empty everywhere":           {map[string]reply{"getMarketplaceParticipations": participations()}, "no marketplace of region eu"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err, s := identify(t, german(t), claimed, test.answers)
			problem := fault.As(err)
			if problem.Kind != fault.Conflict || problem.Code != "region_mismatch" || problem.Field != "region" || !strings.Contains(problem.Detail, test.words) {
				t.Errorf("got %v", err)
			}
			if slices.Contains(s.calls, "searchListingsItems") {
				t.Error("the claim was looked into all the same")
			}
		})
	}
}

func TestIdentifyRefusesAForeignClaim(t *testing.T) {
	t.Parallel()
	_, err, _ := identify(t, german(t), claimed, map[string]reply{
		"getMarketplaceParticipations": participations(germanyID),
		"searchListingsItems":          {400, `{"errors":[{"code":"InvalidInput","message":"The provided Seller ID is not valid.","details":""}]}`},
	})
	if problem := fault.As(err); problem.Kind != fault.Conflict || problem.Code != "account_mismatch" {
		t.Errorf("got %v", err)
	}
	for _, id := range []string{"", "../x", strings.Repeat("A", 65)} {
		_, err, s := identify(t, german(t), map[string]string{"selling_partner_id": id}, nil)
		if fault.As(err).Field != "selling_partner_id" || len(s.calls) != 0 {
			t.Errorf("%q: got %v after %v", id, err, s.calls)
		}
	}
}

// What may be otherwise in a minute decides nothing about an account.
func TestIdentifyPassesTroubleOn(t *testing.T) {
	t.Parallel()
	for name, answers := range map[string]map[string]reply{
		"first question":  {"getMarketplaceParticipations": {503, ""}},
		"second question": {"getMarketplaceParticipations": participations(germanyID), "searchListingsItems": {500, ""}},
		"third question":  {"getMarketplaceParticipations": participations(germanyID), "listBalances": {429, ""}},
		"half an answer":  {"getMarketplaceParticipations": {200, `{"payload":[`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err, _ := identify(t, german(t), claimed, answers)
			if kind := fault.KindOf(err); kind != fault.Unavailable && kind != fault.RateLimited {
				t.Errorf("got %v", err)
			}
		})
	}
	_, err, _ := identify(t, german(t), claimed, map[string]reply{"getMarketplaceParticipations": {403, deniedBody("The LWA secret token you provided has expired.")}})
	if fault.CodeOf(err) != "client_misconfigured" {
		t.Errorf("got %v", err)
	}
}

func TestIdentifyAsksNothingOfVendorsAndTheSandbox(t *testing.T) {
	t.Parallel()
	sandbox := german(t)
	sandbox.APIEnvironment = record.Sandbox
	for _, e := range []record.Entry{sandbox, entry(t, map[string]string{"marketplace": "DE", "account_type": "vendor"})} {
		got, err, s := identify(t, e, claimed, nil)
		if err != nil || got.ID != "A1SYN" || got.Identity != record.Claimed || len(s.calls) != 0 {
			t.Errorf("got %+v, %v after %v", got, err, s.calls)
		}
	}
}

func TestProbesCanBeCalled(t *testing.T) {
	t.Parallel()
	adapter := amazon.New(amazon.Options{})
	account := record.Account{ID: "A1SYN"}
	for kind, want := range map[string][]string{
		"seller": {"catalog-items", "feeds", "inventory", "listings", "marketplaces", "orders", "reports", "transactions"},
		"vendor": {"catalog-items", "feeds", "listings", "reports"},
	} {
		e := entry(t, map[string]string{"marketplace": "DE", "account_type": kind})
		got := map[string]bool{}
		for _, probe := range adapter.Probes(provider.Target{Entry: e, Account: account}, noon) {
			got[probe.Resource] = true
			if _, err := resource.Build(probe.Op, adapter.BaseURL(e), probe.Params); err != nil {
				t.Errorf("%s: %v", probe.Resource, err)
			}
			if _, dropped := resource.WithoutPersonal(probe.Op, probe.Params); len(dropped) > 0 {
				t.Errorf("%s asks for personal data", probe.Resource)
			}
		}
		if names := slices.Sorted(maps.Keys(got)); !slices.Equal(names, want) {
			t.Errorf("%s: got %v", kind, names)
		}
	}
}
