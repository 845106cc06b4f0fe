package storetest

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"connectorvault/shared/store"
)

func getMany(r *rig) {
	want := map[store.Key]store.Attrs{}
	var keys []store.Key
	for i := range 100 {
		key := r.key(fmt.Sprint("k", i))
		keys = append(keys, key)
		if i%3 != 0 {
			continue
		}
		want[key] = store.Attrs{"i": int64(i)}
		r.put(store.Records, key, want[key])
	}
	r.wantsMany(keys, want)
	r.wantsMany(keys[1:3], map[store.Key]store.Attrs{})
	r.wantsMany(nil, map[store.Key]store.Attrs{})
	_, err := r.items.GetMany(r.Context(), store.Records, append(keys, r.key("k100")))
	r.wantsRefused(err)
}

// getMuch asks for more than some engines return at once (16 MB on one).
func getMuch(r *rig) {
	want := map[store.Key]store.Attrs{}
	var keys []store.Key
	for i := range 50 {
		key := r.key(fmt.Sprint("k", i))
		keys = append(keys, key)
		want[key] = store.Attrs{"i": int64(i), "b": pattern(350 * 1024)}
	}
	for chunk := range slices.Chunk(keys, 10) {
		var ops []store.Op
		for _, key := range chunk {
			ops = append(ops, store.Op{Verb: store.Put, Table: store.Records, Key: key, Set: want[key]})
		}
		r.mustApply(ops...)
	}
	r.wantsMany(keys, want)
}

func (r *rig) wantsMany(keys []store.Key, want map[store.Key]store.Attrs) {
	r.Helper()
	items, err := r.items.GetMany(r.Context(), store.Records, keys)
	if err != nil {
		r.Fatalf("reading %d items: %v", len(keys), err)
	}
	got := map[store.Key]store.Attrs{}
	for _, item := range items {
		got[item.Key] = item.Attrs
	}
	if len(items) != len(want) || !reflect.DeepEqual(got, want) {
		r.Fatalf("reading %d items: the answer has %d, or other ones; want %d", len(keys), len(items), len(want))
	}
}

// sorts are keys in an order that differs by bytes, by UTF-16 units, by letters and by numbers.
func sorts() []string {
	return []string{
		"e", "entr", "entry", "entry!", `entry"`, "entry#", "entry#0", "entry#00", "entry#1", "entry#10", "entry#2", "entry#A", "entry#Z", "entry#_",
		"entry#a", "entry#a b", "entry#aa", "entry#b", "entry#~", "entry#\u007f", "entry#é", "entry#ÿ", "entry#ÿÿ", "entry#\uffee", "entry#\ufffd",
		"entry#\U00010000", "entry#\U0010FFFF", "entry#\U0010FFFFz", "entry$", "entry%", "entryA", "entryish", "entrÿ", "f", "ÿ", "\ufffd", "\U0010FFFF", "\U0010FFFF\U0010FFFF",
	}
}

// queries walks the pages of every prefix, from every start, and compares with what sorting by bytes gives.
func queries(r *rig) {
	all := sorts()
	shuffled := slices.Clone(all)
	slices.Reverse(shuffled)
	for _, sort := range shuffled {
		r.put(store.Records, r.key(sort), store.Attrs{"sort": sort})
	}
	slices.Sort(all)
	prefixes := []string{"", "e", "entry", "entry#", "entry#1", "entry#ÿ", "entry#\U0010FFFF", "\U0010FFFF", "ÿ", "entry$", "nothing", "entry#a\u0000"}
	for _, prefix := range prefixes {
		for _, limit := range []int{1, 3, 1000} {
			r.walks(prefix, "", limit, all)
		}
		starts := append([]string{"a", "entry#0.5", "entry#\U0010FFFFzz", "g", "\U0010FFFF\U0010FFFF\U0010FFFF"}, all...)
		for _, after := range starts {
			r.walks(prefix, after, 7, all)
		}
	}
	for _, limit := range []int{0, -1} {
		_, _, err := r.items.Query(r.Context(), store.Query{Table: store.Records, Partition: r.partition, Limit: limit})
		r.wantsRefused(err)
	}
}

// walks goes through the pages. A page may hold fewer than its limit; one that says that more follow moves on.
func (r *rig) walks(prefix, after string, limit int, all []string) {
	r.Helper()
	var want, got []string
	for _, sort := range all {
		if strings.HasPrefix(sort, prefix) && sort > after {
			want = append(want, sort)
		}
	}
	what := fmt.Sprintf("prefix %q after %q by %d", prefix, after, limit)
	for more := true; more; {
		var page []store.Item
		var err error
		q := store.Query{Table: store.Records, Partition: r.partition, Prefix: prefix, After: after, Limit: limit}
		if page, more, err = r.items.Query(r.Context(), q); err != nil {
			r.Fatalf("%s: %v", what, err)
		}
		if len(page) > limit || more && len(page) == 0 {
			r.Fatalf("%s: a page has %d items, more %t", what, len(page), more)
		}
		for _, item := range page {
			if item.Key.Sort <= after {
				r.Fatalf("%s: %q comes after %q", what, item.Key.Sort, after)
			}
			after = item.Key.Sort
			got = append(got, after)
			if item.Key != r.key(after) || !reflect.DeepEqual(item.Attrs, store.Attrs{"sort": after}) {
				r.Fatalf("%s: item %q holds %s", what, after, shown(item.Attrs))
			}
		}
	}
	if !slices.Equal(got, want) {
		r.Fatalf("%s: the pages hold %q; want %q", what, got, want)
	}
}

// queriesMuch lists more than some engines read at once (1 MB on one).
func queriesMuch(r *rig) {
	const n = 12
	for i := range n {
		r.put(store.Records, r.key(fmt.Sprintf("much#%02d", i)), store.Attrs{"i": int64(i), "b": pattern(200 * 1024)})
	}
	after, seen := "", 0
	for more := true; more; {
		var page []store.Item
		var err error
		q := store.Query{Table: store.Records, Partition: r.partition, Prefix: "much#", After: after, Limit: n}
		if page, more, err = r.items.Query(r.Context(), q); err != nil || more && len(page) == 0 {
			r.Fatalf("a page of %d, more %t: %v", len(page), more, err)
		}
		for _, item := range page {
			if seen == n || item.Attrs.Int("i") != int64(seen) || len(item.Attrs.Bytes("b")) != 200*1024 {
				r.Fatalf("item %d is %s", seen, shown(item.Attrs))
			}
			seen++
			after = item.Key.Sort
		}
	}
	if seen != n {
		r.Fatalf("%d of %d items were listed", seen, n)
	}
}

func queriesApart(r *rig) {
	r.put(store.Records, r.key("a"), store.Attrs{"x": "mine"})
	for _, other := range []string{r.partition + "2", r.partition + "#", r.partition + "\U0010FFFF", r.partition[:len(r.partition)-1]} {
		r.put(store.Records, store.Key{Partition: other, Sort: "a"}, store.Attrs{"x": "other"})
	}
	r.put(store.Credentials, r.key("b"), store.Attrs{"x": "other table"})
	page, _, err := r.items.Query(r.Context(), store.Query{Table: store.Records, Partition: r.partition, Limit: 10})
	if err != nil || len(page) != 1 || page[0].Attrs.String("x") != "mine" {
		r.Fatalf("the partition lists %v, %v", page, err)
	}
	page, more, err := r.items.Query(r.Context(), store.Query{Table: store.Requests, Partition: r.partition, Limit: 10})
	if err != nil || len(page) != 0 || more {
		r.Fatalf("an empty partition lists %d items, more %t, %v", len(page), more, err)
	}
}
