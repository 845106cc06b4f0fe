package sage

import "strings"

// What of Sage's answers is a natural person's data.
//
// A contact may be a person or a company, and nothing in it says which, so every contact counts as a person. What
// stays is what identifies it to the bookkeeping alone: its id and its reference. The same contact is in nearly every
// document, with its name in displayed_as, so the rules hold at any depth and for every operation, whatever attributes
// are asked for; an operation that has none of it loses nothing. Free text that bookkeepers type to each other
// (description, reference) stays, and what is typed to the contact (notes) does not.

// contactRefs are the members that hold a contact.
func contactRefs() []string { return []string{"contact", "usual_supplier", "insurer"} }

// contactPersonal is what is personal of a contact beside what is so anywhere.
func contactPersonal() []string {
	return []string{"displayed_as", "name", "notes", "tax_number", "registered_number", "cis_settings"}
}

// anywherePersonal is personal wherever it stands. An address or a person is taken out whole, so that a member which
// Sage adds later goes with it.
func anywherePersonal() []string {
	return []string{
		"contact_name",
		"main_contact_person", "delivery_contact_person", "first_name", "last_name", "initials",
		"email", "telephone", "mobile", "fax",
		"main_address", "main_address_free_form", "delivery_address", "delivery_address_free_form",
		"address_line_1", "address_line_2", "city", "postal_code",
		"bank_account_details",
	}
}

// personalOf returns the personal paths of an operation, and whether it is personal as a whole: a person or an address
// has nothing left once what is personal is taken out.
func personalOf(path string) (paths []string, whole bool) {
	collection, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	switch collection {
	case "user", "contact_persons", "addresses":
		return nil, true
	case "contacts":
		paths = contactPersonal()
	case "contact_payments", "contact_allocations", "contact_opening_balances", "unallocated_artefacts", "other_payments":
		// How these are called is not documented, and what they are about is a contact.
		paths = []string{"displayed_as"}
	case "attachments":
		paths = []string{"file"}
	default:
		if strings.HasPrefix(collection, "sales_") || strings.HasPrefix(collection, "purchase_") {
			paths = []string{"notes"}
		}
	}
	for _, ref := range contactRefs() {
		for _, member := range contactPersonal() {
			paths = append(paths, "**."+ref+"."+member)
		}
	}
	for _, member := range anywherePersonal() {
		paths = append(paths, "**."+member)
	}
	return paths, false
}
