package authorize_test

import (
	"net/url"
	"strings"
	"testing"

	"connectorvault/shared/authorize"
	"connectorvault/shared/bundle/bundletest"
	"connectorvault/shared/fault"
	"connectorvault/shared/provider"
	"connectorvault/shared/record"
	"connectorvault/shared/secret"
	"connectorvault/shared/tokens"
)

const program = "https://program.example/consented"

// redirecting is a bench of a provider whose entries may have a client and a callback of their own.
func redirecting(t *testing.T) bench {
	t.Helper()
	t.Parallel()
	b := bench{bundletest.New(t, bundletest.Options{Describe: []func(*provider.Descriptor){bundletest.OwnClients}})}
	b.Upstream.TakeSecret("client-7", bundletest.OwnSecret)
	return b
}

// comingBackTo makes an entry with a callback of its own.
func (b bench) comingBackTo(alias, callback string) record.Entry {
	b.Helper()
	return b.Bench.Entry(alias, append(bundletest.OwnClient("client-7"), bundletest.FieldCallback, callback)...)
}

// consent begins in Result URL mode and gives consent; it returns the query that the browser comes back with.
func (b bench) consent(entry record.Entry) (asked, back url.Values) {
	b.Helper()
	begun, err := b.Authorize.Begin(b.Context(), b.Owner, entry.ID, authorize.Begin{Mode: record.ResultURL})
	b.OK(err)
	asked = b.query(begun.OAuthRequestURL)
	return asked, url.Values{"state": {asked.Get("state")}, "code": {b.Upstream.Consent("acct-1", asked.Get("code_challenge"))}}
}

// exchanged is the redirect URI that the last code was exchanged with.
func (b bench) exchanged() string {
	b.Helper()
	forms := b.Upstream.Forms()
	if len(forms) == 0 {
		b.Fatal("nothing was exchanged")
	}
	return forms[len(forms)-1].Get("redirect_uri")
}

func TestWhereTheCallbackIsNotOursOnlyAPersonBringsTheResultURL(t *testing.T) {
	b := redirecting(t)
	entry := b.comingBackTo("one", program)
	asked, back := b.consent(entry)
	if asked.Get("redirect_uri") != program || asked.Get("client_id") != "client-7" {
		t.Errorf("consent is asked for with %v", asked)
	}
	for _, mode := range []record.Mode{record.Browser, record.Appstore} {
		_, err := b.Authorize.Begin(b.Context(), b.Owner, entry.ID, authorize.Begin{Mode: mode})
		f := b.Fault(err, fault.Invalid, "invalid_field")
		if f.Field != "mode" || !strings.Contains(f.Action, "result_url") || !strings.Contains(f.Action, authorize.RedirectURI(bundletest.PublicURL, bundletest.Name)) {
			t.Errorf("%s: %+v", mode, f)
		}
	}
	b.OK(b.validate(b.Owner, entry, program+"?"+back.Encode())) // what was refused has superseded nothing
	if got := b.exchanged(); got != program {
		t.Errorf("the code was exchanged with %q", got)
	}
	if b.status(entry) != record.Active {
		t.Errorf("the entry is %s", b.status(entry))
	}
	own, err := b.Authorize.Begin(b.Context(), b.Owner, entry.ID, authorize.Begin{Mode: record.RefreshToken, RefreshToken: b.Upstream.Issue("acct-1").Refresh})
	if err != nil || own.Mode != record.RefreshToken {
		t.Errorf("a refresh token comes back through no callback: %v", err)
	}
}

func TestACallbackThatSaysOursIsOurs(t *testing.T) {
	b := redirecting(t)
	ours := authorize.RedirectURI(bundletest.PublicURL, bundletest.Name)
	for alias, callback := range map[string]string{"said": ours, "not said": ""} {
		entry := b.comingBackTo(alias, callback)
		j := b.start(entry)
		if j.query.Get("redirect_uri") != ours {
			t.Errorf("%s: consent is asked for with %v", alias, j.query)
		}
		returned, err := b.Authorize.Return(b.Context(), bundletest.Name, b.back(j, "acct-"+alias), j.cookie)
		if err != nil || !returned.Done || b.exchanged() != ours {
			t.Errorf("%s: %+v, %v, exchanged with %q", alias, returned, err, b.exchanged())
		}
	}
	for _, other := range []string{ours + "/", strings.Replace(ours, "https", "http", 1), strings.ToUpper(ours), ours + "?x=1"} {
		entry := b.comingBackTo(other, other)
		_, err := b.Authorize.Begin(b.Context(), b.Owner, entry.ID, authorize.Begin{Mode: record.Browser})
		b.Fault(err, fault.Invalid, "invalid_field") // registered letter by letter, so it is another one
	}
}

// What a browser shows of an address is what it means, not how it was written when it was registered.
func TestAResultURLIsHeldAgainstTheEntrysOwnCallback(t *testing.T) {
	for callback, want := range map[string]struct{ good, foreign []string }{
		program: {
			good: []string{program, "HTTPS://PROGRAM.example/consented", "https://program.example:443/consented"},
			foreign: []string{"http://program.example/consented", "https://program.example/", "https://program.example", "https://program.example/consented/",
				"https://program.example/Consented", "https://program.example:8443/consented", "https://program.example./consented", "https://www.program.example/consented",
				"https://program.example.evil.example/consented", "https://evil.example/consented", "https://program.example//consented", "https://program.example/%63onsented",
				"https://vault.example/oauth/acme/callback", "https://vault.example/consented"},
		},
		"https://program.example":       {good: []string{"https://program.example", "https://program.example/"}, foreign: []string{"https://program.example/x", "https://program.example//", "https://evil.example/", "https://vault.example/oauth/acme/callback"}},
		"https://program.example/":      {good: []string{"https://program.example/", "https://program.example"}, foreign: []string{"https://program.example/x"}},
		"https://program.example:443/a": {good: []string{"https://program.example/a", "https://program.example:443/a"}, foreign: []string{"https://program.example:80/a", "http://program.example:443/a"}},
		"http://localhost:8080/cb":      {good: []string{"http://localhost:8080/cb"}, foreign: []string{"http://localhost/cb", "http://localhost:8081/cb", "http://127.0.0.1:8080/cb", "https://localhost:8080/cb"}},
		"http://[::1]/cb":               {good: []string{"http://[::1]/cb", "http://[::1]:80/cb"}, foreign: []string{"http://[::1]:443/cb", "http://[::2]/cb"}},
		"":                              {good: []string{"https://vault.example/oauth/acme/callback"}, foreign: []string{program, "https://vault.example/"}},
	} {
		t.Run(callback, func(t *testing.T) {
			b := redirecting(t)
			for i, good := range want.good {
				entry := b.comingBackTo(good+strings.Repeat("x", i), callback)
				_, back := b.consent(entry)
				for _, foreign := range want.foreign {
					f := b.Fault(b.validate(b.Owner, entry, foreign+"?"+back.Encode()), fault.Invalid, "result_url_foreign")
					if callback != "" && !strings.Contains(f.Action, callback) {
						t.Errorf("%s: nobody is told where it begins: %+v", foreign, f)
					}
				}
				if len(b.Calls(tokens.Complete)) != i {
					t.Errorf("a foreign one was exchanged")
				}
				if err := b.validate(b.Owner, entry, good+"?"+back.Encode()); err != nil {
					t.Errorf("%s is refused: %v", good, err)
				}
				if got := b.exchanged(); callback != "" && got != callback {
					t.Errorf("exchanged with %q; registered is %q", got, callback)
				}
			}
		})
	}
}

// A program may move while somebody consents. The code belongs to the address that consent was asked for with.
func TestARequestStaysWithTheCallbackItWasBegunWith(t *testing.T) {
	b := redirecting(t)
	entry := b.comingBackTo("one", program)
	_, back := b.consent(entry)
	const moved = "https://moved.example/cb"
	_, err := b.Admin.UpdateEntry(b.Context(), b.Owner, entry.ID, bundletest.Fields(bundletest.FieldCallback, moved))
	b.OK(err)
	b.Fault(b.validate(b.Owner, entry, moved+"?"+back.Encode()), fault.Invalid, "result_url_foreign")
	b.OK(b.validate(b.Owner, entry, program+"?"+back.Encode()))
	if got := b.exchanged(); got != program {
		t.Errorf("the code was exchanged with %q", got)
	}
	asked, back := b.consent(entry)
	if asked.Get("redirect_uri") != moved {
		t.Errorf("the next consent is asked for with %v", asked)
	}
	b.OK(b.validate(b.Owner, entry, moved+"?"+back.Encode()))
	// In browser mode likewise: it was begun with our address, and comes back there.
	_, err = b.Admin.UpdateEntry(b.Context(), b.Owner, entry.ID, bundletest.Fields(bundletest.FieldCallback, nil))
	b.OK(err)
	j := b.start(entry)
	_, err = b.Admin.UpdateEntry(b.Context(), b.Owner, entry.ID, bundletest.Fields(bundletest.FieldCallback, moved))
	b.OK(err)
	_, err = b.Authorize.Return(b.Context(), bundletest.Name, b.back(j, "acct-1"), j.cookie)
	b.OK(err)
	if got := b.exchanged(); got != authorize.RedirectURI(bundletest.PublicURL, bundletest.Name) {
		t.Errorf("the code was exchanged with %q", got)
	}
}

// A state is no way to learn where somebody else's entry comes back to.
func TestAForeignStateTellsNothingOfItsEntry(t *testing.T) {
	b := redirecting(t)
	_, back := b.consent(b.comingBackTo("one", program))
	theirs, err := b.Admin.CreateEntry(b.Context(), b.Alien, "", bundletest.Fields(append(bundletest.OwnClient("client-7"),
		"provider", bundletest.Name, "alias", "theirs", "environment", "test", bundletest.FieldCallback, "https://alien.example/cb")...))
	b.OK(err)
	another := b.comingBackTo("two", "https://two.example/cb")
	for who, asks := range map[string]struct {
		p     record.Principal
		entry record.Entry
	}{"another tenant": {b.Alien, theirs}, "another entry": {b.Owner, another}} {
		f := b.Fault(b.validate(asks.p, asks.entry, "https://guess.example/?"+back.Encode()), fault.Invalid, "result_url_foreign")
		if strings.Contains(f.Detail+f.Action, "program.example") || !strings.Contains(f.Action, asks.entry.Settings[bundletest.FieldCallback]) {
			t.Errorf("%s is told: %+v", who, f)
		}
		b.Fault(b.validate(asks.p, asks.entry, asks.entry.Settings[bundletest.FieldCallback]+"?"+back.Encode()), fault.Invalid, "authorization_request_unknown")
	}
	forged := url.Values{"state": {"nonsense"}, "code": {"c"}}
	b.Fault(b.validate(b.Owner, another, "https://guess.example/?"+forged.Encode()), fault.Invalid, "result_url_foreign")
	if len(b.Calls(tokens.Complete)) != 0 {
		t.Error("an exchange was asked for")
	}
}

func TestAnEntryWithItsOwnClientNeedsNoApplication(t *testing.T) {
	b := redirecting(t)
	own, shared := b.comingBackTo("own", ""), b.Bench.Entry("shared", bundletest.FieldShared, true)
	j := b.start(own)
	if j.query.Get("client_id") != "client-7" {
		t.Errorf("consent is asked for with %v", j.query)
	}
	for _, mode := range []record.Mode{record.Browser, record.ResultURL, record.RefreshToken} {
		_, err := b.Authorize.Begin(b.Context(), b.Owner, shared.ID, authorize.Begin{Mode: mode, RefreshToken: secret.New("x")})
		b.Fault(err, fault.Misconfigured, "client_misconfigured")
	}
	b.App()
	if j := b.start(shared); j.query.Get("client_id") != "client-1" {
		t.Errorf("consent is asked for with %v", j.query)
	}
	_, err := b.Authorize.Return(b.Context(), bundletest.Name, b.back(j, "acct-1"), j.cookie)
	b.OK(err)
	forms := b.Upstream.Forms()
	if last := forms[len(forms)-1]; last.Get("client_id") != "client-7" || last.Get("client_secret") != bundletest.OwnSecret {
		t.Errorf("the code was exchanged by %s", last.Get("client_id"))
	}
	_, err = b.Admin.UpdateEntry(b.Context(), b.Owner, own.ID, bundletest.Fields("disabled", true))
	b.OK(err)
	_, err = b.Authorize.Begin(b.Context(), b.Owner, own.ID, authorize.Begin{Mode: record.ResultURL})
	b.Fault(err, fault.Conflict, "vault_entry_disabled")
}
