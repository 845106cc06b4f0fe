// Package storetest holds the suites that every storage driver passes.
//
// The argument: the vault's rules are written once, on the promises of package store, and are worth as much as the
// promises are kept. A promise that only one engine's tests know is not one. So each sentence of the contract is a test
// here, drivers add a line that opens their engine, and what only one engine can do is no part of any suite.
//
// Every test works in partitions, shards and names of its own, so one engine may serve many runs, also at once. Where
// the contract leaves a choice (a page shorter than its limit, [store.ErrBusy], an index that lags), the suites accept each.
package storetest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"connectorvault/shared/store"
)

// patience bounds every wait for something that is promised without a time. It is far above what any engine needs.
const patience = 20 * time.Second

// rig is what a test of items works with.
type rig struct {
	*testing.T
	items     store.Items
	partition string // used by this test alone
}

func newRig(t *testing.T, items store.Items) *rig {
	return &rig{T: t, items: items, partition: fresh("t")}
}

// fresh returns a name that nobody has used.
func fresh(prefix string) string { return prefix + "_" + rand.Text() }

func (r *rig) key(sort string) store.Key { return store.Key{Partition: r.partition, Sort: sort} }

// apply writes, and tries again while the engine is busy.
func (r *rig) apply(ops ...store.Op) error {
	return applyPatiently(r.Context(), r.items, ops...)
}

// applyPatiently waits between its tries: an engine that is busy says so in order to be left alone for a while.
func applyPatiently(ctx context.Context, items store.Items, ops ...store.Op) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		err := items.Apply(ctx, ops...)
		if !errors.Is(err, store.ErrBusy) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the store stayed busy: %w", err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func (r *rig) mustApply(ops ...store.Op) {
	r.Helper()
	if err := r.apply(ops...); err != nil {
		r.Fatalf("writing: %v", err)
	}
}

// put stores an item without any condition.
func (r *rig) put(table store.Table, key store.Key, attrs store.Attrs) {
	r.Helper()
	r.mustApply(store.Op{Verb: store.Put, Table: table, Key: key, Set: attrs})
}

// load reads an item; nil when there is none.
func (r *rig) load(table store.Table, key store.Key) store.Attrs {
	r.Helper()
	item, err := r.items.Get(r.Context(), table, key)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		r.Fatalf("reading %s %q: %v", table, key.Sort, err)
	}
	if item.Key != key {
		r.Fatalf("reading %q: the answer is of %q", key.Sort, item.Key.Sort)
	}
	if item.Attrs == nil {
		r.Fatalf("reading %s %q: an item that is there has no attributes map", table, key.Sort)
	}
	return item.Attrs
}

// wants fails the test unless the item is exactly this; nil wants none.
func (r *rig) wants(table store.Table, key store.Key, want store.Attrs) {
	r.Helper()
	if got := r.load(table, key); !reflect.DeepEqual(got, want) {
		r.Fatalf("%s %q holds %s; want %s", table, key.Sort, shown(got), shown(want))
	}
}

// wantsFailed fails the test unless err says that the condition of write index did not hold, because of old.
func (r *rig) wantsFailed(err error, index int, old store.Attrs) {
	r.Helper()
	var failed *store.ConditionFailed
	if !errors.As(err, &failed) {
		r.Fatalf("the answer is %v; want a failed condition", err)
	}
	if failed.Index != index {
		r.Fatalf("the condition of write %d failed; want %d", failed.Index, index)
	}
	if !reflect.DeepEqual(failed.Old, old) {
		r.Fatalf("the item in the way is %s; want %s", shown(failed.Old), shown(old))
	}
}

// wantsRefused fails the test unless err says that the call is one that no driver takes.
func (r *rig) wantsRefused(err error) {
	r.Helper()
	var failed *store.ConditionFailed
	if err == nil || errors.As(err, &failed) || errors.Is(err, store.ErrBusy) || errors.Is(err, store.ErrNotFound) {
		r.Fatalf("the answer is %v; want a refusal", err)
	}
}

// shown is a form for messages, with types, and with long values cut.
func shown(attrs store.Attrs) string {
	if attrs == nil {
		return "nothing"
	}
	short := store.Attrs{}
	for name, value := range attrs {
		if b, ok := value.([]byte); ok && len(b) > 64 {
			value = fmt.Sprintf("%d bytes that begin with %x", len(b), b[:8])
		}
		short[name] = value
	}
	return fmt.Sprintf("%#v", map[string]any(short))
}

// pattern returns n bytes of which no part looks like another.
func pattern(n int) []byte {
	var out bytes.Buffer
	for i := 0; out.Len() < n; i++ {
		_, _ = fmt.Fprintf(&out, "%d\x00\xff", i)
	}
	return out.Bytes()[:n]
}

// eventually asks until check is content, for what the contract allows to lag.
func eventually(t *testing.T, check func() error) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
