package storetest

import (
	"errors"
	"fmt"
	"math"
	mrand "math/rand/v2"
	"reflect"

	"connectorvault/shared/store"
)

// states are the items that conditions are tried on; nil is none.
func states() []store.Attrs {
	return []store.Attrs{
		nil,
		{},
		{"n": int64(5)},
		{"n": int64(-5), "s": "five", "t": true},
		{"n": "5", "s": "", "b": []byte{}, "t": false},
		{"n": int64(math.MaxInt64), "b": []byte{0, 0xff}, "s": "\U0001F511"},
		{"n": int64(math.MinInt64), "s": "5"},
		{"n": true, "t": "true", "b": "bytes"},
		{"n": []byte("5"), "s": int64(0)},
	}
}

// leaves are the simple conditions.
func leaves() []*store.Cond {
	all := []*store.Cond{
		store.Exists(), store.Absent(),
		store.Equal("s", ""), store.Equal("s", "five"), store.Equal("s", "Five"), store.Equal("s", "5"), store.Equal("s", "\U0001F511"),
		store.Equal("s", []byte("five")), store.Equal("s", int64(0)), store.Equal("n", "5"), store.Equal("n", ""), store.Equal("n", []byte("5")),
		store.Equal("t", true), store.Equal("t", false), store.Equal("t", "true"), store.Equal("t", int64(1)), store.Equal("n", true),
		store.Equal("b", []byte{}), store.Equal("b", []byte{0, 0xff}), store.Equal("b", []byte{0}), store.Equal("b", "bytes"), store.Equal("b", ""),
		store.Equal("missing", ""), store.Equal("missing", int64(0)), store.Equal("missing", false), store.Equal("missing", []byte{}),
		store.Less("s", 10), store.AtMost("t", 10), store.Less("b", 10), store.Less("missing", 10), store.AtMost("missing", math.MaxInt64),
	}
	for _, name := range []string{"n", "s", "t", "b", "missing"} {
		all = append(all, store.Has(name), store.Lacks(name))
	}
	for _, n := range []int64{math.MinInt64, -6, -5, -4, 0, 4, 5, 6, math.MaxInt64 - 1, math.MaxInt64} {
		all = append(all, store.Equal("n", n), store.Less("n", n), store.AtMost("n", n))
	}
	return all
}

// trees are conditions made of others, among them every shape that the vault uses.
func trees() []*store.Cond {
	five, high := store.Equal("n", int64(5)), store.Less("n", 10)
	return []*store.Cond{
		store.All(), store.Any(), store.All(store.All(), store.Any(store.All())), store.Any(store.Any(), store.All(store.Any())),
		store.All(five), store.Any(five), store.All(store.Exists(), five), store.Any(store.Absent(), five),
		store.All(five, high, store.Lacks("s")), store.All(high, store.Has("s")),
		store.Any(store.Absent(), store.Lacks("n"), store.AtMost("n", 0)),
		store.All(store.Exists(), store.Any(store.Lacks("n"), store.AtMost("n", 0))),
		store.Any(store.All(store.Equal("s", ""), store.Equal("t", false)), store.All(store.Equal("s", "five"), store.Equal("t", true))),
		store.All(store.Any(five, store.Equal("n", "5")), store.Any(store.Lacks("s"), store.Equal("s", ""))),
		store.Any(five, five, five), store.All(store.Absent(), store.Exists()), store.Any(store.Absent(), store.Exists()),
		store.All(store.Lacks("n"), store.Lacks("s"), store.Lacks("missing")),
	}
}

// conditions tries every one on every state, alone and beside another write, and holds the driver to [store.Cond.Holds].
func conditions(r *rig) {
	for i, state := range states() {
		key := r.key(fmt.Sprint("state", i))
		if state != nil {
			r.put(store.Records, key, state)
		}
		for _, cond := range append(leaves(), trees()...) {
			r.tryCondition(key, state, cond)
		}
		r.tryCondition(key, state, nil)
		r.wants(store.Records, key, state)
	}
}

// randomConditions grows trees; the seed is fixed, and a failure prints the tree.
func randomConditions(r *rig) {
	random := mrand.New(mrand.NewPCG(1, 2))
	all := states()
	for i, state := range all {
		if state != nil {
			r.put(store.Records, r.key(fmt.Sprint("state", i)), state)
		}
	}
	for range 150 {
		i := random.IntN(len(all))
		r.tryCondition(r.key(fmt.Sprint("state", i)), all[i], grown(random, 3))
	}
}

func grown(random *mrand.Rand, depth int) *store.Cond {
	if depth == 0 || random.IntN(3) == 0 {
		simple := leaves()
		return simple[random.IntN(len(simple))]
	}
	parts := make([]*store.Cond, random.IntN(4))
	for i := range parts {
		parts[i] = grown(random, depth-1)
	}
	if random.IntN(2) == 0 {
		return store.All(parts...)
	}
	return store.Any(parts...)
}

// tryCondition makes two writes that leave the item as it is, and looks at whether they were let through.
func (r *rig) tryCondition(key store.Key, state store.Attrs, cond *store.Cond) {
	r.Helper()
	same := store.Op{Verb: store.Put, Table: store.Records, Key: key, Set: state, If: cond}
	if state == nil {
		same.Verb = store.Delete
	}
	beside := store.Op{Verb: store.Put, Table: store.Transient, Key: r.key("beside"), Set: store.Attrs{"x": "y"}}
	for index, ops := range [][]store.Op{{same}, {beside, {Verb: store.Verify, Table: store.Records, Key: key, If: cond}}} {
		if cond == nil && index == 1 {
			return // a Verify of nothing says nothing
		}
		err := r.apply(ops...)
		if cond.Holds(state) {
			if err != nil {
				r.Fatalf("%s holds on %s, yet the answer is %v", described(cond), shown(state), err)
			}
			continue
		}
		var failed *store.ConditionFailed
		if !errors.As(err, &failed) {
			r.Fatalf("%s does not hold on %s, yet the answer is %v", described(cond), shown(state), err)
		}
		if failed.Index != index || !reflect.DeepEqual(failed.Old, state) {
			r.Fatalf("%s does not hold on %s, and the answer names write %d and %s", described(cond), shown(state), failed.Index, shown(failed.Old))
		}
	}
}

// described prints a condition.
func described(c *store.Cond) string {
	if c == nil {
		return "no condition"
	}
	name := [...]string{"?", "Exists", "Absent", "Has", "Lacks", "Equal", "Less", "AtMost", "All", "Any"}[c.Kind]
	text := fmt.Sprintf("%s(%s %#v", name, c.Attr, c.Value)
	for _, part := range c.Of {
		text += " " + described(part)
	}
	return text + ")"
}

func refusesConditions(r *rig) {
	key := r.key("a")
	r.put(store.Records, key, store.Attrs{"n": int64(1)})
	for _, cond := range []*store.Cond{
		store.Equal("n", 1), store.Equal("n", nil), store.Equal("n", 1.0), store.All(store.Exists(), store.Equal("n", []string{"1"})),
		{Kind: store.CondLess, Attr: "n", Value: "2"}, {Kind: 99, Attr: "n"}, {},
	} {
		r.wantsRefused(r.apply(store.Op{Verb: store.Delete, Table: store.Records, Key: key, If: cond}))
	}
	r.wants(store.Records, key, store.Attrs{"n": int64(1)})
}
