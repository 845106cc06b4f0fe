package vaulttest

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	mrand "math/rand/v2"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"connectorvault/shared/record"
	"connectorvault/shared/store"
	"connectorvault/shared/vault"
)

// model is what the rules make of an entry, said without a store.
type model struct {
	gone  bool
	c     record.Credential
	token string // in force
}

func (m *model) acquire(seen record.Credential, owner string, now time.Time) error {
	if m.gone || seen.Generation != m.c.Generation || seen.Fence != m.c.Fence || m.c.Lease != nil && now.Before(m.c.Lease.Until) {
		return vault.ErrHeld
	}
	m.c.Fence++
	m.c.Lease = &record.Lease{Owner: owner, Until: now.Add(leaseTime), Fence: m.c.Fence}
	m.c.Intent = &record.Intent{Generation: m.c.Generation, Hash: "hash of " + owner, At: now, Fence: m.c.Fence}
	return nil
}

func (m *model) commit(p purchase, now time.Time) error {
	switch {
	case !m.gone && m.c.Commit == p.set.Commit:
		return nil
	case m.gone || p.under.Generation != m.c.Generation:
		return vault.ErrOvertaken
	}
	m.c.Generation, m.c.Status, m.c.Cause, m.c.Lease, m.c.Intent, m.c.Failure = m.c.Generation+1, record.Active, "", nil, nil, nil
	m.c.Sealed, m.c.Lifetime, m.c.Expires, m.c.Refreshed = p.set.Sealed, p.set.Lifetime, p.set.Expires, now
	m.c.DueAt, m.c.Commit, m.token = p.set.DueAt, p.set.Commit, p.token
	return nil
}

func (m *model) fail(seen record.Credential, failure record.Failure, status record.Status, cause record.Cause, keep bool) error {
	if m.gone || seen.Generation != m.c.Generation || seen.Fence != m.c.Fence || m.c.Lease == nil || m.c.Lease.Owner != seen.Lease.Owner {
		return vault.ErrFenced
	}
	m.c.Lease, m.c.Failure, m.c.Status, m.c.DueAt = nil, &failure, status, failure.RetryAt
	if cause != "" {
		m.c.Cause = cause
	}
	if !keep {
		m.c.Intent = nil
	}
	return nil
}

func (m *model) reschedule(seen record.Credential, at time.Time) {
	if !m.gone && seen.Generation == m.c.Generation {
		m.c.DueAt = at
	}
}

func (m *model) authorize(before, made record.Credential, token string) error {
	switch {
	case m.gone:
		return vault.ErrEntryGone
	case before.Generation != m.c.Generation:
		return vault.ErrOvertaken
	}
	made.Fence = m.c.Fence
	m.c, m.token = made, token
	return nil
}

// purchase is a token set that a provider gave, on its way into the store.
type purchase struct {
	under record.Credential
	set   vault.NewSet
	token string
}

// actor is a process that does everything at the wrong time: it acts on what it saw long ago, and keeps what it bought.
type actor struct {
	*vault.Vault

	name   string
	wire   *wire
	seen   record.Credential
	bought []purchase
}

func (a *actor) leads() bool { return a.seen.Lease != nil && a.seen.Lease.Owner == a.name }

// walk is a random walk of a few actors over one entry, with the model beside them.
type walk struct {
	*rig

	entry  record.Entry
	random *mrand.Rand
	model  model
	actors []*actor
	tokens int
	stored map[int64]string // the commit of each generation there ever was
	// looksAgain: the next write finds another status than was read, and is made anew with what goes with that
	looksAgain bool
	came       map[string]int // how often what came about
}

// randomSteps walks on fixed ways and on a new one, whose seed is told when it fails.
func randomSteps(r *rig) {
	var fresh [8]byte
	if _, err := rand.Read(fresh[:]); err != nil {
		r.Fatal(err)
	}
	came := map[string]int{}
	for _, seed := range []uint64{1, 2, 3, 4, binary.BigEndian.Uint64(fresh[:])} {
		r.sub(fmt.Sprint("seed ", seed), func(r *rig) { walked(r, seed, came) })
	}
	for _, what := range []string{"acquire", "acquire refused", "commit", "commit late", "commit revives", "commit refused", "fail", "fail refused",
		"reschedule", "reschedule refused", "authorize", "authorize refused"} {
		if came[what] < 5 && !r.Failed() {
			r.Errorf("%q came about %d times: the walks try too little", what, came[what])
		}
	}
}

func walked(r *rig, seed uint64, came map[string]int) {
	e, c := r.authorized()
	w := &walk{rig: r, entry: e, random: mrand.New(mrand.NewPCG(seed, 1)), model: model{c: c, token: "first"},
		stored: map[int64]string{1: c.Commit}, came: came}
	for i := range 4 {
		on := &wire{Items: r.engine}
		w.actors = append(w.actors, &actor{Vault: r.on(on), name: fmt.Sprint("p", i), wire: on, seen: c})
	}
	for range 250 {
		w.step()
	}
	w.remove()
	for range 20 {
		w.step()
	}
}

// step lets one actor do one thing, and compares.
func (w *walk) step() {
	w.Helper()
	a := w.actors[w.random.IntN(len(w.actors))]
	switch n := w.random.IntN(24); {
	case n < 2:
		w.look(a)
	case n < 5:
		d := time.Duration(w.random.Int64N(int64(leaseTime))).Truncate(time.Millisecond)
		w.Logf("%v pass", d)
		w.clock.add(d)
	case n < 6:
		w.Logf("%s dies", a.name)
		a.bought = nil
		w.look(a)
	case n < 14:
		if w.random.IntN(4) > 0 {
			w.look(a)
		}
		w.acquire(a)
		if a.leads() && w.random.IntN(4) > 0 {
			w.buy(a)
		}
	case n < 18:
		w.commit(a)
	case n < 21:
		w.fail(a)
	case n < 23:
		w.reschedule(a)
	default:
		if w.random.IntN(2) == 0 {
			w.look(a)
		}
		w.authorize(a)
	}
}

func (w *walk) look(a *actor) {
	w.Helper()
	c, found, err := a.Credential(w.Context(), w.entry.Tenant, w.entry.ID)
	w.ok(err)
	if found {
		a.seen = c
	}
	w.Logf("%s sees generation %d, fence %d", a.name, a.seen.Generation, a.seen.Fence)
}

func (w *walk) buy(a *actor) {
	w.Helper()
	w.tokens++
	p := purchase{under: a.seen, token: fmt.Sprint("token", w.tokens)}
	p.set = w.rig.bought(a.seen, p.token)
	a.bought = append(a.bought, p)
	w.Logf("%s buys %s with generation %d", a.name, p.token, a.seen.Generation)
}

// act carries one write out and holds the answer, the item and the invariants against the model. says is what the model
// answers to it, asked when the store gets it; stale is whether it is none of the actor's business any more.
func (w *walk) act(a *actor, what string, stale bool, says func() error, do func() error) {
	w.Helper()
	kind, _, _ := strings.Cut(what, " ")
	goes := plainly
	if w.random.IntN(5) < 2 {
		goes = deliveries[w.random.IntN(len(deliveries))]
	}
	if w.looksAgain && goes.carriedOut() {
		goes = plainly // its first write finds out, the second one is carried out: nothing can be lost between
	}
	w.looksAgain = false
	w.Logf("%s does %s, %s", a.name, what, goes)
	before, was := w.raw(), w.model.c
	var want error
	if goes.carriedOut() {
		want = says()
		w.came[kind+map[bool]string{true: " refused"}[stale || want != nil]]++
	}
	if !goes.heard() {
		want = errLost
	}
	a.wire.goes(goes)
	err := do()
	a.wire.goes(plainly)
	if (err == nil) != (want == nil) || !errors.Is(err, want) {
		w.Fatalf("the answer is %v; want %v", err, want)
	}
	after := w.raw()
	if stale && !reflect.DeepEqual(before, after) {
		w.Fatalf("it changed what it had no business with: %v became %v", before, after)
	}
	w.invariants(was, before, after)
}

// raw is the item as it lies in the store.
func (w *walk) raw() store.Attrs {
	w.Helper()
	item, err := w.engine.Get(w.Context(), store.Credentials, store.Key{Partition: w.entry.Tenant + "#" + w.entry.ID, Sort: "credential"})
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	w.ok(err)
	return item.Attrs
}

// invariants hold whatever the model says.
func (w *walk) invariants(was record.Credential, before, after store.Attrs) {
	w.Helper()
	c, found, err := w.Credential(w.Context(), w.entry.Tenant, w.entry.ID)
	w.ok(err)
	if found == w.model.gone {
		w.Fatalf("found is %v", found)
	}
	if !found {
		return
	}
	w.stands(c, w.model.c)
	switch {
	case c.Generation < was.Generation || c.Generation > was.Generation+1:
		w.Fatalf("generation %d became %d", was.Generation, c.Generation)
	case c.Fence < was.Fence || c.Fence > was.Fence+1:
		w.Fatalf("fence %d became %d", was.Fence, c.Fence)
	case c.Generation == was.Generation && !reflect.DeepEqual(before["sealed"], after["sealed"]):
		w.Fatalf("other tokens are in force under generation %d", c.Generation)
	}
	if known, ok := w.stored[c.Generation]; ok && known != c.Commit {
		w.Fatalf("generation %d was stored twice: by %s and by %s", c.Generation, known, c.Commit)
	}
	w.stored[c.Generation] = c.Commit
	w.inForce(w.entry, w.model.token)
}

func (w *walk) acquire(a *actor) {
	w.Helper()
	stale := a.seen.Generation != w.model.c.Generation || a.seen.Fence != w.model.c.Fence
	now := w.clock.Now()
	w.act(a, fmt.Sprintf("acquire from generation %d, fence %d", a.seen.Generation, a.seen.Fence), stale,
		func() error { return w.model.acquire(a.seen, a.name, now) },
		func() error {
			leased, err := w.tryAcquire(a.Vault, a.seen, a.name)
			if err == nil {
				a.seen = leased
			}
			return err
		})
}

func (w *walk) commit(a *actor) {
	w.Helper()
	if len(a.bought) == 0 {
		return
	}
	p := a.bought[w.random.IntN(len(a.bought))]
	if now := w.model.c; !w.model.gone && p.under.Generation == now.Generation {
		if p.under.Fence != now.Fence {
			w.came["commit late"]++
		}
		if now.Status == record.Reauth {
			w.came["commit revives"]++
		}
		w.looksAgain = p.under.Status != now.Status
	}
	w.act(a, fmt.Sprintf("commit %s over generation %d", p.token, p.under.Generation), p.under.Generation != w.model.c.Generation,
		func() error { return w.model.commit(p, w.clock.Now()) },
		func() error {
			next, err := a.Commit(w.Context(), p.under, p.set)
			if err == nil && next.Generation > a.seen.Generation {
				a.seen = next
			}
			return err
		})
}

func (w *walk) fail(a *actor) {
	w.Helper()
	if !a.leads() {
		return
	}
	failure, end := w.failure(), endings[w.random.IntN(len(endings))]
	stale := a.seen.Generation != w.model.c.Generation || a.seen.Fence != w.model.c.Fence
	w.act(a, fmt.Sprintf("fail under generation %d, fence %d: %s %s", a.seen.Generation, a.seen.Fence, end.status, end.cause), stale,
		func() error { return w.model.fail(a.seen, failure, end.status, end.cause, end.keep) },
		func() error { return a.Fail(w.Context(), a.seen, failure, end.status, end.cause, end.keep) })
}

func (w *walk) reschedule(a *actor) {
	w.Helper()
	at := w.clock.Now().Add(time.Duration(w.random.IntN(3600)) * time.Second)
	w.act(a, fmt.Sprintf("reschedule generation %d", a.seen.Generation), a.seen.Generation != w.model.c.Generation,
		func() error { w.model.reschedule(a.seen, at); return nil },
		func() error { return a.Reschedule(w.Context(), a.seen, at) })
}

func (w *walk) authorize(a *actor) {
	w.Helper()
	w.tokens++
	token := fmt.Sprint("token", w.tokens)
	before := a.seen
	made := w.authorization(w.entry, &before, token)
	w.act(a, fmt.Sprintf("authorize anew over generation %d: %s", before.Generation, token), before.Generation != w.model.c.Generation,
		func() error { return w.model.authorize(before, made, token) },
		func() error { return a.Authorize(w.Context(), &before, made, nil) })
}

func (w *walk) remove() {
	w.Helper()
	w.Log("the entry is deleted")
	w.rig.remove(w.entry)
	w.model.gone = true
	if w.raw() != nil {
		w.Fatal("a deleted entry has a credential")
	}
}

// processesAtOnce: with everything at the same time there is no telling what comes of it, but that each generation was
// bought once, none is missing, and every lease had a fence of its own.
func processesAtOnce(r *rig) {
	const processes, rounds = 6, 12
	for _, seed := range []uint64{1, 2} {
		e, _ := r.authorized()
		h := &history{T: r.T, sets: map[int64]string{1: "first"}, fences: map[int64]string{}, missed: map[int64]bool{}}
		for _, err := range together(processes, func(i int) error {
			random := mrand.New(mrand.NewPCG(seed, uint64(i)))
			for round := range rounds {
				if err := r.busy(e, h, random, fmt.Sprint(i, "-", round)); err != nil {
					return err
				}
			}
			return nil
		}) {
			r.ok(err)
		}
		c := r.credential(e)
		for generation := int64(1); generation <= c.Generation; generation++ {
			if h.sets[generation] == "" && !h.missed[generation] {
				r.Errorf("nobody stored generation %d", generation)
			}
		}
		if name := h.sets[c.Generation]; name != "" {
			r.inForce(e, name)
		}
		r.same(len(h.fences), int(c.Fence))
		r.same(len(h.sets) > 2, true)
	}
}

// history is what processes were told.
type history struct {
	*testing.T

	mu     sync.Mutex
	sets   map[int64]string // who was told that a generation is its; guarded by mu
	fences map[int64]string // who was told that a lease is its; guarded by mu
	missed map[int64]bool   // of which somebody who lost an answer heard too late to know its own; guarded by mu
}

func (h *history) miss(n int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.missed[n] = true
}

func (h *history) note(in map[int64]string, n int64, who string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if other, had := in[n]; had {
		h.Errorf("both %s and %s were told that %d is theirs", other, who, n)
	}
	in[n] = who
}

// busy is one round of a process: a refresh, with everything that can come between.
func (r *rig) busy(e record.Entry, h *history, random *mrand.Rand, name string) error {
	seen, _, err := r.Credential(r.Context(), e.Tenant, e.ID)
	if err != nil {
		return err
	}
	pause := func(most time.Duration) { r.clock.add(time.Duration(random.Int64N(int64(most)))) }
	leased, err := r.tryAcquire(r.Vault, seen, name)
	if errors.Is(err, vault.ErrHeld) {
		pause(leaseTime)
		return nil
	}
	if err != nil {
		return err
	}
	h.note(h.fences, leased.Fence, name)
	set := r.bought(leased, name)
	pause(2 * leaseTime)
	goes := deliveries[random.IntN(len(deliveries))]
	p := r.process(goes)
	switch random.IntN(5) {
	case 0: // it dies
		return nil
	case 1:
		err = p.Fail(r.Context(), leased, r.failure(), record.Reauth, record.RotationUnknown, true)
		if errors.Is(err, vault.ErrFenced) || errors.Is(err, errLost) {
			err = nil
		}
		return err
	}
	err = insist(func() error {
		_, err := p.Commit(r.Context(), leased, set)
		return err
	})
	switch {
	case err == nil:
		h.note(h.sets, leased.Generation+1, name)
	case !errors.Is(err, vault.ErrOvertaken):
		return err
	case goes != plainly && goes != unsent:
		h.miss(leased.Generation + 1)
	}
	return nil
}
