package sagesim

import (
	"fmt"
	"slices"
	"strings"
)

// The ledger accounts that something is booked to, as indexes of ledgerAccounts.
const (
	accountDebtors = iota
	accountBank
	accountSavings
	accountCash
	accountCard
	accountCreditors
	accountSalesTax
	accountPurchaseTax
	accountCapital
	accountSales
	accountPurchases
	accountOffice
	accountDepreciation
	accountSuspense
)

type ledgerAccount struct {
	nominal              int
	name                 string
	kind, classification string
	visible              string // the places it can be chosen in
	control              string
}

const everywhere = "sales banking expenses other_payments other_receipts journals reporting"

// ledgerAccounts are the chart of accounts of every business. The first ones stand in the order of the constants.
var ledgerAccounts = [...]ledgerAccount{
	{1100, "Trade Debtors", "CURRENT_ASSETS", "ASSETS", "journals reporting", "TRADE_DEBTORS"},
	{1200, "Current", "BANK", "ASSETS", "banking journals reporting", ""},
	{1210, "Savings", "BANK", "ASSETS", "banking journals reporting", ""},
	{1220, "Petty Cash", "BANK", "ASSETS", "banking journals reporting", ""},
	{1240, "Company Card", "BANK", "ASSETS", "banking journals reporting", ""},
	{2100, "Trade Creditors", "CURRENT_LIABILITIES", "LIABILITIES", "journals reporting", "TRADE_CREDITORS"},
	{2200, "Tax on Sales", "CURRENT_LIABILITIES", "LIABILITIES", "reporting", "SALES_TAX"},
	{2201, "Tax on Purchases", "CURRENT_LIABILITIES", "LIABILITIES", "reporting", "PURCHASE_TAX"},
	{3000, "Capital", "EQUITY", "EQUITY", "journals reporting other_receipts", ""},
	{4000, "Sales Type A", "SALES", "REVENUE", "sales other_receipts journals reporting", ""},
	{5000, "Cost of Sales Goods", "DIRECT_EXPENSES", "EXPENSES", "expenses other_payments journals reporting", ""},
	{7500, "Office Costs", "OVERHEADS", "EXPENSES", "expenses other_payments journals reporting", ""},
	{8000, "Depreciation", "OVERHEADS", "EXPENSES", "journals reporting", ""},
	{0, "Suspense", "CURRENT_LIABILITIES", "LIABILITIES", everywhere, ""}, // without a nominal code, as some arrive (Sage facts 2.4)
	{4010, "Sales Type B", "SALES", "REVENUE", "sales other_receipts journals reporting", ""},
	{4020, "Sales Type C", "SALES", "REVENUE", "sales other_receipts journals reporting", ""},
	{4900, "Other Income", "OTHER_INCOME", "REVENUE", "sales other_receipts journals reporting", ""},
	{5010, "Carriage", "DIRECT_EXPENSES", "EXPENSES", "expenses other_payments journals reporting", ""},
	{5100, "Subcontractors", "DIRECT_EXPENSES", "EXPENSES", "expenses other_payments journals reporting", ""},
	{6200, "Marketing", "OVERHEADS", "EXPENSES", "expenses other_payments journals reporting", ""},
	{7100, "Rent", "OVERHEADS", "EXPENSES", "expenses other_payments journals reporting", ""},
	{7200, "Electricity", "OVERHEADS", "EXPENSES", "expenses other_payments journals reporting", ""},
	{7300, "Vehicle Expenses", "OVERHEADS", "EXPENSES", "expenses other_payments journals reporting", ""},
	{7502, "Telephone & Internet", "OVERHEADS", "EXPENSES", "expenses other_payments journals reporting", ""},
	{7600, "Legal Fees", "OVERHEADS", "EXPENSES", "expenses other_payments journals reporting", ""},
	{7900, "Bank Charges", "OVERHEADS", "EXPENSES", "expenses other_payments journals reporting", ""},
}

func ledgerAccountSeries() series { return series{"ledger_accounts", len(ledgerAccounts), never} }

// ledgerAccountRows lists the accounts. Those of the bank change every month, none is ever deleted (Sage facts 2.2).
func (b *book) ledgerAccountRows() []row {
	list := ledgerAccountSeries().rows(b, false)
	for i := range list {
		if ledgerAccounts[i].kind == "BANK" {
			list[i].updated = b.touched(list[i].created)
		}
	}
	return list
}

func (a ledgerAccount) display() string {
	if a.nominal == 0 {
		return a.name
	}
	return fmt.Sprintf("%s (%d)", a.name, a.nominal)
}

func (b *book) ledgerAccountRef(i int) object {
	return b.reference("ledger_accounts", uint64(i), ledgerAccounts[i].display())
}

func title(id string) string {
	words := strings.Split(strings.ToLower(id), "_")
	for i, w := range words {
		if w != "" {
			words[i] = strings.ToUpper(w[:1]) + w[1:]
		}
	}
	return strings.Join(words, " ")
}

func (b *book) ledgerAccount(r row) object {
	a := ledgerAccounts[r.index]
	var nominal any
	if a.nominal != 0 {
		nominal = a.nominal
	}
	scopes := strings.Fields(a.visible)
	o := append(object{{"displayed_as", a.display()}}, r.stamps()...)
	o = append(o, object{
		{"ledger_account_group", word("ledger_account_groups", a.classification, title(a.classification))}, {"name", a.name}, {"display_name", a.name},
		{"visible_scopes", scopes}, {"included_in_chart", true}, {"nominal_code", nominal},
		{"ledger_account_type", word("ledger_account_types", a.kind, title(a.kind))},
		{"ledger_account_classification", word("ledger_account_classifications", a.classification, title(a.classification))},
		{"tax_rate", b.place.taxes[0].ref()}, {"fixed_tax_rate", false},
	}...)
	for _, scope := range strings.Fields(everywhere) {
		o = append(o, member{"visible_in_" + scope, slices.Contains(scopes, scope)})
	}
	return append(o, object{
		{"balance_details", nil}, {"is_control_account", a.control != ""}, {"control_name", nullUnless(a.control != "", a.control)},
		{"display_formatted", a.display()}, {"tax_recoverable", false}, {"recoverable_percentage", money(0)}, {"gifi_code", nil},
	}...)
}
