package refresh_test

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"connectorvault/shared/authorize"
	"connectorvault/shared/bundle/bundletest"
	"connectorvault/shared/fault"
	"connectorvault/shared/provider"
	"connectorvault/shared/record"
	"connectorvault/shared/secret"
	"connectorvault/shared/store"
	"connectorvault/shared/tokens"
	"connectorvault/shared/vault"
)

// rack is all use cases over a provider whose entries may bring a client of their own. What is logged is looked through
// for secrets when the test ends.
type rack struct {
	*bundletest.Bench
	log *logbook
}

func newRack(t *testing.T, o bundletest.Options) *rack {
	t.Helper()
	r := &rack{log: &logbook{}}
	o.Describe = append([]func(*provider.Descriptor){bundletest.OwnClients}, o.Describe...)
	o.Log = r.log
	r.Bench = bundletest.New(t, o)
	r.Upstream.TakeSecret("client-7", bundletest.OwnSecret)
	t.Cleanup(func() { r.hides("the log", r.log.String()) })
	return r
}

// asleep runs a test in a bubble, where waiting costs nothing.
func asleep(t *testing.T, o bundletest.Options, test func(*rack)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o.Now, o.Plain = time.Now, true
		test(newRack(t, o))
	})
}

// hides fails the test when a text shows a secret.
func (r *rack) hides(what, text string) {
	r.Helper()
	if at := strings.Index(text, "canary"); at >= 0 {
		r.Errorf("%s shows a secret: …%s…", what, text[max(0, at-80):min(len(text), at+80)])
	}
}

// own makes an active entry with a client of its own.
func (r *rack) own(alias string) record.Entry {
	r.Helper()
	return r.Active(alias, bundletest.OwnClient("client-7")...)
}

func (r *rack) update(e record.Entry, pairs ...any) error {
	r.Helper()
	_, err := r.Admin.UpdateEntry(r.Context(), r.Owner, e.ID, bundletest.Fields(pairs...))
	return err
}

// refresh makes a refresh that is due, of any living token.
func (r *rack) refresh(e record.Entry) (tokens.Answer, error) {
	r.Helper()
	got, err := r.Tokens.Do(r.Context(), tokens.Call{Op: tokens.Refresh, Tenant: e.Tenant, Entry: e.ID, FailedGeneration: r.credential(e).Generation})
	if err != nil {
		r.hides("an error", err.Error())
	}
	if answered := got.Err(); answered != nil {
		r.hides("an answer", answered.Error())
	}
	return got, err
}

func (r *rack) wants(e record.Entry, want tokens.Outcome) tokens.Answer {
	r.Helper()
	got, err := r.refresh(e)
	r.OK(err)
	if got.Outcome != want {
		r.Fatalf("the outcome is %s (%v); want %s", got.Outcome, got.Err(), want)
	}
	return got
}

func (r *rack) credential(e record.Entry) record.Credential {
	r.Helper()
	c, found, err := r.Vault.Credential(r.Context(), e.Tenant, e.ID)
	r.OK(err)
	if !found {
		r.Fatal("the entry has no credential")
	}
	return c
}

// inForce is the refresh token in force.
func (r *rack) inForce(e record.Entry) string {
	r.Helper()
	set, err := r.Vault.OpenTokens(r.Context(), r.credential(e))
	r.OK(err)
	return set.Refresh.Reveal()
}

// posts are the client secrets that the token endpoint was shown since the last time.
func (r *rack) posts(since *int) (secrets []string) {
	r.Helper()
	forms := r.Upstream.Forms()
	for _, form := range forms[*since:] {
		secrets = append(secrets, form.Get("client_id")+" "+form.Get("client_secret"))
	}
	*since = len(forms)
	return secrets
}

func (r *rack) wantPosts(since *int, want ...string) {
	r.Helper()
	if got := r.posts(since); !slices.Equal(got, want) {
		r.Errorf("the token endpoint was asked as %q; want %q", got, want)
	}
}

func TestEachEntryAsksAsTheClientThatItHas(t *testing.T) {
	t.Parallel()
	r := newRack(t, bundletest.Options{})
	r.App()
	own, shared := r.own("own"), r.Active("shared", bundletest.FieldShared, true)
	since := 0
	r.wants(own, tokens.Success)
	r.wantPosts(&since, "client-7 "+bundletest.OwnSecret)
	r.wants(shared, tokens.Success)
	r.wantPosts(&since, "client-1 "+bundletest.ClientSecret)
	read := r.Secrets.Read()
	for range 3 {
		r.wants(own, tokens.Success)
		r.wants(shared, tokens.Success)
	}
	if got := r.Secrets.Read(); len(got) != len(read) {
		t.Errorf("the secrets were read again: %v", got[len(read):])
	}
	for _, name := range r.Secrets.Read() {
		if strings.Contains(name, "/read/") {
			t.Errorf("%s was read, and a refresh needs none of it", name)
		}
	}
}

func TestAChangedSecretIsUsedAtTheNextRefreshAlthoughTheOldOneIsRemembered(t *testing.T) {
	t.Parallel()
	r := newRack(t, bundletest.Options{})
	e := r.own("own")
	since := 0
	r.wants(e, tokens.Success)
	r.OK(r.update(e, bundletest.FieldSecret, "canary-second"))
	r.Upstream.TakeSecret("client-7", "canary-second")
	r.wants(e, tokens.Success)
	r.wantPosts(&since, "client-7 "+bundletest.OwnSecret, "client-7 canary-second")
}

// The secret was stored and its record was not: the one before is in force, until the change is repeated.
func TestASecretWithoutItsRecordIsNotOffered(t *testing.T) {
	asleep(t, bundletest.Options{}, func(r *rack) {
		e := r.own("own")
		since := 0
		r.wants(e, tokens.Success)
		r.Store.Fail(func(op string, table store.Table) bool { return op == "apply" && table == store.Records })
		r.Fault(r.update(e, bundletest.FieldSecret, "canary-second"), fault.Unavailable, "store_unavailable")
		r.Store.Fail(nil)
		r.posts(&since)
		r.wants(e, tokens.Success)
		r.wantPosts(&since, "client-7 "+bundletest.OwnSecret)

		// Refused, the token is not offered twice: what lies under the record's name is what it always was.
		r.Upstream.TakeSecret("client-7", "canary-second")
		r.wants(e, tokens.Misconfigured)
		r.wantPosts(&since, "client-7 "+bundletest.OwnSecret)
		if c := r.credential(e); c.Status != record.Active || c.Generation != 3 || c.Intent != nil {
			r.Errorf("the credential is %s", shown(c))
		}
		time.Sleep(time.Second)
		r.OK(r.update(e, bundletest.FieldSecret, "canary-second"))
		r.wants(e, tokens.Success)
		r.wantPosts(&since, "client-7 canary-second")
	})
}

func TestAnApplicationThatIsRegisteredAnewWhileItIsRefusedIsUsedAtOnce(t *testing.T) {
	t.Parallel()
	r := newRack(t, bundletest.Options{})
	r.App()
	e := r.Active("shared", bundletest.FieldShared, true)
	r.Upstream.Token(func(w http.ResponseWriter, _ *http.Request) {
		r.Upstream.Token(nil)
		in := bundletest.AppFields() // another client, whose secret is the same by chance
		in[bundletest.FieldClient] = bundletest.Fields("x", "client-2")["x"]
		_, err := r.Admin.PutApp(r.Context(), r.Owner, bundletest.Name, in)
		r.OK(err)
		answer(w, http.StatusUnauthorized, map[string]any{"error": "invalid_client"})
	})
	since := 0
	r.wants(e, tokens.Success)
	r.wantPosts(&since, "client-2 "+bundletest.ClientSecret)
}

func TestAnEntryThatWasChangedWaitsForNobody(t *testing.T) {
	asleep(t, bundletest.Options{}, func(r *rack) {
		r.App()
		own, another, shared := r.own("own"), r.own("another"), r.Active("shared", bundletest.FieldShared, true)
		r.Upstream.TakeSecret("client-7", "canary-second")
		r.Upstream.TakeSecret("client-1", "canary-second")
		all := []record.Entry{own, another, shared}
		for _, e := range all {
			r.wants(e, tokens.Misconfigured)
		}
		since := len(r.Upstream.Forms())
		time.Sleep(time.Second)
		for _, e := range all {
			if got := r.wants(e, tokens.Misconfigured); got.Fault == nil || got.Fault.Code != "client_misconfigured" || got.Fault.RetryAfter == 0 {
				r.Errorf("the answer is %+v", got)
			}
		}
		r.wantPosts(&since) // none: everybody waits
		r.OK(r.update(own, bundletest.FieldSecret, "canary-second"))
		r.OK(r.update(shared, "memo", "x")) // its client is the application
		r.wants(own, tokens.Success)
		r.wantPosts(&since, "client-7 canary-second")
		r.wants(another, tokens.Misconfigured)
		r.wants(shared, tokens.Misconfigured)
		r.wantPosts(&since)

		in := bundletest.AppFields()
		in["client_secret"] = bundletest.Fields("x", "canary-second")["x"]
		_, err := r.Admin.PutApp(r.Context(), r.Owner, bundletest.Name, in)
		r.OK(err)
		r.wants(another, tokens.Misconfigured)
		r.wantPosts(&since)
		r.wants(shared, tokens.Success)
		r.wantPosts(&since, "client-1 canary-second")

		// What a change did not mend is found out once, and waited for again.
		r.OK(r.update(another, "memo", "x"))
		r.wants(another, tokens.Misconfigured)
		r.wants(another, tokens.Misconfigured)
		r.wantPosts(&since, "client-7 "+bundletest.OwnSecret)
	})
}

func TestASecretThatIsMissingAsksForItselfAndSpendsNothing(t *testing.T) {
	asleep(t, bundletest.Options{}, func(r *rack) {
		e := r.own("own")
		before := r.credential(e)
		r.OK(r.Secrets.DeleteSecret(r.Context(), vault.EntrySecret(e.Tenant, e.ID, e.Secrets[record.ClientSecrets].Version)))
		_, err := r.refresh(e)
		f := r.Fault(err, fault.Misconfigured, "client_misconfigured")
		if !strings.Contains(f.Action, "PATCH /v1/vault-entries/"+e.ID) {
			r.Errorf("nobody is told what to do: %+v", f)
		}
		if c := r.credential(e); len(r.Upstream.Forms()) != 0 || c.Generation != before.Generation || c.Lease != nil || c.Intent != nil {
			r.Errorf("%d posts, the credential is %s", len(r.Upstream.Forms()), shown(c))
		}
		r.OK(r.update(e, bundletest.FieldSecret, bundletest.OwnSecret))
		r.wants(e, tokens.Success)
		r.Secrets.Down(true)
		r.wants(e, tokens.Success) // remembered
		time.Sleep(6 * time.Hour)
		_, err = r.refresh(e)
		r.Fault(err, fault.Unavailable, "store_unavailable")
		r.Secrets.Down(false)
		r.OK(r.update(e, "disabled", true))
		_, err = r.refresh(e)
		r.Fault(err, fault.Conflict, "vault_entry_disabled")
	})
}

// consented begins in Result URL mode, gives consent, and returns the URL that the browser lands on.
func (r *rack) consented(e record.Entry, account string) resultURL {
	r.Helper()
	begun, err := r.Authorize.Begin(r.Context(), r.Owner, e.ID, authorize.Begin{Mode: record.ResultURL})
	r.OK(err)
	asked, err := url.Parse(begun.OAuthRequestURL.Reveal())
	r.OK(err)
	q := asked.Query()
	back := url.Values{"state": {q.Get("state")}, "code": {r.Upstream.Consent(account, q.Get("code_challenge"))}, "account": {"the-browsers"}}
	return resultURL{e, q.Get("redirect_uri") + "?" + back.Encode()}
}

// resultURL is a Result URL of an entry.
type resultURL struct {
	entry record.Entry
	url   string
}

func (r *rack) validate(p resultURL) error {
	r.Helper()
	err := r.Authorize.Validate(r.Context(), r.Owner, p.entry.ID, bundletest.Text(p.url))
	if err != nil {
		r.hides("an error", err.Error())
	}
	return err
}

func (r *rack) exchanges() int {
	return len(slices.DeleteFunc(r.Upstream.Forms(), func(form url.Values) bool { return form.Get("grant_type") != "authorization_code" }))
}

func TestAnAccountIsIdentifiedWithTheSecretsThatReadsNeed(t *testing.T) {
	t.Parallel()
	r := newRack(t, bundletest.Options{})
	e := r.Entry("own", bundletest.OwnClient("client-7")...)
	r.OK(r.validate(r.consented(e, "acct-1")))
	if seen := r.Upstream.Seen("/me"); len(seen) != 1 || seen[0].Header.Get("X-Signature") != bundletest.Signature {
		t.Errorf("it was asked for without: %d times", len(seen))
	}
	// Without one the consent is kept, and is enough once there is one.
	bare := r.Entry("bare", bundletest.FieldClient, "client-7", bundletest.FieldSecret, bundletest.OwnSecret)
	pasted := r.consented(bare, "acct-2")
	r.Fault(r.validate(pasted), fault.Misconfigured, "client_misconfigured")
	if _, found, err := r.Vault.Credential(r.Context(), bare.Tenant, bare.ID); found || err != nil {
		t.Errorf("it is authorized: %t, %v", found, err)
	}
	r.OK(r.update(bare, bundletest.FieldSignature, "canary-later"))
	r.OK(r.validate(pasted))
	if c := r.credential(bare); c.Account.ID != "acct-2" || r.exchanges() != 2 {
		t.Errorf("the account is %+v, after %d exchanges", c.Account, r.exchanges())
	}
}

func TestWhatTheTokenEndpointSaysCountsForMoreThanWhatABrowserBrings(t *testing.T) {
	t.Parallel()
	r := newRack(t, bundletest.Options{Claims: []string{"account", "owner"}})
	r.Upstream.Say("account", "the-endpoints")
	r.Upstream.Say("owner", 4711)
	r.Upstream.Say("other", "nobody asks for it")
	e := r.Entry("own", bundletest.OwnClient("client-7")...)
	// The process dies between exchange and identification, as far as the request can tell.
	var asked atomic.Int32
	r.Upstream.Client.Transport = &failing{r.Upstream.Client.Transport, func(q *http.Request) bool { return q.URL.Path == "/eu/me" && asked.Add(1) == 1 }}
	pasted := r.consented(e, "acct-1")
	r.Fault(r.validate(pasted), fault.Unavailable, "provider_unavailable")
	r.OK(r.validate(pasted))
	got := r.credential(e).Account.Details
	if got["account"] != "the-endpoints" || got["owner"] != "4711" || len(got) != 2 || r.exchanges() != 1 {
		t.Errorf("it was identified by %v, after %d exchanges", got, r.exchanges())
	}
}

// failing is a network that loses some requests.
type failing struct {
	under http.RoundTripper
	loses func(*http.Request) bool
}

func (f *failing) RoundTrip(r *http.Request) (*http.Response, error) {
	if f.loses(r) {
		return nil, errors.New("the connection broke")
	}
	return f.under.RoundTrip(r)
}

// An application that is replaced by another one takes no entry's authorization with it: the token is not offered in the
// name of a client that it was not given to.
func TestAnotherApplicationSpendsNobodysToken(t *testing.T) {
	t.Parallel()
	r := newRack(t, bundletest.Options{})
	r.App()
	e := r.Active("shared", bundletest.FieldShared, true)
	r.Upstream.Token(nil)
	authorized := r.credential(e)
	authorized.Client = secret.New("client-1").Fingerprint()
	r.OK(r.Vault.Authorize(r.Context(), &record.Credential{Generation: authorized.Generation}, authorized, nil))
	since := len(r.Upstream.Forms())
	put := func(id string) {
		t.Helper()
		in := bundletest.AppFields()
		in[bundletest.FieldClient] = bundletest.Fields("x", id)["x"]
		_, err := r.Admin.PutApp(r.Context(), r.Owner, bundletest.Name, in)
		r.OK(err)
	}
	put("client-2")
	got := r.wants(e, tokens.Misconfigured)
	if got.Fault == nil || !strings.Contains(got.Fault.Detail, "replaced") || len(r.Upstream.Forms()) != since {
		t.Errorf("%v after %d posts", got.Fault, len(r.Upstream.Forms())-since)
	}
	if c := r.credential(e); c.Status != record.Active || c.Lease != nil || c.Intent != nil {
		t.Errorf("the credential is %s", shown(c))
	}
	put("client-1") // back again, and all is well
	r.wants(e, tokens.Success)
}
