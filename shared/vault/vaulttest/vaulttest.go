// Package vaulttest holds the suite of the vault's rules, which is run on every storage driver.
//
// The argument: what keeps an account from being lost is a handful of conditions on writes. Package storetest shows that a
// driver keeps the store's promises, and the vault's own tests that the rules hold on one of them; this suite shows that
// the rules, as package vault writes them down, come out alike on all, with every way in which a write can go wrong on
// its way. Each rule is tried in every situation that it speaks of, and where it says no, not a byte may have changed.
// A model that shares nothing with the vault but its records is then walked beside it at random.
//
// Every test has tenants of its own, so one engine serves them all, and many runs.
package vaulttest

import (
	"context"
	"crypto/rand"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"connectorvault/shared/ident"
	"connectorvault/shared/keyring"
	"connectorvault/shared/record"
	"connectorvault/shared/seal"
	"connectorvault/shared/secret"
	"connectorvault/shared/store"
	"connectorvault/shared/vault"
)

// Engine is what a driver gives the vault to stand on.
type Engine interface {
	store.Items
	store.DueIndex
}

// Run tests the vault on an engine. open is called once.
func Run(t *testing.T, open func(t *testing.T) Engine) {
	engine := open(t)
	for _, test := range []struct {
		name string
		run  func(*rig)
	}{
		{"A success commits on the generation alone", lateSuccess},
		{"A success yields to a newer set", lateSuccessYields},
		{"One of many answers is stored", oneAnswer},
		{"A commit is known again", commitAgain},
		{"A set opens in its place only", sealedSets},
		{"A failure is fenced", fencedFailure},
		{"An imposter ends no lease", imposters},
		{"A schedule yields to a newer set", rescheduling},
		{"The due index follows", dueIndex},
		{"A lease is had by one", leaseRace},
		{"A lease is exclusive while it lives", leaseLives},
		{"A lease needs a fresh look", leaseOfStale},
		{"A lease whose answer was lost", leaseLost},
		{"A request is claimed by one", claimRace},
		{"A request is claimed with one code", claimCode},
		{"Exchanged tokens are kept", lateExchange},
		{"A request is failed by its claimant", failingRequests},
		{"An exchanged request is claimed by one", claimExchanged},
		{"An authorization is one transaction", authorizing},
		{"An authorization that comes too late changes nothing", authorizingTooLate},
		{"Authorizations race", authorizeRace},
		{"A deletion sees what it deletes", deletion},
		{"Uses of a token are never more", usesAtOnce},
		{"Uses of a token come and go", usesComeAndGo},
		{"A use is taken with its entry", useAndEntry},
		{"A use that is refused changes nothing", useRefused},
		{"A use comes back with its entry", useReturned},
		{"A use is returned or an account authorized", useRace},
		{"Connectors of a token are never more", tokenConnectors},
		{"Random steps of processes", randomSteps},
		{"Processes at once", processesAtOnce},
		{"Slots are never more", slotsAtOnce},
		{"Slots of a crowd", slotsOfACrowd},
		{"Slots go wrong", slotsGoWrong},
		{"Everything is told", auditTrail},
		{"Tampering is found", auditAttacks},
		{"What was put back is found by a witness", auditWitness},
		{"No event, no change", noEventNoChange},
		{"A chain has one next event", auditRaces},
		{"A late recovery is told", lateRecovery},
		{"Retention leaves chains whole", auditRetention},
		{"Everything has a number", everythingNumbered},
		{"What a newer version wrote is left alone", newerIsLeftAlone},
		{"What an older version wrote is brought on", olderIsBroughtOn},
		{"A lease keeps the form", aLeaseKeepsTheForm},
		{"Lists of both versions", listsOfBoth},
		{"A form comes in two deployments", twoDeployments},
		{"Bringing on is fenced", bringingOnIsFenced},
		{"Bringing on at once", bringingOnAtOnce},
		{"Kinds of tomorrow", unknownKinds},
		{"Additions beside", additions},
		{"A trail of both versions", auditOfBoth},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(newRig(t, engine)) })
	}
}

// rig is what a test works with: an engine, a clock that is moved by hand, a tenant that nobody else knows, and a process
// whose writes go well.
type rig struct {
	*testing.T
	*vault.Vault

	engine   Engine
	clock    *clock
	sealer   seal.Sealer
	tenant   string
	stranger string // another tenant

	mu    sync.Mutex
	looks []store.Query // for everything that the tests leave; guarded by mu
}

func newRig(t *testing.T, engine Engine) *rig {
	t.Helper()
	r := &rig{T: t, engine: engine, clock: &clock{now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}}
	sealer := keyring.New(keyring.Config{Secrets: &rings{}, Now: r.clock.Now, Random: rand.Reader})
	r.tenant, r.stranger = r.id(ident.Tenant), r.id(ident.Tenant)
	for _, tenant := range []string{r.tenant, r.stranger} {
		r.ok(sealer.Create(t.Context(), tenant))
	}
	r.sealer = sealer
	r.watch(r.tenant, store.Records, store.Requests, store.Transient)
	r.watch(r.stranger, store.Records, store.Requests, store.Transient)
	r.Vault = r.process(plainly)
	return r
}

// process returns a vault of its own on the engine, whose first write goes as told.
func (r *rig) process(goes delivery) *vault.Vault {
	return r.on(&wire{Items: r.engine, next: goes})
}

func (r *rig) on(items store.Items) *vault.Vault {
	return vault.New(vault.Config{Items: items, Due: r.engine, Sealer: r.sealer, Now: r.clock.Now, Random: rand.Reader})
}

// rings is a secret store for keyrings: it makes them and gives them.
type rings struct {
	store.Secrets // nil: what a keyring does not need
	mu            sync.Mutex
	made          map[string]secret.Text // guarded by mu
}

func (s *rings) GetSecret(_ context.Context, name string) (secret.Text, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ring, ok := s.made[name]
	if !ok {
		return secret.Text{}, store.ErrNotFound
	}
	return ring, nil
}

func (s *rings) CreateSecret(_ context.Context, name string, value secret.Text) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, exists := s.made[name]; exists {
		return true, nil
	}
	if s.made == nil {
		s.made = map[string]secret.Text{}
	}
	s.made[name] = value
	return false, nil
}

// clock is moved by hand.
type clock struct {
	mu  sync.Mutex
	now time.Time // guarded by mu
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func (r *rig) ok(err error) {
	r.Helper()
	if err != nil {
		r.Fatalf("unexpected: %v", err)
	}
}

func (r *rig) is(err, want error) {
	r.Helper()
	if !errors.Is(err, want) {
		r.Fatalf("the answer is %v; want %v", err, want)
	}
}

func (r *rig) same(got, want any) {
	r.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		r.Fatalf("wanted (-) and got (+):\n%s", diff)
	}
}

// stands fails the test unless a credential is as it should be, with its time in the index in whole seconds. What waits in
// it to be told, and when the schedule comes by for that, is no part of these rules.
func (r *rig) stands(got, want record.Credential) {
	r.Helper()
	got.Notices, want.Notices = nil, nil
	got.DueAt, want.DueAt = got.DueAt.Truncate(time.Second), want.DueAt.Truncate(time.Second)
	if want.Status == record.Reauth {
		got.DueAt, want.DueAt = time.Time{}, time.Time{}
	}
	r.same(got, want)
}

func (r *rig) id(prefix string) string {
	r.Helper()
	id, err := ident.New(rand.Reader, prefix)
	r.ok(err)
	return id
}

// watch makes a partition part of every snapshot.
func (r *rig) watch(partition string, tables ...store.Table) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, table := range tables {
		r.looks = append(r.looks, store.Query{Table: table, Partition: partition, Limit: 100})
	}
}

// snapshot is everything that lies where the two tenants have something.
type snapshot map[store.Table]map[store.Key]store.Attrs

func (r *rig) snapshot() snapshot {
	r.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	all := snapshot{}
	for _, q := range r.looks {
		if all[q.Table] == nil {
			all[q.Table] = map[store.Key]store.Attrs{}
		}
		for more := true; more; {
			items, next, err := r.engine.Query(r.Context(), q)
			r.ok(err)
			for _, item := range items {
				all[q.Table][item.Key] = item.Attrs
				q.After = item.Key.Sort
			}
			more = next
		}
	}
	return all
}

// unchanged fails the test if a byte of the tenants' items is not as it was.
func (r *rig) unchanged(before snapshot) {
	r.Helper()
	if diff := cmp.Diff(before, r.snapshot()); diff != "" {
		r.Fatalf("something was changed that should not have been:\n%s", diff)
	}
}

// entry makes and stores a vault entry.
func (r *rig) entry() record.Entry {
	r.Helper()
	id, now := r.id(ident.Entry), r.clock.Now()
	e := record.Entry{Tenant: r.tenant, ID: id, Provider: "fake", Alias: id, Environment: "production", APIEnvironment: record.Production,
		CreatedBy: "key_1", CreatedAt: now, UpdatedAt: now}
	r.watch(r.tenant+"#"+id, store.Credentials, store.Transient)
	r.watch(r.stranger+"#"+id, store.Credentials)
	_, err := r.CreateEntry(r.Context(), e, nil)
	r.ok(err)
	e, err = r.Entry(r.Context(), r.tenant, id)
	r.ok(err)
	return e
}

// remove deletes an entry, whatever is in force.
func (r *rig) remove(e record.Entry) {
	r.Helper()
	c, _, err := r.Credential(r.Context(), e.Tenant, e.ID)
	r.ok(err)
	r.ok(r.DeleteEntry(r.Context(), e, c.Generation))
}

// tokensOf are tokens that nobody else has.
func tokensOf(name string) vault.TokenSet {
	return vault.TokenSet{Access: secret.New("access-" + name), Refresh: secret.New("refresh-" + name), Scope: "all"}
}

// authorization is a credential of the generation after before's, not stored yet; before is nil for the first.
func (r *rig) authorization(e record.Entry, before *record.Credential, name string) record.Credential {
	r.Helper()
	now := r.clock.Now()
	c := record.Credential{Tenant: e.Tenant, Entry: e.ID, Provider: e.Provider, Status: record.Active, Generation: 1, Lifetime: time.Hour,
		Expires: now.Add(time.Hour), Refreshed: now, Authorized: now, AuthorizationExpires: now.Add(365 * 24 * time.Hour),
		Commit: r.id("commit_"), DueAt: now.Add(48 * time.Minute), Account: &record.Account{ID: "A1", Name: "Shop", Identity: record.Verified}}
	if before != nil {
		c.Generation, c.Fence = before.Generation+1, before.Fence
	}
	sealed, err := r.SealTokens(r.Context(), c, c.Generation, tokensOf(name))
	r.ok(err)
	c.Sealed = sealed
	return c
}

// authorized is an entry with a first authorization in force.
func (r *rig) authorized() (record.Entry, record.Credential) {
	r.Helper()
	e := r.entry()
	r.ok(r.Authorize(r.Context(), nil, r.authorization(e, nil, "first"), nil))
	return e, r.credential(e)
}

func (r *rig) credential(e record.Entry) record.Credential {
	r.Helper()
	c, found, err := r.Credential(r.Context(), e.Tenant, e.ID)
	r.ok(err)
	if !found {
		r.Fatal("the entry has no credential")
	}
	return c
}

const leaseTime = 30 * time.Second

func (r *rig) tryAcquire(v *vault.Vault, c record.Credential, owner string) (record.Credential, error) {
	now := r.clock.Now()
	return v.Acquire(r.Context(), c, owner, now.Add(leaseTime), record.Intent{Generation: c.Generation, Hash: "hash of " + owner, At: now})
}

// acquire takes the lease of an entry as it stands.
func (r *rig) acquire(e record.Entry, owner string) record.Credential {
	r.Helper()
	leased, err := r.tryAcquire(r.Vault, r.credential(e), owner)
	r.ok(err)
	return leased
}

// bought is the token set that a provider gave for the one in c.
func (r *rig) bought(c record.Credential, name string) vault.NewSet {
	r.Helper()
	sealed, err := r.SealTokens(r.Context(), c, c.Generation+1, tokensOf(name))
	r.ok(err)
	now := r.clock.Now()
	return vault.NewSet{Sealed: sealed, Lifetime: time.Hour, Expires: now.Add(time.Hour), DueAt: now.Add(40 * time.Minute), Commit: r.id("commit_")}
}

// committed is c with a set put in force now.
func (r *rig) committed(c record.Credential, set vault.NewSet) record.Credential {
	c.Generation++
	c.Sealed, c.Lifetime, c.Expires, c.DueAt, c.Commit = set.Sealed, set.Lifetime, set.Expires, set.DueAt, set.Commit
	c.Refreshed, c.Status, c.Cause, c.Lease, c.Intent, c.Failure = r.clock.Now(), record.Active, "", nil, nil, nil
	return c
}

func (r *rig) failure() record.Failure {
	now := r.clock.Now()
	return record.Failure{Outcome: "transient", Code: "server_error", Status: 503, RequestID: "r1", At: now, Count: 2, RetryAt: now.Add(time.Minute)}
}

// inForce fails the test unless these tokens are in force.
func (r *rig) inForce(e record.Entry, name string) {
	r.Helper()
	set, err := r.OpenTokens(r.Context(), r.credential(e))
	r.ok(err)
	if want := tokensOf(name); !set.Access.Equal(want.Access) || !set.Refresh.Equal(want.Refresh) {
		r.Fatalf("other tokens than the %s are in force", name)
	}
}

// together runs work n times at once and returns what each answered.
func together(n int, work func(i int) error) []error {
	answers := make([]error, n)
	var running sync.WaitGroup
	for i := range n {
		running.Go(func() { answers[i] = work(i) })
	}
	running.Wait()
	return answers
}

// one returns who alone was answered nil; every other one heard the refusal.
func (r *rig) one(answers []error, refusal error) int {
	r.Helper()
	winner, won := 0, 0
	for i, err := range answers {
		switch {
		case err == nil:
			winner, won = i, won+1
		case !errors.Is(err, refusal):
			r.Errorf("an answer is %v; want %v", err, refusal)
		}
	}
	if won != 1 {
		r.Fatalf("%d of %d succeeded; want one", won, len(answers))
	}
	return winner
}

// sub runs a subtest with a rig of its own, so that what it reads of the store is short.
func (r *rig) sub(name string, test func(*rig)) {
	r.Run(name, func(t *testing.T) { test(newRig(t, r.engine)) })
}
