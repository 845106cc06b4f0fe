package sage

import (
	"slices"

	"connectorvault/shared/resource"
)

// filter is a query parameter by name. Sage uses a name for one thing only, so what it may be is said once.
func filter(name string) resource.Filter {
	f := resource.Filter{Name: name, Help: help(name)}
	switch {
	case name == "attributes":
		f.List = resource.CSV
	case name == "usage":
		f.Values = []string{"sales", "purchase"}
	case name == "visible_in" || name == "not_visible_in":
		f.Values = []string{"sales", "banking", "expenses", "other_payments", "other_receipts", "journals", "reporting"}
	case slices.Contains(flags(), name):
		f.Values = []string{"true", "false"}
	}
	return f
}

// flags are the filters that are true or false.
func flags() []string {
	return []string{
		"active", "below_reorder_level", "cis_only", "exclude_deleted_entries", "exclude_stripe", "exclude_system", "expand_origin",
		"filter_inactive_bank_accounts", "filter_inactive_contacts", "has_attachments", "include_destination_vat",
		"include_destination_vat_rates", "include_historical_data", "include_line_determination", "out_of_stock", "retailer_rates",
		"show_analysis_types", "show_balance", "show_balance_details", "show_control_accounts", "show_corrections",
		"show_included_in_chart", "show_payments_allocations", "show_recurring_invoice", "show_unfinished_recurring_invoices_status",
		"sort_order_from_user_setting",
	}
}

// help says to a person what a filter is, where its name does not.
func help(name string) string {
	switch name {
	case "attributes":
		return "What to send of each item beside id, displayed_as and $path: names, or all. All of a long document may take Sage too long."
	case "nested_attributes":
		return "What to send of parts of an item: names, as part:name."
	case "updated_or_created_since":
		return "ISO 8601 time. Items made or changed at this time or after it."
	case "deleted_since":
		return "ISO 8601 time. Items deleted after this time; one deleted at the very time is not among them."
	case "from_date", "to_date", "date", "context_date", "updated_from_date", "updated_to_date":
		return "A date, YYYY-MM-DD."
	case "sort":
		return "An attribute, alone or followed by :desc; as a rule created_at, updated_at, date or due_date."
	case "contact_type_id":
		return "CUSTOMER or VENDOR."
	case "status_id":
		return "Such as DRAFT, UNPAID, PART_PAID, PAID or VOID; see artefact-statuses."
	case "search":
		return "Words to look for."
	case "transaction_type_id":
		return "See transaction-types."
	default:
		return ""
	}
}
