package admin_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"connectorvault/shared/admin"
	"connectorvault/shared/api"
	"connectorvault/shared/bundle/bundletest"
	"connectorvault/shared/fault"
	"connectorvault/shared/provider"
	"connectorvault/shared/record"
	"connectorvault/shared/store"
	"connectorvault/shared/vault"
)

// ownBench is a bench of a provider whose entries may bring a client of their own. What is logged is looked through for
// secrets when the test ends.
func ownBench(t *testing.T, more ...func(*provider.Descriptor)) bench {
	t.Helper()
	t.Parallel()
	log := &logbook{}
	b := bench{bundletest.New(t, bundletest.Options{Describe: append([]func(*provider.Descriptor){bundletest.OwnClients}, more...), Log: log})}
	t.Cleanup(func() { b.hides("the log", log.String()) })
	return b
}

// logbook collects a log.
type logbook struct {
	mu sync.Mutex
	b  bytes.Buffer // guarded by mu
}

func (l *logbook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logbook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// hides fails the test when something shows a secret.
func (b bench) hides(what string, shown any) {
	b.Helper()
	text, err := json.Marshal(shown)
	b.OK(err)
	for _, text := range []string{string(text), fmt.Sprintf("%+v", shown)} {
		if strings.Contains(text, "canary") {
			b.Errorf("%s shows a secret: %s", what, text)
		}
	}
}

// own are the members of a good entry with a client of its own, with changes.
func own(changes ...any) admin.Fields {
	return entry(append(bundletest.OwnClient("client-7"), changes...)...)
}

func (b bench) update(id string, pairs ...any) (record.Entry, error) {
	b.Helper()
	got, err := b.Admin.UpdateEntry(b.Context(), b.Owner, id, bundletest.Fields(pairs...))
	if err != nil {
		b.hides("an error", err.Error())
		b.hides("a problem", fault.As(err))
	}
	return got, err
}

// stored is an entry as it is stored, with the secrets that lie in each group's place, by field.
func (b bench) stored(id string) (e record.Entry, secrets map[record.SecretGroup]map[string]string) {
	b.Helper()
	e, err := b.Vault.Entry(b.Context(), bundletest.Tenant, id)
	b.OK(err)
	secrets = map[record.SecretGroup]map[string]string{}
	for _, group := range []record.SecretGroup{record.ClientSecrets, record.ReadSecrets} {
		if version, values, found := b.secret(vault.GroupSecret(vault.EntrySecret(e.Tenant, e.ID, e.Secrets[group].Version), group)); found {
			secrets[group] = values
			if e.Secrets[group].Version != version {
				b.Errorf("the record names version %q of group %s, and %q lies there", e.Secrets[group].Version, group, version)
			}
		}
	}
	for group, named := range e.Secrets {
		if got := slices.Sorted(maps.Keys(secrets[group])); !slices.Equal(got, named.Fields) || named.Version == "" {
			b.Errorf("the record names %+v of group %s, and %v lies there", named, group, got)
		}
	}
	if len(e.Secrets) != len(secrets) {
		b.Errorf("the record names %v, and there is %v", e.Secrets, slices.Collect(maps.Keys(secrets)))
	}
	return e, secrets
}

// secret is what lies under a name, past everybody who counts.
func (b bench) secret(name string) (version string, values map[string]string, found bool) {
	b.Helper()
	text, err := b.Secrets.Secrets.GetSecret(b.Context(), name)
	if errors.Is(err, store.ErrNotFound) {
		return "", nil, false
	}
	b.OK(err)
	got, err := vault.DecodeSecrets(text)
	b.OK(err)
	values = map[string]string{}
	for name, value := range got.Fields {
		values[name] = value.Reveal()
	}
	return got.Version, values, true
}

// entrySecrets are the names of all secrets of entries.
func (b bench) entrySecrets() []string {
	b.Helper()
	return slices.DeleteFunc(b.Secrets.Names(b.Context()), func(name string) bool { return !strings.Contains(name, "/entry/") })
}

func TestAnEntrysSecretsLieInTwoGroupsAndAreShownByNameAlone(t *testing.T) {
	b := ownBench(t)
	before := len(b.Secrets.Read())
	made, err := b.create("", own(bundletest.FieldSecret, "  "+bundletest.OwnSecret+"\t"))
	b.OK(err)
	e, secrets := b.stored(made.ID)
	if len(b.Secrets.Read()) != before {
		t.Error("this side of the vault read a secret")
	}
	if secrets[record.ClientSecrets][bundletest.FieldSecret] != bundletest.OwnSecret || secrets[record.ReadSecrets][bundletest.FieldSignature] != bundletest.Signature ||
		len(secrets[record.ClientSecrets]) != 1 || len(secrets[record.ReadSecrets]) != 1 {
		t.Errorf("what lies there is %d and %d secrets", len(secrets[record.ClientSecrets]), len(secrets[record.ReadSecrets]))
	}
	if _, has := e.Settings[bundletest.FieldSecret]; has || !e.HasSecret(bundletest.FieldSecret) || !e.HasSecret(bundletest.FieldSignature) || e.Settings[bundletest.FieldClient] != "client-7" {
		t.Errorf("the record is %+v", e)
	}
	b.hides("the answer", made)
	b.hides("the record", e)
	state, err := b.Vault.EntryState(b.Context(), e.Tenant, e.ID)
	b.OK(err)
	b.hides("the state", state)
	view := api.EntryOf(state, b.Clock.Now())
	b.hides("the view", view)
	if !slices.Equal(view.Secrets, []string{bundletest.FieldSecret, bundletest.FieldSignature}) {
		t.Errorf("shown are %v", view.Secrets)
	}
	// Nothing of it is in the store of records, whatever is looked at.
	for _, table := range store.Tables() {
		for _, partition := range []string{bundletest.Tenant, bundletest.Tenant + "#" + e.ID} {
			items, _, err := b.Store.Query(b.Context(), store.Query{Table: table, Partition: partition, Limit: 1000})
			b.OK(err)
			b.hides("a table", items)
		}
	}
}

func TestASecretFieldIsCheckedAndNeverSaidBack(t *testing.T) {
	b := ownBench(t)
	made, err := b.create("", own())
	b.OK(err)
	for name, value := range map[string]any{
		"a number": raw(`12345`), "true": true, "a list": raw(`["canary"]`), "an object": raw(`{"canary":"canary"}`), "two lines": "canary\ncanary",
		"with NUL": "canary\x00", "with DEL": "can\x7fary-canary", "too long": strings.Repeat("canary", 700),
	} {
		for _, field := range []string{bundletest.FieldSecret, bundletest.FieldSignature} {
			_, err := b.create("", own("alias", "another", field, value))
			f := b.Fault(err, fault.Invalid, "invalid_field")
			b.hides(name, f)
			_, err = b.update(made.ID, field, value)
			if got := b.Fault(err, fault.Invalid, "invalid_field"); f.Field != field || got.Field != field {
				t.Errorf("%s: %+v, %+v", name, f, got)
			}
		}
	}
	if got := b.entrySecrets(); len(got) != 2 {
		t.Errorf("there are %v", got)
	}
	_, err = b.create("", own("alias", "longest", bundletest.FieldSecret, strings.Repeat("x", 4096)))
	b.OK(err)
	for _, none := range []any{nil, raw("null"), "", "  \t"} { // the provider wants one
		_, err := b.create("", own("alias", "without", bundletest.FieldSecret, none))
		if f := b.Fault(err, fault.Invalid, "invalid_field"); f.Field != bundletest.FieldSecret {
			t.Errorf("without a secret: %+v", f)
		}
	}
}

// This side of the vault reads no secret, so of those that lie together it takes all or none.
func TestAGroupOfSecretsIsGivenWhole(t *testing.T) {
	b := ownBench(t)
	made, err := b.create("", own(bundletest.FieldBackup, "canary-backup-1"))
	b.OK(err)
	first, _ := b.stored(made.ID)
	for _, part := range []string{bundletest.FieldSecret, bundletest.FieldBackup} {
		_, err := b.update(made.ID, part, "canary-part", "memo", "x")
		f := b.Fault(err, fault.Invalid, "invalid_field")
		if f.Field == part || !strings.Contains(f.Detail, part) {
			t.Errorf("a part: %+v", f)
		}
		_, err = b.update(made.ID, part, raw("null"))
		b.Fault(err, fault.Invalid, "invalid_field")
	}
	same, secrets := b.stored(made.ID)
	if same.Revision != first.Revision || secrets[record.ClientSecrets][bundletest.FieldSecret] != bundletest.OwnSecret {
		t.Errorf("a refused change left something: %+v", same)
	}
	_, err = b.update(made.ID, bundletest.FieldSignature, "canary-signature-2") // a group of its own
	b.OK(err)
	after, secrets := b.stored(made.ID)
	if after.Secrets[record.ClientSecrets].Version != first.Secrets[record.ClientSecrets].Version || after.Secrets[record.ReadSecrets].Version == first.Secrets[record.ReadSecrets].Version ||
		secrets[record.ReadSecrets][bundletest.FieldSignature] != "canary-signature-2" {
		t.Errorf("it is %+v", after.Secrets)
	}
	_, err = b.update(made.ID, bundletest.FieldSecret, "canary-new", bundletest.FieldBackup, raw("null"))
	b.OK(err)
	after, secrets = b.stored(made.ID)
	if secrets[record.ClientSecrets][bundletest.FieldSecret] != "canary-new" || after.HasSecret(bundletest.FieldBackup) {
		t.Errorf("it is %+v", after.Secrets)
	}
	_, err = b.update(made.ID, "memo", "nothing of secrets")
	b.OK(err)
	if now, _ := b.stored(made.ID); now.Secrets[record.ClientSecrets].Version != after.Secrets[record.ClientSecrets].Version {
		t.Error("a change that does not mention them stored them anew")
	}
}

func TestNullRemovesASecret(t *testing.T) {
	b := ownBench(t)
	made, err := b.create("", own())
	b.OK(err)
	b.Secrets.Before(func(op, _ string) error {
		if op == "delete" {
			return bundletest.ErrStore
		}
		return nil
	})
	_, err = b.update(made.ID, bundletest.FieldSignature, raw("null"))
	b.OK(err) // no record names it, so nobody finds it; the search for orphans removes it
	if e, err := b.Vault.Entry(b.Context(), made.Tenant, made.ID); err != nil || e.HasSecret(bundletest.FieldSignature) || len(b.entrySecrets()) != 2 {
		t.Errorf("there are %v, the record is %+v, %v", b.entrySecrets(), e, err)
	}
	b.sweep()
	b.Clock.Add(25 * time.Hour)
	b.Secrets.Before(nil)
	if removed := b.sweep(); removed != 1 || len(b.entrySecrets()) != 1 {
		t.Errorf("%d were removed, there are %v", removed, b.entrySecrets())
	}
	b.Secrets.Before(nil)
	for range 2 { // the second time there is nothing left to remove
		e, err := b.update(made.ID, bundletest.FieldSignature, raw("null"), bundletest.FieldBackup, raw("null"), bundletest.FieldSecret, bundletest.OwnSecret)
		b.OK(err)
		if e.HasSecret(bundletest.FieldSignature) || len(b.entrySecrets()) != 1 {
			t.Errorf("there are %v, the record is %+v", b.entrySecrets(), e)
		}
		b.stored(made.ID)
	}
	_, err = b.update(made.ID, bundletest.FieldSecret, raw("null")) // the provider wants it
	b.Fault(err, fault.Invalid, "invalid_field")
	if _, secrets := b.stored(made.ID); secrets[record.ClientSecrets][bundletest.FieldSecret] != bundletest.OwnSecret {
		t.Error("a refused removal removed it")
	}
	// From a client of its own to the application: everything of its own goes.
	e, err := b.update(made.ID, bundletest.FieldShared, true, bundletest.FieldClient, raw("null"), bundletest.FieldSecret, raw("null"))
	b.OK(err)
	if len(e.Secrets) != 0 || len(b.entrySecrets()) != 0 {
		t.Errorf("there are %v, the record is %+v", b.entrySecrets(), e)
	}
}

func TestARefusedChangeLeavesTheSecretsAsTheyWere(t *testing.T) {
	b := ownBench(t)
	made, err := b.create("", own())
	b.OK(err)
	b.Entry("taken", bundletest.OwnClient("client-8")...)
	b.Entry("apart", append(bundletest.OwnClient("client-8"), "region", "na")...)
	for name, change := range map[string][]any{
		"an alias in use, and a secret":      {"alias", "taken", bundletest.FieldSecret, "canary-new"},
		"an alias in use, and one less":      {"alias", "taken", bundletest.FieldSignature, raw("null")},
		"a region that is none":              {"region", "mars", bundletest.FieldSecret, "canary-new"},
		"a flag that is none":                {bundletest.FieldShared, "true", bundletest.FieldSecret, "canary-new"},
		"a side":                             {"api_environment", "sandbox", bundletest.FieldSecret, "canary-new"},
		"a secret too many":                  {bundletest.FieldShared, true, bundletest.FieldClient, "", bundletest.FieldSecret, "canary-new"},
		"disabled as text":                   {"disabled", "yes", bundletest.FieldSignature, raw("null")},
		"one good secret and one that isn't": {bundletest.FieldSecret, "canary-new", bundletest.FieldSignature, "a\nb"},
	} {
		if _, err := b.update(made.ID, change...); err == nil {
			t.Errorf("%s is taken", name)
		}
		e, secrets := b.stored(made.ID)
		if e.Revision != made.Revision || secrets[record.ClientSecrets][bundletest.FieldSecret] != bundletest.OwnSecret || secrets[record.ReadSecrets][bundletest.FieldSignature] != bundletest.Signature {
			t.Errorf("%s: it left %+v", name, e)
		}
	}
	_, err = b.Admin.UpdateEntry(b.Context(), b.Alien, made.ID, bundletest.Fields(bundletest.FieldSecret, "canary-alien"))
	b.Fault(err, fault.NotFound, "not_found")
	if got := b.entrySecrets(); len(got) != 6 || slices.ContainsFunc(got, func(name string) bool { return strings.HasPrefix(name, bundletest.Other) }) {
		t.Errorf("there are %v", got)
	}
	b.stored(made.ID)
	_, err = b.update(made.ID, "disabled", true)
	b.OK(err)
	_, err = b.update(made.ID, bundletest.FieldSecret, "canary-new") // switched off is when one mends
	b.OK(err)
	if e, secrets := b.stored(made.ID); !e.Disabled || secrets[record.ClientSecrets][bundletest.FieldSecret] != "canary-new" {
		t.Errorf("it is %+v", e)
	}
}

func TestAnEntryThatIsNotMadeLeavesNoSecretBehind(t *testing.T) {
	b := ownBench(t)
	first, err := b.create("key-1", own())
	b.OK(err)
	_, err = b.create("", own(bundletest.FieldSecret, "canary-loser"))
	b.Fault(err, fault.Conflict, "alias_taken")
	again, err := b.create("key-1", own())
	b.OK(err)
	_, err = b.create("key-1", own(bundletest.FieldSecret, "canary-other"))
	b.Fault(err, fault.Conflict, "idempotency_key_reused")
	if got := b.entrySecrets(); len(got) != 2 || again.ID != first.ID {
		t.Errorf("there are %v of %s and %s", got, first.ID, again.ID)
	}
	b.stored(first.ID)
	// The same when they all come at once, so that none finds the first one's note before it has stored its secrets.
	var all sync.WaitGroup
	ids := make([]string, 12)
	for i := range ids {
		all.Go(func() {
			key := ""
			if i%2 == 0 {
				key = "key-2"
			}
			e, err := b.create(key, own("alias", "two"))
			ids[i] = e.ID
			if err != nil {
				ids[i] = ""
			}
			if fault.KindOf(err) != fault.Conflict && err != nil {
				t.Errorf("an answer is %v", err)
			}
		})
	}
	all.Wait()
	made := slices.DeleteFunc(slices.Compact(slices.Sorted(slices.Values(ids))), func(id string) bool { return id == "" })
	if got := b.entrySecrets(); len(made) != 1 || len(got) != 4 {
		t.Errorf("made were %v, and there are %v", made, got)
	}
	b.stored(made[0])
}

// sweep lets the search for orphans run to its end.
func (b bench) sweep() (removed int) {
	b.Helper()
	removed, err := b.Tokens.SweepOrphans(b.Context())
	b.OK(err)
	return removed
}

func TestACrashBetweenASecretAndItsRecordIsTidiedUp(t *testing.T) {
	b := ownBench(t)
	down := func(table store.Table) func(string, store.Table) bool {
		return func(op string, at store.Table) bool { return op == "apply" && at == table }
	}
	b.Store.Fail(down(store.Records))
	_, err := b.create("key-1", own())
	b.Fault(err, fault.Unavailable, "store_unavailable")
	b.Store.Fail(nil)
	if got := b.entrySecrets(); len(got) != 2 { // the answer may have been lost, and the record be there
		t.Errorf("there are %v", got)
	}
	made, err := b.create("key-1", own())
	b.OK(err)
	// The second group cannot be stored: no record names the first.
	b.Secrets.Before(func(op, name string) error {
		if op == "put" && strings.Contains(name, "/read/") {
			return bundletest.ErrStore
		}
		return nil
	})
	_, err = b.create("", own("alias", "two"))
	b.Fault(err, fault.Unavailable, "store_unavailable")
	b.Secrets.Before(nil)
	shared := b.Entry("shared", bundletest.FieldShared, true)
	b.Store.Fail(down(store.Records))
	_, err = b.update(shared.ID, bundletest.FieldSignature, "canary-nobodys") // an entry that had none in that group
	b.Fault(err, fault.Unavailable, "store_unavailable")
	_, err = b.Admin.PutApp(b.Context(), b.Owner, bundletest.Name, bundletest.AppFields())
	b.Fault(err, fault.Unavailable, "store_unavailable")
	b.Store.Fail(nil)

	if n := len(b.entrySecrets()); n != 6 {
		t.Errorf("there are %d secrets of entries", n)
	}
	if removed := b.sweep(); removed != 0 {
		t.Errorf("%d were removed at once", removed)
	}
	b.Clock.Add(25 * time.Hour)
	if removed := b.sweep(); removed != 5 {
		t.Errorf("%d were removed", removed)
	}
	if got := b.entrySecrets(); len(got) != 2 {
		t.Errorf("there are %v", got)
	}
	b.stored(made.ID)
	b.stored(shared.ID)
}

// The secret is stored before the record: should the record not be, what it names is still there and in force.
func TestASecretThatWasStoredWithoutItsRecordChangesNothing(t *testing.T) {
	b := ownBench(t)
	made, err := b.create("", own())
	b.OK(err)
	b.Store.Fail(func(op string, table store.Table) bool { return op == "apply" && table == store.Records })
	_, err = b.update(made.ID, bundletest.FieldSignature, "canary-newest")
	b.Fault(err, fault.Unavailable, "store_unavailable")
	b.Store.Fail(nil)
	e, secrets := b.stored(made.ID)
	if e.Revision != made.Revision || secrets[record.ReadSecrets][bundletest.FieldSignature] != bundletest.Signature {
		t.Errorf("the record is %+v", e)
	}
	_, err = b.update(made.ID, bundletest.FieldSignature, "canary-newer")
	b.OK(err)
	b.stored(made.ID)
	b.sweep()
	b.Clock.Add(25 * time.Hour)
	if removed := b.sweep(); removed != 1 {
		t.Errorf("%d were removed; want the one that no record ever named", removed)
	}
}

// meanwhile does something in the middle of somebody's change: before its record is stored.
func (b bench) meanwhile(do func()) {
	var begun atomic.Bool // what is done comes by here too
	b.Store.Fail(func(op string, table store.Table) bool {
		if op == "apply" && table == store.Records && begun.CompareAndSwap(false, true) {
			do()
		}
		return false
	})
}

func TestOfTwoChangesOfASecretAtOnceTheLastOneIsStoredWhole(t *testing.T) {
	for name, test := range map[string]struct{ first, then []any }{
		"two values":                 {[]any{bundletest.FieldSignature, "canary-a"}, []any{bundletest.FieldSignature, "canary-b"}},
		"a value, and none":          {[]any{bundletest.FieldSignature, "canary-a"}, []any{bundletest.FieldSignature, raw("null")}},
		"none, and a value":          {[]any{bundletest.FieldSignature, raw("null")}, []any{bundletest.FieldSignature, "canary-b"}},
		"none, twice":                {[]any{bundletest.FieldSignature, raw("null")}, []any{bundletest.FieldSignature, raw("null")}},
		"a value, and another field": {[]any{bundletest.FieldSignature, "canary-a"}, []any{"memo", "x"}},
	} {
		t.Run(name, func(t *testing.T) {
			b := ownBench(t)
			made, err := b.create("", own())
			b.OK(err)
			b.meanwhile(func() {
				_, err := b.update(made.ID, test.then...)
				b.OK(err)
			})
			_, err = b.update(made.ID, test.first...)
			b.OK(err)
			b.Store.Fail(nil)
			e, secrets := b.stored(made.ID)
			want, _ := test.first[1].(string)
			if secrets[record.ReadSecrets][bundletest.FieldSignature] != want || e.HasSecret(bundletest.FieldSignature) != (want != "") {
				t.Errorf("it is %+v with %q", e.Secrets, secrets[record.ReadSecrets][bundletest.FieldSignature])
			}
			if test.then[0] == "memo" && e.Settings["memo"] != "x" {
				t.Error("the other change is lost")
			}
		})
	}
}

func TestOfManyChangesOfSecretsAtOnceWhatIsStoredIsWhole(t *testing.T) {
	b := ownBench(t)
	made, err := b.create("", own(bundletest.FieldBackup, "canary-0"))
	b.OK(err)
	var all sync.WaitGroup
	for i := range 12 {
		all.Go(func() {
			value := fmt.Sprintf("canary-%d", i)
			change := []any{bundletest.FieldSecret, value, bundletest.FieldBackup, value, bundletest.FieldSignature, value}
			if i%3 == 0 {
				change = []any{bundletest.FieldSignature, raw("null")}
			}
			if _, err := b.update(made.ID, change...); err != nil && fault.CodeOf(err) != "changed_meanwhile" {
				t.Errorf("an answer is %v", err)
			}
		})
	}
	all.Wait()
	// Who gave up has stored a secret and no record. One more change, alone, and all is well.
	_, err = b.update(made.ID, bundletest.FieldSecret, "canary-z", bundletest.FieldBackup, "canary-z", bundletest.FieldSignature, "canary-z")
	b.OK(err)
	_, secrets := b.stored(made.ID)
	for _, field := range []string{bundletest.FieldSecret, bundletest.FieldBackup} {
		if secrets[record.ClientSecrets][field] != "canary-z" {
			t.Errorf("%s is %q", field, secrets[record.ClientSecrets][field])
		}
	}
}

func TestAFlagIsTrueOrNotThere(t *testing.T) {
	b := ownBench(t)
	for name, value := range map[string]any{"text": "true", "one": raw("1"), "a list": raw("[true]"), "no text": ""} {
		_, err := b.create("", entry(bundletest.FieldShared, value))
		if f := b.Fault(err, fault.Invalid, "invalid_field"); f.Field != bundletest.FieldShared {
			t.Errorf("%s: %+v", name, f)
		}
	}
	e, err := b.create("", entry(bundletest.FieldShared, true))
	b.OK(err)
	for range 2 { // twice the same is once
		e, err = b.update(e.ID, bundletest.FieldShared, true)
		b.OK(err)
		if e.Settings[bundletest.FieldShared] != "true" || !slices.Equal(e.Flags, []string{bundletest.FieldShared}) || !b.Adapter.Descriptor().UsesApp(e) {
			t.Errorf("it is %+v", e)
		}
	}
	for _, off := range []any{false, raw("null")} {
		e, err = b.update(e.ID, append(bundletest.OwnClient("client-7"), bundletest.FieldShared, off)...)
		b.OK(err)
		if _, has := e.Settings[bundletest.FieldShared]; has || len(e.Flags) != 0 || b.Adapter.Descriptor().UsesApp(e) {
			t.Errorf("it is %+v", e)
		}
	}
	if _, err := b.create("", own("alias", "two", bundletest.FieldShared, false)); err != nil {
		t.Errorf("false from the start: %v", err)
	}
}

func TestWhatAnAuthorizationBelongsToStaysOnceThereIsOne(t *testing.T) {
	b := ownBench(t)
	e := b.Entry("one", bundletest.OwnClient("client-7")...)
	_, err := b.update(e.ID, bundletest.FieldClient, "client-8")
	b.OK(err)
	b.Install(e, b.Upstream.Issue("acct-1"), time.Hour)
	for name, change := range map[string][]any{
		"another client":      {bundletest.FieldClient, "client-9"},
		"the application":     {bundletest.FieldShared, true, bundletest.FieldClient, raw("null"), bundletest.FieldSecret, raw("null")},
		"with a secret of it": {bundletest.FieldClient, "client-9", bundletest.FieldSecret, "canary-of-nine"},
		"another type":        {"account_type", "vendor", bundletest.FieldSignature, raw("null")},
	} {
		_, err := b.update(e.ID, change...)
		if f := b.Fault(err, fault.Conflict, "vault_entry_authorized"); f.Field == "" {
			t.Errorf("%s: %+v", name, f)
		}
	}
	now, secrets := b.stored(e.ID)
	if now.Settings[bundletest.FieldClient] != "client-8" || secrets[record.ClientSecrets][bundletest.FieldSecret] != bundletest.OwnSecret || !now.HasSecret(bundletest.FieldSignature) {
		t.Errorf("it is %+v", now)
	}
	_, err = b.update(e.ID, bundletest.FieldClient, "client-8", bundletest.FieldShared, false, bundletest.FieldSecret, "canary-renewed",
		bundletest.FieldSignature, "canary-renewed", bundletest.FieldCallback, "https://program.example/cb", "memo", "x", "alias", "other")
	b.OK(err) // a client's secret may be renewed, and said again may be what is
	if _, secrets := b.stored(e.ID); secrets[record.ClientSecrets][bundletest.FieldSecret] != "canary-renewed" {
		t.Error("the renewed secret is not stored")
	}
}

func TestAnApplicationsSecretsForReadsLieApart(t *testing.T) {
	b := ownBench(t)
	put := func(pairs ...any) record.App {
		b.Helper()
		in := bundletest.AppFields()
		maps.Copy(in, bundletest.Fields(pairs...))
		app, err := b.Admin.PutApp(b.Context(), b.Owner, bundletest.Name, in)
		b.OK(err)
		b.hides("the application", app)
		b.hides("its view", api.AppOf(app, b.Clock.Now()))
		return app
	}
	check := func(app record.App, signature string) {
		b.Helper()
		name := vault.AppSecret(bundletest.Tenant, bundletest.Name, record.Production, app.Version)
		version, values, _ := b.secret(name)
		if version != app.Version || len(values) != 1 || values[bundletest.FieldSecret] != bundletest.ClientSecret {
			t.Errorf("the client's are version %s with %d values", version, len(values))
		}
		version, values, found := b.secret(vault.GroupSecret(name, record.ReadSecrets))
		if found != (signature != "") || found && (version != app.Version || len(values) != 1 || values[bundletest.FieldSignature] != signature) {
			t.Errorf("those for reads are version %s with %d values, found %t", version, len(values), found)
		}
		stored, _, err := b.Vault.App(b.Context(), bundletest.Tenant, bundletest.Name, record.Production)
		b.OK(err)
		if slices.Contains(stored.ReadSecrets, bundletest.FieldSignature) != found || stored.Version != app.Version || stored.Fields[bundletest.FieldSignature] != "" {
			t.Errorf("the record is %+v", stored)
		}
	}
	check(put(), "")
	check(put(bundletest.FieldSignature, bundletest.Signature), bundletest.Signature)
	check(put(bundletest.FieldSignature, "canary-signature-2"), "canary-signature-2")
	check(put(), "")
	theirs, err := b.Admin.PutApp(b.Context(), b.Alien, bundletest.Name, bundletest.AppFields())
	b.OK(err)
	if _, _, found := b.secret(vault.AppSecret(bundletest.Other, bundletest.Name, record.Production, theirs.Version)); !found {
		t.Error("another tenant's application lies elsewhere")
	}
}

// before does something once before an operation of the secret store on a name.
func (b bench) before(op, part string, do func()) {
	var begun atomic.Bool // what is done comes by here too
	b.Secrets.Before(func(got, name string) error {
		if got == op && strings.Contains(name, part) && begun.CompareAndSwap(false, true) {
			do()
		}
		return nil
	})
}

func TestOfTwoRegistrationsAtOnceTheLastIsStoredWhole(t *testing.T) {
	b := ownBench(t)
	put := func(secret, signature string) {
		b.Helper()
		in := bundletest.AppFields()
		maps.Copy(in, bundletest.Fields(bundletest.FieldSecret, secret, bundletest.FieldSignature, signature))
		_, err := b.Admin.PutApp(b.Context(), b.Owner, bundletest.Name, in)
		b.OK(err)
	}
	for _, part := range []string{tenantPart("app"), "/read/app"} {
		for _, then := range []string{"canary-then", ""} {
			b.before("put", part, func() { put("canary-then", then) })
			put("canary-first", "canary-first")
			b.Secrets.Before(nil)
			app, _, err := b.Vault.App(b.Context(), bundletest.Tenant, bundletest.Name, record.Production)
			b.OK(err)
			for _, group := range []record.SecretGroup{record.ClientSecrets, record.ReadSecrets} {
				version, values, _ := b.secret(vault.GroupSecret(vault.AppSecret(bundletest.Tenant, bundletest.Name, record.Production, app.Version), group))
				for field, value := range values {
					if version != app.Version || value != "canary-first" {
						t.Errorf("%s: %s of version %s is %q, the record has %s", part, field, version, value, app.Version)
					}
				}
				if len(values) != 1 {
					t.Errorf("%s: group %s has %d values", part, group, len(values))
				}
			}
		}
	}
}

func tenantPart(kind string) string { return bundletest.Tenant + "/" + kind }
