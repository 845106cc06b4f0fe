package sagesim

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// A transaction's index holds its source and the source's own index; a ledger entry's holds the line before both.
const (
	sourceShift = 32
	lineShift   = 40
	lowIndex    = 1<<sourceShift - 1
)

// The sources of transactions.
const (
	sourceSalesInvoices = iota
	sourcePurchaseInvoices
	sourceSalesCreditNotes
	sourcePurchaseCreditNotes
	sourcePayments
	sourceOtherPayments
	sourceJournals
	sourceTransfers
	sources
)

func sourceOf(collection string) (int, bool) {
	i := slices.Index([]string{
		"sales_invoices", "purchase_invoices", "sales_credit_notes", "purchase_credit_notes", "contact_payments", "other_payments", "journals", "bank_transfers",
	}, collection)
	return i, i >= 0
}

func artefactSource(source int) (*artefactKind, bool) {
	switch source {
	case sourceSalesInvoices:
		return &salesInvoices, true
	case sourcePurchaseInvoices:
		return &purchaseInvoices, true
	case sourceSalesCreditNotes:
		return &salesCreditNotes, true
	case sourcePurchaseCreditNotes:
		return &purchaseCreditNotes, true
	}
	return nil, false
}

// leg is one side of a transaction in one ledger account.
type leg struct {
	account       int
	debit, credit money
}

// entry is what a source has booked: its transaction before anybody has asked for its members.
type entry struct {
	row

	source         int
	number         string
	kind, kindName string // transaction type
	total          money
	contact        uint64 // 0 for none: nothing is booked for the system's own contact
	rate           taxRate
	legs           []leg
	void           bool
	origin         object
}

func transactionIndex(source int, i uint64) uint64 { return uint64(source)<<sourceShift | i }

func (b *book) transactionRef(source int, i uint64) object {
	return b.reference("transactions", transactionIndex(source, i), b.entryNumber(source, i))
}

func (b *book) entryNumber(source int, i uint64) string {
	if k, is := artefactSource(source); is {
		return k.number(i)
	}
	if source == sourcePayments {
		return paymentNumber(i)
	}
	return fmt.Sprintf("%s-%d", map[int]string{sourceOtherPayments: "OP", sourceJournals: "J", sourceTransfers: "BT"}[source], i+1)
}

// bookings lists everything that is booked, in the order in which it was.
func (b *book) bookings() []row {
	var list []row
	add := func(source int, r row) {
		r.index = transactionIndex(source, r.index)
		list = append(list, r)
	}
	for source := range sources {
		k, is := artefactSource(source)
		if !is {
			continue
		}
		for _, r := range b.artefactRows(k) {
			if r.deleted.IsZero() && b.artefact(k, r).booked() {
				add(source, r)
			}
		}
	}
	for _, r := range b.paymentRows() {
		add(sourcePayments, r)
	}
	for source := range otherSeries() {
		for _, r := range b.plainRows(source) {
			if r.deleted.IsZero() {
				add(source, r)
			}
		}
	}
	slices.SortFunc(list, byCreation)
	return list
}

func byCreation(a, b row) int {
	return cmp.Or(a.created.Compare(b.created), cmp.Compare(a.index, b.index))
}

// entryOf works out what was booked; rows have only indexes of such. The index of a ledger entry serves too.
func (b *book) entryOf(r row) entry {
	source := int(r.index >> sourceShift & 0xff)
	r.index &= lowIndex
	if k, is := artefactSource(source); is {
		return b.artefactEntry(source, k, b.artefact(k, r))
	}
	if source == sourcePayments {
		return b.paymentEntry(r)
	}
	return b.plainEntry(source, r)
}

// legsOf is how many legs the transactions of a source have.
func legsOf(source int) int {
	if _, is := artefactSource(source); is {
		return 3
	}
	return 2
}

func (b *book) artefactEntry(source int, k *artefactKind, a artefact) entry {
	e := entry{
		row: a.row, source: source, number: k.number(a.index), kind: k.transactionType, kindName: k.transactionName, total: a.total, contact: a.contact,
		rate: a.rate, void: a.status == statusVoid, origin: b.artefactRef(k, a.index),
	}
	if k.purchase {
		e.legs = []leg{{accountCreditors, 0, a.total}, {accountPurchases, a.net, 0}, {accountPurchaseTax, a.tax, 0}}
	} else {
		e.legs = []leg{{accountDebtors, a.total, 0}, {accountSales, 0, a.net}, {accountSalesTax, 0, a.tax}}
	}
	if k.credit {
		for i, l := range e.legs {
			e.legs[i].debit, e.legs[i].credit = l.credit, l.debit
		}
	}
	return e
}

// payment is the settlement of an invoice. Sales have even numbers and purchases odd ones, whether or not they are paid.
type payment struct {
	row

	kind     *artefactKind
	artefact artefact
	amount   money
}

func paymentOf(k *artefactKind, i uint64) (uint64, bool) {
	switch k {
	case &salesInvoices:
		return 2 * i, true
	case &purchaseInvoices:
		return 2*i + 1, true
	}
	return 0, false
}

func paymentNumber(i uint64) string { return fmt.Sprintf("PAY-%d", i+1) }

// paymentRows lists the settlements of invoices that are still there.
func (b *book) paymentRows() []row {
	var list []row
	for _, k := range []*artefactKind{&salesInvoices, &purchaseInvoices} {
		for _, r := range b.artefactRows(k) {
			if a := b.artefact(k, r); a.paid != 0 && r.deleted.IsZero() {
				i, _ := paymentOf(k, r.index)
				list = append(list, row{index: i, created: a.paidAt, updated: a.paidAt, date: a.paidAt})
			}
		}
	}
	slices.SortFunc(list, byCreation)
	return list
}

// payment works out a settlement; rows have only numbers of such.
func (b *book) payment(r row) payment {
	k := &salesInvoices
	if r.index%2 == 1 {
		k = &purchaseInvoices
	}
	a := b.artefact(k, k.series().row(b, int(r.index/2), false))
	return payment{r, k, a, a.paid}
}

func (p payment) kindRef() (id, name string) {
	if p.kind.purchase {
		return "VENDOR_PAYMENT", "Vendor Payment"
	}
	return "CUSTOMER_RECEIPT", "Customer Receipt"
}

func (b *book) paymentEntry(r row) entry {
	p := b.payment(r)
	id, name := p.kindRef()
	e := entry{
		row: r, source: sourcePayments, number: paymentNumber(r.index), kind: id, kindName: name, total: p.amount, contact: p.artefact.contact,
		legs: []leg{{accountBank, p.amount, 0}, {accountDebtors, 0, p.amount}}, origin: b.reference("contact_payments", r.index, paymentNumber(r.index)),
	}
	if p.kind.purchase {
		e.legs = []leg{{accountCreditors, p.amount, 0}, {accountBank, 0, p.amount}}
	}
	return e
}

func otherSeries() map[int]series {
	return map[int]series{
		sourceOtherPayments: {"other_payments", 22, 9 * day24}, sourceJournals: {"journals", 21, 15 * day24}, sourceTransfers: {"bank_transfers", 6, 30 * day24},
	}
}

// plainEntry is a payment without an invoice, a journal or a transfer.
func (b *book) plainEntry(source int, r row) entry {
	kind := otherSeries()[source].kind
	d := b.dice(kind, r.index)
	amount := money(1000 + d.below(90000, 1))
	e := entry{row: r, source: source, number: b.entryNumber(source, r.index), total: amount}
	e.origin = b.reference(kind, r.index, e.number)
	switch source {
	case sourceOtherPayments:
		e.kind, e.kindName = "OTHER_PAYMENT", "Other Payment"
		e.legs = []leg{{accountOffice, amount, 0}, {accountBank, 0, amount}}
	case sourceJournals:
		e.kind, e.kindName = "JOURNAL", "Journal"
		e.legs = []leg{{accountDepreciation, amount, 0}, {accountCapital, 0, amount}}
	default:
		e.kind, e.kindName = "BANK_TRANSFER", "Bank Transfer"
		e.legs = []leg{{accountSavings, amount, 0}, {accountBank, 0, amount}}
	}
	return e
}

func (b *book) entryContact(e entry) any {
	if e.contact == 0 {
		return nil
	}
	return b.contactRef(e.contact)
}

func (b *book) transactionDisplay(r row) string {
	return b.entryNumber(int(r.index>>sourceShift), r.index&lowIndex)
}

func (b *book) transaction(r row) object {
	e := b.entryOf(r)
	o := append(object{{"displayed_as", b.transactionDisplay(r)}}, r.stamps()...)
	attachments := 0
	if k, is := artefactSource(e.source); is && b.attached(k.collection, r.index&lowIndex) {
		attachments = 1
	}
	return append(o, object{
		{"date", day(e.date)}, {"deleted", e.void}, {"reference", e.number}, {"total", e.total}, {"total_in_transaction_currency", e.total},
		{"contact", b.entryContact(e)}, {"transaction_type", word("transaction_types", e.kind, e.kindName)}, {"origin", e.origin},
		{"audit_trail_id", fmt.Sprint(r.index)}, {"number_of_attachments", fmt.Sprint(attachments)},
	}...)
}

func (b *book) ledgerEntryRows() []row {
	list := b.bookings()
	rows := make([]row, 0, 3*len(list))
	for _, r := range list {
		transaction := r.index
		for line := range legsOf(int(transaction >> sourceShift)) {
			r.index = uint64(line)<<lineShift | transaction
			rows = append(rows, r)
		}
	}
	return rows
}

func (b *book) ledgerEntryDisplay(r row) string {
	source := int(r.index >> sourceShift & 0xff)
	return fmt.Sprintf("%s, line %d", b.entryNumber(source, r.index&lowIndex), r.index>>lineShift+1)
}

func (b *book) ledgerEntry(r row) object {
	e := b.entryOf(r)
	l := e.legs[r.index>>lineShift]
	var rate any
	if e.rate.id != "" {
		rate = e.rate.ref()
	}
	o := append(object{{"displayed_as", b.ledgerEntryDisplay(r)}}, r.stamps()...)
	return append(o, object{
		{"date", day(e.date)}, {"credit", l.credit}, {"debit", l.debit}, {"ledger_account", b.ledgerAccountRef(l.account)},
		{"transaction", b.transactionRef(e.source, e.index)}, {"contact", b.entryContact(e)}, {"deleted", e.void}, {"tax_rate", rate},
		{"description", e.kindName + " " + e.number}, {"journal_code", nil},
	}...)
}

func (b *book) contactPayment(r row) object {
	p := b.payment(r)
	id, name := p.kindRef()
	o := append(object{{"displayed_as", paymentNumber(r.index)}}, r.stamps()...)
	return append(o, object{
		{"links", []object{}}, {"transaction", b.transactionRef(sourcePayments, r.index)}, {"transaction_type", word("transaction_types", id, name)},
		{"deleted_at", nil}, {"payment_method", word("payment_methods", "ELECTRONIC", "Electronic")}, {"contact", b.contactRef(p.artefact.contact)},
		{"bank_account", b.bankAccountRef(0)}, {"date", day(p.date)}, {"net_amount", p.amount}, {"tax_amount", money(0)}, {"total_amount", p.amount},
		{"currency", b.place.currencyRef()}, {"exchange_rate", money(100)}, {"base_currency_net_amount", p.amount}, {"base_currency_tax_amount", money(0)},
		{"base_currency_total_amount", p.amount}, {"base_currency_currency_charge", money(0)}, {"reference", p.kind.number(p.artefact.index)},
		{"allocated_artefacts", []object{{{"artefact", b.artefactRef(p.kind, p.artefact.index)}, {"amount", p.amount}, {"discount", money(0)}}}},
		{"tax_rate", nil}, {"payment_on_account", nil}, {"editable", false},
	}...)
}

func (b *book) contactAllocation(r row) object {
	p := b.payment(r)
	id, name := "CUSTOMER_ALLOCATION", "Customer Allocation"
	if p.kind.purchase {
		id, name = "VENDOR_ALLOCATION", "Vendor Allocation"
	}
	o := append(object{{"displayed_as", "Allocation " + paymentNumber(r.index)}}, r.stamps()...)
	return append(o, object{
		{"deleted_at", nil}, {"transaction_type", word("transaction_types", id, name)}, {"contact", b.contactRef(p.artefact.contact)},
		{"date", day(p.date)}, {"allocated_artefacts", []object{
			{{"artefact", b.artefactRef(p.kind, p.artefact.index)}, {"amount", p.amount}},
			{{"artefact", b.reference("contact_payments", r.index, paymentNumber(r.index))}, {"amount", -p.amount}},
		}},
	}...)
}

// plainRows are those of a source without invoices. Every tenth is deleted.
func (b *book) plainRows(source int) []row {
	list := otherSeries()[source].rows(b, false)
	for i := range list {
		list[i] = b.deletedAfter(list[i], i%10 == 7)
	}
	return list
}

func (b *book) otherPayment(r row) object {
	e := b.plainEntry(sourceOtherPayments, r)
	o := append(object{{"displayed_as", e.number}}, r.stamps()...)
	return append(o, object{
		{"deleted_at", stamp(r.deleted)}, {"transaction", b.transactionRef(sourceOtherPayments, r.index)}, {"transaction_type", word("transaction_types", e.kind, e.kindName)},
		{"payment_method", word("payment_methods", "CREDIT_DEBIT", "Credit/Debit")}, {"contact", nil}, {"bank_account", b.bankAccountRef(0)}, {"date", day(r.date)},
		{"net_amount", e.total}, {"tax_amount", money(0)}, {"total_amount", e.total}, {"reference", e.number},
		{"payment_lines", []object{{{"id", b.id("other_payments lines", r.index)}, {"ledger_account", b.ledgerAccountRef(accountOffice)}, {"details", "Supplies"}, {"total_amount", e.total}}}},
	}...)
}

func (b *book) journal(r row) object {
	e := b.plainEntry(sourceJournals, r)
	lines := make([]object, 0, len(e.legs))
	for i, l := range e.legs {
		lines = append(lines, object{
			{"id", b.id("journals lines", r.index<<8|uint64(i))}, {"displayed_as", e.number}, {"ledger_account", b.ledgerAccountRef(l.account)},
			{"details", "Monthly depreciation"}, {"debit", l.debit}, {"credit", l.credit},
		})
	}
	o := append(object{{"displayed_as", e.number}}, r.stamps()...)
	return append(o, object{
		{"transaction", b.transactionRef(sourceJournals, r.index)}, {"transaction_type", word("transaction_types", e.kind, e.kindName)}, {"deleted_at", stamp(r.deleted)},
		{"date", day(r.date)}, {"reference", e.number}, {"description", "Monthly depreciation"}, {"total", e.total}, {"journal_code", nil},
		{"journal_lines", lines}, {"migrated", false},
	}...)
}

func (b *book) bankTransfer(r row) object {
	e := b.plainEntry(sourceTransfers, r)
	o := append(object{{"displayed_as", e.number}}, r.stamps()...)
	return append(o, object{
		{"deleted_at", stamp(r.deleted)}, {"transaction", b.transactionRef(sourceTransfers, r.index)}, {"transaction_type", word("transaction_types", e.kind, e.kindName)},
		{"date", day(r.date)}, {"reference", e.number}, {"amount", e.total}, {"from_bank_account", b.bankAccountRef(0)}, {"to_bank_account", b.bankAccountRef(1)},
	}...)
}

// dueOf is the date that a document is sorted by when due_date is asked for.
func dueOf(r row) time.Time { return r.date.AddDate(0, 0, 30) }
