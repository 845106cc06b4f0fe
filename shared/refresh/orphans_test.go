package refresh_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"connectorvault/shared/bundle/bundletest"
	"connectorvault/shared/fault"
	"connectorvault/shared/record"
	"connectorvault/shared/refresh"
	"connectorvault/shared/secret"
	"connectorvault/shared/store"
	"connectorvault/shared/vault"
)

// lost makes secrets of entries that there are not, and returns their names.
func (r *rack) lost(n int) (names []string) {
	r.Helper()
	for i := range n {
		name := vault.EntrySecret(bundletest.Tenant, fmt.Sprintf("ve_%016d", i), "v_1")
		if i%2 == 1 {
			name = vault.GroupSecret(name, record.ReadSecrets)
		}
		r.lose(name, "v_1")
		names = append(names, name)
	}
	return names
}

// lose stores a secret without a record.
func (r *rack) lose(name, version string) {
	r.Helper()
	text, err := vault.Secrets{Version: version, Fields: map[string]secret.Text{"client_secret": secret.New("canary-lost")}}.Encode()
	r.OK(err)
	r.OK(r.Secrets.Secrets.PutSecret(r.Context(), name, text))
}

func (r *rack) sweeps(by *refresh.Service, want int) {
	r.Helper()
	got, err := by.SweepOrphans(r.Context())
	r.OK(err)
	if got != want {
		r.Errorf("%d were removed; want %d", got, want)
	}
}

func (r *rack) there(name string) bool {
	r.Helper()
	return slices.Contains(r.Secrets.Names(r.Context()), name)
}

func TestASecretWithoutARecordIsRemovedWhenItIsSeenAgainADayLater(t *testing.T) {
	t.Parallel()
	r := newRack(t, bundletest.Options{})
	r.App()
	kept := r.own("kept")
	before := r.Secrets.Names(r.Context())
	lost := r.lost(3)
	r.sweeps(r.Tokens, 0)
	r.sweeps(r.Tokens, 0) // it is not time
	r.Clock.Add(day - time.Minute)
	r.sweeps(r.Tokens, 0)
	fresh := vault.AppSecret(bundletest.Tenant, bundletest.Name, record.Sandbox, "v_1")
	r.lose(fresh, "v_1")
	r.lose(lost[2], "v_2") // somebody has just stored it anew, and comes to its record yet
	r.Clock.Add(time.Minute)
	r.sweeps(r.NewTokens(), 2)
	if !r.there(fresh) || !r.there(lost[2]) || r.there(lost[0]) || r.there(lost[1]) {
		t.Errorf("there are %v", r.Secrets.Names(r.Context()))
	}
	r.Clock.Add(day)
	r.sweeps(r.Tokens, 2)
	if got := r.Secrets.Names(r.Context()); !slices.Equal(got, before) {
		t.Errorf("there are %v; want %v", got, before)
	}
	r.wants(kept, "success")
	if got := r.logged("name"); len(got) != 4 || !slices.Contains(got, lost[0]) {
		t.Errorf("logged are %v", got)
	}
}

// logged are the values that the log has under a name.
func (r *rack) logged(name string) (values []string) {
	for line := range strings.Lines(r.log.String()) {
		if _, rest, found := strings.Cut(line, `"`+name+`":"`); found {
			value, _, _ := strings.Cut(rest, `"`)
			values = append(values, value)
		}
	}
	return values
}

func TestASecretWhoseRecordComesMeanwhileStays(t *testing.T) {
	t.Parallel()
	r := newRack(t, bundletest.Options{})
	// Registered, and the record not stored; a day later registered again.
	r.Store.Fail(func(op string, table store.Table) bool { return op == "apply" && table == store.Records })
	_, err := r.Admin.PutApp(r.Context(), r.Owner, bundletest.Name, bundletest.AppFields())
	r.Fault(err, fault.Unavailable, "store_unavailable")
	r.Store.Fail(nil)
	r.sweeps(r.Tokens, 0)
	r.Clock.Add(day)
	r.App()
	r.sweeps(r.Tokens, 1) // the one that no record names
	for range 3 {
		r.Clock.Add(day)
		r.sweeps(r.Tokens, 0)
	}
	app, _, err := r.Vault.App(r.Context(), bundletest.Tenant, bundletest.Name, record.Production)
	r.OK(err)
	if !r.there(vault.AppSecret(bundletest.Tenant, bundletest.Name, record.Production, app.Version)) {
		t.Error("an application's secret is gone")
	}
}

func TestWhatIsNotNamedLikeOursIsNotTouched(t *testing.T) {
	t.Parallel()
	r := newRack(t, bundletest.Options{})
	names := []string{"t_1/entry/ve_0000000000000000", bundletest.Tenant + "/entry/mine", bundletest.Tenant + "/entry/ve_0000000000000000/more", bundletest.Tenant + "/console/key",
		bundletest.Tenant + "/read/keyring", "somebody/else", bundletest.Tenant, bundletest.Tenant + "-copy/entry/ve_0000000000000000", "t_/x"}
	for _, name := range names {
		r.lose(name, "v_1")
	}
	nonsense := vault.EntrySecret(bundletest.Other, "ve_0000000000000000", "v_1") // named like ours, and holds what nobody can read
	r.OK(r.Secrets.Secrets.PutSecret(r.Context(), nonsense, secret.New("canary")))
	read := len(r.Secrets.Read())
	r.sweeps(r.Tokens, 0)
	r.Clock.Add(day)
	r.sweeps(r.Tokens, 1)
	for _, name := range append(names, bundletest.Tenant+"/keyring", bundletest.Other+"/keyring") {
		if !r.there(name) {
			t.Errorf("%s is gone", name)
		}
	}
	if got := r.Secrets.Read()[read:]; !slices.Equal(got, []string{nonsense, nonsense}) {
		t.Errorf("read were %v", got)
	}
}

// A turn looks at a part of the list, and the next one goes on from there, whoever takes it.
func TestTheSearchGoesThroughTheWholeListInParts(t *testing.T) {
	t.Parallel()
	r := newRack(t, bundletest.Options{})
	r.lost(20)
	r.Secrets.Page(2)
	var cursors []string
	r.Secrets.Before(func(op, name string) error {
		if op == "list" {
			cursors = append(cursors, name)
		}
		return nil
	})
	turns := 0
	for seen := -1; seen != len(cursors) && turns < 20; turns++ {
		seen = len(cursors)
		r.sweeps(r.NewTokens(), 0)
	}
	if turns != 5 || len(cursors) != 11 || len(slices.Compact(slices.Sorted(slices.Values(cursors)))) != 11 {
		t.Errorf("in %d turns it looked at %v", turns, cursors)
	}
	r.Clock.Add(day)
	removed := 0
	for range turns {
		n, err := r.NewTokens().SweepOrphans(r.Context())
		r.OK(err)
		removed += n
	}
	if removed != 20 || len(r.Secrets.Names(r.Context())) != 2 {
		t.Errorf("%d were removed, there are %v", removed, r.Secrets.Names(r.Context()))
	}
}

func TestASearchThatBreaksOffGoesOnFromItsPlaceAndRemovesNothingTooSoon(t *testing.T) {
	t.Parallel()
	r := newRack(t, bundletest.Options{})
	lost := r.lost(4) // beside the tenants' keyrings: three pages of two, a turn
	r.Secrets.Page(2)
	fail := func(what string, when func(n int) bool) {
		n := 0
		r.Secrets.Before(func(op, _ string) error {
			if op != what {
				return nil
			}
			if n++; when(n) {
				return bundletest.ErrStore
			}
			return nil
		})
	}
	broken := func() {
		t.Helper()
		if removed, err := r.Tokens.SweepOrphans(r.Context()); err == nil || removed != 0 {
			t.Fatalf("%d were removed, %v", removed, err)
		}
	}
	fail("list", func(n int) bool { return n == 2 })
	broken()
	r.sweeps(r.Tokens, 0) // whoever has the turn has five minutes for it
	for range 3 {
		r.Clock.Add(5 * time.Minute) // the same page again, minutes later
		fail("list", func(n int) bool { return n == 2 })
		broken()
	}
	r.Clock.Add(5 * time.Minute)
	fail("get", func(int) bool { return true })
	broken()
	r.Secrets.Before(nil)
	r.Clock.Add(12*time.Hour - 21*time.Minute)
	r.sweeps(r.Tokens, 0) // the first were seen 11 hours and 59 minutes ago
	r.Clock.Add(day)
	fail("delete", func(n int) bool { return n == 1 })
	broken()
	if got := r.Secrets.Names(r.Context()); len(got) != 6 {
		t.Errorf("there are %v", got)
	}
	r.Secrets.Before(nil)
	r.Clock.Add(5 * time.Minute)
	r.sweeps(r.Tokens, len(lost))
	r.Store.Fail(func(op string, _ store.Table) bool { return op == "get" })
	r.Clock.Add(day)
	if _, err := r.Tokens.SweepOrphans(r.Context()); fault.CodeOf(err) != "store_unavailable" {
		t.Errorf("a store that is down: %v", err)
	}
}

func TestOfManySearchesAtOnceEachSecretIsRemovedOnce(t *testing.T) {
	t.Parallel()
	r := newRack(t, bundletest.Options{})
	lost := r.lost(12)
	var mu sync.Mutex
	var deleted []string
	r.Secrets.Before(func(op, name string) error {
		mu.Lock()
		defer mu.Unlock()
		if op == "delete" {
			deleted = append(deleted, name)
		}
		return nil
	})
	sweep := func() (removed int) {
		services := [6]*refresh.Service{}
		for i := range services {
			services[i] = r.NewTokens()
		}
		answers := together(len(services), func(i int) int {
			n, err := services[i].SweepOrphans(r.Context())
			if err != nil {
				t.Errorf("a search ended with %v", err)
			}
			return n
		})
		for _, n := range answers {
			removed += n
		}
		return removed
	}
	if n := sweep(); n != 0 {
		t.Errorf("%d were removed at once", n)
	}
	r.Clock.Add(day)
	if n := sweep(); n != len(lost) || !slices.Equal(slices.Sorted(slices.Values(deleted)), slices.Sorted(slices.Values(lost))) {
		t.Errorf("%d were removed: %v", n, deleted)
	}
}

// Whoever loses records and hears of it days later can put them back, for their secrets are there still: what has a credential was no
// entry that somebody deleted, and an application of a tenant without a record none that somebody replaced.
func TestTheSecretsOfLostRecordsStay(t *testing.T) {
	t.Parallel()
	r := newRack(t, bundletest.Options{})
	r.App()
	own := r.own("own")
	before := r.Secrets.Names(r.Context())
	var records []store.Item
	for _, sort := range []string{"entry#" + own.ID, "tenant", "app#"} {
		found, _, err := r.Store.Query(r.Context(), store.Query{Table: store.Records, Partition: bundletest.Tenant, Prefix: sort, Limit: 10})
		r.OK(err)
		records = append(records, found...)
	}
	if len(records) != 3 {
		t.Fatalf("there are %d records", len(records))
	}
	for _, item := range records {
		r.OK(r.Store.Apply(r.Context(), store.Op{Verb: store.Delete, Table: store.Records, Key: item.Key}))
	}
	for range 5 {
		r.sweeps(r.NewTokens(), 0)
		r.Clock.Add(day)
	}
	if got := r.Secrets.Names(r.Context()); !slices.Equal(got, before) {
		t.Errorf("there are %v; want %v", got, before)
	}
	for _, item := range records {
		r.OK(r.Store.Apply(r.Context(), store.Op{Verb: store.Put, Table: store.Records, Key: item.Key, Set: item.Attrs}))
	}
	r.wants(own, "success")
}
