package authorize_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"connectorvault/shared/audit"
	"connectorvault/shared/authorize"
	"connectorvault/shared/bundle/bundletest"
	"connectorvault/shared/fault"
	"connectorvault/shared/ident"
	"connectorvault/shared/oauth"
	"connectorvault/shared/record"
	"connectorvault/shared/secret"
	"connectorvault/shared/store"
	"connectorvault/shared/tokens"
	"connectorvault/shared/vault"
)

// bench is a bundle with the provider's application registered.
type bench struct{ *bundletest.Bench }

func newBench(t *testing.T) bench {
	t.Helper()
	t.Parallel()
	b := bench{bundletest.New(t, bundletest.Options{})}
	b.App()
	return b
}

// query is of the consent URL that a request led to.
func (b bench) query(address secret.Text) url.Values {
	b.Helper()
	u, err := url.Parse(address.Reveal())
	b.OK(err)
	return u.Query()
}

// pasting begins a request in Result URL mode and gives consent; it returns the URL that the browser lands on.
func (b bench) pasting(entry record.Entry, account string) string {
	b.Helper()
	begun, err := b.Authorize.Begin(b.Context(), b.Owner, entry.ID, authorize.Begin{Mode: record.ResultURL})
	b.OK(err)
	q := b.query(begun.OAuthRequestURL)
	return b.landed(q.Get("state"), b.Upstream.Consent(account, q.Get("code_challenge")))
}

func (b bench) landed(state, code string) string {
	return authorize.RedirectURI(bundletest.PublicURL, bundletest.Name) + "?" + url.Values{"state": {state}, "code": {code}, "account": {"x"}}.Encode()
}

func (b bench) validate(p record.Principal, entry record.Entry, resultURL string) error {
	return b.Authorize.Validate(b.Context(), p, entry.ID, secret.New(resultURL))
}

// begun is a browser journey up to the provider's page.
type begun struct {
	handle, cookie secret.Text
	query          url.Values
}

func (b bench) handle(entry record.Entry) secret.Text {
	b.Helper()
	got, err := b.Authorize.Begin(b.Context(), b.Owner, entry.ID, authorize.Begin{Mode: record.Browser})
	b.OK(err)
	return b.handleOf(got)
}

func (b bench) handleOf(got authorize.Begun) secret.Text {
	b.Helper()
	handle, ok := strings.CutPrefix(got.StartURL.Reveal(), bundletest.PublicURL+"/oauth/start/")
	if !ok {
		b.Fatalf("the start URL is %q", got.StartURL.Reveal())
	}
	return secret.New(handle)
}

func (b bench) start(entry record.Entry) begun {
	b.Helper()
	out := begun{handle: b.handle(entry)}
	address, cookie, err := b.Authorize.Start(b.Context(), out.handle, secret.Text{})
	b.OK(err)
	out.cookie, out.query = cookie, b.query(address)
	return out
}

func (b bench) back(j begun, account string) url.Values {
	return url.Values{"state": {j.query.Get("state")}, "code": {b.Upstream.Consent(account, j.query.Get("code_challenge"))}, "account": {account}}
}

func (b bench) status(entry record.Entry) record.Status {
	b.Helper()
	state, err := b.Vault.EntryState(b.Context(), entry.Tenant, entry.ID)
	b.OK(err)
	return state.Status()
}

func TestAnEntryIsAuthorizedThroughEachDoor(t *testing.T) {
	b := newBench(t)
	pasted := b.Entry("pasted")
	b.OK(b.validate(b.Owner, pasted, b.pasting(pasted, "acct-1")))

	browsed := b.Entry("browsed")
	j := b.start(browsed)
	returned, err := b.Authorize.Return(b.Context(), bundletest.Name, b.back(j, "acct-2"), j.cookie)
	b.OK(err)
	if !returned.Done || returned.Entry.ID != browsed.ID || returned.Mode != record.Browser {
		t.Errorf("the redirect led to %+v", returned)
	}

	own := b.Entry("own")
	done, err := b.Authorize.Begin(b.Context(), b.Owner, own.ID, authorize.Begin{Mode: record.RefreshToken, RefreshToken: b.Upstream.Issue("acct-3").Refresh})
	b.OK(err)
	if !done.Expires.IsZero() || !done.StartURL.IsZero() || !done.OAuthRequestURL.IsZero() {
		t.Errorf("something waits: %+v", done)
	}
	for account, entry := range map[string]record.Entry{"acct-1": pasted, "acct-2": browsed, "acct-3": own} {
		c, found, err := b.Vault.Credential(b.Context(), entry.Tenant, entry.ID)
		b.OK(err)
		if !found || c.Status != record.Active || c.Account.ID != account {
			t.Errorf("%s is %+v", entry.Alias, c)
		}
	}
}

func TestConsentIsAskedForWithAChallengeOurAddressAndAStateThatIsKeptAsAFingerprint(t *testing.T) {
	b := newBench(t)
	entry := b.Entry("one")
	begun, err := b.Authorize.Begin(b.Context(), b.Owner, entry.ID, authorize.Begin{Mode: record.ResultURL})
	b.OK(err)
	q := b.query(begun.OAuthRequestURL)
	if q.Get("redirect_uri") != "https://vault.example/oauth/acme/callback" || len(q.Get("code_challenge")) != 43 {
		t.Errorf("consent is asked for with %v", q)
	}
	ticket, ok := ident.ParseTicket(q.Get("state"), ident.Request)
	if !ok || ticket.Tenant != entry.Tenant {
		t.Fatalf("the state is %q", q.Get("state"))
	}
	r, err := b.Vault.Request(b.Context(), ticket.Tenant, ticket.ID)
	b.OK(err)
	if r.StateHash != ticket.Secret.Fingerprint() || r.Principal != b.Owner.ID || r.Entry != entry.ID || r.Mode != record.ResultURL {
		t.Errorf("the request is %+v", r)
	}
	if life := r.Expires.Sub(b.Clock.Now()); life > 10*time.Minute || !begun.Expires.Equal(r.Expires) {
		t.Errorf("the request lives %s", life)
	}
	verifier, err := b.Vault.OpenVerifier(b.Context(), r)
	b.OK(err)
	if oauth.Challenge(verifier) != q.Get("code_challenge") || strings.Contains(string(r.Verifier), verifier.Reveal()) {
		t.Error("the verifier is not the challenge's, or not sealed")
	}
}

func TestOnlyThePrincipalThatBeganMayValidate(t *testing.T) {
	b := newBench(t)
	entry := b.Entry("one")
	landed := b.pasting(entry, "acct-1")
	b.Fault(b.validate(b.Clerk, entry, landed), fault.Forbidden, "forbidden")
	b.Fault(b.validate(b.Alien, entry, landed), fault.NotFound, "not_found")
	other := b.Entry("two")
	b.Fault(b.validate(b.Owner, other, landed), fault.Invalid, "authorization_request_unknown")
	if n := len(b.Calls(tokens.Complete)); n != 0 || b.status(entry) != record.Pending {
		t.Fatalf("%d exchanges were asked for, the entry is %s", n, b.status(entry))
	}
	b.OK(b.validate(b.Owner, entry, landed)) // and nothing of that used it up
}

func TestAResultURLMustBeOurCallbackToTheLetter(t *testing.T) {
	b := newBench(t)
	entry := b.Entry("one")
	good := b.pasting(entry, "acct-1")
	query := good[strings.IndexByte(good, '?'):]
	for _, foreign := range []string{"http://vault.example/oauth/acme/callback", "https://vault.example.evil.example/oauth/acme/callback",
		"https://evil.example/oauth/acme/callback", "https://vault.example:8443/oauth/acme/callback", "https://vault.example./oauth/acme/callback",
		"https://vault.example/oauth/acme/callback/", "https://vault.example/oauth/acme/callback/../callback", "https://vault.example/oauth/%61cme/callback",
		"https://vault.example/oauth/other/callback", "https://vault.example//oauth/acme/callback", "https://vault.example/oauth/Acme/callback"} {
		b.Fault(b.validate(b.Owner, entry, foreign+query), fault.Invalid, "result_url_foreign")
	}
	for suffix, code := range map[string]string{"&code=other": "result_url_duplicate_parameter", "&state=other": "result_url_duplicate_parameter",
		"&c%6fde=x": "result_url_duplicate_parameter", "#top": "result_url_fragment"} {
		b.Fault(b.validate(b.Owner, entry, good+suffix), fault.Invalid, code)
	}
	b.Fault(b.validate(b.Owner, entry, strings.Replace(good, "code=", "kode=", 1)), fault.Invalid, "result_url_incomplete")
	b.Fault(b.validate(b.Owner, entry, strings.Replace(good, "https://", "https://me@", 1)), fault.Invalid, "result_url_userinfo")
	b.Fault(b.validate(b.Owner, entry, ""), fault.Invalid, "result_url_empty")
	if len(b.Calls(tokens.Complete)) != 0 {
		t.Error("an exchange was asked for")
	}
	b.OK(b.validate(b.Owner, entry, strings.Replace(good, "https://vault.example", "HTTPS://VAULT.example", 1)))
}

func TestAStateThatIsNotOursIsUnknownWhateverIsWrongWithIt(t *testing.T) {
	b := newBench(t)
	entry := b.Entry("one")
	good := b.pasting(entry, "acct-1")
	u, err := url.Parse(good)
	b.OK(err)
	state := u.Query().Get("state")
	for name, forged := range map[string]string{
		"nonsense":          "hello",
		"cut":               state[:len(state)-1],
		"other secret":      state[:32] + strings.Repeat("A", 43),
		"other request":     state[:16] + "0000000000000000" + state[32:],
		"other tenant":      "0000000000000002" + state[16:],
		"the parking space": "0000000000000000" + state[16:],
		"an upper-case id":  strings.ToUpper(state[:32]) + state[32:],
		"a path in the id":  "../../../../../../" + state[18:],
		"longer":            state + "A",
	} {
		problem := b.Fault(b.validate(b.Owner, entry, b.landed(forged, "c")), fault.Invalid, "authorization_request_unknown")
		first := b.Fault(b.validate(b.Owner, entry, b.landed("hello", "c")), fault.Invalid, "authorization_request_unknown")
		if problem.Detail != first.Detail || problem.Action != first.Action {
			t.Errorf("%s: the answer tells why: %s", name, problem.Detail)
		}
	}
}

func TestAResultURLIsGoodForTenMinutesAndForTheNewestRequest(t *testing.T) {
	b := newBench(t)
	entry := b.Entry("one")
	older, newer := b.pasting(entry, "acct-1"), ""
	newer = b.pasting(entry, "acct-1")
	problem := b.Fault(b.validate(b.Owner, entry, older), fault.Gone, "authorization_request_superseded")
	if !strings.Contains(problem.Action, "/authorize") {
		t.Errorf("what to do is %q", problem.Action)
	}
	b.Clock.Add(authorize.RequestLife)
	b.Fault(b.validate(b.Owner, entry, newer), fault.Gone, "authorization_request_expired")
	if b.status(entry) != record.Pending {
		t.Error("the entry is authorized")
	}
}

func TestValidatingAgainGivesTheFirstResultAndAnotherCodeIsRefused(t *testing.T) {
	b := newBench(t)
	entry := b.Entry("one")
	landed := b.pasting(entry, "acct-1")
	for range 3 {
		b.OK(b.validate(b.Owner, entry, landed))
	}
	if n := len(b.Upstream.Seen("/token")); n != 1 {
		t.Errorf("the code was sent %d times", n)
	}
	u, err := url.Parse(landed)
	b.OK(err)
	b.Fault(b.validate(b.Owner, entry, b.landed(u.Query().Get("state"), "another-code")), fault.Conflict, "authorization_request_used")
	b.Clock.Add(time.Hour)
	b.OK(b.validate(b.Owner, entry, landed)) // also when the request itself is long over
}

func TestManyWhoValidateAtOnceSpendTheCodeOnce(t *testing.T) {
	b := newBench(t)
	entry := b.Entry("one")
	landed := b.pasting(entry, "acct-1")
	answers := make([]error, 20)
	var all sync.WaitGroup
	for i := range answers {
		all.Go(func() { answers[i] = b.validate(b.Owner, entry, landed) })
	}
	all.Wait()
	for _, err := range answers {
		b.OK(err)
	}
	if n := len(b.Upstream.Seen("/token")); n != 1 {
		t.Errorf("the code was sent %d times", n)
	}
}

func TestASpentCodeIsNamedAndAFailureOfTheProviderIsNotTheEnd(t *testing.T) {
	b := newBench(t)
	entry := b.Entry("one")
	u, err := url.Parse(b.pasting(entry, "acct-1"))
	b.OK(err)
	spent := b.landed(u.Query().Get("state"), "never-given-out")
	for range 2 {
		b.Fault(b.validate(b.Owner, entry, spent), fault.Conflict, "authorization_code_spent")
	}

	landed := b.pasting(entry, "acct-1")
	b.Upstream.Token(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
	problem := b.Fault(b.validate(b.Owner, entry, landed), fault.Unavailable, "provider_unavailable")
	if !strings.Contains(problem.Action, "same Result URL") || problem.RetryAfter == 0 {
		t.Errorf("what to do is %q after %s", problem.Action, problem.RetryAfter)
	}
	b.Upstream.Token(nil)
	b.OK(b.validate(b.Owner, entry, landed))
}

func TestAnEntryStaysWithItsAccount(t *testing.T) {
	b := newBench(t)
	entry := b.Entry("one")
	b.OK(b.validate(b.Owner, entry, b.pasting(entry, "acct-1")))
	before, _, err := b.Vault.Credential(b.Context(), entry.Tenant, entry.ID)
	b.OK(err)
	b.Fault(b.validate(b.Owner, entry, b.pasting(entry, "acct-2")), fault.Conflict, "account_mismatch")
	after, _, err := b.Vault.Credential(b.Context(), entry.Tenant, entry.ID)
	b.OK(err)
	if after.Generation != before.Generation || after.Account.ID != "acct-1" || after.Status != record.Active {
		t.Errorf("another account's consent left %+v", after)
	}
}

func TestACallbackCompletesOnlyInTheBrowserThatBegan(t *testing.T) {
	b := newBench(t)
	entry := b.Entry("one")
	j := b.start(entry)
	query := b.back(j, "acct-1")
	other := b.start(b.Entry("two"))
	for name, cookie := range map[string]secret.Text{"no cookie": {}, "an empty one": secret.New(""), "another": secret.New("AAAA"), "another journey's": other.cookie,
		"its fingerprint": secret.New(j.cookie.Fingerprint())} {
		_, err := b.Authorize.Return(b.Context(), bundletest.Name, query, cookie)
		if fault.CodeOf(err) != "browser_mismatch" || fault.KindOf(err) != fault.Forbidden {
			t.Errorf("with %s: %v", name, err)
		}
	}
	if n := len(b.Calls(tokens.Complete)); n != 0 {
		t.Fatalf("%d exchanges were asked for", n)
	}
	_, err := b.Authorize.Return(b.Context(), bundletest.Name, query, j.cookie)
	b.OK(err)
	// Reloading the page gives the first result again.
	again, err := b.Authorize.Return(b.Context(), bundletest.Name, query, j.cookie)
	b.OK(err)
	if !again.Done || len(b.Upstream.Seen("/token")) != 1 {
		t.Errorf("the second time led to %+v, and %d exchanges", again, len(b.Upstream.Seen("/token")))
	}
}

// A start handle names the request as a state does, and of a request that nobody started there is no state yet.
func TestAHandleIsNoState(t *testing.T) {
	b := newBench(t)
	handle := b.handle(b.Entry("one"))
	for _, cookie := range []secret.Text{{}, secret.New("x")} {
		_, err := b.Authorize.Return(b.Context(), bundletest.Name, url.Values{"state": {handle.Reveal()}, "code": {"c"}}, cookie)
		b.Fault(err, fault.Invalid, "authorization_request_unknown")
	}
	if len(b.Calls(tokens.Complete)) != 0 {
		t.Error("an exchange was asked for")
	}
}

func TestADoorCompletesOnlyWhatWasBegunForIt(t *testing.T) {
	b := newBench(t)
	entry := b.Entry("one")
	u, err := url.Parse(b.pasting(entry, "acct-1"))
	b.OK(err)
	returned, err := b.Authorize.Return(b.Context(), bundletest.Name, u.Query(), secret.New("whatever"))
	b.OK(err)
	if returned.Done || returned.Mode != record.ResultURL {
		t.Errorf("the callback completed a request begun for pasting: %+v", returned)
	}
	j := b.start(entry)
	q := b.back(j, "acct-1")
	b.Fault(b.validate(b.Owner, entry, b.landed(q.Get("state"), q.Get("code"))), fault.Conflict, "authorization_request_mode")
	if n := len(b.Calls(tokens.Complete)); n != 0 || b.status(entry) != record.Pending {
		t.Errorf("%d exchanges were asked for; the entry is %s", n, b.status(entry))
	}
}

func TestConsentThatWasDeniedIsSaidAtBothDoors(t *testing.T) {
	b := newBench(t)
	entry := b.Entry("one")
	j := b.start(entry)
	no := url.Values{"state": {j.query.Get("state")}, "error": {"access_denied"}}
	_, err := b.Authorize.Return(b.Context(), bundletest.Name, no, j.cookie)
	problem := b.Fault(err, fault.Conflict, "consent_denied")
	if problem.Provider == nil || problem.Provider.Code != "access_denied" || problem.Field != "" {
		t.Errorf("the page has %+v", problem)
	}
	u, err := url.Parse(b.pasting(entry, "acct-1"))
	b.OK(err)
	no.Set("state", u.Query().Get("state"))
	b.Fault(b.validate(b.Owner, entry, u.Scheme+"://"+u.Host+u.Path+"?"+no.Encode()), fault.Conflict, "consent_denied")
	_, err = b.Authorize.Return(b.Context(), bundletest.Name, no, secret.Text{})
	b.Fault(err, fault.Conflict, "consent_denied") // nothing to copy: the page must not say that consent was given

	// It is told once a request, on behalf of whoever brought it.
	told, err := b.Vault.AuditChain(b.Context(), bundletest.Tenant, audit.Subject{Kind: audit.VaultEntry, ID: entry.ID}, "", time.Time{}, 100,
		func(e audit.Event) bool { return e.Action == audit.AuthorizationDenied })
	b.OK(err)
	if len(told.Items) != 2 || told.Items[0].Code != "consent_denied" || told.Items[0].Detail["request"] == told.Items[1].Detail["request"] {
		t.Errorf("told is %+v", told.Items)
	}
	b.Answer(func(context.Context, tokens.Call) (tokens.Answer, error) {
		return tokens.Answer{}, vault.NotFound("x", "x")
	})
	_, err = b.Authorize.Return(b.Context(), bundletest.Name, no, secret.Text{})
	b.Fault(err, fault.NotFound, "not_found") // what cannot be told is not answered as if it were
}

func TestAStartPageUsesNothingUp(t *testing.T) {
	b := newBench(t)
	entry := b.Entry("one")
	handle := b.handle(entry)
	for range 3 { // a preview, a scanner, a person
		journey, err := b.Authorize.Journey(b.Context(), handle, secret.Text{})
		b.OK(err)
		if journey.Tenant != "Example & Sons" || journey.Principal != "warehouse key" || journey.Entry.Alias != "one" ||
			journey.ConsentHost != bundletest.ConsentHost || journey.Title != "Acme" {
			t.Errorf("the page says %+v", journey)
		}
	}
	_, _, err := b.Authorize.Start(b.Context(), handle, secret.Text{})
	b.OK(err)
	for range 2 {
		_, _, err = b.Authorize.Start(b.Context(), handle, secret.Text{})
		b.Fault(err, fault.Gone, "authorization_request_used")
	}
	_, err = b.Authorize.Journey(b.Context(), handle, secret.Text{})
	b.Fault(err, fault.Gone, "authorization_request_used")
}

func TestOfManyWhoPressContinueOneGoesOn(t *testing.T) {
	b := newBench(t)
	handle := b.handle(b.Entry("one"))
	answers := make([]error, 10)
	var all sync.WaitGroup
	for i := range answers {
		all.Go(func() {
			_, _, answers[i] = b.Authorize.Start(context.WithoutCancel(b.Context()), handle, secret.Text{})
		})
	}
	all.Wait()
	won := 0
	for _, err := range answers {
		if err == nil {
			won++
		} else if fault.CodeOf(err) != "authorization_request_used" {
			t.Errorf("an answer is %v", err)
		}
	}
	if won != 1 {
		t.Errorf("%d went on", won)
	}
}

func TestAStartLinkThatIsWrongOrOverLeadsNowhere(t *testing.T) {
	b := newBench(t)
	entry := b.Entry("one")
	handle := b.handle(entry).Reveal()
	for _, wrong := range []string{"", "x", handle[:len(handle)-1], handle[:32] + strings.Repeat("A", 43), "0000000000000000" + handle[16:], strings.Repeat("a", 75)} {
		_, err := b.Authorize.Journey(b.Context(), secret.New(wrong), secret.Text{})
		b.Fault(err, fault.NotFound, "authorization_request_unknown")
		_, _, err = b.Authorize.Start(b.Context(), secret.New(wrong), secret.Text{})
		b.Fault(err, fault.NotFound, "authorization_request_unknown")
	}
	newer := b.handle(entry)
	_, err := b.Authorize.Journey(b.Context(), secret.New(handle), secret.Text{})
	b.Fault(err, fault.Gone, "authorization_request_used") // superseded
	b.Clock.Add(authorize.RequestLife)
	_, _, err = b.Authorize.Start(b.Context(), newer, secret.Text{})
	b.Fault(err, fault.Gone, "authorization_request_expired")
}

// visit is somebody whom the provider's store sends.
func (b bench) visit() authorize.Visit {
	b.Helper()
	v, err := b.Authorize.Login(b.Context(), bundletest.Name, url.Values{"go_on": {bundletest.StoreHost + "/confirm/1"}, "store_state": {"st-1"}, "account": {"acct-1"}})
	b.OK(err)
	return v
}

func TestAVisitOfTheStoreGoesOnOnceInItsOwnBrowser(t *testing.T) {
	b := newBench(t)
	entry := b.Entry("one")
	v := b.visit()
	got, err := b.Authorize.Begin(b.Context(), b.Owner, entry.ID, authorize.Begin{Mode: record.Appstore, Handle: v.Handle})
	b.OK(err)
	_, err = b.Authorize.Begin(b.Context(), b.Owner, entry.ID, authorize.Begin{Mode: record.Appstore, Handle: v.Handle})
	if problem := b.Fault(err, fault.Invalid, "authorization_request_unknown"); problem.Field != "handle" {
		t.Errorf("the field at fault is %q", problem.Field)
	}
	handle := b.handleOf(got)
	for _, cookie := range []secret.Text{{}, secret.New("x"), b.visit().Cookie} {
		_, err := b.Authorize.Journey(b.Context(), handle, cookie)
		b.Fault(err, fault.Forbidden, "browser_mismatch")
		_, _, err = b.Authorize.Start(b.Context(), handle, cookie)
		b.Fault(err, fault.Forbidden, "browser_mismatch")
	}
	journey, err := b.Authorize.Journey(b.Context(), handle, v.Cookie)
	b.OK(err)
	if journey.ConsentHost != bundletest.StoreHost {
		t.Errorf("the browser goes on to %s", journey.ConsentHost)
	}
	address, cookie, err := b.Authorize.Start(b.Context(), handle, v.Cookie)
	b.OK(err)
	q := b.query(address)
	if !strings.HasPrefix(address.Reveal(), bundletest.StoreHost+"/confirm/1?") || q.Get("store_state") != "st-1" || q.Get("redirect_uri") == "" {
		t.Errorf("the browser goes on to %s", address.Reveal())
	}
	ticket, _ := ident.ParseTicket(q.Get("state"), ident.Request)
	r, err := b.Vault.Request(b.Context(), ticket.Tenant, ticket.ID)
	b.OK(err)
	back := url.Values{"state": {q.Get("state")}, "code": {b.Upstream.Consent("acct-1", r.Challenge)}}
	_, err = b.Authorize.Return(b.Context(), bundletest.Name, back, v.Cookie) // the cookie of the visit is not the journey's
	b.Fault(err, fault.Forbidden, "browser_mismatch")
	_, err = b.Authorize.Return(b.Context(), bundletest.Name, back, cookie)
	b.OK(err)
}

func TestAHandleOfAVisitThatDoesNotFitSupersedesNothing(t *testing.T) {
	b := newBench(t)
	entry := b.Entry("one")
	landed := b.pasting(entry, "acct-1")
	v := b.visit()
	ours := b.handle(b.Entry("two"))
	for name, handle := range map[string]secret.Text{"nonsense": secret.New("x"), "of our own start page": ours,
		"another secret": secret.New(v.Handle.Reveal()[:32] + strings.Repeat("A", 43)), "none": {}} {
		_, err := b.Authorize.Begin(b.Context(), b.Owner, entry.ID, authorize.Begin{Mode: record.Appstore, Handle: handle})
		if fault.CodeOf(err) != "authorization_request_unknown" {
			t.Errorf("%s: %v", name, err)
		}
	}
	b.Clock.Add(authorize.RequestLife - time.Second)
	b.OK(b.validate(b.Owner, entry, landed))
	b.Clock.Add(time.Second)
	_, err := b.Authorize.Begin(b.Context(), b.Owner, entry.ID, authorize.Begin{Mode: record.Appstore, Handle: v.Handle})
	b.Fault(err, fault.Invalid, "authorization_request_unknown") // over
}

func TestAVisitOfOneProviderIsNoneOfAnother(t *testing.T) {
	b := newBench(t)
	entry := b.Entry("one")
	id, err := ident.New(strings.NewReader("0123456789"), ident.Request)
	b.OK(err)
	handle, err := ident.NewTicket(strings.NewReader(strings.Repeat("x", 32)), authorize.Outside, id)
	b.OK(err)
	b.OK(b.Vault.ParkRequest(b.Context(), record.Request{Tenant: authorize.Outside, ID: id, Provider: "elsewhere", Mode: record.Appstore,
		HandleHash: handle.Secret.Fingerprint(), CookieHash: "c", Expires: b.Clock.Now().Add(time.Minute)}))
	_, err = b.Authorize.Begin(b.Context(), b.Owner, entry.ID, authorize.Begin{Mode: record.Appstore, Handle: handle.Text()})
	b.Fault(err, fault.Invalid, "authorization_request_unknown")
}

func TestALoginIsRefusedThatIsNotTheStores(t *testing.T) {
	b := newBench(t)
	good := url.Values{"go_on": {bundletest.StoreHost + "/confirm/1"}, "store_state": {"s"}}
	for name, change := range map[string]func(url.Values){
		"foreign":   func(q url.Values) { q.Set("go_on", "https://evil.example/confirm/1") },
		"no state":  func(q url.Values) { q.Del("store_state") },
		"duplicate": func(q url.Values) { q.Add("go_on", "https://evil.example/") },
	} {
		q := url.Values{"go_on": good["go_on"], "store_state": good["store_state"]}
		change(q)
		if _, err := b.Authorize.Login(b.Context(), bundletest.Name, q); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := b.Authorize.Login(b.Context(), bundletest.BareName, good)
	b.Fault(err, fault.NotFound, "not_found")
	_, err = b.Authorize.Login(b.Context(), "nobody", good)
	b.Fault(err, fault.NotFound, "not_found")
}

func TestBeginRefusesWhatCannotLeadAnywhere(t *testing.T) {
	b := newBench(t)
	entry := b.Entry("one")
	begin := func(p record.Principal, id string, in authorize.Begin) error {
		_, err := b.Authorize.Begin(b.Context(), p, id, in)
		return err
	}
	for _, mode := range []record.Mode{"", "browser ", "Browser", "telnet", record.Mode(strings.Repeat("ü", 100))} {
		if problem := b.Fault(begin(b.Owner, entry.ID, authorize.Begin{Mode: mode}), fault.Invalid, "invalid_field"); problem.Field != "mode" || len(problem.Detail) > 300 {
			t.Errorf("%q: %+v", mode, problem)
		}
	}
	b.Fault(begin(b.Owner, "ve_0000000000000000", authorize.Begin{Mode: record.Browser}), fault.NotFound, "not_found")
	b.Fault(begin(b.Alien, entry.ID, authorize.Begin{Mode: record.Browser}), fault.NotFound, "not_found")
	b.Fault(begin(b.Owner, entry.ID, authorize.Begin{Mode: record.RefreshToken}), fault.Invalid, "invalid_field")
	b.Fault(begin(b.Owner, entry.ID, authorize.Begin{Mode: record.RefreshToken, RefreshToken: secret.New("wrong")}), fault.Invalid, "refresh_token_refused")
	_, err := b.Admin.UpdateEntry(b.Context(), b.Owner, entry.ID, bundletest.Fields("disabled", true))
	b.OK(err)
	b.Fault(begin(b.Owner, entry.ID, authorize.Begin{Mode: record.Browser}), fault.Conflict, "vault_entry_disabled")
	b.Fault(b.validate(b.Owner, entry, "https://vault.example/"), fault.Conflict, "vault_entry_disabled")
}

func TestWithoutAnApplicationConsentIsNotAskedFor(t *testing.T) {
	t.Parallel()
	b := bench{bundletest.New(t, bundletest.Options{})}
	entry := b.Entry("one")
	for _, mode := range []record.Mode{record.Browser, record.ResultURL, record.RefreshToken} {
		_, err := b.Authorize.Begin(b.Context(), b.Owner, entry.ID, authorize.Begin{Mode: mode, RefreshToken: secret.New("x")})
		b.Fault(err, fault.Misconfigured, "client_misconfigured")
	}
}

func TestNoOutcomeIsReportedThatIsNotStored(t *testing.T) {
	b := newBench(t)
	entry := b.Entry("one")
	landed := b.pasting(entry, "acct-1")
	b.Answer(func(context.Context, tokens.Call) (tokens.Answer, error) {
		return tokens.Answer{}, errors.New("lambda at 10.0.0.1 crashed")
	})
	if err := b.validate(b.Owner, entry, landed); fault.KindOf(err) != fault.Internal || strings.Contains(fault.As(err).Detail, "10.0.0.1") {
		t.Errorf("a crash of the token service is %v", err)
	}
	j := b.start(entry)
	_, err := b.Authorize.Return(b.Context(), bundletest.Name, b.back(j, "acct-1"), j.cookie)
	if problem := fault.As(err); problem.Kind != fault.Internal || strings.Contains(problem.Detail+problem.Action, "10.0.0.1") {
		t.Errorf("a crash of the token service is %v", err)
	}
	b.Answer(nil)
	b.Store.Fail(func(op string, table store.Table) bool { return table == store.Requests })
	_, err = b.Authorize.Begin(b.Context(), b.Owner, entry.ID, authorize.Begin{Mode: record.Browser})
	b.Fault(err, fault.Unavailable, "store_unavailable")
	b.Fault(b.validate(b.Owner, entry, landed), fault.Unavailable, "store_unavailable")
	b.Fault(func() error { _, err := b.Authorize.Journey(b.Context(), j.handle, secret.Text{}); return err }(), fault.Unavailable, "store_unavailable")
}

func TestWhatTheTokenServiceIsTold(t *testing.T) {
	b := newBench(t)
	entry := b.Entry("one")
	b.Answer(func(context.Context, tokens.Call) (tokens.Answer, error) {
		return tokens.Answer{Outcome: tokens.Success}, nil
	})
	landed := b.pasting(entry, "acct-1")
	b.OK(b.validate(b.Owner, entry, landed))
	call := b.Calls(tokens.Complete)[0]
	u, err := url.Parse(landed)
	b.OK(err)
	if call.Tenant != entry.Tenant || call.Entry != entry.ID || call.Code.Reveal() != u.Query().Get("code") || call.Claims["account"] != "x" || call.Request == "" {
		t.Errorf("the call is %+v", call)
	}
}

// A provider that cannot serve its consent page, or does not let our application ask, has not heard a person say no.
func TestWhyNoCodeCameIsTold(t *testing.T) {
	b := newBench(t)
	for said, want := range map[string]struct {
		kind fault.Kind
		code string
	}{
		"access_denied": {fault.Conflict, "consent_denied"}, "invalid_request.some_reason": {fault.Conflict, "consent_denied"},
		"temporarily_unavailable": {fault.Unavailable, "provider_unavailable"}, "server_error": {fault.Unavailable, "provider_unavailable"},
		"unauthorized_client": {fault.Misconfigured, "client_misconfigured"}, "invalid_scope": {fault.Misconfigured, "client_misconfigured"},
	} {
		entry := b.Entry("for " + said)
		begun, err := b.Authorize.Begin(b.Context(), b.Owner, entry.ID, authorize.Begin{Mode: record.ResultURL})
		b.OK(err)
		u, err := url.Parse(begun.OAuthRequestURL.Reveal())
		b.OK(err)
		query := url.Values{"state": {u.Query().Get("state")}, "error": {said}}
		problem := b.Fault(b.validate(b.Owner, entry, u.Query().Get("redirect_uri")+"?"+query.Encode()), want.kind, want.code)
		if problem.Provider == nil || problem.Provider.Code != said || problem.Action == "" {
			t.Errorf("%s: %+v", said, problem)
		}
	}
}
