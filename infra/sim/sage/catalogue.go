package sagesim

import (
	"bytes"
	"fmt"
	"strconv"
	"time"
)

// The articles of a business.
var (
	productSeries = series{"products", 30, 40 * day24}
	serviceSeries = series{"services", 12, 90 * day24}
	stockSeries   = series{"stock_items", 25, 50 * day24}
	articleNouns  = [...]string{"Lantern", "Kettle", "Backpack", "Fahrradtasche", "Théière", "Almohada", "Bottle", "Compass"}
	serviceNouns  = [...]string{"Repair", "Delivery", "Advice", "Hire"}
)

func (s series) catalogType() string {
	if s.kind == stockSeries.kind {
		return "STOCK"
	}
	return "PRODUCT"
}

// article shows a product, a service or a stock item, which differ in a few members.
func article(s series) func(*book, row) object {
	return func(b *book, r row) object {
		d := b.dice(s.kind, r.index)
		code, name := fmt.Sprintf("A/%04d", r.index), articleNouns[d.below(len(articleNouns), 20)]
		if s.kind == serviceSeries.kind {
			code, name = fmt.Sprintf("S-%03d", r.index), serviceNouns[d.below(len(serviceNouns), 20)]
		}
		name = fmt.Sprintf("%s %d", name, r.index+1)
		o := append(object{{"displayed_as", name + " (" + code + ")"}}, r.stamps()...)
		o = append(o, object{
			{"deleted_at", stamp(r.deleted)}, {"deletable", true}, {"deactivatable", true}, {"used_on_recurring_invoice", false}, {"item_code", code},
			{"description", name}, {"notes", nil}, {"sales_ledger_account", b.ledgerAccountRef(accountSales)}, {"sales_tax_rate", b.place.taxes[0].ref()},
			{"purchase_ledger_account", b.ledgerAccountRef(accountPurchases)}, {"usual_supplier", b.contactRef(b.partner(d, true))},
			{"purchase_tax_rate", b.place.taxes[0].ref()}, {"cost_price", money(200 + d.below(9000, 21))},
		}...)
		price := object{
			{"id", b.id(s.kind+" prices", r.index)}, {"displayed_as", "Sales Price"}, {"price", money(400 + d.below(20000, 22))}, {"price_includes_tax", false},
		}
		if s.kind == serviceSeries.kind {
			o = append(o, member{"sales_rates", []object{price}})
		} else {
			o = append(o, member{"sales_prices", []object{price}})
		}
		o = append(o, object{{"source_guid", nil}, {"purchase_description", name}, {"active", r.index%9 != 4}}...)
		if s.kind == stockSeries.kind {
			o = append(o, object{
				{"quantity_in_stock", money(100 * d.below(60, 23))}, {"reorder_level", money(1000)}, {"reorder_quantity", money(2000)}, {"barcode", nil},
				{"weight", money(d.below(900, 24))}, {"weight_measure", "kg"}, {"location", nil},
			}...)
		}
		if s.kind == serviceSeries.kind {
			return o
		}
		return append(o, member{"catalog_item_type", word("catalog_item_types", s.catalogType(), title(s.catalogType()))})
	}
}

// taxRateRows has word ids: GB_STANDARD and so on.
func (b *book) taxRateRows() []row {
	list := make([]row, len(b.place.taxes))
	for i, rate := range b.place.taxes {
		list[i] = row{word: rate.id, index: uint64(i), created: begin(), updated: begin()}
	}
	return list
}

func (b *book) taxRate(r row) object {
	rate := b.place.taxes[r.index]
	o := append(object{{"displayed_as", rate.display()}}, r.stamps()...)
	return append(o, object{
		{"name", rate.name}, {"agency", nil}, {"percentage", rate.percent},
		{"percentages", []object{{{"percentage", rate.percent}, {"from_date", "2011-01-04"}, {"to_date", nil}}}},
		{"is_visible", true}, {"retailer", false}, {"editable", false}, {"deletable", false}, {"is_combined_rate", false}, {"component_tax_rates", []object{}},
	}...)
}

// attachmentSeries makes files: the even ones of sales invoices and the odd ones of purchase invoices, each of the
// invoice with its own number.
var attachmentSeries = series{"attachments", 24, 60 * day24}

func (b *book) attachedTo(i uint64) (*artefactKind, string) {
	if i%2 == 0 {
		return &salesInvoices, "SALES_INVOICE"
	}
	return &purchaseInvoices, "PURCHASE_INVOICE"
}

// attached says whether an invoice has a file.
func (b *book) attached(collection string, i uint64) bool {
	k, _ := b.attachedTo(i)
	if k.collection != collection || i >= uint64(attachmentSeries.count(b)) {
		return false
	}
	return attachmentSeries.row(b, int(i), true).deleted.IsZero()
}

// bigFile is the number of the attachment that is larger than any answer of a serverless function may be.
const bigFile = 3

func fileSize(b *book, i uint64) int {
	if i == bigFile {
		return 7<<20 + 17
	}
	return 1000 + b.dice("attachments", i).below(60000, 1)
}

func (b *book) attachment(r row) object {
	i := r.index
	k, context := b.attachedTo(i)
	name := fmt.Sprintf("scan-%d.pdf", i+1)
	path := "/attachments/" + b.id("attachments", i) + "/file"
	o := object{
		{"displayed_as", name}, {"deleted_at", stamp(r.deleted)}, {"file", nil}, {"mime_type", "application/pdf"}, {"description", "Scan " + strconv.FormatUint(i+1, 10)},
		{"file_extension", ".pdf"}, {"transaction", nil}, {"file_size", fileSize(b, i)}, {"file_name", name}, {"$file_path", path},
		{"attachment_context_type", word("attachment_context_types", context, title(context))}, {"attachment_context", b.artefactRef(k, i)}, {"is_public", false},
	}
	return append(o, r.stamps()...)
}

// file is what an attachment holds: something that begins as a PDF does, the same whenever it is asked for.
func (b *book) file(i uint64) []byte {
	line := []byte("%PDF-1.4 simulated file of " + b.id("attachments", i) + "\n")
	size := fileSize(b, i)
	return bytes.Repeat(line, size/len(line)+1)[:size]
}

// The singletons: one object each, without an envelope.
func singletons() map[string]func(*book) object {
	return map[string]func(*book) object{
		"business_settings": (*book).businessSettings, "financial_settings": (*book).financialSettings, "invoice_settings": (*book).invoiceSettings,
		"email_settings": (*book).emailSettings, "cis_settings": (*book).cisSettings, "datev_settings": (*book).datevSettings, "migrations": (*book).migrations,
	}
}

func (b *book) businessSettings() object {
	return object{
		{"$path", "/business_settings"}, {"siret", nil}, {"management_centre_member", false}, {"rcs_number", nil}, {"share_capital", money(0)},
		{"business_activity_type", nil}, {"legal_form_type", nil}, {"auxiliary_accounts_visible", false},
		{"default_ledger_accounts", object{{"sales_ledger_account", b.ledgerAccountRef(accountSales)}, {"purchase_ledger_account", b.ledgerAccountRef(accountPurchases)}}},
		{"business_type", word("business_types", "LIMITED_COMPANY", "Limited Company")}, {"country_of_registration", b.place.countryRef()},
		{"business_created_at", stamp(begin())}, {"updated_at", stamp(begin())}, {"wizard_complete", true},
	}
}

// financialSettings has a date that is empty text, as one was seen (Sage facts 2.4).
func (b *book) financialSettings() object {
	yearEnd := time.Date(b.now.Year(), time.December, 31, 0, 0, 0, 0, time.UTC)
	return object{
		{"$path", "/financial_settings"}, {"year_end_date", day(yearEnd)}, {"year_end_lockdown_date", nil}, {"accounting_type", "accrual"},
		{"accounts_start_date", day(begin())}, {"base_currency", b.place.currencyRef()}, {"multi_currency_enabled", false}, {"use_live_exchange_rates", true},
		{"mtd_activation_status", "deactivated"}, {"mtd_connected", false}, {"mtd_authenticated_date", ""},
		{"tax_scheme", word("tax_schemes", "STANDARD", "Standard")}, {"tax_return_frequency", word("tax_return_frequencies", "QUARTERLY", "Quarterly")},
		{"tax_number", b.place.taxNumber}, {"general_tax_number", nil}, {"tax_office", nil}, {"default_irpf_rate", money(0)}, {"flat_rate_tax_percentage", nil},
		{"recoverable_percentage", money(0)}, {"sales_tax_calculation", "invoice"}, {"purchase_tax_calculation", "invoice"}, {"updated_at", stamp(begin())},
		{"postponed_accounting", false}, {"destination_vat", false},
	}
}

func (b *book) invoiceSettings() object {
	return object{
		{"$path", "/invoice_settings"}, {"next_invoice_number", artefactCount(b, &salesInvoices) + 1}, {"next_credit_note_number", artefactCount(b, &salesCreditNotes) + 1},
		{"separate_invoice_credit_note_numbering", true}, {"sales_invoice_number_prefix", salesInvoices.prefix}, {"default_delivery_address", false},
		{"updated_at", stamp(begin())},
	}
}

func artefactCount(b *book, k *artefactKind) int { return k.series().count(b) }

func (b *book) emailSettings() object {
	return object{
		{"$path", "/email_settings"}, {"reply_to", "office@example.com"}, {"default_message", "Please find our document attached."}, {"updated_at", stamp(begin())},
	}
}

func (b *book) cisSettings() object {
	return object{{"$path", "/cis_settings"}, {"contractor", false}, {"subcontractor", false}, {"deduction_rate", nil}, {"updated_at", stamp(begin())}}
}

func (b *book) datevSettings() object {
	return object{{"$path", "/datev_settings"}, {"consultant_number", nil}, {"client_number", nil}, {"chart_of_accounts", "SKR03"}, {"updated_at", stamp(begin())}}
}

func (b *book) migrations() object {
	return object{{"$path", "/migrations"}, {"status", "none"}, {"migration_date", nil}, {"updated_at", stamp(begin())}}
}
