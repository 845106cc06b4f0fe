package vault_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"connectorvault/shared/fault"
	"connectorvault/shared/record"
	"connectorvault/shared/secret"
	"connectorvault/shared/store"
	"connectorvault/shared/vault"
)

func (r *rig) wantPrincipal(text secret.Text, want bool) record.Principal {
	r.Helper()
	p, ok, err := r.Authenticate(r.Context(), text)
	r.ok(err)
	if ok != want {
		r.Fatalf("the key is accepted: %t; want %t", ok, want)
	}
	return p
}

func TestKeys(t *testing.T) {
	each(t, func(r *rig) {
		made, text, err := r.CreateKey(r.Context(), record.APIKey{Tenant: tenant, Role: record.Owner, PersonalData: true, Label: "laptop"})
		r.ok(err)
		r.same(r.wantPrincipal(text, true), record.Principal{Tenant: tenant, ID: made.ID, Role: record.Owner, PersonalData: true})
		read, err := r.Key(r.Context(), tenant, made.ID)
		r.ok(err)
		r.same(read, made)
		_, err = r.Key(r.Context(), other, made.ID)
		r.is(err, store.ErrNotFound)

		_, second, err := r.CreateKey(r.Context(), record.APIKey{Tenant: tenant, Expires: r.clock.Now().Add(time.Hour)})
		r.ok(err)
		r.wantPrincipal(second, true)
		r.ok(r.RevokeKey(r.Context(), tenant, made.ID))
		r.wantPrincipal(text, false)
		r.ok(r.RevokeKey(r.Context(), tenant, made.ID))
		r.ok(r.RevokeKey(r.Context(), tenant, "key_none"))
		r.wantPrincipal(second, true)
		r.clock.Add(time.Hour - 1)
		r.wantPrincipal(second, true)
		r.clock.Add(1)
		r.wantPrincipal(second, false)

		page, err := r.Keys(r.Context(), tenant, "", 10)
		r.ok(err)
		if len(page.Items) != 2 {
			r.Errorf("%d keys are listed", len(page.Items))
		}
		r.everyItem(func(_ store.Table, item store.Item) {
			if strings.Contains(fmt.Sprint(item.Attrs), text.Reveal()[36:79]) {
				r.Error("a key's secret part is stored")
			}
		})
	})
}

func TestForeignKeysAreRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t, plain)
	_, text, err := r.CreateKey(t.Context(), record.APIKey{Tenant: tenant, Role: record.Owner})
	r.ok(err)
	good := text.Reveal()
	for i := range good { // any one character changed
		with := "0"
		if good[i] == '0' {
			with = "1"
		}
		if _, ok, err := r.Authenticate(t.Context(), secret.New(good[:i]+with+good[i+1:])); ok || err != nil {
			t.Errorf("a key with another character %d: %t, %v", i, ok, err)
		}
	}
	for _, bad := range []string{"", "cvk_", "cvk_12345678", good[:len(good)-1], good + "0", " " + good, "Bearer " + good, good[4:]} {
		if _, ok, err := r.Authenticate(t.Context(), secret.New(bad)); ok || err != nil {
			t.Errorf("%d characters: %t, %v", len(bad), ok, err)
		}
	}
	_, stranger, err := newRig(t, plain).CreateKey(t.Context(), record.APIKey{Tenant: tenant})
	r.ok(err)
	r.wantPrincipal(stranger, false)
}

// A repeat of the request that made a key hears which, and makes none.
func TestAKeyIsMadeAndShownOnce(t *testing.T) {
	each(t, func(r *rig) {
		once, err := vault.NewOnce(record.Principal{Tenant: tenant, ID: "key_boss"}, "idem", "POST /v1/keys", "body")
		r.ok(err)
		answers := make([]record.APIKey, 8)
		errs := together(len(answers), func(i int) error {
			made, text, err := r.CreateKeyOnce(r.Context(), record.APIKey{Tenant: tenant, Role: record.Reader, Connectors: []string{"con_1"}}, once)
			if (err == nil) == text.IsZero() {
				r.Errorf("a text without a key, or a key without a text: %v", err)
			}
			answers[i] = made
			return err
		})
		r.wantOne(errs, func(err error) bool { return fault.CodeOf(err) == "key_shown_once" })
		page, err := r.Keys(r.Context(), tenant, "", 10)
		r.ok(err)
		if len(page.Items) != 1 {
			r.Fatalf("%d keys were made", len(page.Items))
		}
		for _, err := range errs {
			if err != nil && !strings.Contains(err.Error(), page.Items[0].ID) {
				r.Errorf("the answer names another key: %v", err)
			}
		}
		other, err := vault.NewOnce(record.Principal{Tenant: tenant, ID: "key_boss"}, "idem", "POST /v1/keys", "another body")
		r.ok(err)
		_, _, err = r.CreateKeyOnce(r.Context(), record.APIKey{Tenant: tenant, Role: record.Reader}, other)
		r.fault(err, fault.Conflict, "idempotency_key_reused")
	})
}

func TestAKeyCarriesWhatItsHolderMay(t *testing.T) {
	t.Parallel()
	r := newRig(t, plain)
	made, text, err := r.CreateKey(t.Context(), record.APIKey{Tenant: tenant, Role: record.Reader, Connectors: []string{"con_1", "con_2"}})
	r.ok(err)
	r.same(r.wantPrincipal(text, true), record.Principal{Tenant: tenant, ID: made.ID, Role: record.Reader, Connectors: []string{"con_1", "con_2"}})
	prefix := vault.KeyPrefix(tenant, made.ID)
	if !strings.HasPrefix(text.Reveal(), prefix) || len(prefix) != 36 || !strings.HasPrefix(prefix, "cvk_") {
		t.Errorf("the prefix %q does not lead to the key, or shows too much of it", prefix)
	}
}

func TestTheLastOwnersKeyStays(t *testing.T) {
	each(t, func(r *rig) {
		mint := func(k record.APIKey) record.APIKey {
			k.Tenant = tenant
			made, _, err := r.CreateKey(r.Context(), k)
			r.ok(err)
			return made
		}
		first := mint(record.APIKey{Role: record.Owner})
		// None of these could make keys in its place.
		mint(record.APIKey{Role: record.Admin})
		expired := mint(record.APIKey{Role: record.Owner, Expires: r.clock.Now().Add(time.Minute)})
		r.clock.Add(time.Hour)
		gone := mint(record.APIKey{Role: record.Owner})
		r.ok(r.RevokeKeyBut(r.Context(), gone))
		_, _, err := r.CreateKey(r.Context(), record.APIKey{Tenant: other, Role: record.Owner})
		r.ok(err)
		r.fault(r.RevokeKeyBut(r.Context(), first), fault.Conflict, "last_owner_key")
		r.ok(r.RevokeKeyBut(r.Context(), expired)) // it opens nothing, so nothing is lost

		// Of owners who revoke each other at the same time, one stays.
		keys := []record.APIKey{first}
		for range 5 {
			keys = append(keys, mint(record.APIKey{Role: record.Owner}))
		}
		errs := together(len(keys), func(i int) error { return r.RevokeKeyBut(r.Context(), keys[(i+1)%len(keys)]) })
		living := 0
		for i, key := range keys {
			now, err := r.Key(r.Context(), tenant, key.ID)
			r.ok(err)
			if now.Living(r.clock.Now()) {
				living++
			}
			if err := errs[i]; err != nil && fault.CodeOf(err) != "last_owner_key" && fault.KindOf(err) != fault.Conflict {
				r.Errorf("the answer is %v", err)
			}
		}
		if living == 0 {
			r.Error("nobody is left who could make keys")
		}
	})
}

// A key that is about to end keeps a tenant's door open for as long as it lasts, and no longer.
func TestAnOwnersKeyLeavesOneThatLastsAsLong(t *testing.T) {
	t.Parallel()
	const never = -1
	for _, c := range []struct {
		name    string
		revoked int // minutes until its end
		others  []int
		may     bool
	}{
		{"beside one about to end", never, []int{1, 2}, false},
		{"beside another without an end", never, []int{1, never}, true},
		{"one that ends, beside one that does not", 60, []int{1, never}, true},
		{"beside one that ends earlier", 60, []int{59}, false},
		{"beside one that ends with it", 60, []int{60}, true},
		{"beside one that ends later, among others", 60, []int{5, 61, 7}, true},
	} {
		r := newRig(t, plain)
		mint := func(minutes int) record.APIKey {
			key := record.APIKey{Tenant: tenant, Role: record.Owner}
			if minutes != never {
				key.Expires = r.clock.Now().Add(time.Duration(minutes) * time.Minute)
			}
			made, _, err := r.CreateKey(t.Context(), key)
			r.ok(err)
			return made
		}
		key := mint(c.revoked)
		for _, minutes := range c.others {
			mint(minutes)
		}
		err := r.RevokeKeyBut(t.Context(), key)
		if c.may != (err == nil) || !c.may && fault.CodeOf(err) != "last_owner_key" {
			t.Errorf("%s: the answer is %v", c.name, err)
		}
	}
}

func TestTheLastUseOfAKey(t *testing.T) {
	each(t, func(r *rig) {
		var keys []record.APIKey
		for range 3 {
			made, _, err := r.CreateKey(r.Context(), record.APIKey{Tenant: tenant, Role: record.Reader})
			r.ok(err)
			keys = append(keys, made)
		}
		used := func(i int) time.Time {
			r.ok(r.WithLastUse(r.Context(), tenant, keys))
			return keys[i].LastUsed
		}
		r.same(used(0), time.Time{})
		began := r.clock.Now().UTC().Truncate(time.Second)
		r.ok(r.NoteKeyUse(r.Context(), tenant, keys[1].ID))
		r.same(used(1), began)
		r.clock.Add(vault.UseNoted - time.Second)
		r.ok(r.NoteKeyUse(r.Context(), tenant, keys[1].ID)) // noted lately: nothing is written
		r.same(used(1), began)
		r.clock.Add(time.Second)
		r.ok(r.NoteKeyUse(r.Context(), tenant, keys[1].ID))
		r.same(used(1), began.Add(vault.UseNoted))
		r.same(used(2), time.Time{})
	})
}

func TestTenants(t *testing.T) {
	each(t, func(r *rig) {
		_, err := r.Tenant(r.Context(), tenant)
		r.is(err, store.ErrNotFound)
		made := record.Tenant{ID: tenant, Name: "Shop", CreatedAt: r.clock.Now()}
		r.ok(r.CreateTenant(r.Context(), made))
		r.ok(r.CreateTenant(r.Context(), record.Tenant{ID: tenant, Name: "Other"}))
		read, err := r.Tenant(r.Context(), tenant)
		r.ok(err)
		made.Revision = 1
		r.same(read, made)
	})
}

func TestApps(t *testing.T) {
	each(t, func(r *rig) {
		_, found, err := r.App(r.Context(), tenant, "amazon", record.Production)
		r.ok(err)
		r.same(found, false)
		app := record.App{
			Tenant: tenant, Provider: "amazon", APIEnvironment: record.Production, Fields: map[string]string{"application_id": "amzn1"},
			Version: "v1", SecretExpires: r.clock.Now(), CreatedAt: r.clock.Now(), UpdatedAt: r.clock.Now(),
		}
		r.ok(r.PutApp(r.Context(), "", app))
		sandbox := app
		sandbox.APIEnvironment = record.Sandbox
		r.ok(r.PutApp(r.Context(), "", sandbox))
		app.Version = "v2"
		for _, not := range []string{"", "v0"} { // somebody else's is there by now
			err := r.PutApp(r.Context(), not, app)
			r.same(fault.CodeOf(err), "changed_meanwhile")
		}
		r.ok(r.PutApp(r.Context(), "v1", app))
		read, found, err := r.App(r.Context(), tenant, "amazon", record.Production)
		r.ok(err)
		r.same(found, true)
		r.same(read, app)
		all, err := r.Apps(r.Context(), tenant)
		r.ok(err)
		r.same(all, []record.App{app, sandbox})
		_, found, err = r.App(r.Context(), other, "amazon", record.Production)
		r.ok(err)
		r.same(found, false)
	})
}

func TestAppSecretsComeBack(t *testing.T) {
	t.Parallel()
	made := vault.Secrets{Version: "v1", Fields: map[string]secret.Text{"client_secret": secret.New(canary + `"\`)}}
	text, err := made.Encode()
	if err != nil {
		t.Fatal(err)
	}
	back, err := vault.DecodeSecrets(text)
	if err != nil || back.Version != "v1" || len(back.Fields) != 1 || !back.Fields["client_secret"].Equal(made.Fields["client_secret"]) {
		t.Errorf("other secrets come back, or %v", err)
	}
	if printed := fmt.Sprintf("%+v %#v", back, back); strings.Contains(printed, canary) {
		t.Error("printed secrets are shown")
	}
	if _, err := vault.DecodeSecrets(secret.New(`{"version": ` + canary)); err == nil || strings.Contains(err.Error(), canary) {
		t.Errorf("the answer is %v", err)
	}
}
