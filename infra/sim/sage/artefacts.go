package sagesim

import (
	"fmt"
	"time"
)

// artefactKind is a collection of documents with a partner, lines and a total.
type artefactKind struct {
	collection, prefix string
	purchase           bool
	credit             bool // a credit note: the books turn round
	quote              bool // a quote or an estimate: never booked or paid
	first              int
	every              time.Duration
	transactionType    string
	transactionName    string
}

// The kinds of documents.
var (
	salesInvoices       = artefactKind{"sales_invoices", "SI-", false, false, false, 66, 3 * day24, "SALES_INVOICE", "Sales Invoice"}
	purchaseInvoices    = artefactKind{"purchase_invoices", "PI-", true, false, false, 44, 4 * day24, "PURCHASE_INVOICE", "Purchase Invoice"}
	salesCreditNotes    = artefactKind{"sales_credit_notes", "SCN-", false, true, false, 24, 25 * day24, "SALES_CREDIT_NOTE", "Sales Credit Note"}
	purchaseCreditNotes = artefactKind{"purchase_credit_notes", "PCN-", true, true, false, 22, 40 * day24, "PURCHASE_CREDIT_NOTE", "Purchase Credit Note"}
	salesQuickEntries   = artefactKind{"sales_quick_entries", "SQE-", false, false, false, 12, 30 * day24, "SALES_INVOICE_QUICK_ENTRY", "Sales Quick Entry"}
	buyQuickEntries     = artefactKind{"purchase_quick_entries", "PQE-", true, false, false, 12, 30 * day24, "PURCHASE_INVOICE_QUICK_ENTRY", "Purchase Quick Entry"}
	salesCorrections    = artefactKind{"sales_corrective_invoices", "SCI-", false, true, false, 5, 90 * day24, "SALES_CORRECTIVE_INVOICE", "Sales Corrective Invoice"}
	purchaseCorrections = artefactKind{"purchase_corrective_invoices", "PCI-", true, true, false, 5, 90 * day24, "PURCHASE_CORRECTIVE_INVOICE", "Purchase Corrective Invoice"}
	salesQuotes         = artefactKind{"sales_quotes", "SQ-", false, false, true, 25, 15 * day24, "", ""}
	salesEstimates      = artefactKind{"sales_estimates", "SE-", false, false, true, 15, 20 * day24, "", ""}
)

// The states of a document (Sage facts 2.2).
const (
	statusDraft    = "DRAFT"
	statusProForma = "PRO_FORMA"
	statusUnpaid   = "UNPAID"
	statusPartPaid = "PART_PAID"
	statusPaid     = "PAID"
	statusVoid     = "VOID"
)

func statusRef(status string) object {
	return word("artefact_statuses", status, map[string]string{
		statusDraft: "Draft", statusProForma: "Pro Forma", statusUnpaid: "Unpaid", statusPartPaid: "Part Paid", statusPaid: "Paid", statusVoid: "Void",
	}[status])
}

// artefact is one document as it stands now.
type artefact struct {
	row

	contact                uint64
	net, tax, total, paid  money
	status                 string
	due, paidAt, lastEvent time.Time
	rate                   taxRate
}

func (a artefact) outstanding() money {
	if a.status == statusVoid {
		return 0
	}
	return a.total - a.paid
}

// booked says whether the document has a transaction: a draft has none.
func (a artefact) booked() bool { return a.status != statusDraft && a.status != statusProForma }

func (k *artefactKind) series() series { return series{k.collection, k.first, k.every} }

// artefact works out a document from its number: what happens to it is laid down from the start, and the clock says
// how much of it has happened.
func (b *book) artefact(k *artefactKind, r row) artefact {
	d := b.dice(k.collection, r.index)
	a := artefact{row: r, contact: b.partner(d, k.purchase), status: statusUnpaid, due: r.created.AddDate(0, 0, 30), rate: b.place.taxes[d.below(2, 10)]}
	a.net = money(500 + d.below(250000, 11))
	a.tax = (a.net*a.rate.percent + 5000) / 10000
	a.total = a.net + a.tax
	settled := r.created.Add(time.Duration(2+d.below(58, 12)) * day24)
	happened := !settled.After(b.now)
	switch {
	case k.quote || r.index%17 == 6:
		a.status = statusDraft
	case !k.purchase && !k.credit && r.index%29 == 11:
		a.status = statusProForma
	case r.index%23 == 7:
		if happened {
			a.status, a.lastEvent = statusVoid, settled
		}
	case happened && d.below(10, 13) < 7:
		a.status, a.paid, a.paidAt, a.lastEvent = statusPaid, a.total, settled, settled
	case happened && d.below(10, 13) < 9:
		a.status, a.paid, a.paidAt, a.lastEvent = statusPartPaid, a.total/2, settled, settled
	}
	return a
}

func (b *book) artefactRows(k *artefactKind) []row {
	list := k.series().rows(b, false)
	for i, r := range list {
		if last := b.artefact(k, r).lastEvent; last.After(r.updated) {
			list[i].updated = last
		}
		if !k.quote || i%4 == 0 { // quotes stay, mostly
			list[i] = b.deletedAfter(list[i], i%31 == 9)
		}
	}
	return list
}

func (k *artefactKind) number(i uint64) string { return fmt.Sprintf("%s%d", k.prefix, i+1) }

func (b *book) artefactRef(k *artefactKind, i uint64) object {
	return b.reference(k.collection, i, k.number(i))
}

// renderArtefact returns what shows a document of a kind.
func renderArtefact(k *artefactKind) func(*book, row) object {
	return func(b *book, r row) object {
		a := b.artefact(k, r)
		o := append(object{{"displayed_as", k.number(r.index)}}, r.stamps()...)
		o = append(o, object{{"links", []object{}}, {"editable", a.status == statusUnpaid || a.status == statusDraft}}...)
		o = append(o, b.artefactTransaction(k, a)...)
		o = append(o, object{{"deleted_at", stamp(r.deleted)}, {"contact", b.contactRef(a.contact)}}...)
		if k.purchase {
			o = append(o, member{"vendor_reference", fmt.Sprintf("V/%05d", b.dice(k.collection, r.index).below(99999, 14))})
		} else {
			o = append(o, object{{"invoice_number_prefix", k.prefix}, {"invoice_number", fmt.Sprint(r.index + 1)}}...)
		}
		o = append(o, object{
			{"contact_name", b.contactName(a.contact)}, {"contact_reference", b.contactReference(a.contact)}, {"date", day(a.date)},
			{"due_date", day(a.due)}, {"reference", nullUnless(r.index%3 == 0, fmt.Sprintf("PO %d", 4000+r.index))},
		}...)
		if !k.purchase {
			o = append(o, object{{"main_address_free_form", fmt.Sprintf("%d Market Street\n%s\n%s", a.contact+1, b.place.city, b.place.postcode)}, {"delivery_address_free_form", ""}}...)
		}
		o = append(o, b.artefactAmounts(k, a)...)
		if k.quote {
			return o
		}
		if b.query.allocations {
			o = append(o, member{"payments_allocations", b.allocationsOf(k, a)})
		}
		return append(o, object{{"last_paid", day(a.paidAt)}, {"tax_reconciled", false}, {"migrated", false}}...)
	}
}

func (b *book) artefactTransaction(k *artefactKind, a artefact) object {
	if k.quote {
		return nil
	}
	o := object{{"transaction", nil}, {"transaction_type", word("transaction_types", k.transactionType, k.transactionName)}}
	if source, known := sourceOf(k.collection); known && a.booked() {
		o[0].value = b.transactionRef(source, a.index)
	}
	return o
}

// artefactAmounts are the members with sums, state and lines.
func (b *book) artefactAmounts(k *artefactKind, a artefact) object {
	o := object{
		{"notes", nil}, {"total_quantity", money(100)}, {"net_amount", a.net}, {"tax_amount", a.tax}, {"total_amount", a.total},
		{"payments_allocations_total_amount", a.paid}, {"total_paid", a.paid}, {"outstanding_amount", a.outstanding()},
		{"currency", b.place.currencyRef()}, {"exchange_rate", money(100)}, {"inverse_exchange_rate", money(100)},
		{"base_currency_net_amount", a.net}, {"base_currency_tax_amount", a.tax}, {"base_currency_total_amount", a.total},
		{"base_currency_outstanding_amount", a.outstanding()}, {"status", statusRef(a.status)},
	}
	if !k.purchase {
		o = append(o, object{{"sent", a.booked()}, {"sent_by_email", a.booked()}}...)
	}
	o = append(o, member{"void_reason", nullUnless(a.status == statusVoid, "Entered twice.")})
	account := accountSales
	if k.purchase {
		account = accountPurchases
	}
	line := object{
		{"id", b.id(k.collection+" lines", a.index)}, {"displayed_as", "Goods as ordered"}, {"description", "Goods as ordered"},
		{"quantity", money(100)}, {"unit_price", a.net}, {"net_amount", a.net}, {"tax_rate", a.rate.ref()}, {"tax_amount", a.tax},
		{"total_amount", a.total}, {"ledger_account", b.ledgerAccountRef(account)},
	}
	return append(o, object{
		{"invoice_lines", []object{line}},
		{"tax_analysis", []object{{{"tax_rate", a.rate.ref()}, {"net_amount", a.net}, {"tax_amount", a.tax}, {"total_amount", a.total}}}},
	}...)
}

func (b *book) allocationsOf(k *artefactKind, a artefact) []object {
	i, paid := paymentOf(k, a.index)
	if a.paid == 0 || !paid {
		return []object{}
	}
	return []object{append(b.reference("contact_payments", i, paymentNumber(i)), object{{"amount", a.paid}, {"discount", money(0)}, {"date", day(a.paidAt)}}...)}
}
