package storetest

import (
	"errors"
	"fmt"
	"sync"

	"connectorvault/shared/store"
)

// allOrNothing lets the write in each place of a call over all tables fail, by its condition and otherwise.
func allOrNothing(r *rig) {
	before := store.Attrs{"n": int64(1), "s": "text"}
	key := r.key("a")
	for _, table := range store.Tables() {
		r.put(table, key, before)
	}
	writes := func() []store.Op {
		return []store.Op{
			{Verb: store.Put, Table: store.Records, Key: key, Set: store.Attrs{"n": int64(2)}, If: store.Equal("n", int64(1))},
			{Verb: store.Update, Table: store.Credentials, Key: key, Add: map[string]int64{"n": 1}, If: store.Exists()},
			{Verb: store.Delete, Table: store.Requests, Key: key},
			{Verb: store.Put, Table: store.Transient, Key: r.key("new"), Set: store.Attrs{"n": int64(2)}, If: store.Absent()},
			{Verb: store.Verify, Table: store.Transient, Key: key, If: store.Equal("s", "text")},
		}
	}
	untouched := func() {
		r.Helper()
		for _, table := range store.Tables() {
			r.wants(table, key, before)
		}
		r.wants(store.Transient, r.key("new"), nil)
	}
	for i := range writes() {
		ops := writes()
		ops[i].If = store.Equal("n", int64(99))
		old := before
		if ops[i].Key != key {
			old = nil
		}
		r.wantsFailed(r.apply(ops...), i, old)
		untouched()
	}
	bad := writes()
	bad[1].Add = map[string]int64{"s": 1}
	r.wantsRefused(r.apply(bad...))
	untouched()

	r.twoFail(writes(), before)
	untouched()

	r.mustApply(writes()...)
	r.wants(store.Records, key, store.Attrs{"n": int64(2)})
	r.wants(store.Credentials, key, store.Attrs{"n": int64(2), "s": "text"})
	r.wants(store.Requests, key, nil)
	r.wants(store.Transient, r.key("new"), store.Attrs{"n": int64(2)})
	r.wants(store.Transient, key, before)
}

// twoFail: where several conditions do not hold, the answer may name any one of them, with its own item.
func (r *rig) twoFail(ops []store.Op, before store.Attrs) {
	r.Helper()
	ops[0].If, ops[3].If = store.Absent(), store.Exists()
	err := r.apply(ops...)
	var failed *store.ConditionFailed
	if errors.As(err, &failed) && failed.Index == 3 {
		r.wantsFailed(err, 3, nil)
		return
	}
	r.wantsFailed(err, 0, before)
}

// writesTogether: 25 at once, and an item's neighbours are other items.
func writesTogether(r *rig) {
	ops := make([]store.Op, 0, 25)
	for i := range 25 {
		ops = append(ops, store.Op{
			Verb: store.Put, Table: store.Tables()[i%4], Key: r.key(fmt.Sprint("k", i/4)), Set: store.Attrs{"i": int64(i)}, If: store.Absent(),
		})
	}
	r.mustApply(ops...)
	for i, op := range ops {
		r.wants(op.Table, op.Key, store.Attrs{"i": int64(i)})
	}
	r.wantsFailed(r.apply(ops[24], store.Op{Verb: store.Delete, Table: store.Records, Key: r.key("k0")}), 0, store.Attrs{"i": int64(24)})
	r.wants(store.Records, r.key("k0"), store.Attrs{"i": int64(0)})
}

func refusesWrites(r *rig) {
	put := func(sort string) store.Op {
		return store.Op{Verb: store.Put, Table: store.Records, Key: r.key(sort), Set: store.Attrs{"x": "y"}}
	}
	var many []store.Op
	for i := range 26 {
		many = append(many, put(fmt.Sprint("many", i)))
	}
	update := func(op store.Op) store.Op {
		op.Verb, op.Table, op.Key = store.Update, store.Records, r.key("a")
		return op
	}
	for name, ops := range map[string][]store.Op{
		"26 writes":                  many,
		"two Puts of one item":       {put("a"), put("b"), put("a")},
		"a Put and a Verify of one":  {put("a"), {Verb: store.Verify, Table: store.Records, Key: r.key("a"), If: store.Absent()}},
		"a Delete and an Update":     {{Verb: store.Delete, Table: store.Records, Key: r.key("a")}, update(store.Op{Set: store.Attrs{"x": "y"}})},
		"no verb":                    {{Table: store.Records, Key: r.key("a"), Set: store.Attrs{"x": "y"}}},
		"an unknown verb":            {{Verb: 99, Table: store.Records, Key: r.key("a"), Set: store.Attrs{"x": "y"}}},
		"an unknown table":           {{Verb: store.Put, Table: "others", Key: r.key("a"), Set: store.Attrs{"x": "y"}}},
		"Set and Remove of one":      {update(store.Op{Set: store.Attrs{"x": "y"}, Remove: []string{"x"}})},
		"Set and Add of one":         {update(store.Op{Set: store.Attrs{"x": int64(1)}, Add: map[string]int64{"x": 1}})},
		"Remove and Add of one":      {update(store.Op{Remove: []string{"x"}, Add: map[string]int64{"x": 1}})},
		"an item of more than 400 K": {{Verb: store.Put, Table: store.Records, Key: r.key("a"), Set: store.Attrs{"x": pattern(410 * 1024)}}},
	} {
		if err := r.apply(ops...); err == nil {
			r.Errorf("%s: the call was accepted", name)
		} else {
			r.wantsRefused(err)
		}
	}
	for _, sort := range []string{"a", "b", "many0", "many25"} {
		r.wants(store.Records, r.key(sort), nil)
	}
}

const crowd = 100 // goroutines

// together runs work in a crowd that starts at once, and collects what it answers.
func together[T any](n int, work func(i int) (T, error)) ([]T, error) {
	answers, failures := make([]T, n), make([]error, n)
	start := make(chan struct{})
	var running sync.WaitGroup
	for i := range n {
		running.Go(func() {
			<-start
			answers[i], failures[i] = work(i)
		})
	}
	close(start)
	running.Wait()
	return answers, errors.Join(failures...)
}

// ours reports whether a condition failed on our own write: an engine's client may have repeated it (the contract, [store.ConditionFailed]).
func ours(err error, owner string) (bool, error) {
	var failed *store.ConditionFailed
	if err == nil {
		return true, nil
	}
	if errors.As(err, &failed) {
		return failed.Old.String("owner") == owner, nil
	}
	return false, err
}

func oneCreates(r *rig) {
	for round := range 3 {
		key := r.key(fmt.Sprint("round", round))
		won, err := together(crowd, func(i int) (bool, error) {
			owner := fmt.Sprint("owner", i)
			return ours(r.apply(store.Op{Verb: store.Put, Table: store.Requests, Key: key, Set: store.Attrs{"owner": owner}, If: store.Absent()}), owner)
		})
		if err != nil {
			r.Fatal(err)
		}
		winners := 0
		for i, w := range won {
			if w {
				winners++
				r.wants(store.Requests, key, store.Attrs{"owner": fmt.Sprint("owner", i)})
			}
		}
		if winners != 1 {
			r.Fatalf("round %d: %d of %d made the same item", round, winners, crowd)
		}
	}
}

// increments: each of the crowd adds one to a number by comparing and setting, until it succeeds.
func increments(r *rig) {
	key := r.key("counter")
	r.put(store.Credentials, key, store.Attrs{"n": int64(0)})
	_, err := together(crowd, func(i int) (struct{}, error) {
		owner := fmt.Sprint("owner", i)
		for {
			item, err := r.items.Get(r.Context(), store.Credentials, key)
			if errors.Is(err, store.ErrBusy) {
				continue
			}
			if err != nil {
				return struct{}{}, err
			}
			n := item.Attrs.Int("n")
			done, err := ours(r.apply(store.Op{
				Verb: store.Update, Table: store.Credentials, Key: key,
				Set: store.Attrs{"n": n + 1, "owner": owner}, If: store.Equal("n", n),
			}), owner)
			if done || err != nil {
				return struct{}{}, err
			}
		}
	})
	if err != nil {
		r.Fatal(err)
	}
	if n := r.load(store.Credentials, key).Int("n"); n != crowd {
		r.Fatalf("the counter is %d after %d increments", n, crowd)
	}
}

// pairs: writes of three items over three tables at once, each marked so that it counts once however often it is tried.
func pairs(r *rig) {
	const writers = 20
	_, err := together(writers, func(i int) (struct{}, error) {
		owner := fmt.Sprint("owner", i)
		add := map[string]int64{"n": 1}
		done, err := ours(r.apply(
			store.Op{Verb: store.Put, Table: store.Transient, Key: r.key(owner), Set: store.Attrs{"owner": owner}, If: store.Absent()},
			store.Op{Verb: store.Update, Table: store.Records, Key: r.key("left"), Add: add},
			store.Op{Verb: store.Update, Table: store.Credentials, Key: r.key("right"), Add: add},
		), owner)
		if err == nil && !done {
			err = fmt.Errorf("writer %d: somebody else holds its mark", i)
		}
		return struct{}{}, err
	})
	if err != nil {
		r.Fatal(err)
	}
	r.wants(store.Records, r.key("left"), store.Attrs{"n": int64(writers)})
	r.wants(store.Credentials, r.key("right"), store.Attrs{"n": int64(writers)})
}

// readsForward: while one writes, whoever reads sees each answered write, by every way of reading.
func readsForward(r *rig) {
	key := r.key("n")
	r.put(store.Records, key, store.Attrs{"n": int64(0)})
	for n := int64(1); n <= 50; n++ {
		r.put(store.Records, key, store.Attrs{"n": n})
		_, err := together(3, func(i int) (struct{}, error) {
			seen, err := r.readBy(i, key)
			if err == nil && seen != n {
				err = fmt.Errorf("way %d of reading sees %d after %d was written", i, seen, n)
			}
			return struct{}{}, err
		})
		if err != nil {
			r.Fatal(err)
		}
	}
}

func (r *rig) readBy(way int, key store.Key) (int64, error) {
	var items []store.Item
	var err error
	switch way {
	case 0:
		items = make([]store.Item, 1)
		items[0], err = r.items.Get(r.Context(), store.Records, key)
	case 1:
		items, err = r.items.GetMany(r.Context(), store.Records, []store.Key{key})
	default:
		items, _, err = r.items.Query(r.Context(), store.Query{Table: store.Records, Partition: key.Partition, Prefix: key.Sort, Limit: 1})
	}
	if err != nil || len(items) != 1 {
		return 0, fmt.Errorf("%d items, %w", len(items), err)
	}
	return items[0].Attrs.Int("n"), nil
}
