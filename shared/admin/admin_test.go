package admin_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"connectorvault/shared/admin"
	"connectorvault/shared/bundle/bundletest"
	"connectorvault/shared/fault"
	"connectorvault/shared/record"
	"connectorvault/shared/store"
	"connectorvault/shared/tokens"
	"connectorvault/shared/vault"
)

type bench struct{ *bundletest.Bench }

func newBench(t *testing.T) bench {
	t.Helper()
	t.Parallel()
	return bench{bundletest.New(t, bundletest.Options{})}
}

// entry are the members of a good entry, with changes: pairs of name and value, nil takes a member away.
func entry(changes ...any) admin.Fields {
	all := bundletest.Fields("provider", bundletest.Name, "alias", "one", "environment", "production")
	for i := 0; i+1 < len(changes); i += 2 {
		name := changes[i].(string)
		if changes[i+1] == nil {
			delete(all, name)
			continue
		}
		all[name] = bundletest.Fields(name, changes[i+1])[name]
	}
	return all
}

func raw(text string) json.RawMessage { return json.RawMessage(text) }

func (b bench) create(key string, in admin.Fields) (record.Entry, error) {
	return b.Admin.CreateEntry(b.Context(), b.Owner, key, in)
}

func (b bench) list(f admin.EntryFilter) []string {
	b.Helper()
	page, err := b.Admin.ListEntries(b.Context(), b.Owner, f, "", 100)
	b.OK(err)
	var out []string
	for _, s := range page.Items {
		out = append(out, s.Entry.Alias)
	}
	slices.Sort(out)
	return out
}

func TestEachFieldOfAnEntryIsChecked(t *testing.T) {
	b := newBench(t)
	for name, want := range map[string]struct {
		in    admin.Fields
		field string
	}{
		"nothing at all":              {admin.Fields{}, "provider"},
		"no members":                  {nil, "provider"},
		"no provider":                 {entry("provider", nil), "provider"},
		"an unknown provider":         {entry("provider", "ghost"), "provider"},
		"a provider that is a list":   {entry("provider", raw(`["acme"]`)), "provider"},
		"no alias":                    {entry("alias", nil), "alias"},
		"a null alias":                {entry("alias", raw(`null`)), "alias"},
		"an empty alias":              {entry("alias", ""), "alias"},
		"a blank alias":               {entry("alias", " \u00a0\t"), "alias"},
		"an alias that is a number":   {entry("alias", raw(`5`)), "alias"},
		"an alias with a space first": {entry("alias", " one"), "alias"},
		"an alias with a space last":  {entry("alias", "one\u2003"), "alias"},
		"a long alias":                {entry("alias", strings.Repeat("ü", admin.MaxAlias+1)), "alias"},
		"an alias of two lines":       {entry("alias", "one\ntwo"), "alias"},
		"an alias with NUL":           {entry("alias", "one\x00two"), "alias"},
		"an alias with DEL":           {entry("alias", "one\x7ftwo"), "alias"},
		"an alias with a C1 control":  {entry("alias", "one\u0085two"), "alias"},
		"an alias that turns around":  {entry("alias", "one\u202eowt"), "alias"},
		"an alias with an isolate":    {entry("alias", "one\u2066two"), "alias"},
		"half a surrogate":            {entry("alias", raw(`"a\ud800b"`)), "alias"},
		"no environment":              {entry("environment", nil), "environment"},
		"an environment with #":       {entry("environment", "a#b"), "environment"},
		"an environment with /":       {entry("environment", "a/b"), "environment"},
		"an environment with a space": {entry("environment", "a b"), "environment"},
		"an environment of letters":   {entry("environment", "prödukt"), "environment"},
		"a long environment":          {entry("environment", strings.Repeat("a", 65)), "environment"},
		"an environment of null":      {entry("environment", raw("null")), "environment"},
		"another side":                {entry("api_environment", "production "), "api_environment"},
		"a side that is true":         {entry("api_environment", raw(`true`)), "api_environment"},
		"a misspelt member":           {entry("alais", "x"), "alais"},
		"disabled from the start":     {entry("disabled", raw(`true`)), "disabled"},
		"a member of ours":            {entry("status", "active"), "status"},
		"a tenant":                    {entry("tenant", bundletest.Other), "tenant"},
		"an id":                       {entry("id", "ve_0000000000000000"), "id"},
		"a setting that is too long":  {entry("memo", strings.Repeat("x", 2049)), "memo"},
		"a setting that is no text":   {entry("memo", raw(`{}`)), "memo"},
		"what the provider refuses":   {entry("region", "mars"), "region"},
	} {
		_, err := b.create("", want.in)
		f := fault.As(err)
		if err == nil || f.Kind != fault.Invalid || f.Code != "invalid_field" || f.Field != want.field || f.Detail == "" || f.Action == "" {
			t.Errorf("%s: %+v", name, f)
		}
	}
	if got := b.list(admin.EntryFilter{}); len(got) != 0 {
		t.Errorf("something was made: %v", got)
	}
}

func TestWhatIsAllowedInAnEntryIsKept(t *testing.T) {
	b := newBench(t)
	for _, alias := range []string{"a", strings.Repeat("ü", admin.MaxAlias), "Günther's \"Läden\" <b>&amp;</b> 店 #1/2", "e\u0301", "👩\u200d👩\u200d👧"} {
		e, err := b.create("", entry("alias", alias, "environment", "Test_1.a-b", "api_environment", "sandbox", "memo", "  noted  "))
		b.OK(err)
		got, err := b.Vault.Entry(b.Context(), e.Tenant, e.ID)
		b.OK(err)
		if got.Alias != alias || got.Environment != "Test_1.a-b" || got.APIEnvironment != record.Sandbox || got.Settings["memo"] != "noted" || got.Settings["region"] != "eu" ||
			got.CreatedBy != b.Owner.ID || !got.CreatedAt.Equal(b.Clock.Now()) || got.Disabled {
			t.Errorf("it is %+v", got)
		}
	}
	e, err := b.create("", entry("memo", raw("null"), "region", ""))
	b.OK(err)
	if _, has := e.Settings["memo"]; has || e.APIEnvironment != record.Production || e.Settings["region"] != "eu" {
		t.Errorf("it is %+v", e)
	}
}

func TestAnAliasIsTakenWithinTenantAndEnvironment(t *testing.T) {
	b := newBench(t)
	_, err := b.create("", entry())
	b.OK(err)
	_, err = b.create("", entry("api_environment", "sandbox"))
	if f := b.Fault(err, fault.Conflict, "alias_taken"); f.Field != "alias" {
		t.Errorf("the field at fault is %q", f.Field)
	}
	_, err = b.create("", entry("environment", "test"))
	b.OK(err)
	_, err = b.create("", entry("alias", "One"))
	b.OK(err)
	_, err = b.Admin.CreateEntry(b.Context(), b.Alien, "", entry())
	b.OK(err)
}

func TestARepeatedCreationGivesTheFirstEntry(t *testing.T) {
	b := newBench(t)
	first, err := b.create("key-1", entry())
	b.OK(err)
	again, err := b.create("key-1", admin.Fields{"environment": raw(`"production"`), "alias": raw(`"one"`), "provider": raw(`"acme"`)})
	b.OK(err)
	if again.ID != first.ID || !again.CreatedAt.Equal(first.CreatedAt) {
		t.Errorf("the repeat made %s beside %s", again.ID, first.ID)
	}
	_, err = b.create("key-1", entry("alias", "two"))
	if f := b.Fault(err, fault.Conflict, "idempotency_key_reused"); f.Field != "Idempotency-Key" {
		t.Errorf("the field at fault is %q", f.Field)
	}
	_, err = b.create("key-2", entry())
	b.Fault(err, fault.Conflict, "alias_taken")
	_, err = b.Admin.CreateConnector(b.Context(), b.Owner, "key-1", connector("c", first.ID))
	b.Fault(err, fault.Conflict, "idempotency_key_reused") // another route
	other, err := b.Admin.CreateEntry(b.Context(), b.Clerk, "key-1", entry("alias", "the clerk's"))
	b.OK(err) // another principal's key
	if other.ID == first.ID {
		t.Error("another principal's key gives ours")
	}
	for _, key := range []string{"a b", "ü", "\n", strings.Repeat("x", 201), "\x7f"} {
		_, err := b.create(key, entry("alias", "three"))
		if f := b.Fault(err, fault.Invalid, "invalid_field"); f.Field != "Idempotency-Key" {
			t.Errorf("%q: %+v", key, f)
		}
	}
	b.Clock.Add(25 * time.Hour)
	_, err = b.create("key-1", entry("alias", "two"))
	b.OK(err)
}

func TestAFailedCreationUsesNoKeyUp(t *testing.T) {
	b := newBench(t)
	_, err := b.create("key-1", entry("region", "mars"))
	b.Fault(err, fault.Invalid, "invalid_field")
	b.Store.Fail(func(op string, _ store.Table) bool { return op == "apply" })
	_, err = b.create("key-1", entry())
	f := b.Fault(err, fault.Unavailable, "store_unavailable")
	if strings.Contains(f.Detail+f.Action, "10.0.0.7") {
		t.Errorf("the inside is shown: %+v", f)
	}
	b.Store.Fail(nil)
	_, err = b.create("key-1", entry())
	b.OK(err)
}

func TestFiftyEqualCreationsMakeOneEntry(t *testing.T) {
	b := newBench(t)
	ids, failures := make([]string, 50), make([]error, 50)
	var all sync.WaitGroup
	for i := range ids {
		all.Go(func() {
			e, err := b.create("key-1", entry())
			ids[i], failures[i] = e.ID, err
		})
	}
	all.Wait()
	b.OK(errors.Join(failures...))
	if len(slices.Compact(slices.Sorted(slices.Values(ids)))) != 1 || len(b.list(admin.EntryFilter{})) != 1 {
		t.Errorf("they made %v", b.list(admin.EntryFilter{}))
	}
}

func TestOfManyChangesAtOnceOneWinsAndTheOthersHearIt(t *testing.T) {
	b := newBench(t)
	e, err := b.create("", entry())
	b.OK(err)
	var mu sync.Mutex
	won := []string{}
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			alias := fmt.Sprintf("alias %d", i)
			_, err := b.Admin.UpdateEntry(b.Context(), b.Owner, e.ID, bundletest.Fields("alias", alias))
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				won = append(won, alias)
			case fault.CodeOf(err) != "changed_meanwhile":
				t.Errorf("an answer is %v", err)
			}
		})
	}
	all.Wait()
	now, err := b.Vault.Entry(b.Context(), e.Tenant, e.ID)
	b.OK(err)
	if !slices.Contains(won, now.Alias) {
		t.Errorf("%q stands, and %v won", now.Alias, won)
	}
	// No alias stays taken that no entry has.
	for i := range 20 {
		if alias := fmt.Sprintf("alias %d", i); alias != now.Alias {
			_, err := b.create("", entry("alias", alias))
			b.OK(err)
		}
	}
	_, err = b.create("", entry("alias", now.Alias))
	b.Fault(err, fault.Conflict, "alias_taken")
}

func TestAChangeChangesWhatItSaysAndNothingElse(t *testing.T) {
	b := newBench(t)
	e, err := b.create("", entry("memo", "noted"))
	b.OK(err)
	update := func(pairs ...any) error {
		_, err := b.Admin.UpdateEntry(b.Context(), b.Owner, e.ID, bundletest.Fields(pairs...))
		return err
	}
	b.OK(update())
	b.OK(update("disabled", true))
	b.OK(update("alias", "two"))
	got, err := b.Vault.Entry(b.Context(), e.Tenant, e.ID)
	b.OK(err)
	if got.Alias != "two" || !got.Disabled || got.Settings["memo"] != "noted" || got.Environment != "production" || got.CreatedBy != b.Owner.ID {
		t.Errorf("it is %+v", got)
	}
	_, err = b.create("", entry())
	b.OK(err) // the old alias is free
	for name, want := range map[string]struct {
		in    []any
		field string
		code  string
	}{
		"the provider":     {[]any{"provider", bundletest.Name}, "provider", "invalid_field"},
		"the side":         {[]any{"api_environment", "sandbox"}, "api_environment", "invalid_field"},
		"unknown":          {[]any{"colour", "red"}, "colour", "invalid_field"},
		"null alias":       {[]any{"alias", raw("null")}, "alias", "invalid_field"},
		"disabled as text": {[]any{"disabled", "true"}, "disabled", "invalid_field"},
		"disabled as 1":    {[]any{"disabled", raw("1")}, "disabled", "invalid_field"},
		"an alias in use":  {[]any{"alias", "one"}, "alias", "alias_taken"},
		"a wrong region":   {[]any{"region", "mars"}, "region", "invalid_field"},
	} {
		if f := fault.As(update(want.in...)); f.Code != want.code || f.Field != want.field {
			t.Errorf("%s: %+v", name, f)
		}
	}
	_, err = b.Admin.UpdateEntry(b.Context(), b.Alien, e.ID, bundletest.Fields("alias", "mine"))
	b.Fault(err, fault.NotFound, "not_found")
	again, err := b.Vault.Entry(b.Context(), e.Tenant, e.ID)
	b.OK(err)
	if again.Revision != got.Revision {
		t.Error("a refused change left something")
	}
}

func TestAnAuthorizedEntryStaysWhereItsTokenGoes(t *testing.T) {
	b := newBench(t)
	pending := b.Entry("pending")
	update := func(id string, pairs ...any) error {
		_, err := b.Admin.UpdateEntry(b.Context(), b.Owner, id, bundletest.Fields(pairs...))
		return err
	}
	b.OK(update(pending.ID, "region", "na"))
	active := b.Active("active")
	b.Fault(update(active.ID, "region", "na"), fault.Conflict, "vault_entry_authorized")
	b.Fault(update(active.ID, "account_type", "vendor"), fault.Conflict, "vault_entry_authorized")
	b.OK(update(active.ID, "region", "eu", "memo", "x"))
}

func TestAnEntryInUseIsNotDeletedAndAnotherOneGoesWithItsTokens(t *testing.T) {
	b := newBench(t)
	e := b.Active("one")
	c := b.Connector(e, nil)
	remove := func(p record.Principal, id string) error { return b.Admin.DeleteEntry(b.Context(), p, id) }
	b.Fault(remove(b.Owner, e.ID), fault.Conflict, "vault_entry_in_use")
	b.Fault(remove(b.Alien, e.ID), fault.NotFound, "not_found")
	b.Fault(b.Admin.DeleteConnector(b.Context(), b.Alien, c.ID), fault.NotFound, "not_found")
	b.OK(b.Admin.DeleteConnector(b.Context(), b.Owner, c.ID))
	b.OK(remove(b.Owner, e.ID))
	if _, found, err := b.Vault.Credential(b.Context(), e.Tenant, e.ID); err != nil || found {
		t.Errorf("the tokens are there: %t %v", found, err)
	}
	b.Fault(remove(b.Owner, e.ID), fault.NotFound, "not_found")
	b.Entry("one") // its alias is free
}

func TestAConnectorMadeWhileItsEntryIsDeletedIsMadeOrRefused(t *testing.T) {
	b := newBench(t)
	for i := range 10 {
		e := b.Entry(fmt.Sprintf("entry %d", i))
		var made, removed error
		var both sync.WaitGroup
		both.Go(func() { _, made = b.Admin.CreateConnector(b.Context(), b.Owner, "", connector("c", e.ID)) })
		both.Go(func() { removed = b.Admin.DeleteEntry(b.Context(), b.Owner, e.ID) })
		both.Wait()
		_, err := b.Vault.Entry(b.Context(), e.Tenant, e.ID)
		gone := fault.CodeOf(err) == "not_found"
		if gone != (removed == nil) || gone == (made == nil) {
			t.Errorf("gone %t, made %v, removed %v", gone, made, removed)
		}
	}
}

func connector(name, entryID string) admin.ConnectorInput {
	return admin.ConnectorInput{Name: &name, Entry: &entryID}
}

func TestEachFieldOfAConnectorIsChecked(t *testing.T) {
	b := newBench(t)
	e, theirs := b.Entry("one"), "ve_0000000000000000"
	many := make([]string, 101)
	with := func(settings map[string][]string) admin.ConnectorInput {
		in := connector("c", e.ID)
		in.Settings = settings
		return in
	}
	for name, want := range map[string]struct {
		in          admin.ConnectorInput
		field, code string
	}{
		"nothing":                    {admin.ConnectorInput{}, "vault_entry", "invalid_field"},
		"no entry":                   {connector("c", ""), "vault_entry", "invalid_field"},
		"an entry that is no id":     {connector("c", "one"), "vault_entry", "not_found"},
		"an entry that is not there": {connector("c", theirs), "", "not_found"},
		"no name":                    {admin.ConnectorInput{Entry: &e.ID}, "name", "invalid_field"},
		"an empty name":              {connector("", e.ID), "name", "invalid_field"},
		"a long name":                {connector(strings.Repeat("n", 129), e.ID), "name", "invalid_field"},
		"a name that turns around":   {connector("a\u202eb", e.ID), "name", "invalid_field"},
		"an unknown setting":         {with(map[string][]string{"marketplace": {"M1"}}), "settings.marketplace", "invalid_field"},
		"too many values":            {with(map[string][]string{"marketplaces": many}), "settings.marketplaces", "invalid_field"},
		"an unknown resource":        {with(map[string][]string{"resources": {"ghosts"}}), "settings.resources", "invalid_field"},
		"an unknown marketplace":     {with(map[string][]string{"marketplaces": {"M7"}}), "marketplaces", "unknown_marketplace"},
	} {
		_, err := b.Admin.CreateConnector(b.Context(), b.Owner, "", want.in)
		if f := fault.As(err); f.Code != want.code || f.Field != want.field && want.field != "" || f.Action == "" {
			t.Errorf("%s: %+v", name, f)
		}
	}
	_, err := b.Admin.CreateConnector(b.Context(), b.Alien, "", connector("c", e.ID))
	b.Fault(err, fault.NotFound, "not_found")
	page, err := b.Admin.ListConnectors(b.Context(), b.Owner, "", "", "", 100)
	b.OK(err)
	if len(page.Items) != 0 {
		t.Errorf("something was made: %+v", page.Items)
	}
	c, err := b.Admin.CreateConnector(b.Context(), b.Owner, "key-1", with(map[string][]string{"resources": {"scarce", "orders", "scarce"}}))
	b.OK(err)
	if fmt.Sprint(c.Settings) != "map[resources:[orders scarce]]" {
		t.Errorf("the settings are %v", c.Settings)
	}
	if again, err := b.Admin.CreateConnector(b.Context(), b.Owner, "key-1", with(map[string][]string{"resources": {"scarce", "orders", "scarce"}})); err != nil || again.ID != c.ID {
		t.Errorf("the repeat made %+v, %v", again, err)
	}
	now, err := b.Vault.Entry(b.Context(), e.Tenant, e.ID)
	b.OK(err)
	if now.Connectors != 1 {
		t.Errorf("the entry counts %d connectors", now.Connectors)
	}
}

func TestAConnectorStaysWithItsEntry(t *testing.T) {
	b := newBench(t)
	e, other := b.Entry("one"), b.Entry("two")
	c := b.Connector(e, map[string][]string{"resources": {"orders"}})
	update := func(p record.Principal, in admin.ConnectorInput) (record.Connector, error) {
		return b.Admin.UpdateConnector(b.Context(), p, c.ID, in)
	}
	_, err := update(b.Owner, admin.ConnectorInput{Entry: &other.ID})
	b.Fault(err, fault.Invalid, "invalid_field")
	_, err = update(b.Alien, admin.ConnectorInput{})
	b.Fault(err, fault.NotFound, "not_found")
	name := "new name"
	got, err := update(b.Owner, admin.ConnectorInput{Name: &name, Entry: &e.ID})
	b.OK(err)
	if got.Name != name || fmt.Sprint(got.Settings) != "map[resources:[orders]]" {
		t.Errorf("it is %+v", got)
	}
	got, err = update(b.Owner, admin.ConnectorInput{Settings: map[string][]string{}})
	b.OK(err)
	if len(got.Settings) != 0 || got.Name != name {
		t.Errorf("it is %+v", got)
	}
}

func TestAListIsInPagesAndFiltered(t *testing.T) {
	b := newBench(t)
	for i := range 7 {
		_, err := b.create("", entry("alias", fmt.Sprintf("e%d", i), "environment", []string{"production", "test"}[i%2]))
		b.OK(err)
	}
	active := b.Active("live")
	_, err := b.Admin.UpdateEntry(b.Context(), b.Owner, b.Entry("off").ID, bundletest.Fields("disabled", true))
	b.OK(err)
	for name, want := range map[string]struct {
		filter admin.EntryFilter
		n      int
	}{
		"all": {admin.EntryFilter{}, 9}, "test": {admin.EntryFilter{Environment: "test"}, 3}, "alias": {admin.EntryFilter{Alias: "e3"}, 1},
		"alias elsewhere": {admin.EntryFilter{Alias: "e3", Environment: "production"}, 0}, "pending": {admin.EntryFilter{Status: "pending"}, 7},
		"active": {admin.EntryFilter{Status: "active"}, 1}, "disabled": {admin.EntryFilter{Status: "disabled"}, 1}, "provider": {admin.EntryFilter{Provider: "ghost"}, 0},
		"sandbox": {admin.EntryFilter{APIEnvironment: "sandbox"}, 0},
	} {
		if got := b.list(want.filter); len(got) != want.n {
			t.Errorf("%s: %v", name, got)
		}
		for limit := 1; limit <= 4; limit++ {
			seen, after := 0, ""
			for range 20 {
				page, err := b.Admin.ListEntries(b.Context(), b.Owner, want.filter, after, limit)
				b.OK(err)
				if len(page.Items) > limit {
					t.Fatalf("%s: a page of %d has %d", name, limit, len(page.Items))
				}
				seen += len(page.Items)
				if after = page.Next; after == "" {
					break
				}
			}
			if seen != want.n {
				t.Errorf("%s by %d: %d were seen", name, limit, seen)
			}
		}
	}
	_, err = b.Admin.ListEntries(b.Context(), b.Owner, admin.EntryFilter{Status: "asleep"}, "", 10)
	b.Fault(err, fault.Invalid, "invalid_field")
	if page, err := b.Admin.ListEntries(b.Context(), b.Alien, admin.EntryFilter{}, "", 10); err != nil || len(page.Items) != 0 {
		t.Errorf("another tenant sees %v, %v", page.Items, err)
	}
	b.Connector(active, nil)
	for entryID, n := range map[string]int{"": 1, active.ID: 1, "ve_0000000000000000": 0} {
		if page, err := b.Admin.ListConnectors(b.Context(), b.Owner, entryID, "", "", 10); err != nil || len(page.Items) != n {
			t.Errorf("%q has %v, %v", entryID, page.Items, err)
		}
	}
}

func TestAnApplicationsSecretGoesInAndNeverComesBack(t *testing.T) {
	b := newBench(t)
	before := len(b.Secrets.Read())
	app, err := b.Admin.PutApp(b.Context(), b.Owner, bundletest.Name, bundletest.AppFields())
	b.OK(err)
	if shown, err := json.Marshal(app); err != nil || strings.Contains(string(shown), bundletest.ClientSecret) {
		t.Errorf("the record is %s, %v", shown, err)
	}
	name := vault.AppSecret(bundletest.Tenant, bundletest.Name, record.Production, app.Version)
	if slices.Contains(b.Secrets.Read()[before:], name) {
		t.Error("the secret was read")
	}
	text, err := b.Secrets.GetSecret(b.Context(), name)
	b.OK(err)
	kept, err := vault.DecodeSecrets(text)
	b.OK(err)
	if kept.Version != app.Version || kept.Fields["client_secret"].Reveal() != bundletest.ClientSecret || app.Fields["client_secret"] != "" {
		t.Errorf("what is kept has version %s, the record %+v", kept.Version, app)
	}
	if !app.ExpiryAssumed || !app.SecretExpires.Equal(b.Clock.Now().Add(180*24*time.Hour)) {
		t.Errorf("its end is %s, assumed %t", app.SecretExpires, app.ExpiryAssumed)
	}
}

func TestAnApplicationReplacesTheOneOfItsSide(t *testing.T) {
	b := newBench(t)
	b.App()
	put := func(pairs ...any) (record.App, error) {
		in := bundletest.AppFields()
		for name, value := range bundletest.Fields(pairs...) {
			in[name] = value
		}
		return b.Admin.PutApp(b.Context(), b.Owner, bundletest.Name, in)
	}
	b.Clock.Add(time.Hour)
	app, err := put("application_id", " app-2 ", "client_secret_expires_at", "2027-01-01", "draft", true)
	b.OK(err)
	if app.Fields["application_id"] != "app-2" || !app.Draft || app.ExpiryAssumed || app.SecretExpires.Format(time.RFC3339) != "2027-01-01T00:00:00Z" ||
		!app.UpdatedAt.After(app.CreatedAt) {
		t.Errorf("it is %+v", app)
	}
	_, err = put("api_environment", "sandbox")
	b.OK(err)
	apps, err := b.Vault.Apps(b.Context(), bundletest.Tenant)
	b.OK(err)
	if len(apps) != 2 {
		t.Errorf("there are %d", len(apps))
	}
	b.Secrets.Down(true)
	_, err = put("application_id", "app-3")
	b.Fault(err, fault.Unavailable, "store_unavailable")
	if app, _, err := b.Vault.App(b.Context(), bundletest.Tenant, bundletest.Name, record.Production); err != nil || app.Fields["application_id"] != "app-2" {
		t.Errorf("what stands is %+v, %v", app, err)
	}
}

func TestEachFieldOfAnApplicationIsChecked(t *testing.T) {
	b := newBench(t)
	for name, want := range map[string]struct {
		pairs []any
		field string
	}{
		"unknown":             {[]any{"colour", "red"}, "colour"},
		"no secret":           {[]any{"client_secret", ""}, "client_secret"},
		"a blank secret":      {[]any{"client_secret", "  "}, "client_secret"},
		"a null secret":       {[]any{"client_secret", raw("null")}, "client_secret"},
		"a secret of numbers": {[]any{"client_secret", raw("12345")}, "client_secret"},
		"a long secret":       {[]any{"client_secret", strings.Repeat("canary", 1000)}, "client_secret"},
		"no id":               {[]any{"application_id", ""}, "application_id"},
		"a wrong id":          {[]any{"application_id", "canary"}, "application_id"},
		"another side":        {[]any{"api_environment", "moon"}, "api_environment"},
		"draft as text":       {[]any{"draft", "yes"}, "draft"},
		"a date that is none": {[]any{"client_secret_expires_at", "soon"}, "client_secret_expires_at"},
		"a date of the past":  {[]any{"client_secret_expires_at", "2026-05-20"}, "client_secret_expires_at"},
		"a date as a number":  {[]any{"client_secret_expires_at", raw("5")}, "client_secret_expires_at"},
	} {
		in := bundletest.AppFields()
		for name, value := range bundletest.Fields(want.pairs...) {
			in[name] = value
		}
		_, err := b.Admin.PutApp(b.Context(), b.Owner, bundletest.Name, in)
		f := fault.As(err)
		if err == nil || f.Code != "invalid_field" || f.Field != want.field || f.Action == "" || strings.Contains(f.Error(), "canary") {
			t.Errorf("%s: %+v", name, f)
		}
	}
	_, err := b.Admin.PutApp(b.Context(), b.Owner, "ghost", bundletest.AppFields())
	b.Fault(err, fault.NotFound, "not_found")
	_, err = b.Admin.PutApp(b.Context(), b.Owner, bundletest.BareName, bundletest.AppFields())
	b.Fault(err, fault.Invalid, "invalid_request")
	if apps, err := b.Vault.Apps(b.Context(), bundletest.Tenant); err != nil || len(apps) != 0 {
		t.Errorf("something was kept: %+v, %v", apps, err)
	}
}

func TestARefreshThatAPersonAsksForIsForced(t *testing.T) {
	b := newBench(t)
	e := b.Active("one")
	b.Answer(func(context.Context, tokens.Call) (tokens.Answer, error) {
		return tokens.Answer{Outcome: tokens.RateLimited, Fault: fault.New(fault.Unavailable, "provider_unavailable", "Wait.").Do("Wait.")}, nil
	})
	_, err := b.Admin.Refresh(b.Context(), b.Owner, e.ID)
	b.Fault(err, fault.Unavailable, "provider_unavailable")
	b.Answer(func(context.Context, tokens.Call) (tokens.Answer, error) {
		return tokens.Answer{Outcome: tokens.Success}, nil
	})
	_, err = b.Admin.Refresh(b.Context(), b.Owner, e.ID)
	b.OK(err)
	if call := b.Calls(tokens.Refresh)[0]; !call.Force || call.Entry != e.ID || call.Tenant != e.Tenant {
		t.Errorf("the call is %+v", call)
	}
	_, err = b.Admin.Refresh(b.Context(), b.Alien, e.ID)
	b.Fault(err, fault.NotFound, "not_found")
	if len(b.Calls(tokens.Refresh)) != 2 {
		t.Error("another tenant's refresh was asked for")
	}
}
