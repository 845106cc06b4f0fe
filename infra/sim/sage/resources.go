package sagesim

import (
	"fmt"
	"slices"
	"strings"
)

// resource is one collection of the API.
type resource struct {
	name    string
	writes  string // which of c(reate), u(pdate), d(elete) exist beside reading
	filters string // the query parameters that limit or order it; others are ignored
	rows    func(*book) []row
	render  func(*book, row) object
	display func(*book, row) string // what displayed_as is, where it can be said without the rest
	// special decides about filters that cannot be seen in a record's members.
	special func(b *book, r row, name, value string) (passes, known bool)
	noItems bool // its records cannot be asked for one by one
}

func (r *resource) filtersBy(name string) bool {
	return slices.Contains(strings.Fields(r.filters), name)
}

const artefactFilters = "contact_id search status_id from_date to_date updated_or_created_since deleted_since has_attachments sort"

func artefactResource(k *artefactKind, filters string) resource {
	return resource{
		name: k.collection, writes: "cud", filters: filters, rows: func(b *book) []row { return b.artefactRows(k) }, render: renderArtefact(k),
		display: func(_ *book, r row) string { return k.number(r.index) },
		special: func(b *book, r row, name, value string) (bool, bool) {
			return b.attached(k.collection, r.index) == (value == "true"), name == "has_attachments"
		},
	}
}

// quoteFilters are those of documents that are never deleted as far as the API says (Sage facts 2.2).
func quoteFilters(but ...string) string {
	var kept []string
	for _, name := range strings.Fields(artefactFilters) {
		if !slices.Contains(but, name) {
			kept = append(kept, name)
		}
	}
	return strings.Join(kept, " ")
}

func touchedRows(s series) func(*book) []row {
	return func(b *book) []row { return s.rows(b, true) }
}

func sourceRows(source int) func(*book) []row {
	return func(b *book) []row { return b.plainRows(source) }
}

// bookResources are the collections with data of their own.
func bookResources() []resource {
	return []resource{
		{name: "contacts", writes: "cud", rows: (*book).contactRows, render: (*book).contact,
			display: func(b *book, r row) string { return b.contactDisplay(r.index) },
			filters: "updated_or_created_since deleted_since contact_type_id exclude_system search email filter_inactive_contacts"},
		{name: "addresses", writes: "cud", filters: "contact_id bank_account_id updated_or_created_since deleted_since", rows: (*book).contactRows, render: (*book).address},
		{name: "contact_persons", writes: "cud", filters: "address_id updated_or_created_since deleted_since contact_id", rows: (*book).contactRows, render: (*book).person},
		artefactResource(&salesInvoices, artefactFilters), artefactResource(&purchaseInvoices, artefactFilters),
		artefactResource(&salesCreditNotes, artefactFilters), artefactResource(&purchaseCreditNotes, artefactFilters),
		artefactResource(&salesQuickEntries, artefactFilters), artefactResource(&buyQuickEntries, artefactFilters),
		artefactResource(&salesCorrections, artefactFilters), artefactResource(&purchaseCorrections, artefactFilters),
		artefactResource(&salesQuotes, quoteFilters("deleted_since")), artefactResource(&salesEstimates, quoteFilters("deleted_since", "sort")),
		{name: "ledger_accounts", writes: "cu", rows: (*book).ledgerAccountRows, render: (*book).ledgerAccount, special: visibleIn,
			filters: "updated_or_created_since visible_in not_visible_in ledger_account_classification_id ledger_account_type_id search"},
		{name: "ledger_entries", rows: (*book).ledgerEntryRows, render: (*book).ledgerEntry, special: entryKind, display: (*book).ledgerEntryDisplay,
			filters: "from_date to_date transaction_id transaction_type_id journal_code_id updated_or_created_since ledger_account_id"},
		{name: "transactions", rows: (*book).bookings, render: (*book).transaction, special: transactionAttached, display: (*book).transactionDisplay,
			filters: "updated_or_created_since from_date to_date updated_from_date updated_to_date has_attachments transaction_type_id"},
		{name: "journals", writes: "cd", filters: "updated_or_created_since deleted_since", rows: sourceRows(sourceJournals), render: (*book).journal},
		{name: "bank_accounts", writes: "cud", filters: "updated_or_created_since deleted_since filter_inactive_bank_accounts",
			rows: (*book).bankAccountRows, render: (*book).bankAccount},
		{name: "bank_transfers", writes: "cud", filters: "updated_or_created_since deleted_since from_date to_date sort", rows: sourceRows(sourceTransfers), render: (*book).bankTransfer},
		{name: "contact_payments", writes: "cud", rows: (*book).paymentRows, render: (*book).contactPayment,
			filters: "contact_id bank_account_id transaction_type_id updated_or_created_since deleted_since from_date to_date sort"},
		{name: "contact_allocations", writes: "cud", rows: (*book).paymentRows, render: (*book).contactAllocation,
			filters: "contact_id transaction_type_id updated_or_created_since deleted_since sort"},
		{name: "other_payments", writes: "cud", rows: sourceRows(sourceOtherPayments), render: (*book).otherPayment, special: nothingAttached,
			filters: "bank_account_id contact_id deleted_since from_date has_attachments to_date transaction_type_id updated_or_created_since sort"},
		{name: "products", writes: "cud", filters: "search updated_or_created_since deleted_since active", rows: touchedRows(productSeries), render: article(productSeries)},
		{name: "services", writes: "cud", filters: "search updated_or_created_since deleted_since active", rows: touchedRows(serviceSeries), render: article(serviceSeries)},
		{name: "stock_items", writes: "cud", filters: "search updated_or_created_since deleted_since active", rows: touchedRows(stockSeries), render: article(stockSeries)},
		{name: "tax_rates", writes: "cud", filters: "updated_or_created_since", rows: (*book).taxRateRows, render: (*book).taxRate},
		{name: "attachments", writes: "cud", filters: "attachment_context_id attachment_context_type_id updated_or_created_since deleted_since",
			rows: touchedRows(attachmentSeries), render: (*book).attachment},
	}
}

func visibleIn(_ *book, r row, name, value string) (passes, known bool) {
	visible := slices.Contains(strings.Fields(ledgerAccounts[r.index].visible), value)
	return visible == (name == "visible_in"), name == "visible_in" || name == "not_visible_in"
}

func entryKind(b *book, r row, name, value string) (passes, known bool) {
	return b.entryOf(r).kind == value, name == "transaction_type_id"
}

func transactionAttached(b *book, r row, name, value string) (passes, known bool) {
	k, is := artefactSource(int(r.index >> sourceShift))
	has := is && b.attached(k.collection, r.index&lowIndex)
	return has == (value == "true"), name == "has_attachments"
}

func nothingAttached(_ *book, _ row, name, value string) (passes, known bool) {
	return value != "true", name == "has_attachments"
}

// plainResources are the collections whose records are alike: a name, stamps, a sum, and whatever they can be filtered by.
func plainResources() []resource {
	list := []resource{
		{name: "analysis_type_categories", writes: "cud", filters: "updated_or_created_since"},
		{name: "analysis_types", writes: "u", filters: "updated_or_created_since search"},
		{name: "bank_deposits", writes: "cd", filters: "updated_or_created_since deleted_since from_date to_date sort"},
		{name: "bank_opening_balances", writes: "cud", filters: "updated_or_created_since bank_account_id"},
		{name: "bank_reconciliations", writes: "cu", filters: "updated_or_created_since bank_account_id"},
		{name: "business_exchange_rates", writes: "cud"},
		{name: "coa_accounts", filters: "coa_template_id updated_or_created_since"},
		{name: "contact_opening_balances", writes: "cud", filters: "updated_or_created_since deleted_since contact_type_id contact_id"},
		{name: "hosted_artefact_payment_settings", writes: "cd"},
		{name: "journal_codes", writes: "cud", filters: "updated_or_created_since"},
		{name: "ledger_account_opening_balances", writes: "cud", filters: "updated_or_created_since"},
		{name: "migration_tax_returns", writes: "c"},
		{name: "opening_balance_journals", writes: "cd"},
		{name: "product_sales_price_types", writes: "cud", filters: "active"},
		{name: "service_rate_types", writes: "cud", filters: "updated_or_created_since active"},
		{name: "stock_movements", writes: "cud", filters: "search stock_item_id from_date to_date"},
		{name: "tax_determinations", filters: "contact_id", noItems: true},
		{name: "tax_profiles", writes: "u", filters: "updated_or_created_since"},
		{name: "unallocated_artefacts", filters: "contact_id search"},
	}
	for i := range list {
		s := series{list[i].name, 24, 45 * day24}
		list[i].rows, list[i].render = touchedRows(s), plainRecord(list[i].name, strings.Fields(list[i].filters))
	}
	return list
}

func plainRecord(name string, filters []string) func(*book, row) object {
	singular := title(strings.TrimSuffix(name, "s"))
	return func(b *book, r row) object {
		d := b.dice(name, r.index)
		o := append(object{{"displayed_as", singular + " " + reference4(r.index)}}, r.stamps()...)
		o = append(o, object{
			{"deleted_at", stamp(r.deleted)}, {"name", singular + " " + reference4(r.index)}, {"reference", reference4(r.index)}, {"date", day(r.date)},
			{"total_amount", money(1000 + d.below(400000, 30))}, {"active", r.index%8 != 7},
		}...)
		for _, filter := range filters {
			attribute := strings.TrimSuffix(filter, "_id")
			switch filter {
			case "contact_id":
				o = append(o, member{attribute, b.contactRef(b.partner(d, false))})
			case "contact_type_id":
				o = append(o, member{attribute, word("contact_types", "CUSTOMER", "Customer")})
			case "bank_account_id":
				o = append(o, member{attribute, b.bankAccountRef(uint64(d.below(len(bankAccounts), 31)))})
			case "stock_item_id":
				i := uint64(d.below(stockSeries.first, 32))
				o = append(o, member{attribute, b.reference("stock_items", i, "Stock Item "+reference4(i))})
			case "coa_template_id":
				o = append(o, member{attribute, word("coa_templates", b.place.country+"_SMALL_BUSINESS", "Small Business")})
			}
		}
		return o
	}
}

func reference4(i uint64) string { return fmt.Sprintf("%04d", i) }

// resources are all collections by name.
var resources = indexResources()

func indexResources() map[string]*resource {
	all := make(map[string]*resource)
	for _, list := range [][]resource{bookResources(), plainResources(), staticResources()} {
		for i := range list {
			all[list[i].name] = &list[i]
		}
	}
	return all
}
