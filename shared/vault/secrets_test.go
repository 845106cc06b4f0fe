package vault_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"connectorvault/shared/fault"
	"connectorvault/shared/ident"
	"connectorvault/shared/record"
	"connectorvault/shared/secret"
	"connectorvault/shared/store"
	"connectorvault/shared/vault"
)

const hidden = "canary-value-3c19"

// shelf is a secret store that counts, and answers each name's readings in a given order; the last answer stays.
type shelf struct {
	mu      sync.Mutex
	answers map[string][]reading // guarded by mu
	reads   int                  // guarded by mu
}

type reading struct {
	text string
	err  error
}

func (s *shelf) GetSecret(_ context.Context, name string) (secret.Text, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads++
	all := s.answers[name]
	if len(all) == 0 {
		return secret.Text{}, store.ErrNotFound
	}
	if len(all) > 1 {
		s.answers[name] = all[1:]
	}
	return secret.New(all[0].text), all[0].err
}

func (s *shelf) lie(name string, answers ...reading) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.answers == nil {
		s.answers = map[string][]reading{}
	}
	s.answers[name] = answers
}

func (s *shelf) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reads
}

func (*shelf) PutSecret(context.Context, string, secret.Text) error { return errLost }

func (*shelf) CreateSecret(context.Context, string, secret.Text) (bool, error) { return false, errLost }

func (*shelf) DeleteSecret(context.Context, string) error { return errLost }

func (*shelf) ListSecrets(context.Context, string, string) ([]string, string, error) {
	return nil, "", errLost
}

// kept is a secret of a version as the secret store keeps it.
func kept(version, value string) reading {
	text, err := vault.Secrets{Version: version, Fields: map[string]secret.Text{"client_secret": secret.New(value)}}.Encode()
	return reading{text.Reveal(), err}
}

var missing = reading{err: store.ErrNotFound}

// What reads may open lies under a name that a role can be given, and nothing else does.
func TestASecretsNameSaysWhoMayOpenIt(t *testing.T) {
	t.Parallel()
	entry, app := vault.EntrySecret(tenant, "ve_0000000000000009", "v_1"), vault.AppSecret(tenant, "acme", record.Sandbox, "v_1")
	for name, want := range map[string]string{
		entry: tenant + "/entry/ve_0000000000000009/v_1",
		app:   tenant + "/app/acme/sandbox/v_1",
		vault.GroupSecret(entry, record.ClientSecrets): tenant + "/entry/ve_0000000000000009/v_1",
		vault.GroupSecret(entry, record.ReadSecrets):   tenant + "/read/entry/ve_0000000000000009/v_1",
		vault.GroupSecret(app, record.ClientSecrets):   tenant + "/app/acme/sandbox/v_1",
		vault.GroupSecret(app, record.ReadSecrets):     tenant + "/read/app/acme/sandbox/v_1",
	} {
		if name != want {
			t.Errorf("a name is %q; want %q", name, want)
		}
	}
	names := map[string]bool{}
	for _, of := range []string{tenant, other} {
		for _, base := range []string{vault.EntrySecret(of, "ve_0000000000000009", "v_1"), vault.AppSecret(of, "acme", record.Sandbox, "v_1"), vault.AppSecret(of, "acme", record.Production, "v_1"), vault.AppSecret(of, "acme", record.Production, "v_2")} {
			for _, group := range []record.SecretGroup{record.ClientSecrets, record.ReadSecrets} {
				name := vault.GroupSecret(base, group)
				if names[name] || !strings.HasPrefix(name, of+"/") || strings.HasPrefix(name, of+"/read/") != (group == record.ReadSecrets) {
					t.Errorf("%s is the name of a secret of group %s", name, group)
				}
				names[name] = true
			}
		}
	}
}

func TestSecretsComeBackAsTheyWentIn(t *testing.T) {
	t.Parallel()
	values := map[string]secret.Text{"client_secret": secret.New("a \"quoted\\ <value> of ü and \u2028"), "signature": secret.New(hidden)}
	text, err := vault.Secrets{Version: "v_1", Fields: values}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	back, err := vault.DecodeSecrets(text)
	same := maps.EqualFunc(back.Fields, values, func(a, b secret.Text) bool { return a.Equal(b) })
	if err != nil || back.Version != "v_1" || !same {
		t.Errorf("it came back as version %q, the same %t, %v", back.Version, same, err)
	}
	if shown := fmt.Sprintf("%v %+v %#v", text, back, back); strings.Contains(shown, "canary") {
		t.Errorf("it is shown as %s", shown)
	}
	for _, broken := range []string{"", hidden, `{"version":"` + hidden, `{"fields":"` + hidden + `"}`, `{"version":1}`, `[]`} {
		got, err := vault.DecodeSecrets(secret.New(broken))
		if err == nil || strings.Contains(err.Error(), "canary") || errors.Unwrap(err) != nil || got.Version != "" || len(got.Fields) != 0 {
			t.Errorf("%q is read as %+v, %v", broken, got, err)
		}
	}
}

// withReader runs a test of a SecretReader in a bubble, where its waits cost nothing.
func withReader(t *testing.T, test func(*testing.T, *shelf, *vault.SecretReader)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{}
		test(t, s, &vault.SecretReader{Store: s, Now: time.Now})
	})
}

func TestASecretIsRememberedAndReadAnewForAnotherVersion(t *testing.T) {
	withReader(t, func(t *testing.T, s *shelf, r *vault.SecretReader) {
		read := func(version string, again bool, want string, reads int) {
			t.Helper()
			got, found, err := r.Read(t.Context(), "a", version, again)
			if err != nil || !found || got.Fields["client_secret"].Reveal() != want || s.count() != reads {
				t.Fatalf("got %q, found %t, after %d readings, %v; want %q after %d", got.Fields["client_secret"].Reveal(), found, s.count(), err, want, reads)
			}
		}
		s.lie("a", kept("v_1", "one"))
		read("v_1", false, "one", 1)
		time.Sleep(6*time.Hour - time.Second)
		read("v_1", false, "one", 1)
		s.lie("a", kept("v_2", "two"))
		read("v_1", false, "one", 1) // nothing says that it is another by now
		read("v_2", false, "two", 2)
		read("v_2", true, "two", 3) // an endpoint has just refused it
		read("v_2", false, "two", 3)
		time.Sleep(6 * time.Hour)
		read("v_2", false, "two", 4)
		if _, found, err := r.Read(t.Context(), "b", "v_2", false); found || err != nil {
			t.Errorf("another name has it too: %t %v", found, err)
		}
	})
}

// The record was written after the secret, so a secret of another version is one that the store has not come to yet.
func TestASecretIsWaitedForUntilItIsTheRecords(t *testing.T) {
	withReader(t, func(t *testing.T, s *shelf, r *vault.SecretReader) {
		for name, answers := range map[string][]reading{
			"behind": {kept("v_1", "one"), kept("v_1", "one"), kept("v_2", "two")},
			"new":    {missing, missing, missing, kept("v_2", "two")},
			"both":   {missing, kept("v_1", "one"), missing, kept("v_2", "two")},
		} {
			s.lie(name, answers...)
			got, found, err := r.Read(t.Context(), name, "v_2", false)
			if err != nil || !found || got.Version != "v_2" || got.Fields["client_secret"].Reveal() != "two" {
				t.Errorf("%s: version %q, found %t, %v", name, got.Version, found, err)
			}
		}
	})
}

// Whoever changes a secret may die before the record: then the record's version never comes, and what lies there is the
// newest that anybody gave. It is used, and not remembered for what it is not.
func TestASecretWhoseRecordWasNotStoredIsUsedAllTheSame(t *testing.T) {
	withReader(t, func(t *testing.T, s *shelf, r *vault.SecretReader) {
		s.lie("a", kept("v_2", "two"))
		started := time.Now()
		for range 2 {
			got, found, err := r.Read(t.Context(), "a", "v_1", false)
			if err != nil || !found || got.Fields["client_secret"].Reveal() != "two" {
				t.Fatalf("version %q, found %t, %v", got.Version, found, err)
			}
		}
		if took := time.Since(started); s.count() != 8 || took > 2*time.Second {
			t.Errorf("%d readings in %s", s.count(), took)
		}
		s.lie("a", kept("v_1", "one"))
		if got, _, err := r.Read(t.Context(), "a", "v_1", false); err != nil || got.Fields["client_secret"].Reveal() != "one" {
			t.Errorf("afterwards it is version %q, %v", got.Version, err)
		}
	})
}

func TestAMissingSecretIsNoErrorAndAStoreThatIsDownIs(t *testing.T) {
	withReader(t, func(t *testing.T, s *shelf, r *vault.SecretReader) {
		if got, found, err := r.Read(t.Context(), "a", "v_1", false); err != nil || found || got.Version != "" {
			t.Errorf("version %q, found %t, %v", got.Version, found, err)
		}
		if s.count() != 4 {
			t.Errorf("%d readings", s.count())
		}
		s.lie("b", reading{err: errors.New("no answer from 10.0.0.7")})
		_, found, err := r.Read(t.Context(), "b", "v_1", false)
		if f := fault.As(err); found || f.Kind != fault.Unavailable || f.Code != "store_unavailable" || f.RetryAfter == 0 || strings.Contains(f.Detail+f.Action, "10.0.0.7") {
			t.Errorf("found %t, %+v", found, f)
		}
		s.lie("c", reading{text: "{" + hidden})
		if _, found, err = r.Read(t.Context(), "c", "v_1", false); found || err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("found %t, %v", found, err)
		}
		// What was remembered serves on while the store is down.
		s.lie("d", kept("v_1", "one"))
		for range 2 {
			if got, found, err := r.Read(t.Context(), "d", "v_1", false); err != nil || !found || got.Version != "v_1" {
				t.Errorf("version %q, found %t, %v", got.Version, found, err)
			}
			s.lie("d", reading{err: errLost})
		}
	})
}

func TestNobodyWaitsForASecretLongerThanTheyLive(t *testing.T) {
	withReader(t, func(t *testing.T, s *shelf, r *vault.SecretReader) {
		s.lie("a", kept("v_1", "one"))
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if _, found, err := r.Read(ctx, "a", "v_2", false); found || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("found %t, %v", found, err)
		}
	})
}

func TestManyReadersOfSecretsDisturbEachOtherNot(t *testing.T) {
	withReader(t, func(t *testing.T, s *shelf, r *vault.SecretReader) {
		for i := range 4 {
			s.lie(fmt.Sprint(i), kept("v_1", fmt.Sprint(i)))
		}
		var all sync.WaitGroup
		for i := range 40 {
			all.Go(func() {
				name := fmt.Sprint(i % 4)
				got, found, err := r.Read(t.Context(), name, "v_1", i%8 == 0)
				if err != nil || !found || got.Fields["client_secret"].Reveal() != name {
					t.Errorf("%s: version %q, found %t, %v", name, got.Version, found, err)
				}
			})
		}
		all.Wait()
	})
}

func TestReadsGetTheSecretsOfTheirEntryOrOfItsApplication(t *testing.T) {
	each(t, func(r *rig) {
		put := func(name string, group record.SecretGroup, version, field, value string) {
			text, err := vault.Secrets{Version: version, Fields: map[string]secret.Text{field: secret.New(value)}}.Encode()
			r.ok(err)
			r.ok(r.engine.PutSecret(r.Context(), vault.GroupSecret(name, group), text))
		}
		reader := &vault.SecretReader{Store: r.engine, Now: r.clock.Now}
		of := func(e record.Entry, usesApp bool) map[string]string {
			got, err := reader.OfReads(r.Context(), r.Vault, e, usesApp)
			r.ok(err)
			var out map[string]string
			for name, value := range got {
				if out == nil {
					out = map[string]string{}
				}
				out[name] = value.Reveal()
			}
			return out
		}
		bare := r.newEntry("bare")
		own := r.newEntry("own")
		own.Secrets = record.SecretGroups{record.ClientSecrets: {Version: "v_c", Fields: []string{"client_secret"}}, record.ReadSecrets: {Version: "v_r", Fields: []string{"signature"}}}
		put(vault.EntrySecret(tenant, own.ID, "v_c"), record.ClientSecrets, "v_c", "client_secret", hidden)
		put(vault.EntrySecret(tenant, own.ID, "v_r"), record.ReadSecrets, "v_r", "signature", "the entry's")
		clientOnly := r.newEntry("client only")
		clientOnly.Secrets = record.SecretGroups{record.ClientSecrets: {Version: "v_c", Fields: []string{"client_secret"}}}
		put(vault.EntrySecret(tenant, clientOnly.ID, "v_c"), record.ClientSecrets, "v_c", "client_secret", hidden)

		r.same(of(bare, false), map[string]string(nil))
		r.same(of(own, false), map[string]string{"signature": "the entry's"})
		r.same(of(clientOnly, false), map[string]string(nil))
		r.same(of(own, true), map[string]string(nil)) // there is no application

		app := record.App{Tenant: tenant, Provider: own.Provider, APIEnvironment: record.Production, Version: "v_a"}
		r.ok(r.PutApp(r.Context(), "", app))
		put(vault.AppSecret(tenant, own.Provider, record.Production, "v_a"), record.ClientSecrets, "v_a", "client_secret", hidden)
		r.same(of(own, true), map[string]string(nil)) // it has nothing for reads
		app.ReadSecrets = []string{"signature"}
		r.ok(r.PutApp(r.Context(), "v_a", app))
		put(vault.AppSecret(tenant, own.Provider, record.Production, "v_a"), record.ReadSecrets, "v_a", "signature", "the application's")
		r.same(of(own, true), map[string]string{"signature": "the application's"})
		r.same(of(own, false), map[string]string{"signature": "the entry's"})

		sandboxed, theirs := own, own
		sandboxed.APIEnvironment, theirs.Tenant = record.Sandbox, other
		r.same(of(sandboxed, true), map[string]string(nil))
		r.same(of(theirs, true), map[string]string(nil))
	})
}

// Between exchange and identification everything that the endpoint said lies in the request, and nothing of it in the clear.
func TestASetThatIsSealedIntoARequestKeepsWhatTheEndpointSaid(t *testing.T) {
	each(t, func(r *rig) {
		request := record.Request{Tenant: tenant, ID: r.id(ident.Request), Provider: "acme"}
		set := vault.TokenSet{Access: secret.New(hidden + "-a"), Refresh: secret.New(hidden + "-r"), Scope: "full", Lifetime: 5 * time.Minute,
			Expires: r.clock.Now().Add(5 * time.Minute), Claims: map[string]string{"owner": "canary-owner"}, RefreshLifetime: 31 * 24 * time.Hour}
		sealed, err := r.SealInto(r.Context(), request, set)
		r.ok(err)
		if strings.Contains(string(sealed), "canary") {
			r.Error("it is not sealed")
		}
		request.Sealed = sealed
		back, err := r.OpenFrom(r.Context(), request)
		r.ok(err)
		if !back.Access.Equal(set.Access) || !back.Refresh.Equal(set.Refresh) || back.Scope != set.Scope || back.Lifetime != set.Lifetime ||
			!back.Expires.Equal(set.Expires) || !maps.Equal(back.Claims, set.Claims) || back.RefreshLifetime != set.RefreshLifetime {
			r.Errorf("it came back as %+v", back)
		}
		for _, moved := range []record.Request{{Tenant: other, ID: request.ID, Provider: "acme"}, {Tenant: tenant, ID: r.id(ident.Request), Provider: "acme"}, {Tenant: tenant, ID: request.ID, Provider: "fake"}} {
			moved.Sealed = sealed
			if _, err := r.OpenFrom(r.Context(), moved); err == nil {
				r.Errorf("it opens in %+v", moved)
			}
		}
	})
}

// An entry goes only together with the tokens that were seen when it was decided: whoever deletes revokes those.
func TestAnEntryIsNotDeletedWithTokensThatNobodySaw(t *testing.T) {
	each(t, func(r *rig) {
		e := r.entry("shop")
		r.authorized(e)
		for _, seen := range []int64{0, 2} { // authorized since; an older state than it seems
			r.fault(r.DeleteEntry(r.Context(), e, seen), fault.Conflict, "changed_meanwhile")
		}
		if _, found, err := r.Credential(r.Context(), tenant, e.ID); err != nil || !found {
			r.Errorf("the tokens are gone: %v", err)
		}
		again, err := r.Entry(r.Context(), tenant, e.ID)
		r.ok(err)
		r.same(again, e)
		if _, err := r.CreateEntry(r.Context(), r.newEntry("shop"), nil); fault.CodeOf(err) != "alias_taken" {
			r.Errorf("its alias: %v", err)
		}
		r.ok(r.DeleteEntry(r.Context(), e, 1))

		lost := r.entry("lost") // its tokens went by another way
		r.ok(r.DeleteEntry(r.Context(), lost, 5))
	})
}

func TestSecretsOfARecordAreNamedAndNotKept(t *testing.T) {
	each(t, func(r *rig) {
		e := r.newEntry("shop")
		e.Flags = []string{"shared"}
		e.Secrets = record.SecretGroups{record.ReadSecrets: {Version: "v_1", Fields: []string{"signature"}}}
		_, err := r.CreateEntry(r.Context(), e, nil)
		r.ok(err)
		got, err := r.Entry(r.Context(), tenant, e.ID)
		r.ok(err)
		r.same(got.Secrets, e.Secrets)
		r.same(got.Flags, e.Flags)
		if !got.HasSecret("signature") || got.HasSecret("client_secret") || slices.Contains(got.Flags, "signature") {
			r.Errorf("it is %+v", got)
		}
	})
}
