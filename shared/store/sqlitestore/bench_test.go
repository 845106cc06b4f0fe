package sqlitestore_test

import (
	"bytes"
	"fmt"
	"testing"

	"connectorvault/shared/store"
)

// credential is an item of about the size that the vault keeps for an entry.
func credential(i int64) store.Op {
	return store.Op{
		Verb: store.Put, Table: store.Credentials, Key: store.Key{Partition: "t_1", Sort: fmt.Sprintf("entry#%05d", i%1000)},
		Set: store.Attrs{"generation": i, "sealed": bytes.Repeat([]byte{1}, 2048), store.AttrDueShard: "s", store.AttrDueAt: i},
	}
}

func BenchmarkApply(b *testing.B) {
	s := open(b)
	for i := int64(0); b.Loop(); i++ {
		if err := s.Apply(b.Context(), credential(i)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkGet(b *testing.B) {
	s := open(b)
	op := credential(1)
	if err := s.Apply(b.Context(), op); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := s.Get(b.Context(), op.Table, op.Key); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkQuery(b *testing.B) {
	s := open(b)
	for i := range int64(200) {
		if err := s.Apply(b.Context(), credential(i)); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		q := store.Query{Table: store.Credentials, Partition: "t_1", Prefix: "entry#", Limit: 100}
		if items, more, err := s.Query(b.Context(), q); err != nil || len(items) != 100 || !more {
			b.Fatal(len(items), more, err)
		}
	}
}
