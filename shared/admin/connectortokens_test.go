package admin_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"connectorvault/shared/admin"
	"connectorvault/shared/authorize"
	"connectorvault/shared/bundle/bundletest"
	"connectorvault/shared/fault"
	"connectorvault/shared/ident"
	"connectorvault/shared/provider"
	"connectorvault/shared/record"
	"connectorvault/shared/store"
	"connectorvault/shared/tokens"
	"connectorvault/shared/vault"
)

func ptr[T any](v T) *T { return &v }

// tokenInput is a good request for a connector token, with a change.
func tokenInput(change func(*admin.ConnectorTokenInput)) admin.ConnectorTokenInput {
	in := admin.ConnectorTokenInput{Providers: []string{bundletest.Name}, Environment: "production", Uses: ptr(int64(2)), ExpiresInHours: ptr(24)}
	if change != nil {
		change(&in)
	}
	return in
}

// holder makes a connector token, and returns it with who holds it.
func (b bench) holder(by record.Principal, change func(*admin.ConnectorTokenInput)) (record.ConnectorToken, record.Principal) {
	b.Helper()
	token, text, err := b.Admin.CreateConnectorToken(b.Context(), by, "", tokenInput(change))
	b.OK(err)
	p, ok, err := b.Vault.AuthenticateConnectorToken(b.Context(), text)
	b.OK(err)
	if !ok {
		b.Fatal("a new token is not known")
	}
	return token, p
}

func (b bench) left(token record.ConnectorToken, want int64) {
	b.Helper()
	read, err := b.Vault.ConnectorToken(b.Context(), token.Tenant, token.ID)
	b.OK(err)
	if read.UsesLeft != want {
		b.Fatalf("%d uses are left; want %d", read.UsesLeft, want)
	}
}

func TestEachFieldOfAConnectorTokenIsChecked(t *testing.T) {
	b := newBench(t)
	type in = admin.ConnectorTokenInput
	for name, want := range map[string]struct {
		change func(*in)
		field  string
	}{
		"no provider":               {func(i *in) { i.Providers = nil }, "providers"},
		"an empty list":             {func(i *in) { i.Providers = []string{} }, "providers"},
		"an unknown provider":       {func(i *in) { i.Providers = []string{bundletest.Name, "ghost"} }, "providers"},
		"an empty name":             {func(i *in) { i.Providers = []string{""} }, "providers"},
		"no environment":            {func(i *in) { i.Environment = "" }, "environment"},
		"an environment with #":     {func(i *in) { i.Environment = "a#b" }, "environment"},
		"another side":              {func(i *in) { i.APIEnvironment = "both" }, "api_environment"},
		"a label of two lines":      {func(i *in) { i.Label = "a\nb" }, "label"},
		"a long label":              {func(i *in) { i.Label = strings.Repeat("x", 65) }, "label"},
		"no uses":                   {func(i *in) { i.Uses = nil }, "uses"},
		"zero uses":                 {func(i *in) { i.Uses = ptr(int64(0)) }, "uses"},
		"fewer uses than none":      {func(i *in) { i.Uses = ptr(int64(-1)) }, "uses"},
		"too many uses":             {func(i *in) { i.Uses = ptr(int64(admin.MaxTokenUses + 1)) }, "uses"},
		"no end":                    {func(i *in) { i.ExpiresInHours = nil }, "expires_at"},
		"two ends":                  {func(i *in) { i.ExpiresAt = ptr("2026-05-21T00:00:00Z") }, "expires_at"},
		"an end at once":            {func(i *in) { i.ExpiresInHours = ptr(0) }, "expires_in_hours"},
		"an end too far":            {func(i *in) { i.ExpiresInHours = ptr(admin.MaxTokenHours + 1) }, "expires_in_hours"},
		"an end that is no time":    {func(i *in) { i.ExpiresInHours, i.ExpiresAt = nil, ptr("tomorrow") }, "expires_at"},
		"an end that is over":       {func(i *in) { i.ExpiresInHours, i.ExpiresAt = nil, ptr("2026-05-20T12:00:00Z") }, "expires_at"},
		"a time too far":            {func(i *in) { i.ExpiresInHours, i.ExpiresAt = nil, ptr("2026-08-18T12:00:01Z") }, "expires_at"},
		"a time of another century": {func(i *in) { i.ExpiresInHours, i.ExpiresAt = nil, ptr("9999-12-31T23:59:59Z") }, "expires_at"},
	} {
		_, text, err := b.Admin.CreateConnectorToken(b.Context(), b.Owner, "", tokenInput(want.change))
		f := fault.As(err)
		if err == nil || f.Kind != fault.Invalid || f.Code != "invalid_field" || f.Field != want.field || f.Detail == "" || f.Action == "" || !text.IsZero() {
			t.Errorf("%s: %+v", name, f)
		}
	}
	if page, err := b.Vault.ConnectorTokens(b.Context(), bundletest.Tenant, "", 10); err != nil || len(page.Items) != 0 {
		t.Errorf("something was made: %+v %v", page, err)
	}
}

func TestAConnectorTokenIsWhatWasAsked(t *testing.T) {
	b := newBench(t)
	in := tokenInput(func(i *admin.ConnectorTokenInput) {
		i.Providers, i.Label, i.APIEnvironment = []string{bundletest.Name, bundletest.BareName, bundletest.Name}, "for the Smiths", "sandbox"
		i.Uses, i.ExpiresInHours, i.ExpiresAt = ptr(int64(admin.MaxTokenUses)), nil, ptr("2026-08-18T14:00:00+02:00")
	})
	giver := b.Clerk
	giver.Role = record.Admin
	token, text, err := b.Admin.CreateConnectorToken(b.Context(), giver, "k", in)
	b.OK(err)
	if !slices.Equal(token.Providers, []string{bundletest.Name, bundletest.BareName}) || token.Label != "for the Smiths" || token.Uses != 1000 || token.UsesLeft != 1000 ||
		token.Environment != "production" || token.APIEnvironment != record.Sandbox || token.CreatedBy != b.Clerk.ID || token.CreatorRole != record.Admin || !token.Expires.Equal(b.Clock.Now().Add(90*24*time.Hour)) {
		t.Errorf("it is %+v", token)
	}
	shown := text.Reveal()
	if !strings.HasPrefix(shown, vault.ConnectorTokenText(token.Tenant, token.ID)) || !strings.HasPrefix(shown, "cvt_") || len(shown) != 4+16+16+43+8 {
		t.Errorf("its text has %d characters and begins with %.10s", len(shown), shown)
	}
	_, again, err := b.Admin.CreateConnectorToken(b.Context(), b.Clerk, "k", in)
	b.Fault(err, fault.Conflict, "connector_token_shown_once")
	if !strings.Contains(fault.As(err).Detail, token.ID) || !again.IsZero() {
		t.Errorf("a repeat hears %v", err)
	}
	in.Uses = ptr(int64(1))
	_, _, err = b.Admin.CreateConnectorToken(b.Context(), b.Clerk, "k", in)
	b.Fault(err, fault.Conflict, "idempotency_key_reused")
	if page, err := b.Vault.ConnectorTokens(b.Context(), bundletest.Tenant, "", 10); err != nil || len(page.Items) != 1 {
		t.Errorf("%d tokens: %v", len(page.Items), err)
	}
	_, err = b.Vault.ConnectorToken(b.Context(), bundletest.Other, token.ID)
	b.Fault(err, fault.NotFound, "not_found")
	b.Fault(b.Admin.RevokeConnectorToken(b.Context(), b.Alien, token.ID), fault.NotFound, "not_found")
}

// What only owners may connect, a token is good for that an owner gave, whoever holds it.
func TestWhoGivesATokenHandsOnTheirOwnRights(t *testing.T) {
	t.Parallel()
	b := bench{bundletest.New(t, bundletest.Options{Describe: []func(*provider.Descriptor){func(d *provider.Descriptor) { d.OwnerOnly = true }}})}
	minor := record.Principal{Tenant: bundletest.Tenant, ID: "key_0000000000000009", Role: record.Admin}
	_, _, err := b.Admin.CreateConnectorToken(b.Context(), minor, "", tokenInput(nil))
	b.Fault(err, fault.Forbidden, "forbidden")

	_, p := b.holder(b.Owner, nil)
	made, err := b.Admin.CreateEntry(b.Context(), p, "", entry())
	b.OK(err)
	_, err = b.Admin.CreateEntry(b.Context(), minor, "", entry("alias", "two"))
	b.Fault(err, fault.Forbidden, "forbidden")
	b.OK(b.Admin.DeleteEntry(b.Context(), p, made.ID))

	// One that an admin gave while anybody might.
	token, _, err := b.Vault.CreateConnectorToken(b.Context(), record.ConnectorToken{Tenant: bundletest.Tenant, Providers: []string{bundletest.Name}, Environment: "production",
		Uses: 1, CreatedBy: minor.ID, CreatorRole: record.Admin, Expires: b.Clock.Now().Add(time.Hour)}, nil)
	b.OK(err)
	p.ID = token.ID
	_, err = b.Admin.CreateEntry(b.Context(), p, "", entry())
	b.Fault(err, fault.Forbidden, "connector_token_scope")
	_, err = b.Admin.ProviderFor(b.Context(), p, bundletest.Name)
	b.Fault(err, fault.NotFound, "not_found")
}

// A token is good for its providers, its environment and its side, which need not be said again.
func TestATokenBoundsWhatIsMadeWithIt(t *testing.T) {
	b := newBench(t)
	token, p := b.holder(b.Owner, func(i *admin.ConnectorTokenInput) { i.Environment, i.APIEnvironment = "test", "sandbox" })
	_, elsewhere := b.holder(b.Owner, func(i *admin.ConnectorTokenInput) { i.Providers = []string{bundletest.BareName} })
	for name, want := range map[string]struct {
		p     record.Principal
		in    admin.Fields
		field string
	}{
		"another environment": {p, entry("environment", "production"), "environment"},
		"the other side":      {p, entry("environment", "test", "api_environment", "production"), "api_environment"},
		"a null side":         {p, entry("environment", "test", "api_environment", raw("null")), "api_environment"},
		"another provider":    {elsewhere, entry(), "provider"},
	} {
		_, err := b.Admin.CreateEntry(b.Context(), want.p, "", want.in)
		if f := b.Fault(err, fault.Forbidden, "connector_token_scope"); f.Field != want.field {
			t.Errorf("%s: %+v", name, f)
		}
	}
	b.left(token, 2)
	made, err := b.Admin.CreateEntry(b.Context(), p, "", entry("environment", nil))
	b.OK(err)
	if made.Environment != "test" || made.APIEnvironment != record.Sandbox || made.ConnectorToken != token.ID || made.CreatedBy != token.ID {
		t.Errorf("it is %+v", made)
	}
	b.left(token, 1)
	for who, want := range map[string]struct {
		p    record.Principal
		n    int
		seen bool
	}{"a holder": {p, 1, true}, "of another": {elsewhere, 0, false}, "the owner": {b.Owner, 1, true}} {
		adapters, err := b.Admin.ProvidersFor(b.Context(), want.p)
		_, foundErr := b.Admin.ProviderFor(b.Context(), want.p, bundletest.Name)
		if err != nil || len(adapters) != want.n || (foundErr == nil) != want.seen {
			t.Errorf("%s sees %d providers: %v, %v", who, len(adapters), err, foundErr)
		}
	}
}

// What a token did not make is not there for its holder: not an owner's, nor another token's, nor another tenant's.
func TestAHolderHasTheirOwnEntriesAlone(t *testing.T) {
	b := newBench(t)
	b.App()
	token, p := b.holder(b.Owner, nil)
	_, q := b.holder(b.Owner, nil)
	mine, err := b.Admin.CreateEntry(b.Context(), p, "", entry("alias", "mine"))
	b.OK(err)
	theirs, err := b.Admin.CreateEntry(b.Context(), q, "", entry("alias", "theirs"))
	b.OK(err)
	owners := b.Entry("owners")
	name := "c"
	ways := map[string]func(id string) error{
		"seeing it": func(id string) error { _, err := b.Vault.EntryStateFor(b.Context(), p, id); return err },
		"authorizing": func(id string) error {
			_, err := b.Authorize.Begin(b.Context(), p, id, authorize.Begin{Mode: record.Browser})
			return err
		},
		"validating": func(id string) error { return b.Authorize.Validate(b.Context(), p, id, bundletest.Text("https://x")) },
		"deleting":   func(id string) error { return b.Admin.DeleteEntry(b.Context(), p, id) },
		"connecting it": func(id string) error {
			_, err := b.Admin.CreateConnector(b.Context(), p, "", admin.ConnectorInput{Name: &name, Entry: &id})
			return err
		},
	}
	nobody, err := ident.New(strings.NewReader("0123456789"), ident.Entry)
	b.OK(err)
	for what, way := range ways {
		unknown := b.Fault(way(nobody), fault.NotFound, "not_found")
		for _, e := range []record.Entry{theirs, owners} {
			f := b.Fault(way(e.ID), fault.NotFound, "not_found")
			if strings.ReplaceAll(f.Detail, e.ID, "") != strings.ReplaceAll(unknown.Detail, nobody, "") || f.Action != unknown.Action || f.Field != unknown.Field {
				t.Errorf("%s: %+v differs from %+v", what, f, unknown)
			}
		}
	}
	_, err = b.Authorize.Begin(b.Context(), p, mine.ID, authorize.Begin{Mode: record.RefreshToken, RefreshToken: bundletest.Text("r")})
	b.Fault(err, fault.Forbidden, "forbidden")
	_, err = b.Authorize.Begin(b.Context(), p, mine.ID, authorize.Begin{Mode: record.Browser})
	b.OK(err)
	c, err := b.Admin.CreateConnector(b.Context(), p, "", admin.ConnectorInput{Name: &name, Entry: &mine.ID})
	b.OK(err)
	if c.CreatedBy != token.ID {
		t.Errorf("it is %+v", c)
	}
}

// An entry that was never authorized can be removed, and its use comes back. One that was is out of the holder's hands, also
// when it is authorized while they remove it.
func TestAHolderRemovesWhatIsNotConnected(t *testing.T) {
	b := newBench(t)
	token, p := b.holder(b.Owner, nil)
	first, err := b.Admin.CreateEntry(b.Context(), p, "k", entry())
	b.OK(err)
	again, err := b.Admin.CreateEntry(b.Context(), p, "k", entry())
	b.OK(err)
	if again.ID != first.ID {
		t.Error("a repeat made another")
	}
	b.left(token, 1)
	_, err = b.Admin.CreateEntry(b.Context(), p, "", entry())
	b.Fault(err, fault.Conflict, "alias_taken")
	b.left(token, 1)
	second, err := b.Admin.CreateEntry(b.Context(), p, "last", entry("alias", "two"))
	b.OK(err)
	_, err = b.Admin.CreateEntry(b.Context(), p, "", entry("alias", "three"))
	b.Fault(err, fault.Conflict, "connector_token_used_up")
	repeat, err := b.Admin.CreateEntry(b.Context(), p, "last", entry("alias", "two"))
	if err != nil || repeat.ID != second.ID {
		t.Errorf("a repeat of the last use hears %v", err)
	}

	b.OK(b.Admin.DeleteEntry(b.Context(), p, first.ID))
	b.left(token, 1)
	b.Install(second, b.Upstream.Issue("acct"), time.Hour)
	b.Fault(b.Admin.DeleteEntry(b.Context(), p, second.ID), fault.Conflict, "vault_entry_authorized")
	b.left(token, 1)

	third, err := b.Admin.CreateEntry(b.Context(), p, "", entry("alias", "three"))
	b.OK(err)
	b.Answer(func(ctx context.Context, call tokens.Call) (tokens.Answer, error) {
		b.Install(third, b.Upstream.Issue("late"), time.Hour) // between the request and the token service
		return b.Tokens.Do(ctx, call)
	})
	b.Fault(b.Admin.DeleteEntry(b.Context(), p, third.ID), fault.Conflict, "vault_entry_authorized")
	b.Answer(nil)
	b.OK(b.Admin.DeleteEntry(b.Context(), b.Owner, second.ID))
	b.left(token, 0)
}

// A token that has ended makes nothing, also when whoever let its holder in did not know yet. What it made stays.
func TestATokenThatEnded(t *testing.T) {
	b := newBench(t)
	for name, end := range map[string]func(record.ConnectorToken){
		"revoked": func(token record.ConnectorToken) {
			b.OK(b.Admin.RevokeConnectorToken(b.Context(), b.Owner, token.ID))
			b.OK(b.Admin.RevokeConnectorToken(b.Context(), b.Owner, token.ID))
		},
		"expired": func(record.ConnectorToken) { b.Clock.Add(24 * time.Hour) },
	} {
		token, p := b.holder(b.Owner, nil)
		made, err := b.Admin.CreateEntry(b.Context(), p, "k", entry("alias", name))
		b.OK(err)
		end(token)
		for _, key := range []string{"", "k"} {
			_, err = b.Admin.CreateEntry(b.Context(), p, key, entry("alias", name))
			b.Fault(err, fault.Forbidden, "connector_token_ended")
		}
		_, err = b.Admin.ProvidersFor(b.Context(), p)
		b.Fault(err, fault.Forbidden, "connector_token_ended")
		b.left(token, 1)
		if e, err := b.Vault.Entry(b.Context(), bundletest.Tenant, made.ID); err != nil || e.ConnectorToken != token.ID {
			t.Errorf("%s: what it made is gone: %v", name, err)
		}
	}
	b.Fault(b.Admin.RevokeConnectorToken(b.Context(), b.Owner, "ct_0000000000000000"), fault.NotFound, "not_found")
}

// Preflight says to whom a token lacks, and to a holder that theirs has no use left. Of other providers it says nothing.
func TestPreflightLooksAtTheToken(t *testing.T) {
	b := newBench(t)
	token, p := b.holder(b.Owner, func(i *admin.ConnectorTokenInput) { i.Uses = ptr(int64(1)) })
	look := func(p record.Principal) *fault.Error {
		b.Helper()
		checks, err := b.Admin.Preflight(b.Context(), p, entry("environment", nil))
		b.OK(err)
		var found *fault.Error
		for _, c := range checks {
			if c.Passed != (c.Fault == nil) {
				t.Errorf("%+v", c)
			}
			if c.Name == admin.CheckToken {
				found = c.Fault
			}
			if c.Name == admin.CheckFields && p.Role == record.TokenHolder && !c.Passed {
				t.Errorf("a holder lacks %+v", c.Fault)
			}
		}
		return found
	}
	operator := record.Principal{Tenant: bundletest.Tenant, ID: "key_0000000000000009", Role: record.Operator}
	b.Fault(look(operator), fault.Forbidden, "forbidden")
	if f := look(b.Owner); f != nil {
		t.Errorf("an owner lacks %+v", f)
	}
	if f := look(p); f != nil {
		t.Errorf("a holder lacks %+v", f)
	}
	b.left(token, 1) // looking takes none
	_, err := b.Admin.CreateEntry(b.Context(), p, "", entry("alias", "other"))
	b.OK(err)
	b.Fault(look(p), fault.Conflict, "connector_token_used_up")
	_, err = b.Admin.Preflight(b.Context(), p, entry("provider", bundletest.BareName))
	b.Fault(err, fault.Forbidden, "connector_token_scope")
}

// Where the last use goes to somebody else, or the token is revoked, while an entry is on its way, its secrets go too.
func TestAUseThatIsLostOnTheWayLeavesNoSecret(t *testing.T) {
	b := ownBench(t)
	for code, meanwhile := range map[string]func(record.ConnectorToken, record.Principal){
		"connector_token_ended": func(token record.ConnectorToken, _ record.Principal) {
			b.OK(b.Vault.RevokeConnectorToken(b.Context(), token))
		},
		"connector_token_used_up": func(_ record.ConnectorToken, p record.Principal) {
			_, err := b.Admin.CreateEntry(b.Context(), p, "", own("alias", "the last"))
			b.OK(err)
		},
	} {
		token, p := b.holder(b.Owner, func(i *admin.ConnectorTokenInput) { i.Uses = ptr(int64(1)) })
		secrets := func() int {
			names, _, err := b.Secrets.ListSecrets(b.Context(), bundletest.Tenant+"/entry/", "")
			b.OK(err)
			return len(names)
		}
		before, way, done := secrets(), 0, false
		b.Store.Fail(func(op string, table store.Table) bool {
			if op == "apply" && !done {
				done = true
				if way = secrets() - before; way == 0 {
					t.Error("no secrets are on their way")
				}
				meanwhile(token, p)
				before = secrets() - way
			}
			return false
		})
		_, err := b.Admin.CreateEntry(b.Context(), p, "", own("alias", code))
		b.Store.Fail(nil)
		if fault.CodeOf(err) != code || !done || secrets() != before {
			t.Errorf("%s: %v, and %d secrets instead of %d", code, err, secrets(), before)
		}
		// Once that is known, nothing is written any more.
		b.Store.Fail(func(op string, _ store.Table) bool {
			if op == "apply" {
				t.Errorf("%s: something is written", code)
			}
			return false
		})
		b.Secrets.Before(func(op, _ string) error { t.Errorf("%s: a secret: %s", code, op); return nil })
		_, err = b.Admin.CreateEntry(b.Context(), p, "", own("alias", code))
		b.Store.Fail(nil)
		b.Secrets.Before(nil)
		if fault.CodeOf(err) != code {
			t.Errorf("it is %v", err)
		}
	}
}

// Of two tries of one request at once, the one that finds the last use taken finds by whom, wherever the other overtook it.
func TestTwoTriesOfTheLastUse(t *testing.T) {
	b := newBench(t)
	for at := range 4 {
		token, p := b.holder(b.Owner, func(i *admin.ConnectorTokenInput) { i.Uses = ptr(int64(1)) })
		alias := fmt.Sprint("shop ", at)
		var first record.Entry
		reads := 0
		b.Store.AfterGet(func(store.Table, store.Key) {
			if reads++; reads != at+1 {
				return
			}
			var err error
			first, err = b.Admin.CreateEntry(b.Context(), p, "k", entry("alias", alias))
			b.OK(err)
		})
		second, err := b.Admin.CreateEntry(b.Context(), p, "k", entry("alias", alias))
		b.Store.AfterGet(nil)
		if err != nil || second.ID == "" || first.ID != "" && second.ID != first.ID {
			t.Errorf("after %d reads: %q and %q: %v", at+1, first.ID, second.ID, err)
		}
		b.left(token, 0)
	}
}
