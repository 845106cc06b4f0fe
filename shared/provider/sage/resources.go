package sage

import (
	"strings"

	"connectorvault/shared/resource"
)

// The paths of what belongs to the user and to no business. They are not in Sage's list of operations (Sage facts 2.2).
const (
	userPath       = "/user"
	businessesPath = "/businesses"
)

// maxPage is the largest page (Sage facts 2.3).
const maxPage = 200

// collection is a line of the table of what can be read: its path, the filters of its list, and those of one item. "-"
// is for what there is none of. Every list has attributes and pages beside its filters, and every item attributes.
type collection struct{ path, list, item string }

// Filters that many lists share.
const (
	changed   = "updated_or_created_since"
	removed   = changed + " deleted_since"
	dated     = "from_date to_date"
	documents = "search contact_id status_id " + dated + " " + changed + " has_attachments"
	settled   = documents + " deleted_since show_payments_allocations sort"
	lines     = "nested_attributes show_analysis_types"
)

// collections are Sage's operations that read (Sage facts 2.2); a test compares them with Sage's own list. One filter
// is left out on purpose: mark_as_sent, on an item of three kinds of sales documents, changes the document.
func collections() []collection {
	return []collection{
		// Whom a business deals with.
		{"contacts", removed + " contact_type_id exclude_system nested_attributes show_balance context_date search email show_unfinished_recurring_invoices_status filter_inactive_contacts",
			"nested_attributes show_balance context_date show_unfinished_recurring_invoices_status"},
		{"addresses", removed + " contact_id bank_account_id", "nested_attributes"},
		{"contact_persons", removed + " contact_id address_id", "nested_attributes"},
		{"contact_allocations", removed + " contact_id transaction_type_id sort", ""},
		{"contact_opening_balances", removed + " contact_id contact_type_id", ""},
		{"contact_payments", removed + " " + dated + " contact_id bank_account_id transaction_type_id sort", ""},
		{"unallocated_artefacts", "contact_id search", ""},

		// Sales and purchases.
		{"sales_invoices", settled, lines + " show_payments_allocations show_corrections show_recurring_invoice"},
		{"sales_credit_notes", settled, lines + " show_payments_allocations"},
		{"sales_corrective_invoices", settled, lines + " show_payments_allocations"},
		{"sales_quick_entries", settled, lines + " show_payments_allocations"},
		{"sales_quotes", documents + " sort", "nested_attributes"},
		{"sales_estimates", documents, "nested_attributes"},
		{"purchase_invoices", settled, lines + " show_payments_allocations show_corrections"},
		{"purchase_credit_notes", settled, lines + " show_payments_allocations"},
		{"purchase_corrective_invoices", settled, lines + " show_payments_allocations"},
		{"purchase_quick_entries", settled, lines + " show_payments_allocations"},
		{"hosted_artefact_payment_settings", "object_guid", ""},

		// The books.
		{"ledger_accounts", changed + " " + dated + " visible_in not_visible_in show_included_in_chart show_control_accounts ledger_account_type_id ledger_account_classification_id show_balance_details exclude_deleted_entries search sort_order_from_user_setting filter_inactive_bank_accounts",
			dated + " nested_attributes show_balance_details exclude_deleted_entries"},
		{"ledger_entries", changed + " " + dated + " transaction_id transaction_type_id journal_code_id ledger_account_id", "nested_attributes"},
		{"transactions", changed + " " + dated + " updated_from_date updated_to_date has_attachments transaction_type_id", "expand_origin"},
		{"journals", removed, lines},
		{"journal_codes", changed, ""},
		{"opening_balance_journals", "", ""},
		{"ledger_account_opening_balances", changed, ""},
		{"coa_accounts", changed + " coa_template_id", ""},
		{"coa_templates", "country_id", ""},
		{"analysis_types", changed + " analysis_type_level search", ""},
		{"analysis_type_categories", changed + " analysis_type_level", ""},
		{"attachments", removed + " attachment_context_id attachment_context_type_id legacy_attachment_context_id legacy_attachment_context_type", ""},

		// The bank.
		{"bank_accounts", removed + " nested_attributes exclude_stripe filter_inactive_bank_accounts appName", "nested_attributes"},
		{"bank_deposits", removed + " " + dated + " sort", "nested_attributes"},
		{"bank_transfers", removed + " " + dated + " sort", "nested_attributes"},
		{"bank_opening_balances", changed + " bank_account_id", ""},
		{"bank_reconciliations", changed + " bank_account_id", ""},
		{"other_payments", removed + " " + dated + " bank_account_id contact_id has_attachments transaction_type_id sort", lines},

		// What is sold and bought.
		{"products", removed + " search active", ""},
		{"services", removed + " search active", ""},
		{"stock_items", removed + " search active out_of_stock below_reorder_level", ""},
		{"stock_movements", dated + " search stock_item_id", ""},
		{"product_sales_price_types", "active", ""},
		{"service_rate_types", changed + " active", ""},

		// Taxes.
		{"tax_rates", changed + " usage address_region_id date include_historical_data include_destination_vat_rates cis_only", "date"},
		{"tax_profiles", changed, ""},
		{"tax_determinations", "artefact_id artefact_line_amount artefact_line_description artefact_line_goods_services_type artefact_line_id artefact_line_tax_included contact_id date include_destination_vat include_line_determination retailer_rates usage", "-"},
		{"tax_offices", "", ""},
		{"tax_return_frequencies", "tax_type_id", ""},
		{"tax_schemes", "", ""},
		{"tax_types", "", ""},
		{"migration_tax_returns", "", ""},

		// Currencies.
		{"currencies", "", ""},
		{"exchange_rates", "", ""},
		{"business_exchange_rates", "", ""},
		{"live_exchange_rates", "", ""},

		// Sage's own lists.
		{"address_regions", "country_id", ""},
		{"address_types", "", ""},
		{"artefact_statuses", "", ""},
		{"attachment_context_types", "", ""},
		{"bank_account_types", "", ""},
		{"business_activity_types", "", ""},
		{"business_types", "", ""},
		{"catalog_item_types", "", ""},
		{"contact_opening_balance_types", "", ""},
		{"contact_person_types", "", ""},
		{"contact_types", "", ""},
		{"corrective_reason_codes", "", ""},
		{"countries", "", ""},
		{"countries_of_registration", "", ""},
		{"country_groups", "", ""},
		{"eu_goods_services_types", "", ""},
		{"eu_sales_descriptions", "", ""},
		{"journal_code_types", "", ""},
		{"ledger_account_classifications", "ledger_account_type_id", ""},
		{"ledger_account_types", "ledger_account_classification_id", ""},
		{"legal_form_types", "", ""},
		{"payment_methods", "", ""},
		{"quick_entry_types", "", ""},
		{"transaction_types", "valid_for_business", ""},
	}
}

// singles are what there is one of in a business.
func singles() []string {
	return []string{"business_settings", "cis_settings", "datev_settings", "email_settings", "financial_settings", "invoice_settings", "migrations"}
}

// resources is everything that can be read: what belongs to the user, and then Sage's list. A resource is called like
// its path, in kebab case, and is found by the names of Sage's operations too.
func resources() []resource.Resource {
	all := []resource.Resource{
		{
			Name: "businesses", Title: "Businesses of the user",
			List: operation("getBusinesses", businessesPath, "-", pages("")),
			Item: operation("getBusinessesKey", businessesPath+"/{item}", "-", resource.Paging{}),
		},
		{Name: "lead-business", Title: "The user's leading business", List: operation("getBusinessesLead", businessesPath+"/lead", "-", resource.Paging{})},
		{Name: "user", Title: "The user who authorized", List: operation("getUser", userPath, "-", resource.Paging{})},
	}
	for _, c := range collections() {
		r := resource.Resource{Name: kebab(c.path), Title: title(c.path), Document: c.path == "attachments"}
		r.List = operation("get"+camel(c.path), "/"+c.path, c.list, pages("items_per_page"))
		if c.item != "-" {
			r.Item = operation("get"+camel(c.path)+"Key", "/"+c.path+"/{item}", c.item, resource.Paging{})
		}
		all = append(all, r)
	}
	for _, path := range singles() {
		all = append(all, resource.Resource{Name: kebab(path), Title: title(path), List: operation("get"+camel(path), "/"+path, "-", resource.Paging{})})
	}
	all = append(all, resource.Resource{Name: "bank-feed", Title: "Bank feed of a bank account",
		Item: operation("getBankAccountsKeyBankFeed", "/bank_accounts/{item}/bank_feed", "-", resource.Paging{})})
	for i := range all {
		all[i].Aliases = aliases(all[i])
	}
	return all
}

// fileOperation fetches the file of an attachment.
func fileOperation() resource.Operation {
	return resource.Operation{ID: "getAttachmentsKeyFile", Path: "/attachments/{item}/file"}
}

// operation is one of the table. filters is "-" where there are none, not even attributes.
func operation(id, path, filters string, paging resource.Paging) *resource.Operation {
	op := &resource.Operation{ID: id, Path: path, Paging: paging}
	if paging.Param != "" {
		op.Items = "$items"
	}
	if filters != "-" {
		for _, name := range append(strings.Fields(filters), "attributes") {
			op.Filters = append(op.Filters, filter(name))
		}
	}
	op.Personal, op.PersonalWhole = personalOf(path)
	return op
}

// pages is the one way in which Sage's lists follow each other: the answer links to the next page (Sage facts 2.3).
func pages(size string) resource.Paging {
	p := resource.Paging{Param: "page", Next: "$next", Link: true, Size: size}
	if size != "" {
		p.MaxSize = maxPage
	}
	return p
}

// aliases are the names of Sage's operations in kebab case, where they are not the resource's own.
func aliases(r resource.Resource) []string {
	var names []string
	for _, op := range []*resource.Operation{r.List, r.Item} {
		if op != nil {
			names = append(names, dashed(op.ID))
		}
	}
	if r.Document {
		names = append(names, dashed(fileOperation().ID))
	}
	return names
}

func kebab(path string) string { return strings.ReplaceAll(path, "_", "-") }

// camel makes BankAccounts of bank_accounts, as Sage's operations are named.
func camel(path string) string {
	var out strings.Builder
	for _, word := range strings.Split(path, "_") {
		out.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return out.String()
}

// dashed makes get-bank-accounts of getBankAccounts.
func dashed(id string) string {
	var out strings.Builder
	for _, r := range id {
		if r >= 'A' && r <= 'Z' {
			out.WriteByte('-')
			r += 'a' - 'A'
		}
		out.WriteRune(r)
	}
	return out.String()
}

// title makes a heading of a path.
func title(path string) string {
	text := strings.ReplaceAll(path, "_", " ")
	for short, long := range map[string]string{"cis ": "CIS ", "coa ": "chart of accounts: ", "datev ": "DATEV ", "eu ": "EU "} {
		if rest, ok := strings.CutPrefix(text, short); ok {
			text = long + rest
		}
	}
	return strings.ToUpper(text[:1]) + text[1:]
}
