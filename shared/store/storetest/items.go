package storetest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"testing"
	"time"

	"connectorvault/shared/store"
)

// RunItems tests an engine of items. open is called once; what it opens is closed by its own Cleanup.
func RunItems(t *testing.T, open func(t *testing.T) store.Items) {
	items := open(t)
	for _, test := range []struct {
		name string
		run  func(*rig)
	}{
		{"Get of nothing", getNothing},
		{"Put replaces", putReplaces},
		{"Update creates", updateCreates},
		{"Update changes", updateChanges},
		{"Update counts", updateCounts},
		{"Delete", deletes},
		{"Verify", verifies},
		{"Values keep their types", keepsTypes},
		{"Values are refused", refusesValues},
		{"Names of attributes are free", freeNames},
		{"Maps stay the caller's", keepsMaps},
		{"Keys are exact", exactKeys},
		{"Keys are refused", refusesKeys},
		{"Conditions", conditions},
		{"Conditions at random", randomConditions},
		{"Conditions are refused", refusesConditions},
		{"All or nothing", allOrNothing},
		{"Writes together", writesTogether},
		{"Writes are refused", refusesWrites},
		{"GetMany", getMany},
		{"GetMany of much", getMuch},
		{"Query", queries},
		{"Query of much", queriesMuch},
		{"Query keeps to its partition", queriesApart},
		{"Expiry", expires},
		{"A context that has ended", endedContext},
		{"One creates", oneCreates},
		{"Increments", increments},
		{"Pairs", pairs},
		{"Reads never go back", readsForward},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(newRig(t, items)) })
	}
}

func getNothing(r *rig) {
	for _, table := range store.Tables() {
		_, err := r.items.Get(r.Context(), table, r.key("none"))
		if !errors.Is(err, store.ErrNotFound) {
			r.Fatalf("%s: the answer is %v; want ErrNotFound", table, err)
		}
	}
}

func putReplaces(r *rig) {
	for _, table := range store.Tables() {
		r.put(table, r.key("a"), store.Attrs{"one": int64(1), "two": "2"})
		r.wants(table, r.key("a"), store.Attrs{"one": int64(1), "two": "2"})
		r.put(table, r.key("a"), store.Attrs{"three": true})
		r.wants(table, r.key("a"), store.Attrs{"three": true})
		r.put(table, r.key("a"), nil)
		r.wants(table, r.key("a"), store.Attrs{})
	}
}

func updateCreates(r *rig) {
	update := func(sort string, op store.Op) {
		r.Helper()
		op.Verb, op.Table, op.Key = store.Update, store.Records, r.key(sort)
		r.mustApply(op)
	}
	update("set", store.Op{Set: store.Attrs{"a": "x"}})
	r.wants(store.Records, r.key("set"), store.Attrs{"a": "x"})
	update("add", store.Op{Add: map[string]int64{"n": -7}})
	r.wants(store.Records, r.key("add"), store.Attrs{"n": int64(-7)})
	update("both", store.Op{Set: store.Attrs{"a": "x"}, Add: map[string]int64{"n": 2}, Remove: []string{"gone"}})
	r.wants(store.Records, r.key("both"), store.Attrs{"a": "x", "n": int64(2)})
	update("bare", store.Op{})
	r.wants(store.Records, r.key("bare"), store.Attrs{})
	update("if", store.Op{Set: store.Attrs{"a": "x"}, If: store.Absent()})
	r.wants(store.Records, r.key("if"), store.Attrs{"a": "x"})
}

func updateChanges(r *rig) {
	key := r.key("a")
	r.put(store.Records, key, store.Attrs{"stay": "s", "change": "c", "drop": "d", "n": int64(40)})
	r.mustApply(store.Op{
		Verb: store.Update, Table: store.Records, Key: key,
		Set:    store.Attrs{"change": int64(1), "new": []byte{}},
		Remove: []string{"drop", "never"},
		Add:    map[string]int64{"n": 2, "m": 5},
	})
	r.wants(store.Records, key, store.Attrs{"stay": "s", "change": int64(1), "new": []byte{}, "n": int64(42), "m": int64(5)})
	r.mustApply(store.Op{Verb: store.Update, Table: store.Records, Key: key})
	r.wants(store.Records, key, store.Attrs{"stay": "s", "change": int64(1), "new": []byte{}, "n": int64(42), "m": int64(5)})
	r.mustApply(store.Op{Verb: store.Update, Table: store.Records, Key: key, Remove: []string{"stay", "change", "new", "n", "m"}})
	r.wants(store.Records, key, store.Attrs{})
}

func updateCounts(r *rig) {
	key := r.key("a")
	add := func(n int64) error {
		return r.apply(store.Op{Verb: store.Update, Table: store.Records, Key: key, Add: map[string]int64{"n": n}})
	}
	want := int64(0)
	for _, n := range []int64{0, 5, -9, math.MaxInt64, -math.MaxInt64, math.MinInt64 + 4} {
		if err := add(n); err != nil {
			r.Fatalf("adding %d to %d: %v", n, want, err)
		}
		want += n
		r.wants(store.Records, key, store.Attrs{"n": want})
	}
	r.put(store.Records, key, store.Attrs{"n": "7"})
	r.wantsRefused(add(1))
	r.wants(store.Records, key, store.Attrs{"n": "7"})
}

func deletes(r *rig) {
	key := r.key("a")
	remove := store.Op{Verb: store.Delete, Table: store.Requests, Key: key}
	r.mustApply(remove)
	r.put(store.Requests, key, store.Attrs{"n": int64(1)})
	remove.If = store.Equal("n", int64(2))
	r.wantsFailed(r.apply(remove), 0, store.Attrs{"n": int64(1)})
	r.wants(store.Requests, key, store.Attrs{"n": int64(1)})
	remove.If = store.Equal("n", int64(1))
	r.mustApply(remove)
	r.wants(store.Requests, key, nil)
	r.wantsFailed(r.apply(remove), 0, nil)
	remove.If = nil
	r.mustApply(remove)
}

func verifies(r *rig) {
	held, side := r.key("held"), r.key("side")
	verify := store.Op{Verb: store.Verify, Table: store.Records, Key: held, If: store.Exists()}
	write := store.Op{Verb: store.Put, Table: store.Credentials, Key: side, Set: store.Attrs{"n": int64(1)}}
	r.wantsRefused(r.items.Apply(r.Context(), verify))
	r.wantsFailed(r.apply(write, verify), 1, nil)
	r.wants(store.Credentials, side, nil)
	r.put(store.Records, held, store.Attrs{"x": "y"})
	r.wantsRefused(r.items.Apply(r.Context(), verify))
	r.mustApply(verify, write)
	r.wants(store.Records, held, store.Attrs{"x": "y"})
	r.wants(store.Credentials, side, store.Attrs{"n": int64(1)})
}

func keepsTypes(r *rig) {
	attrs := store.Attrs{
		"min": int64(math.MinInt64), "max": int64(math.MaxInt64), "zero": int64(0), "minus": int64(-1),
		"beyond_float": int64(1<<53 + 1), "far_beyond_float": int64(math.MaxInt64 - 1), "round": int64(1e18),
		"empty": "", "digits": "0123", "word": "true", "quotes": `"\'{}[]`, "control": "a\x00b\n\t\x7f",
		"unicode": "Zoë \u2028 \U0001F511 \uFFFD", "html": "<a href='x'>&amp;</a>", "spaces": "  ",
		"yes": true, "no": false,
		"no_bytes": []byte{}, "bytes": []byte{0, 1, 0xfe, 0xff}, "text_bytes": []byte("plain"), "many": pattern(300 * 1024),
	}
	for _, table := range store.Tables() {
		key := r.key("types")
		r.put(table, key, attrs)
		r.wants(table, key, attrs)
		many, err := r.items.GetMany(r.Context(), table, []store.Key{key})
		if err != nil || len(many) != 1 || !reflect.DeepEqual(many[0].Attrs, attrs) {
			r.Fatalf("%s: GetMany answers %d items, %v, or changed one", table, len(many), err)
		}
		page, _, err := r.items.Query(r.Context(), store.Query{Table: table, Partition: r.partition, Limit: 1})
		if err != nil || len(page) != 1 || !reflect.DeepEqual(page[0].Attrs, attrs) {
			r.Fatalf("%s: Query answers %d items, %v, or changed one", table, len(page), err)
		}
		r.wantsFailed(r.apply(store.Op{Verb: store.Delete, Table: table, Key: key, If: store.Absent()}), 0, attrs)
	}
	key := r.key("update")
	r.mustApply(store.Op{Verb: store.Update, Table: store.Records, Key: key, Set: attrs})
	r.wants(store.Records, key, attrs)
}

func refusesValues(r *rig) {
	for i, value := range []any{nil, 1, int32(1), uint64(1), 1.5, []string{"x"}, map[string]any{}, time.Time{}, new(string)} {
		key := r.key(fmt.Sprint("value", i))
		for _, verb := range []store.Verb{store.Put, store.Update} {
			op := store.Op{Verb: verb, Table: store.Records, Key: key, Set: store.Attrs{"good": "x", "bad": value}}
			r.wantsRefused(r.apply(op))
			side := store.Op{Verb: store.Put, Table: store.Records, Key: r.key("side"), Set: store.Attrs{"x": "y"}}
			r.wantsRefused(r.apply(side, op))
		}
		r.wants(store.Records, key, nil)
		r.wants(store.Records, r.key("side"), nil)
	}
}

// freeNames uses names that mean something to one engine or another.
func freeNames(r *rig) {
	names := []string{
		"status", "name", "size", "value", "values", "Key", "SET", "a.b", "a.b.c", "a-b", "a b", "#a", ":a", "a[0]", "$.a", `"a"`, "'", "é",
		"Partition", "sort", "attrs", "attribute_exists", "_id", "0", "ttl",
	}
	attrs := store.Attrs{}
	for i, name := range names {
		attrs[name] = int64(i)
	}
	key := r.key("names")
	r.put(store.Records, key, attrs)
	r.wants(store.Records, key, attrs)
	for i, name := range names {
		n := int64(i)
		r.mustApply(store.Op{
			Verb: store.Update, Table: store.Records, Key: key, Add: map[string]int64{name: 100},
			If: store.All(store.Has(name), store.Equal(name, n), store.Less(name, n+1), store.AtMost(name, n)),
		})
		attrs[name] = n + 100
		r.wantsFailed(r.apply(store.Op{Verb: store.Delete, Table: store.Records, Key: key, If: store.Lacks(name)}), 0, attrs)
	}
	r.wants(store.Records, key, attrs)
	r.mustApply(store.Op{Verb: store.Update, Table: store.Records, Key: key, Remove: names})
	r.wants(store.Records, key, store.Attrs{})
}

// keepsMaps sees to it that a driver neither changes nor keeps what it is given, and gives away nothing it keeps.
func keepsMaps(r *rig) {
	key := r.key("maps")
	given := store.Attrs{"n": int64(1), "b": []byte("abc")}
	r.put(store.Records, key, given)
	given["n"] = int64(2)
	given["b"].([]byte)[0] = 'X'
	want := store.Attrs{"n": int64(1), "b": []byte("abc")}
	r.wants(store.Records, key, want)

	got := r.load(store.Records, key)
	got["n"] = int64(3)
	got["b"].([]byte)[0] = 'Y'
	r.wants(store.Records, key, want)

	set := store.Attrs{"s": "x"}
	r.mustApply(store.Op{Verb: store.Update, Table: store.Records, Key: key, Set: set, Add: map[string]int64{"n": 1}})
	if !reflect.DeepEqual(set, store.Attrs{"s": "x"}) {
		r.Fatalf("an Update changed the map that it was given to %s", shown(set))
	}
}

func exactKeys(r *rig) {
	keys := []string{"a", "A", "a ", " a", "a#", "ä", "a\u0308", "a%", "_", "a_", `a"b`, "a'b", "a/b", "0", "00", "1", "1.0"}
	for i, sort := range keys {
		r.put(store.Records, r.key(sort), store.Attrs{"i": int64(i)})
	}
	for i, sort := range keys {
		r.wants(store.Records, r.key(sort), store.Attrs{"i": int64(i)})
		r.wants(store.Credentials, r.key(sort), nil)
		r.wants(store.Records, store.Key{Partition: r.partition + " ", Sort: sort}, nil)
	}
}

func refusesKeys(r *rig) {
	for _, key := range []store.Key{{}, {Partition: r.partition}, {Sort: "x"}} {
		r.wantsRefused(r.apply(store.Op{Verb: store.Put, Table: store.Records, Key: key, Set: store.Attrs{"x": "y"}}))
		_, err := r.items.Get(r.Context(), store.Records, key)
		r.wantsRefused(err)
	}
}

// expires: an engine may remove an item whose time is over, in two of the tables; it never changes one, and never
// removes one before its time or in another table.
func expires(r *rig) {
	past, future := time.Now().Add(-time.Hour).Unix(), time.Now().Add(24*time.Hour).Unix()
	old := store.Attrs{store.AttrExpires: past, "x": "y"}
	young := store.Attrs{store.AttrExpires: future, "x": "y"}
	for _, table := range store.Tables() {
		r.put(table, r.key("old"), old)
		r.put(table, r.key("young"), young)
		r.wants(table, r.key("young"), young)
		mayGo := table == store.Requests || table == store.Transient
		if got := r.load(table, r.key("old")); (!mayGo || got != nil) && !reflect.DeepEqual(got, old) {
			r.Fatalf("%s: the item past its time is %s", table, shown(got))
		}
		r.mustApply(store.Op{Verb: store.Update, Table: table, Key: r.key("old"), Set: store.Attrs{store.AttrExpires: future, "x": "y"}})
		r.wants(table, r.key("old"), young)
	}
}

func endedContext(r *rig) {
	ctx, cancel := context.WithCancel(r.Context())
	cancel()
	key := r.key("a")
	put := func(sort string) store.Op {
		return store.Op{Verb: store.Put, Table: store.Records, Key: r.key(sort), Set: store.Attrs{"x": "y"}}
	}
	_, getErr := r.items.Get(ctx, store.Records, key)
	_, manyErr := r.items.GetMany(ctx, store.Records, []store.Key{key})
	_, _, queryErr := r.items.Query(ctx, store.Query{Table: store.Records, Partition: r.partition, Limit: 1})
	for name, err := range map[string]error{
		"Get": getErr, "GetMany": manyErr, "Query": queryErr,
		"Apply of one": r.items.Apply(ctx, put("a")), "Apply of two": r.items.Apply(ctx, put("a"), put("b")),
	} {
		if !errors.Is(err, context.Canceled) {
			r.Errorf("%s: the answer is %v; want context.Canceled", name, err)
		}
	}
	r.wants(store.Records, key, nil)
	r.wants(store.Records, r.key("b"), nil)
}
