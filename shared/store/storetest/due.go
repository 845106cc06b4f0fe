package storetest

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"

	"connectorvault/shared/store"
)

// dueRig is a rig with an index; its shards are this test's alone.
type dueRig struct {
	*rig
	index store.DueIndex
}

// RunDueIndex tests the index of an engine. open is called once.
func RunDueIndex(t *testing.T, open func(t *testing.T) interface {
	store.Items
	store.DueIndex
}) {
	engine := open(t)
	for _, test := range []struct {
		name string
		run  func(*dueRig)
	}{
		{"Order and bounds", dueOrder},
		{"Pages", duePages},
		{"Items leave", dueLeaves},
		{"Only credentials with both", dueSparse},
		{"Values are refused", dueRefused},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(&dueRig{newRig(t, engine), engine}) })
	}
}

// entry stores a credential in the index. Partitions differ, as tenants do.
func (r *dueRig) entry(shard, name string, at int64) store.Key {
	r.Helper()
	key := store.Key{Partition: r.partition + "#" + name, Sort: "token#" + name}
	r.put(store.Credentials, key, store.Attrs{store.AttrDueShard: shard, store.AttrDueAt: at, "name": name})
	return key
}

// list goes through the pages. Entries that are due at the same time come in any order, so they are put in one.
func (r *dueRig) list(shard string, until int64, limit int) ([]store.Due, error) {
	var all []store.Due
	cursor := ""
	for {
		page, next, err := r.index.Due(r.Context(), shard, until, limit, cursor)
		if err != nil {
			return nil, err
		}
		if len(page) > limit {
			return nil, fmt.Errorf("a page of %d by %d", len(page), limit)
		}
		all = append(all, page...)
		if next == "" {
			break
		}
		if next == cursor {
			return nil, errors.New("a cursor leads to itself")
		}
		cursor = next
	}
	if !slices.IsSortedFunc(all, func(a, b store.Due) int { return int(a.At - b.At) }) {
		return nil, fmt.Errorf("the order is %v", all)
	}
	return arranged(all), nil
}

func arranged(due []store.Due) []store.Due {
	slices.SortFunc(due, func(a, b store.Due) int {
		if a.At != b.At {
			return int(a.At - b.At)
		}
		return slices.Compare([]string{a.Key.Partition, a.Key.Sort}, []string{b.Key.Partition, b.Key.Sort})
	})
	return due
}

func (r *dueRig) wantsDue(shard string, until int64, limit int, want ...store.Due) {
	r.Helper()
	arranged(want)
	eventually(r.T, func() error {
		got, err := r.list(shard, until, limit)
		if err != nil {
			return err
		}
		if len(got)+len(want) > 0 && !reflect.DeepEqual(got, want) {
			return fmt.Errorf("due until %d by %d: %v; want %v", until, limit, got, want)
		}
		return nil
	})
}

func dueOrder(r *dueRig) {
	shard, other := fresh("shard"), fresh("shard")
	times := []int64{1_700_000_300, 0, 9_000_000_000, 1_700_000_100, 99, 1_700_000_200}
	var all []store.Due
	for i, at := range times {
		all = append(all, store.Due{Key: r.entry(shard, fmt.Sprint("e", i), at), At: at})
	}
	elsewhere := store.Due{Key: r.entry(other, "x", 5), At: 5}
	arranged(all)
	r.wantsDue(shard, 9_000_000_000, 100, all...)
	r.wantsDue(shard, 8_999_999_999, 100, all[:5]...)
	r.wantsDue(shard, 1_700_000_200, 100, all[:4]...)
	r.wantsDue(shard, 1_700_000_199, 100, all[:3]...)
	r.wantsDue(shard, 0, 100, all[0])
	r.wantsDue(shard, -1, 100)
	r.wantsDue(other, 10, 100, elsewhere)
	r.wantsDue(fresh("shard"), 9_000_000_000, 100)
}

// duePages: pages of every size, with many entries that are due at the same time.
func duePages(r *dueRig) {
	shard := fresh("shard")
	var all []store.Due
	for i := range 23 {
		at := int64(1000 + i/8)
		all = append(all, store.Due{Key: r.entry(shard, fmt.Sprintf("e%02d", i), at), At: at})
	}
	for _, limit := range []int{1, 2, 7, 8, 22, 23, 24, 1000} {
		r.wantsDue(shard, 2000, limit, all...)
	}
	r.wantsDue(shard, 1001, 3, all[:16]...)
}

// dueLeaves: what changes its time moves, and what loses its time, or is gone, is no longer listed.
func dueLeaves(r *dueRig) {
	shard, other := fresh("shard"), fresh("shard")
	var keys []store.Key
	for i := range 6 {
		keys = append(keys, r.entry(shard, fmt.Sprint("e", i), int64(100+i)))
	}
	update := func(i int, op store.Op) {
		r.Helper()
		op.Verb, op.Table, op.Key = store.Update, store.Credentials, keys[i]
		r.mustApply(op)
	}
	update(0, store.Op{Set: store.Attrs{store.AttrDueAt: int64(500)}})
	update(1, store.Op{Remove: []string{store.AttrDueAt}})
	update(2, store.Op{Remove: []string{store.AttrDueShard, store.AttrDueAt}})
	update(3, store.Op{Set: store.Attrs{store.AttrDueShard: other}})
	r.mustApply(store.Op{Verb: store.Delete, Table: store.Credentials, Key: keys[4]})
	r.put(store.Credentials, keys[5], store.Attrs{"x": "y"})
	r.wantsDue(shard, 1000, 10, store.Due{Key: keys[0], At: 500})
	r.wantsDue(other, 1000, 10, store.Due{Key: keys[3], At: 103})

	update(1, store.Op{Set: store.Attrs{store.AttrDueAt: int64(7)}})
	update(0, store.Op{Add: map[string]int64{store.AttrDueAt: -400}})
	r.wantsDue(shard, 1000, 10, store.Due{Key: keys[1], At: 7}, store.Due{Key: keys[0], At: 100})
}

func dueSparse(r *dueRig) {
	shard := fresh("shard")
	both := store.Attrs{store.AttrDueShard: shard, store.AttrDueAt: int64(1)}
	for _, table := range store.Tables() {
		r.put(table, r.key("both"), both)
		r.put(table, r.key("shard"), store.Attrs{store.AttrDueShard: shard})
		r.put(table, r.key("time"), store.Attrs{store.AttrDueAt: int64(1)})
		r.wants(table, r.key("both"), both)
	}
	r.wantsDue(shard, 10, 10, store.Due{Key: r.key("both"), At: 1})
}

// dueRefused: a value that the index cannot take would be an entry that the planner never finds.
func dueRefused(r *dueRig) {
	for i, attrs := range []store.Attrs{
		{store.AttrDueShard: "", store.AttrDueAt: int64(1)},
		{store.AttrDueShard: int64(1), store.AttrDueAt: int64(1)},
		{store.AttrDueShard: "shard", store.AttrDueAt: "1"},
	} {
		key := r.key(fmt.Sprint("bad", i))
		r.wantsRefused(r.apply(store.Op{Verb: store.Put, Table: store.Credentials, Key: key, Set: attrs}))
		r.wantsRefused(r.apply(store.Op{Verb: store.Update, Table: store.Credentials, Key: key, Set: attrs}))
		r.wants(store.Credentials, key, nil)
	}
	_, _, err := r.index.Due(r.Context(), "shard", 1, 0, "")
	r.wantsRefused(err)
}
