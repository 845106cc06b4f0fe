package sagesim

import (
	"fmt"
	"strconv"
	"time"
)

// contactSeries makes more than two pages of contacts.
func contactSeries() series { return series{"contacts", 48, 20 * day24} }

// The parts of contacts' names. Some are not ASCII.
var (
	contactNames  = [...]string{"Harbour", "Québec", "Pennine", "Möwe", "Willow", "Atlántico", "Granite", "Château", "Fairway", "Ñuble", "Copper", "Søren & Co"}
	contactTrades = [...]string{"Stationery", "Logistics", "Bakery", "Plumbing", "Design", "Motors", "Catering", "Timber"}
)

// The first contact is the system's own; every third of the others is a vendor, and every twelfth is both.
func isSystem(i uint64) bool   { return i == 0 }
func isVendor(i uint64) bool   { return !isSystem(i) && i%3 == 2 || i%12 == 3 }
func isCustomer(i uint64) bool { return i%3 != 2 }

func (b *book) contactName(i uint64) string {
	if isSystem(i) {
		return "Cash Sales"
	}
	d := b.dice("contacts", i)
	return fmt.Sprintf("%s %s %d %s", contactNames[d.below(len(contactNames), 3)], contactTrades[d.below(len(contactTrades), 4)], i, b.place.suffix)
}

func (b *book) contactReference(i uint64) string { return fmt.Sprintf("C%04d", i) }

func (b *book) contactDisplay(i uint64) string {
	return b.contactName(i) + " (" + b.contactReference(i) + ")"
}

func (b *book) contactRef(i uint64) object {
	return b.reference("contacts", i, b.contactDisplay(i))
}

// partner is a contact that can be named on a document: one of those that were there from the start and stay.
func (b *book) partner(d dice, vendor bool) uint64 {
	for i := uint64(d.below(46, 5)) + 1; ; i = i%46 + 1 {
		if i%13 != 5 && (vendor && isVendor(i) || !vendor && isCustomer(i)) {
			return i
		}
	}
}

func (b *book) contactRows() []row { return contactSeries().rows(b, true) }

// contact is one of the parties that a business buys from or sells to. Its people and addresses are personal data.
func (b *book) contact(r row) object {
	i := r.index
	d := b.dice("contacts", i)
	kinds := []object{}
	if isCustomer(i) {
		kinds = append(kinds, word("contact_types", "CUSTOMER", "Customer"))
	}
	if isVendor(i) {
		kinds = append(kinds, word("contact_types", "VENDOR", "Vendor"))
	}
	o := append(object{{"displayed_as", b.contactDisplay(i)}}, r.stamps()...)
	o = append(o, object{
		{"links", []object{}}, {"deleted_at", stamp(r.deleted)}, {"contact_types", kinds}, {"name", b.contactName(i)},
		{"reference", b.contactReference(i)}, {"default_sales_ledger_account", b.ledgerAccountRef(accountSales)},
		{"default_sales_tax_rate", b.place.taxes[0].ref()}, {"default_purchase_ledger_account", b.ledgerAccountRef(accountPurchases)},
		{"tax_number", b.place.taxNumber}, {"notes", nullUnless(i%4 == 0, "Deliveries before noon only.")}, {"locale", b.place.locale},
		{"main_address", b.addressOf(i)}, {"delivery_address", nil}, {"main_contact_person", b.personOf(i)},
		{"bank_account_details", object{{"account_name", b.contactName(i)}, {"account_number", fmt.Sprintf("%08d", d.below(1e8, 6))}, {"sort_code", "00-00-00"}, {"bic", nil}, {"iban", nil}}},
		{"credit_limit", money(100000 + 50000*d.below(20, 7))}, {"credit_days", 30}, {"credit_terms", "day_of_invoice"}, {"credit_terms_and_conditions", nil},
		{"product_sales_price_type", nil}, {"source_guid", nil}, {"currency", b.place.currencyRef()}, {"aux_reference", nil},
		{"registered_number", nil}, {"deletable", !isSystem(i)}, {"tax_treatment", nil}, {"email", b.emailOf(i)}, {"tax_calculation", nil},
		{"auxiliary_account", nil}, {"gdpr_obfuscated", false}, {"system", isSystem(i)}, {"has_unfinished_recurring_invoices", false},
		{"cis_registered", false}, {"ni_based", false}, {"is_active", i%17 != 16}, {"gb_based", b.place.country == "GB"}, {"cis_settings", nil},
		{"destination_vat_blocking", false},
	}...)
	if b.query.balance {
		o = append(o, member{"balance", b.balance(i)})
	}
	return o
}

func nullUnless(is bool, text string) any {
	if is {
		return text
	}
	return nil
}

func (b *book) emailOf(i uint64) string {
	return "contact" + strconv.FormatUint(i, 10) + "@example.com"
}

// balance is what is outstanding between a business and a contact: what it owes less what it is owed.
func (b *book) balance(contact uint64) money {
	var sum money
	for _, kind := range []*artefactKind{&salesInvoices, &purchaseInvoices} {
		for _, r := range b.artefactRows(kind) {
			a := b.artefact(kind, r)
			if r.deleted.IsZero() && a.contact == contact && a.booked() {
				if kind.purchase {
					sum -= a.outstanding()
				} else {
					sum += a.outstanding()
				}
			}
		}
	}
	return sum
}

// Each contact has one address and one person, with its own number.
func (b *book) addressOf(i uint64) object {
	return append(b.reference("addresses", i, "Main Address"), b.addressLines(i)...)
}

func (b *book) addressLines(i uint64) object {
	return object{
		{"name", "Main Address"}, {"address_line_1", strconv.FormatUint(i+1, 10) + " Market Street"}, {"address_line_2", nil},
		{"city", b.place.city}, {"region", nil}, {"postal_code", b.place.postcode}, {"country", b.place.countryRef()},
		{"address_type", word("address_types", "ACCOUNTS", "Accounts")}, {"is_main_address", true},
	}
}

func (b *book) address(r row) object {
	o := append(object{{"displayed_as", "Main Address"}}, r.stamps()...)
	o = append(o, member{"deleted_at", stamp(r.deleted)})
	o = append(o, b.addressLines(r.index)...)
	return append(o, object{{"bank_account", nil}, {"contact", b.contactRef(r.index)}}...)
}

func (b *book) personName(i uint64) string { return fmt.Sprintf("Person %d", i) }

func (b *book) personOf(i uint64) object {
	return append(b.reference("contact_persons", i, b.personName(i)), b.personLines(i)...)
}

func (b *book) personLines(i uint64) object {
	return object{
		{"name", b.personName(i)}, {"job_title", "Accounts"}, {"telephone", fmt.Sprintf("%s%03d", b.place.phone, i%1000)},
		{"mobile", fmt.Sprintf("%s%03d", b.place.phone, (i+500)%1000)}, {"email", "person" + strconv.FormatUint(i, 10) + "@example.com"}, {"fax", nil},
		{"contact_person_types", []object{word("contact_person_types", "ACCOUNTS", "Accounts")}}, {"is_main_contact", true}, {"is_preferred_contact", true},
	}
}

func (b *book) person(r row) object {
	o := append(object{{"displayed_as", b.personName(r.index)}}, r.stamps()...)
	o = append(o, member{"deleted_at", stamp(r.deleted)})
	o = append(o, b.personLines(r.index)...)
	return append(o, object{{"address", b.reference("addresses", r.index, "Main Address")}, {"contact", b.contactRef(r.index)}}...)
}

// The bank accounts of every business, with their ledger accounts.
var bankAccounts = [...]struct {
	name, kind, kindName string
	account              int
}{
	{"Current", "CHECKING", "Current", accountBank}, {"Savings", "SAVINGS", "Savings", accountSavings},
	{"Company Card", "CREDIT_CARD", "Credit Card", accountCard}, {"Petty Cash", "CASH_IN_HAND", "Cash in Hand", accountCash},
}

func bankAccountSeries() series { return series{"bank_accounts", len(bankAccounts), never} }

func (b *book) bankAccountRows() []row {
	list := bankAccountSeries().rows(b, false)
	for i := range list {
		list[i].updated = b.touched(list[i].created)
	}
	return list
}

// touched is when something that changes on every first of a month last did.
func (b *book) touched(created time.Time) time.Time {
	month := time.Date(b.now.Year(), b.now.Month(), 1, 6, 0, 0, 0, time.UTC)
	if month.After(b.now) {
		month = month.AddDate(0, -1, 0)
	}
	if month.Before(created) {
		return created
	}
	return month
}

func (b *book) bankAccountDisplay(i uint64) string {
	return fmt.Sprintf("%s (%d)", bankAccounts[i].name, ledgerAccounts[bankAccounts[i].account].nominal)
}

func (b *book) bankAccountRef(i uint64) object {
	return b.reference("bank_accounts", i, b.bankAccountDisplay(i))
}

func (b *book) bankAccount(r row) object {
	account := bankAccounts[r.index]
	d := b.dice("bank_accounts", r.index)
	o := append(object{{"displayed_as", b.bankAccountDisplay(r.index)}}, r.stamps()...)
	return append(o, object{
		{"deleted_at", nil},
		{"bank_account_details", object{{"account_name", account.name}, {"account_number", fmt.Sprintf("%08d", d.below(1e8, 1))}, {"sort_code", "00-00-00"}, {"bic", nil}, {"iban", nil}}},
		{"ledger_account", b.ledgerAccountRef(account.account)}, {"bank_account_type", word("bank_account_types", account.kind, account.kindName)},
		{"balance", money(d.below(9000000, 2) - 1000000)}, {"main_address", nil}, {"main_contact_person", nil},
		{"nominal_code", ledgerAccounts[account.account].nominal}, {"editable", true}, {"deletable", false}, {"journal_code", nil},
		{"default_payment_method", word("payment_methods", "ELECTRONIC", "Electronic")}, {"gifi_code", nil}, {"is_active", true}, {"currency", b.place.currencyRef()},
	}...)
}
