package vaulttest

import (
	"fmt"
	"slices"
	"strings"

	"connectorvault/shared/record"
	"connectorvault/shared/store"
	"connectorvault/shared/vault"
)

// attacks are what somebody who can write the table may do to a chain of five events, and what is found of it.
var attacks = []struct {
	name string
	do   func(r *rig, e record.Entry)
	want []string
}{
	{"nothing", func(*rig, record.Entry) {}, nil},
	{"an event is changed", func(r *rig, e record.Entry) { r.rewrite(at(e, 3), forged); r.rewrite(r.timeOf(e, 3), forged) }, []string{"changed 3"}},
	{"an event is changed in its chain alone", func(r *rig, e record.Entry) { r.rewrite(at(e, 3), forged) }, []string{"changed 3", "stray 3", "unlisted 3"}},
	{"an event is changed in the order of time alone", func(r *rig, e record.Entry) { r.rewrite(r.timeOf(e, 3), forged) }, []string{"stray 3", "unlisted 3"}},
	{"an event is garbage", func(r *rig, e record.Entry) {
		r.rewrite(at(e, 3), func(a store.Attrs) { a["doc"] = "{" })
	}, []string{"changed 3", "stray 3"}},
	{"the first event is changed", func(r *rig, e record.Entry) { r.rewrite(at(e, 1), forged); r.rewrite(r.timeOf(e, 1), forged) }, []string{"changed 1"}},
	{"the last event is changed", func(r *rig, e record.Entry) { r.rewrite(at(e, 5), forged); r.rewrite(r.timeOf(e, 5), forged) }, []string{"changed 5"}},
	{"a MAC is changed", func(r *rig, e record.Entry) {
		r.rewrite(at(e, 3), func(a store.Attrs) { a["audit_mac"] = make([]byte, 32) })
	}, []string{"changed 3"}},
	{"a MAC is cut", func(r *rig, e record.Entry) {
		r.rewrite(at(e, 3), func(a store.Attrs) { a["audit_mac"] = []byte{} })
	}, []string{"changed 3"}},
	{"a MAC names an unknown key", func(r *rig, e record.Entry) {
		r.rewrite(at(e, 3), func(a store.Attrs) { a["audit_key"] = "k_none" })
	}, []string{"changed 3"}},
	{"a MAC names no key", func(r *rig, e record.Entry) {
		r.rewrite(at(e, 3), func(a store.Attrs) { delete(a, "audit_key") })
	}, []string{"changed 3"}},
	{"an event follows another", func(r *rig, e record.Entry) {
		r.rewrite(at(e, 3), func(a store.Attrs) { a["audit_before"] = make([]byte, 32) })
	}, []string{"changed 3"}},
	{"an event is removed", func(r *rig, e record.Entry) { r.erase(e, 3) }, []string{"removed 3"}},
	{"an event is removed from its chain alone", func(r *rig, e record.Entry) { r.rewrite(at(e, 3), nil) }, []string{"removed 3", "stray 3"}},
	{"an event is removed from the order of time alone", func(r *rig, e record.Entry) { r.rewrite(r.timeOf(e, 3), nil) }, []string{"unlisted 3"}},
	{"the first event is removed", func(r *rig, e record.Entry) { r.erase(e, 1) }, []string{"removed 1"}},
	{"the last event is removed", func(r *rig, e record.Entry) { r.erase(e, 5) }, []string{"removed 5"}},
	{"the last two are removed", func(r *rig, e record.Entry) { r.erase(e, 5); r.erase(e, 4) }, []string{"removed 4", "removed 5"}},
	{"all are removed", func(r *rig, e record.Entry) {
		for n := int64(5); n > 0; n-- {
			r.erase(e, n)
		}
	}, []string{"removed 1", "removed 2", "removed 3", "removed 4", "removed 5"}},
	{"one is removed and the next is changed", func(r *rig, e record.Entry) {
		r.erase(e, 3)
		r.rewrite(at(e, 4), forged)
		r.rewrite(r.timeOf(e, 4), forged)
	}, []string{"changed 4", "removed 3"}},
	{"the last is removed and the head moved back", func(r *rig, e record.Entry) {
		r.headTo(e, 4)
		r.erase(e, 5)
	}, []string{"head_tampered 4"}},
	{"the chain is closed over a removed one", func(r *rig, e record.Entry) { // the fifth takes the fourth's number
		r.copyItem(at(e, 5), at(e, 4))
		r.headTo(e, 4)
		r.rewrite(at(e, 5), nil)
	}, []string{"changed 4", "head_tampered 4", "stray 4", "stray 5"}},
	{"two are swapped", func(r *rig, e record.Entry) {
		r.copyItem(at(e, 3), "parked")
		r.copyItem(at(e, 4), at(e, 3))
		r.copyItem("parked", at(e, 4))
		r.rewrite("parked", nil)
	}, []string{"changed 3", "changed 4", "stray 3", "stray 4"}},
	{"one is inserted behind the end", func(r *rig, e record.Entry) { r.copyItem(at(e, 5), at(e, 6)) }, []string{"changed 6", "inserted 6"}},
	{"one is inserted far behind the end", func(r *rig, e record.Entry) { r.copyItem(at(e, 5), at(e, 8)) },
		[]string{"changed 8", "inserted 6", "inserted 7", "inserted 8", "removed 6", "removed 7"}},
	{"one is inserted beside", func(r *rig, e record.Entry) { r.copyItem(at(e, 5), at(e, 5)+"a") }, []string{"inserted *"}},
	{"one is inserted in the order of time", func(r *rig, e record.Entry) {
		r.copyItem(r.timeOf(e, 5), "audit#2025-01-01T00:00:00.000Z#ae_0000000000000000")
	}, []string{"stray 5"}},
	{"one of another chain is inserted", func(r *rig, e record.Entry) {
		other := r.entry()
		r.copyItem(at(other, 1), at(e, 1))
	}, []string{"changed 1", "stray 1"}},
	{"the head is moved", func(r *rig, e record.Entry) {
		r.rewrite("entry#"+e.ID, func(a store.Attrs) { a["audit_number"] = int64(7) })
	}, []string{"head_tampered 7"}},
	{"the head names another MAC", func(r *rig, e record.Entry) {
		r.rewrite("entry#"+e.ID, func(a store.Attrs) { a["audit_mac"] = make([]byte, 32) })
	}, []string{"head_tampered 5"}},
	{"the head is taken away", func(r *rig, e record.Entry) { r.rewrite("entry#"+e.ID, headless) }, []string{"head_tampered 5"}},
	{"the record is taken away", func(r *rig, e record.Entry) { r.rewrite("entry#"+e.ID, nil) }, []string{"head_tampered 5"}},
	{"the record is taken away under a made-up tombstone", func(r *rig, e record.Entry) { // the head's code is none of a tombstone's
		r.copyItem("entry#"+e.ID, "tombstone#vault_entry#"+e.ID)
		r.rewrite("entry#"+e.ID, nil)
	}, []string{"head_tampered 5"}},
	{"the chain is taken away with its head", func(r *rig, e record.Entry) {
		for n := int64(5); n > 0; n-- {
			r.erase(e, n)
		}
		r.rewrite("entry#"+e.ID, headless)
	}, []string{"no_chain 0"}},
	{"the tombstone is taken away", func(r *rig, e record.Entry) { r.remove(e); r.rewrite("tombstone#vault_entry#"+e.ID, nil) }, []string{"head_tampered 6"}},
	{"the tombstone is moved back", func(r *rig, e record.Entry) {
		r.remove(e)
		r.erase(e, 6)
		r.rewrite("tombstone#vault_entry#"+e.ID, func(a store.Attrs) { a["audit_number"] = int64(5) })
	}, []string{"head_tampered 5"}},
	{"the last is removed under a tombstone", func(r *rig, e record.Entry) { r.remove(e); r.erase(e, 6) }, []string{"removed 6"}},
	{"the entry is there again", func(r *rig, e record.Entry) { // with the head that it had
		r.copyItem("entry#"+e.ID, "parked")
		r.remove(e)
		r.copyItem("parked", "entry#"+e.ID)
		r.rewrite("parked", nil)
	}, []string{"inserted 6"}},
	{"an anchor is made up over removed ones", func(r *rig, e record.Entry) {
		r.copyItem(at(e, 2), "anchor#vault_entry#"+e.ID)
		r.rewrite("anchor#vault_entry#"+e.ID, func(a store.Attrs) { a["audit_number"] = int64(2) })
		r.erase(e, 1)
		r.erase(e, 2)
	}, []string{"anchor_tampered 2"}},
	{"an anchor is made of the head", func(r *rig, e record.Entry) {
		r.copyItem("entry#"+e.ID, "anchor#vault_entry#"+e.ID)
		for n := int64(1); n <= 5; n++ {
			r.erase(e, n)
		}
	}, []string{"anchor_tampered 5"}},
}

func at(e record.Entry, number int64) string {
	return fmt.Sprintf("chain#vault_entry#%s#%012d", e.ID, number)
}

// timeOf is where an event lies in the order of time.
func (r *rig) timeOf(e record.Entry, number int64) string {
	r.Helper()
	for _, event := range r.chain(entrySubject(e)) {
		if event.Number == number {
			return vault.AuditKey(event)
		}
	}
	r.Fatalf("there is no event %d", number)
	return ""
}

func (r *rig) erase(e record.Entry, number int64) {
	r.Helper()
	r.rewrite(r.timeOf(e, number), nil)
	r.rewrite(at(e, number), nil)
}

// headTo moves a head back to an event, as well as somebody without the key can.
func (r *rig) headTo(e record.Entry, number int64) {
	r.Helper()
	item, err := r.engine.Get(r.Context(), store.Records, store.Key{Partition: r.tenant, Sort: at(e, number)})
	r.ok(err)
	r.rewrite("entry#"+e.ID, func(a store.Attrs) { a["audit_number"], a["audit_mac"] = number, item.Attrs["audit_mac"] })
}

func forged(a store.Attrs) {
	a["doc"] = strings.Replace(a.String("doc"), `"outcome":"success"`, `"outcome":"failure"`, 1)
}

func headless(a store.Attrs) {
	for _, name := range []string{"audit_number", "audit_mac", "audit_at", "audit_key", "audit_seal"} {
		delete(a, name)
	}
}

func auditAttacks(r *rig) {
	for _, attack := range attacks {
		r.sub(attack.name, func(r *rig) {
			bystander := r.lived()
			e := r.lived()
			attack.do(r, e)
			got := r.verified()
			for i := range got {
				got[i] = strings.TrimPrefix(got[i], "vault_entry ")
				if strings.HasPrefix(got[i], "inserted ") && slices.Contains(attack.want, "inserted *") {
					got[i] = "inserted *"
				}
			}
			want := append([]string{}, attack.want...)
			r.same(got, want)
			r.same(len(r.chain(entrySubject(bystander))), 5)
		})
	}
}

// auditWitness: whoever puts everything back to an earlier state needs no key. Only what was written down elsewhere shows it.
func auditWitness(r *rig) {
	e, erased := r.lived(), r.lived()
	back := r.snapshot()
	after := e
	after.Disabled = true
	_, err := r.UpdateEntry(r.Context(), e, after)
	r.ok(err)
	report, err := r.VerifyAudit(r.Context(), r.tenant, nil)
	r.ok(err)
	r.same(r.verified(report.Heads...), []string{})
	now := r.snapshot()
	for key := range now[store.Records] {
		if attrs, was := back[store.Records][key]; !was || strings.Contains(key.Sort, erased.ID) {
			r.rewrite(key.Sort, nil)
		} else {
			r.ok(r.engine.Apply(r.Context(), store.Op{Verb: store.Put, Table: store.Records, Key: key, Set: attrs}))
		}
	}
	for key, attrs := range now[store.Records] { // nothing of the second one is left, in the order of time either
		if strings.HasPrefix(key.Sort, vault.AuditPrefix) && strings.Contains(attrs.String("doc"), erased.ID) {
			r.rewrite(key.Sort, nil)
		}
	}
	r.same(r.verified(), []string{})
	r.same(r.verified(report.Heads...), []string{"vault_entry rewound 5", "vault_entry rewound 6"})
	again := e // and another history of the same length is another one
	again.Disabled = true
	e, err = r.Entry(r.Context(), r.tenant, e.ID)
	r.ok(err)
	_, err = r.UpdateEntry(r.Context(), e, again)
	r.ok(err)
	r.same(r.verified(report.Heads...), []string{"vault_entry rewound 5", "vault_entry rewound 6"})
}
