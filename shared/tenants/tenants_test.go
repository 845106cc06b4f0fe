package tenants_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"connectorvault/shared/admin"
	"connectorvault/shared/authorize"
	"connectorvault/shared/bundle/bundletest"
	"connectorvault/shared/fault"
	"connectorvault/shared/ident"
	"connectorvault/shared/keyring"
	"connectorvault/shared/record"
	"connectorvault/shared/seal"
	"connectorvault/shared/secret"
	"connectorvault/shared/store"
	"connectorvault/shared/tenants"
	"connectorvault/shared/tokens"
	"connectorvault/shared/vault"
)

var errDown = errors.New("down")

// bench is the bundle with what makes and deletes tenants.
type bench struct {
	*bundletest.Bench
	*tenants.Service
	log *strings.Builder
}

func newBench(t testing.TB, change ...func(*tenants.Config)) bench {
	t.Helper()
	b := bench{Bench: bundletest.New(t, bundletest.Options{Revokes: true}), log: &strings.Builder{}}
	cfg := tenants.Config{Vault: b.Vault, Keyring: b.Vault.Sealer.(*keyring.Sealer), Secrets: b.Secrets, Tokens: b.Invoke, Now: b.Clock.Now,
		Random: rand.Reader, Logger: slog.New(slog.NewTextHandler(b.log, nil)), Recovery: 35 * 24 * time.Hour}
	for _, c := range change {
		c(&cfg)
	}
	b.Service = tenants.New(cfg)
	return b
}

func (b bench) works(key secret.Text) bool {
	b.Helper()
	_, ok, err := b.Vault.Authenticate(b.Context(), key)
	b.OK(err)
	return ok
}

func (b bench) create(in tenants.NewTenant) tenants.Made {
	b.Helper()
	made, err := b.Create(b.Context(), in)
	b.OK(err)
	return made
}

func (b bench) seals(tenant string) error {
	_, err := b.Vault.Sealer.Seal(b.Context(), seal.Binding{Purpose: "test", Tenant: tenant, Record: "r"}, []byte("x"))
	return err
}

func TestATenantIsMadeWithAKeyThatWorks(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	made := b.create(tenants.NewTenant{Name: " Example Trading "})
	p, ok, err := b.Vault.Authenticate(b.Context(), made.Key)
	if err != nil || !ok || !reflect.DeepEqual(p, record.Principal{Tenant: made.Tenant, ID: made.KeyID, Role: record.Owner}) {
		t.Errorf("the key stands for %+v, %t: %v", p, ok, err)
	}
	tenant, err := b.Vault.Tenant(b.Context(), made.Tenant)
	if err != nil || tenant.Name != "Example Trading" || !tenant.CreatedAt.Equal(b.Clock.Now()) {
		t.Errorf("the tenant is %+v: %v", tenant, err)
	}
	b.OK(b.seals(made.Tenant))
	personal := b.create(tenants.NewTenant{Name: "Example Trading", PersonalData: true})
	if p, _, _ := b.Vault.Authenticate(b.Context(), personal.Key); !p.PersonalData || p.Tenant == made.Tenant {
		t.Errorf("the second key stands for %+v", p)
	}
	if strings.Contains(b.log.String(), made.Key.Reveal()[36:]) {
		t.Error("a key was logged")
	}
	for name, in := range map[string]tenants.NewTenant{"none": {}, "spaces": {Name: " \t"}, "lines": {Name: "a\nb"}, "long": {Name: strings.Repeat("a", 201)}, "bytes": {Name: "a\xff"}} {
		_, err := b.Create(b.Context(), in)
		if f := b.Fault(err, fault.Invalid, "invalid_field"); f.Field != "name" {
			t.Errorf("%s: %+v", name, f)
		}
	}
	for _, request := range []string{"with space", strings.Repeat("a", 201), "ä"} {
		_, err := b.Create(b.Context(), tenants.NewTenant{Name: "x", Request: request})
		if f := b.Fault(err, fault.Invalid, "invalid_field"); f.Field != "request" {
			t.Errorf("%s: %+v", request, f)
		}
	}
}

func TestARepeatMakesNoSecondTenant(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	in := tenants.NewTenant{Name: "Example Trading", Request: "req-1"}
	first := b.create(in)
	second := b.create(in)
	if second.Tenant != first.Tenant || b.works(first.Key) || !b.works(second.Key) {
		t.Errorf("the repeat made %s after %s; their keys work: %t, %t", second.Tenant, first.Tenant, b.works(first.Key), b.works(second.Key))
	}
	// What others hold is not touched by a repeat.
	other, err := b.MintKey(b.Context(), first.Tenant, "warehouse", false)
	b.OK(err)
	third := b.create(in)
	if b.works(second.Key) || !b.works(third.Key) || !b.works(other.Key) {
		t.Error("the third answer ended another key than the second's")
	}
	if elsewhere := b.create(tenants.NewTenant{Name: in.Name, Request: "req-2"}); elsewhere.Tenant == first.Tenant {
		t.Error("another request found the same tenant")
	}
	_, err = b.Create(b.Context(), tenants.NewTenant{Name: "Another", Request: "req-1"})
	b.Fault(err, fault.Conflict, "request_reused")
	_, err = b.Create(b.Context(), tenants.NewTenant{Name: in.Name, PersonalData: true, Request: "req-1"})
	b.Fault(err, fault.Conflict, "request_reused")
	b.Clock.Add(24*time.Hour - 1)
	fourth := b.create(in)
	b.Clock.Add(1)
	_, err = b.Create(b.Context(), in)
	b.Fault(err, fault.Conflict, "tenant_exists")
	if !b.works(fourth.Key) || b.works(third.Key) {
		t.Error("a late repeat ended the key that is used")
	}
	_, err = b.Delete(b.Context(), first.Tenant, false)
	b.OK(err)
	_, err = b.Create(b.Context(), in)
	b.Fault(err, fault.Gone, "tenant_closed")
}

func TestRepeatsAtOnceLeaveOneKey(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	in := tenants.NewTenant{Name: "Example Trading", Request: "req-1"}
	var mu sync.Mutex
	var keys []secret.Text
	var all sync.WaitGroup
	for range 12 {
		all.Go(func() {
			made, err := b.Create(b.Context(), in)
			if err != nil && fault.CodeOf(err) != "changed_meanwhile" {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				keys = append(keys, made.Key)
			}
		})
	}
	all.Wait()
	alive := 0
	for _, key := range keys {
		if b.works(key) {
			alive++
		}
	}
	if len(keys) == 0 || alive != 1 {
		t.Errorf("of %d keys that were handed out %d work", len(keys), alive)
	}
	page, err := b.Vault.Keys(b.Context(), b.create(in).Tenant, "", 100)
	b.OK(err)
	standing := slices.DeleteFunc(page.Items, func(k record.APIKey) bool { return k.Revoked })
	if len(standing) != 1 {
		t.Errorf("%d keys stand", len(standing))
	}
}

// breaker makes everything fail after a number of steps, as a process that dies would.
type breaker struct {
	mu   sync.Mutex
	left int // guarded by mu
	hit  bool
}

func (k *breaker) step() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.left--
	k.hit = k.hit || k.left < 0
	return k.left < 0
}

func (b bench) breakAfter(n int) *breaker {
	k := &breaker{left: n}
	b.Store.Fail(func(string, store.Table) bool { return k.step() })
	b.Secrets.Before(func(string, string) error {
		if k.step() {
			return errDown
		}
		return nil
	})
	return k
}

func (b bench) mend() {
	b.Store.Fail(nil)
	b.Secrets.Before(nil)
}

// everyStep runs do with everything failing after 0, 1, 2 … steps, until nothing fails any more.
func everyStep(t *testing.T, do func(t *testing.T, after int) (broke bool)) {
	const most = 400
	for n := range most {
		if !do(t, n) {
			if n < 5 {
				t.Fatalf("there are only %d steps", n)
			}
			return
		}
	}
	t.Fatalf("there are more than %d steps", most)
}

func TestCreateKilledAtEachStep(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	everyStep(t, func(t *testing.T, after int) bool {
		in := tenants.NewTenant{Name: "Example Trading", Request: fmt.Sprint("req-", after)}
		k := b.breakAfter(after)
		made, err := b.Create(b.Context(), in)
		b.mend()
		if !k.hit {
			b.OK(err)
			return false
		}
		if err == nil && !b.works(made.Key) {
			t.Errorf("after %d steps a key was handed out that does not work", after)
		}
		again := b.create(in)
		page, err := b.Vault.Keys(b.Context(), again.Tenant, "", 100)
		b.OK(err)
		if !b.works(again.Key) || b.seals(again.Tenant) != nil {
			t.Errorf("after %d steps the repeat is of no use", after)
		}
		if err == nil && len(page.Items) > 3 {
			t.Errorf("after %d steps there are %d keys", after, len(page.Items))
		}
		return true
	})
}

func TestKeysAreMintedAndRevoked(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	made := b.create(tenants.NewTenant{Name: "Example Trading"})
	minted, err := b.MintKey(b.Context(), made.Tenant, "", true)
	b.OK(err)
	p, ok, err := b.Vault.Authenticate(b.Context(), minted.Key)
	if err != nil || !ok || !p.PersonalData || p.Role != record.Owner || p.Tenant != made.Tenant {
		t.Errorf("the key stands for %+v, %t: %v", p, ok, err)
	}
	b.OK(b.Service.RevokeKey(b.Context(), made.Tenant, made.KeyID))
	if b.works(made.Key) || !b.works(minted.Key) {
		t.Error("the wrong key was revoked")
	}
	for _, tenant := range []string{"", "t_", "t_0000000000000009", ident.Outside, "../t_0000000000000009", bundletest.Other} {
		_, err := b.MintKey(b.Context(), tenant, "x", false)
		b.Fault(err, fault.NotFound, "not_found")
		b.Fault(b.Service.RevokeKey(b.Context(), tenant, minted.KeyID), fault.NotFound, "not_found")
		_, err = b.RotateKeyring(b.Context(), tenant)
		b.Fault(err, fault.NotFound, "not_found")
		_, err = b.Delete(b.Context(), tenant, false)
		b.Fault(err, fault.NotFound, "not_found")
	}
	for _, key := range []string{"", "key_0000000000000009", "tenant", "../x"} {
		b.Fault(b.Service.RevokeKey(b.Context(), made.Tenant, key), fault.NotFound, "not_found")
	}
	_, err = b.MintKey(b.Context(), made.Tenant, "a\nb", false)
	b.Fault(err, fault.Invalid, "invalid_field")
	if !b.works(minted.Key) {
		t.Error("a mistake revoked a key")
	}
}

func TestRotationAddsAKeyThatSealsLater(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	made := b.create(tenants.NewTenant{Name: "Example Trading"})
	from, err := b.RotateKeyring(b.Context(), made.Tenant)
	b.OK(err)
	text, err := b.Secrets.GetSecret(b.Context(), keyring.Name(made.Tenant))
	b.OK(err)
	ring, err := seal.Decode(text)
	if err != nil || len(ring) != 2 || !ring[1].PrimaryFrom.Equal(from) || !from.Equal(b.Clock.Now().Add(2*keyring.Life)) {
		t.Errorf("the ring has %d keys, the new one from %s: %v", len(ring), from, err)
	}
}

func TestTheListHasWhoIsThere(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	want := map[string]bool{bundletest.Tenant: true}
	var gone string
	for i := range 130 {
		made := b.create(tenants.NewTenant{Name: fmt.Sprint("tenant ", i)})
		if want[made.Tenant] = true; i == 0 {
			gone = made.Tenant
		}
	}
	list := func() map[string]bool {
		out := map[string]bool{}
		for after := ""; ; {
			page, next, err := b.List(b.Context(), after)
			b.OK(err)
			for _, tenant := range page {
				if out[tenant.ID] {
					t.Errorf("%s is listed twice", tenant.ID)
				}
				out[tenant.ID] = true
			}
			if after = next; after == "" {
				return out
			}
		}
	}
	if got := list(); len(got) != len(want) || !got[gone] {
		t.Errorf("%d are listed; want %d", len(got), len(want))
	}
	_, err := b.Delete(b.Context(), gone, false)
	b.OK(err)
	if !list()[gone] {
		t.Error("a tenant that is being deleted is not listed")
	}
	b.Clock.Add(2 * keyring.Life)
	_, err = b.Finish(b.Context())
	b.OK(err)
	if got := list(); got[gone] || len(got) != len(want)-1 {
		t.Errorf("%d are listed after one was deleted", len(got))
	}
}

// ---- Deletion ----------------------------------------------------------------------------------------------------

// fill gives the bench's tenant everything that a tenant can have.
func (b bench) fill(entries int) []record.Entry {
	b.Helper()
	b.App()
	var out []record.Entry
	for i := range entries {
		entry := b.Active(fmt.Sprint("store-", i))
		out = append(out, entry)
		b.Connector(entry, nil)
		b.OK(b.Vault.NoteUse(b.Context(), bundletest.Tenant, entry.ID, 1))
		b.OK(b.Vault.NoteRejected(b.Context(), bundletest.Tenant, entry.ID, b.Clock.Now().Add(time.Hour)))
		_, err := b.Vault.Publish(b.Context(), record.Event{Tenant: bundletest.Tenant, Kind: record.EventAuthorized, Entry: entry.ID, Generation: 1})
		b.OK(err)
	}
	waiting := b.Entry("waiting")
	_, err := b.Authorize.Begin(b.Context(), b.Owner, waiting.ID, authorize.Begin{Mode: record.ResultURL})
	b.OK(err)
	_, err = b.Vault.Take(b.Context(), vault.Bucket{Tenant: bundletest.Tenant, Name: "bucket", Rate: 1, Burst: 1})
	b.OK(err)
	_, err = b.Admin.CreateEntry(b.Context(), b.Owner, "idempotency-key", admin.Fields{"provider": []byte(`"` + bundletest.Name + `"`), "alias": []byte(`"again"`), "environment": []byte(`"test"`)})
	b.OK(err)
	return out
}

// empty fails the test unless nothing of the tenant is left but its record.
func (b bench) empty(entries []record.Entry) {
	b.Helper()
	left, err := b.Vault.Left(b.Context(), bundletest.Tenant, 1000)
	b.OK(err)
	if left != 0 {
		b.Errorf("%d items are left", left)
	}
	for _, entry := range entries {
		if _, found, err := b.Vault.Credential(b.Context(), entry.Tenant, entry.ID); found || err != nil {
			b.Errorf("the credential of %s is left: %v", entry.ID, err)
		}
		items, _, err := b.Store.Query(b.Context(), store.Query{Table: store.Transient, Partition: entry.Tenant + "#" + entry.ID, Limit: 10})
		b.OK(err)
		if len(items) > 0 {
			b.Errorf("notes of %s are left: %v", entry.ID, items)
		}
	}
	for _, name := range b.Secrets.Names(b.Context()) {
		if strings.HasPrefix(name, bundletest.Tenant) {
			b.Errorf("the secret %s is left", name)
		}
	}
}

func (b bench) key(tenant string) secret.Text {
	b.Helper()
	_, text, err := b.Vault.CreateKey(b.Context(), record.APIKey{Tenant: tenant, Role: record.Owner})
	b.OK(err)
	return text
}

func TestADeletedTenantLeavesNothingButItsId(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	entries := b.fill(3)
	key, others := b.key(bundletest.Tenant), b.key(bundletest.Other)
	before, _, err := b.Vault.Credential(b.Context(), bundletest.Tenant, entries[0].ID)
	b.OK(err)
	otherLeft, err := b.Vault.Left(b.Context(), bundletest.Other, 1000)
	b.OK(err)

	d, err := b.Delete(b.Context(), bundletest.Tenant, false)
	b.OK(err)
	if d.Problem != nil || d.Left != 0 || d.Removed.Entries != 5 || d.Removed.Connectors != 3 || d.Removed.Secrets == 0 || d.Removed.Records == 0 {
		t.Errorf("the deletion is %+v", d)
	}
	if got := len(b.Upstream.Revoked()); got != 3 {
		t.Errorf("the provider was told of %d tokens", got)
	}
	b.empty(entries)
	leading, _, err := b.Store.Query(b.Context(), store.Query{Table: store.Records, Partition: ident.Outside, Prefix: "client#", Limit: 10})
	if err != nil || len(leading) != 0 {
		t.Errorf("from outside lead to its applications %v, %v", leading, err)
	}
	if b.works(key) || !b.works(others) {
		t.Errorf("the tenant's key works: %t, the other's: %t", b.works(key), b.works(others))
	}
	if d.Tenant.DestroyedAt.IsZero() || !d.Tenant.DeletedAt.IsZero() || !d.Until.Equal(b.Clock.Now().Add(2*keyring.Life)) {
		t.Errorf("it is deleted at %s, from %s", d.Tenant.DeletedAt, d.Until)
	}
	// What a backup holds does not open, for a process that knew no keyring.
	fresh := vault.New(vault.Config{Items: b.Store, Sealer: keyring.New(keyring.Config{Secrets: b.Secrets, Now: b.Clock.Now, Random: rand.Reader}), Now: b.Clock.Now, Random: rand.Reader})
	if _, err := fresh.OpenTokens(b.Context(), before); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a copy of a credential opens: %v", err)
	}
	if b.seals(bundletest.Tenant) == nil {
		t.Error("the process that deleted it still has the keyring")
	}

	b.Clock.Add(2*keyring.Life - 1)
	list, err := b.Finish(b.Context())
	if err != nil || len(list) != 1 || !list[0].Tenant.DeletedAt.IsZero() {
		t.Errorf("it ends too early: %+v %v", list, err)
	}
	b.Clock.Add(1)
	list, err = b.Finish(b.Context())
	if err != nil || len(list) != 1 || !list[0].Tenant.DeletedAt.Equal(b.Clock.Now()) || !list[0].Held[0].Until.Equal(b.Clock.Now().AddDate(0, 0, 35)) {
		t.Errorf("it does not end: %+v %v", list, err)
	}
	if list, err = b.Finish(b.Context()); err != nil || len(list) != 0 {
		t.Errorf("it does not stay ended: %+v %v", list, err)
	}
	tenant, err := b.Vault.Tenant(b.Context(), bundletest.Tenant)
	if err != nil || tenant.Name != "" || tenant.DeletedAt.IsZero() {
		t.Errorf("what stays is %+v: %v", tenant, err)
	}
	again, err := b.Delete(b.Context(), bundletest.Tenant, true)
	if err != nil || again.Tenant != tenant || again.Removed != (tenants.Removed{}) {
		t.Errorf("deleting it again is %+v: %v", again, err)
	}
	_, err = b.MintKey(b.Context(), bundletest.Tenant, "x", false)
	b.Fault(err, fault.Gone, "tenant_closed")
	_, err = b.RotateKeyring(b.Context(), bundletest.Tenant)
	b.Fault(err, fault.Gone, "tenant_closed")
	if left, err := b.Vault.Left(b.Context(), bundletest.Other, 1000); err != nil || left != otherLeft || b.seals(bundletest.Other) != nil {
		t.Errorf("the other tenant has %d items instead of %d: %v", left, otherLeft, err)
	}
}

func TestDeletionKilledAtEachStep(t *testing.T) {
	t.Parallel()
	everyStep(t, func(t *testing.T, after int) bool {
		b := newBench(t)
		entries := b.fill(1)
		key := b.key(bundletest.Tenant)
		k := b.breakAfter(after)
		_, err := b.Delete(b.Context(), bundletest.Tenant, false)
		b.mend()
		tenant, readErr := b.Vault.Tenant(b.Context(), bundletest.Tenant)
		b.OK(readErr)
		if tenant.Closed() == b.works(key) {
			t.Fatalf("after %d steps it is closed: %t, and its key works: %t", after, tenant.Closed(), b.works(key))
		}
		if !k.hit {
			b.OK(err)
			return false
		}
		if !tenant.Closed() {
			_, err = b.Delete(b.Context(), bundletest.Tenant, false)
			b.OK(err)
		}
		b.Clock.Add(2 * keyring.Life)
		list, err := b.Finish(b.Context())
		if err != nil || len(list) != 1 || list[0].Tenant.DeletedAt.IsZero() {
			t.Fatalf("after %d steps it does not end: %+v %v", after, list, err)
		}
		b.empty(entries)
		return true
	})
}

func TestProvidersAreToldWhileTheKeyringStands(t *testing.T) {
	t.Parallel()
	for name, atOnce := range map[string]bool{"first the providers": false, "at once": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.fill(2)
			b.Answer(func(ctx context.Context, call tokens.Call) (tokens.Answer, error) {
				_, err := b.Secrets.GetSecret(ctx, keyring.Name(bundletest.Tenant))
				if destroyed := errors.Is(err, store.ErrNotFound); destroyed != atOnce {
					t.Errorf("the keyring is destroyed: %t", destroyed)
				}
				return b.NewTokens().Do(ctx, call)
			})
			_, err := b.Delete(b.Context(), bundletest.Tenant, atOnce)
			b.OK(err)
			if calls := b.Calls(tokens.Forget); len(calls) != 4 {
				t.Errorf("%d entries were forgotten", len(calls))
			}
		})
	}
}

// A deletion works for as long as it may, says what remains, and goes on from there; and a provider or a token service that
// does not answer does not keep the keyring alive.
func TestALargeTenantGoesInSeveralInvocations(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	entries := b.fill(0)
	for i := range 120 {
		entries = append(entries, b.Entry(fmt.Sprint("store-", i)))
	}
	b.Answer(func(ctx context.Context, call tokens.Call) (tokens.Answer, error) {
		b.Clock.Add(time.Second)
		return b.Tokens.Do(ctx, call)
	})
	d, err := b.Delete(b.Context(), bundletest.Tenant, false)
	b.OK(err)
	if d.Left == 0 || d.Removed.Entries < 40 || d.Removed.Entries > 50 || !d.Tenant.DestroyedAt.IsZero() || d.Problem != nil {
		t.Errorf("the first invocation: %+v", d)
	}
	rounds := 1
	for ; d.Left > 0 && rounds < 10; rounds++ {
		d, err = b.Delete(b.Context(), bundletest.Tenant, false)
		b.OK(err)
	}
	if d.Left != 0 || rounds < 3 || d.Tenant.DestroyedAt.IsZero() {
		t.Errorf("after %d invocations: %+v", rounds, d)
	}
	b.empty(entries)
}

func TestNothingKeepsTheKeyringAlive(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	entries := b.fill(2)
	b.Answer(func(context.Context, tokens.Call) (tokens.Answer, error) { return tokens.Answer{}, errDown })
	d, err := b.Delete(b.Context(), bundletest.Tenant, false)
	b.OK(err)
	if d.Problem == nil || d.Left == 0 || !d.Tenant.DestroyedAt.IsZero() {
		t.Errorf("with the token service down: %+v", d)
	}
	b.Clock.Add(15*time.Minute - 1)
	if d, err = b.Delete(b.Context(), bundletest.Tenant, false); err != nil || !d.Tenant.DestroyedAt.IsZero() {
		t.Errorf("the keyring went early: %+v %v", d, err)
	}
	b.Clock.Add(1)
	list, err := b.Finish(b.Context())
	if err == nil || len(list) != 1 || list[0].Tenant.DestroyedAt.IsZero() || list[0].Left == 0 {
		t.Errorf("after a quarter of an hour: %+v %v", list, err)
	}
	if b.seals(bundletest.Tenant) == nil {
		t.Error("the keyring is still there")
	}
	b.Clock.Add(keyring.Life)
	if list, err = b.Finish(b.Context()); err == nil || !list[0].Tenant.DeletedAt.IsZero() {
		t.Errorf("it ends with %d items left: %v", list[0].Left, err)
	}
	b.Answer(nil)
	if list, err = b.Finish(b.Context()); err != nil || list[0].Tenant.DeletedAt.IsZero() {
		t.Errorf("it does not end: %+v %v", list, err)
	}
	b.empty(entries)
}

func TestAProviderThatIsDownKeepsNoTenant(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	entries := b.fill(2)
	b.Upstream.OnRevoke(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
	d, err := b.Delete(b.Context(), bundletest.Tenant, false)
	if err != nil || d.Left != 0 || d.Tenant.DestroyedAt.IsZero() {
		t.Errorf("the deletion is %+v: %v", d, err)
	}
	b.empty(entries)
}

// Whoever was let in before writes on for a while. What they leave is found by the last look.
func TestWhatIsWrittenAfterwardsGoesToo(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	entries := b.fill(1)
	_, err := b.Delete(b.Context(), bundletest.Tenant, false)
	b.OK(err)
	late := b.Entry("late")
	entries = append(entries, late)
	b.Connector(late, nil)
	key := b.key(bundletest.Tenant)
	b.OK(b.Secrets.PutSecret(b.Context(), bundletest.Tenant+"/entry/"+late.ID, secret.New("late")))
	b.OK(b.Vault.Sealer.(*keyring.Sealer).Create(b.Context(), bundletest.Tenant))
	if b.works(key) {
		t.Error("a key that was made afterwards works")
	}
	b.Clock.Add(2 * keyring.Life)
	list, err := b.Finish(b.Context())
	if err != nil || len(list) != 1 || list[0].Tenant.DeletedAt.IsZero() || list[0].Removed.Entries != 1 {
		t.Errorf("the last look: %+v %v", list, err)
	}
	b.empty(entries)
}

func TestDeletionsAtOnceDoNoHarm(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	entries := b.fill(3)
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			if _, err := b.Delete(b.Context(), bundletest.Tenant, i == 3); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	b.Clock.Add(2 * keyring.Life)
	if _, err := b.Finish(b.Context()); err != nil {
		t.Error(err)
	}
	b.empty(entries)
	if tenant, err := b.Vault.Tenant(b.Context(), bundletest.Tenant); err != nil || tenant.DeletedAt.IsZero() {
		t.Errorf("the tenant is %+v: %v", tenant, err)
	}
}

// While a tenant is being deleted its tokens are not touched, but for being taken away.
func TestNothingIsRefreshedForAClosedTenant(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	entries := b.fill(1)
	b.Answer(func(context.Context, tokens.Call) (tokens.Answer, error) { return tokens.Answer{}, errDown })
	_, err := b.Delete(b.Context(), bundletest.Tenant, false) // nothing is forgotten
	b.OK(err)
	b.Answer(nil)
	b.Clock.Add(2 * time.Hour)
	posts := len(b.Upstream.Forms())
	for _, op := range []tokens.Op{tokens.Refresh, tokens.Complete, tokens.Adopt, tokens.Acquire, tokens.Grant} {
		_, err := b.Tokens.Do(b.Context(), tokens.Call{Op: op, Tenant: bundletest.Tenant, Entry: entries[0].ID, RefreshToken: secret.New("brought")})
		b.Fault(err, fault.NotFound, "not_found")
	}
	if answer, err := b.Tokens.Do(b.Context(), tokens.Call{Op: tokens.Due, Tenant: bundletest.Tenant, Entry: entries[0].ID}); err != nil || answer.Outcome != tokens.AlreadyFresh {
		t.Errorf("what is due: %+v %v", answer, err)
	}
	if now := len(b.Upstream.Forms()); now != posts {
		t.Errorf("the token endpoint was called %d times", now-posts)
	}
	_, err = b.Finish(b.Context())
	b.OK(err)
	// A revocation that waited in the queue has nothing to open it with: it ends, instead of coming again and again.
	if answer, err := b.Tokens.Do(b.Context(), tokens.Call{Op: tokens.Revoke, Tenant: bundletest.Tenant, Entry: entries[0].ID, Rescued: []byte(`"c2VhbGVk"`)}); err != nil || answer.Outcome != tokens.AlreadyFresh {
		t.Errorf("a late revocation: %+v %v", answer, err)
	}
}

// What one tenant sealed opens for no other, even under the same key: the tenant is part of what the seal binds.
func TestASealedValueOpensForItsTenantAlone(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	entry := b.fill(1)[0]
	c, _, err := b.Vault.Credential(b.Context(), bundletest.Tenant, entry.ID)
	b.OK(err)
	ring, err := b.Secrets.GetSecret(b.Context(), keyring.Name(bundletest.Tenant))
	b.OK(err)
	b.OK(b.Secrets.PutSecret(b.Context(), keyring.Name(bundletest.Other), ring))
	v := vault.New(vault.Config{Items: b.Store, Sealer: keyring.New(keyring.Config{Secrets: b.Secrets, Now: b.Clock.Now, Random: rand.Reader}), Now: b.Clock.Now, Random: rand.Reader})
	if _, err := v.OpenTokens(b.Context(), c); err != nil {
		t.Errorf("it does not open for its own: %v", err)
	}
	c.Tenant = bundletest.Other
	if _, err := v.OpenTokens(b.Context(), c); !errors.Is(err, seal.ErrSealed) {
		t.Errorf("it opens for another: %v", err)
	}
}

// The keyring goes before every other secret, and an application's secrets before the record that names them.
func TestTheKeyringIsTheFirstSecretToGo(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.fill(1)
	var gone []string
	b.Secrets.Before(func(op, name string) error {
		if op != "delete" {
			return nil
		}
		gone = append(gone, name)
		if apps, err := b.Vault.Apps(b.Context(), bundletest.Tenant); strings.Contains(name, "/app/") && (err != nil || len(apps) != 1) {
			t.Errorf("%s is removed, and %d records name it: %v", name, len(apps), err)
		}
		return nil
	})
	_, err := b.Delete(b.Context(), bundletest.Tenant, false)
	b.OK(err)
	if len(gone) < 2 || gone[0] != keyring.Name(bundletest.Tenant) {
		t.Errorf("the secrets go in this order: %v", gone)
	}
}

func TestAVerificationIsOfWhatWasThere(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	made := b.create(tenants.NewTenant{Name: "shop"})
	verify := func(earlier []vault.HeadNote) (vault.AuditReport, error) {
		return b.Verify(b.Context(), made.Tenant, earlier)
	}
	whole, err := verify(nil)
	b.OK(err)
	again, err := verify(whole.Heads)
	if b.OK(err); len(whole.Heads) != 2 || len(again.Findings) != 0 {
		t.Errorf("it came to %+v %+v", whole, again)
	}
	unnumbered, cut := whole.Heads[0], whole.Heads[0]
	unnumbered.Number, cut.MAC = 0, cut.MAC[:31]
	for name, heads := range map[string][]vault.HeadNote{"none": {}, "an empty one": {{}}, "no number": {whole.Heads[1], unnumbered}, "half a code": {cut}} {
		_, err := verify(heads)
		if f := b.Fault(err, fault.Invalid, "invalid_field"); f.Field != "earlier" {
			t.Errorf("%s: %+v", name, f)
		}
	}

	b.OK(b.Secrets.DeleteSecret(b.Context(), keyring.Name(made.Tenant)))
	b.Clock.Add(3 * keyring.Life)
	for _, heads := range [][]vault.HeadNote{nil, whole.Heads} {
		report, err := verify(heads)
		if b.OK(err); len(report.Findings) != 1 || report.Findings[0].Fault != vault.NoKeyring || report.Findings[0].Subject.ID != made.Tenant {
			t.Errorf("without a keyring it came to %+v", report)
		}
	}
	b.OK(b.Store.Apply(b.Context(), store.Op{Verb: store.Delete, Table: store.Records, Key: store.Key{Partition: made.Tenant, Sort: "tenant"}}))
	report, err := verify(whole.Heads)
	if b.OK(err); len(report.Findings) == 0 {
		t.Error("a tenant that is gone was verified")
	}
	_, err = verify(nil)
	b.Fault(err, fault.NotFound, "not_found")
}
