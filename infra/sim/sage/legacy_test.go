package sagesim_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	sagesim "connectorvault/infra/sim/sage"
)

func legacyHeader(token, key, site string) http.Header {
	header := http.Header{"Authorization": {"Bearer " + token}}
	if key != "" {
		header.Set("Ocp-Apim-Subscription-Key", key)
	}
	if site != "" {
		header.Set("X-Site", site)
	}
	return header
}

func (f *front) legacyGet(path string, header http.Header) answer {
	f.t.Helper()
	return f.send(http.MethodGet, f.sim.Endpoints().LegacyAPI+path, header, "")
}

func TestLegacyTokens(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	code := f.code()
	a := f.post("/legacy/token", codeForm(code))
	wantStatus(t, a, http.StatusOK)
	set := decode[tokens](t, a)
	if set.ResourceOwner == "" || set.RequestedBy != "" || set.RefreshExpires != 0 || strings.Contains(a.body, "refresh_token_expires_in") {
		t.Errorf("tokens %+v", set)
	}
	wantTokenError(t, f.tryRefresh(set.Refresh), http.StatusBadRequest, "invalid_grant") // the other API's endpoint
	f.clock.Step(10 * 365 * 24 * time.Hour)                                              // they never time out
	a = f.post("/legacy/token", refreshForm(set.Refresh))
	wantStatus(t, a, http.StatusOK)
	next := decode[tokens](t, a)
	if next.ResourceOwner != set.ResourceOwner || next.Refresh == set.Refresh {
		t.Errorf("tokens %+v", next)
	}
	wantTokenError(t, f.post("/legacy/token", refreshForm(set.Refresh)), http.StatusBadRequest, "invalid_grant") // but rotate
	f.fault(sagesim.Fault{Name: sagesim.FaultError503, Endpoint: "legacy", Operation: "refresh_token"})
	wantStatus(t, f.post("/legacy/token", refreshForm(next.Refresh)), http.StatusServiceUnavailable)
	f.refresh(f.grant(sagesim.GrantRequest{}).RefreshToken)
}

func TestLegacyAPI(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	granted := f.grant(sagesim.GrantRequest{Legacy: true, User: sagesim.UserIE})
	good := legacyHeader(granted.AccessToken, sagesim.SeedSubscriptionKey, granted.ResourceOwnerID)
	a := f.legacyGet("/uki/sageone/accounts/v3/contacts?items_per_page=2", good)
	wantStatus(t, a, http.StatusOK)
	list := decode[page](t, a)
	if list.Next == nil || *list.Next != "/contacts?page=2&items_per_page=2" || a.header.Get("X-Business") != "" {
		t.Errorf("list %+v, echo %q", list, a.header.Get("X-Business"))
	}
	same := f.page("/contacts?items_per_page=2", f.access(sagesim.UserIE), sagesim.BusinessIE)
	if same.Items[0]["id"] != list.Items[0]["id"] {
		t.Error("the two APIs show different records")
	}
	const noKey = `[{"$severity":"error","$dataCode":"AuthorizationFailure","$message":"Access denied. Cannot verify subscription. Please try again later. (MRF)","$source":""}]`
	const noSite = `[{"$severity":"APIM error","$dataCode":"HeaderNotFound","$message":"Header X-Site was not found in the request. Access denied.","$source":"check-header[2]"}]`
	token, key, site := granted.AccessToken, sagesim.SeedSubscriptionKey, granted.ResourceOwnerID
	for name, test := range map[string]struct {
		header        http.Header
		segment, body string
	}{
		"no key":          {legacyHeader(token, "", site), "uki", noKey},
		"wrong key":       {legacyHeader(token, "nonsense", site), "uki", noKey},
		"another's key":   {legacyHeader(token, sagesim.SeedOtherSubscriptionKey, site), "uki", noKey},
		"no site":         {legacyHeader(token, key, ""), "uki", noSite},
		"wrong site":      {legacyHeader(token, key, "nonsense"), "uki", noKey},
		"another country": {good, "us", noKey},
		"token of v3.1":   {legacyHeader(f.access(sagesim.UserIE), key, site), "uki", ""},
	} {
		a := f.legacyGet("/"+test.segment+"/sageone/accounts/v3/contacts", test.header)
		if a.status != http.StatusUnauthorized || test.body != "" && a.body != test.body {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	for _, path := range []string{"/gb/sageone/accounts/v3/contacts", "/uki/sageone/accounts/v2/contacts", "/uki"} {
		wantStatus(t, f.legacyGet(path, good), http.StatusNotFound)
	}
	wantRefusal(t, f.legacyGet("/uki/sageone/accounts/v3/nothing", good), http.StatusNotFound, "RecordNotFound")
	f.clock.Step(time.Hour)
	wantRefusal(t, f.legacyGet("/uki/sageone/accounts/v3/contacts", good), http.StatusUnauthorized, "AuthorizationFailure")
}

func TestLegacyCountries(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	for user, segment := range map[string]string{
		sagesim.UserGB: "uki", sagesim.UserIE: "uki", sagesim.UserUS: "us", sagesim.UserCA: "ca", sagesim.UserDE: "de", sagesim.UserES: "es", sagesim.UserFR: "fr",
	} {
		granted := f.grant(sagesim.GrantRequest{Legacy: true, User: user})
		a := f.legacyGet("/"+segment+"/sageone/accounts/v3/sales_invoices", legacyHeader(granted.AccessToken, sagesim.SeedSubscriptionKey, granted.ResourceOwnerID))
		if a.status != http.StatusOK {
			t.Errorf("%s: %d %s", segment, a.status, a.body)
		}
	}
}

func TestSubscriptionKeyOfAnUnknownApplicationIsThatOfItsFirstUse(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	granted := f.grant(sagesim.GrantRequest{ClientID: "a/b", ClientSecret: "s", Legacy: true})
	const path = "/uki/sageone/accounts/v3/contacts"
	wantStatus(t, f.legacyGet(path, legacyHeader(granted.AccessToken, "first", granted.ResourceOwnerID)), http.StatusOK)
	wantStatus(t, f.legacyGet(path, legacyHeader(granted.AccessToken, "second", granted.ResourceOwnerID)), http.StatusUnauthorized)
	wantStatus(t, f.legacyGet(path, legacyHeader(granted.AccessToken, "first", granted.ResourceOwnerID)), http.StatusOK)
}

func TestSignatures(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	granted := f.grant(sagesim.GrantRequest{Legacy: true})
	path := "/uki/sageone/accounts/v3/contacts"
	address := f.sim.Endpoints().LegacyAPI + path
	send := func(query url.Values, nonce, secret, token string) answer {
		header := legacyHeader(granted.AccessToken, sagesim.SeedSubscriptionKey, granted.ResourceOwnerID)
		header.Set("X-Nonce", nonce)
		header.Set("X-Signature", sagesim.SignForTest(address, query.Encode(), nonce, granted.ResourceOwnerID, secret, token))
		return f.legacyGet(path+"?"+query.Encode(), header)
	}
	query := url.Values{"search": {"a b+ü&="}, "items_per_page": {"5"}}
	wantStatus(t, send(query, "n1", "wrong", ""), http.StatusOK) // nobody looks (Sage facts 3.2)
	f.fault(sagesim.Fault{Name: sagesim.FaultVerifySignature})
	wantStatus(t, send(query, "n1", sagesim.SeedSignatureSecret, granted.AccessToken), http.StatusOK)
	for name, a := range map[string]answer{
		"wrong secret": send(query, "n2", "wrong", granted.AccessToken),
		"wrong token":  send(query, "n3", sagesim.SeedSignatureSecret, "wrong"),
		"no nonce":     send(query, "", sagesim.SeedSignatureSecret, granted.AccessToken),
		"no signature": f.legacyGet(path, legacyHeader(granted.AccessToken, sagesim.SeedSubscriptionKey, granted.ResourceOwnerID)),
		"replay":       send(query, "n1", sagesim.SeedSignatureSecret, granted.AccessToken),
	} {
		if a.status != http.StatusUnauthorized {
			t.Errorf("%s: %d", name, a.status)
		}
	}
	f.clock.Step(-time.Minute) // the memory of nonces has no clock
	wantStatus(t, send(query, "n1", sagesim.SeedSignatureSecret, granted.AccessToken), http.StatusUnauthorized)
	wantStatus(t, send(query, "n2", sagesim.SeedSignatureSecret, granted.AccessToken), http.StatusOK) // what was refused used no nonce up
}
