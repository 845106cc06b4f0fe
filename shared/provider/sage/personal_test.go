package sage_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"connectorvault/shared/provider/sage"
	"connectorvault/shared/resource"
)

// A contact as Sage may send it, where everything that is a person's says so. What must stay is marked too.
const syntheticContact = `{"id":"keep-id","displayed_as":"PERSON (P1)","$path":"/contacts/keep-path","name":"PERSON","reference":"keep-reference",
"contact_types":[{"id":"CUSTOMER","displayed_as":"keep-type"}],"email":"PERSON","telephone":"PERSON","mobile":"PERSON","fax":"PERSON","notes":"PERSON",
"tax_number":"PERSON","registered_number":"PERSON","balance":"keep-12.50","credit_days":30,"currency":{"id":"GBP","displayed_as":"keep-currency"},
"main_address":{"id":"a","displayed_as":"PERSON","address_line_1":"PERSON","city":"PERSON","postal_code":"PERSON","new_member":"PERSON"},
"delivery_address":{"address_line_2":"PERSON"},"main_contact_person":{"name":"PERSON","email":"PERSON","job_title":"PERSON"},
"bank_account_details":{"account_name":"PERSON","iban":"PERSON"},"cis_settings":{"registered_cis_name":"PERSON"},
"default_sales_ledger_account":{"id":"keep-ledger","displayed_as":"keep-ledger-name"}}`

func stripped(t *testing.T, op resource.Operation, item string) string {
	t.Helper()
	got := string(resource.Strip(op, json.RawMessage(item)))
	if !json.Valid([]byte(got)) {
		t.Fatalf("%s left %s", op.ID, got)
	}
	return got
}

// holds asks that nothing of a person is left and everything else is.
func holds(t *testing.T, op resource.Operation, given, got string) {
	t.Helper()
	if strings.Contains(got, "PERSON") {
		t.Errorf("%s gives out %s", op.ID, got)
	}
	if want, have := strings.Count(given, "keep-"), strings.Count(got, "keep-"); want != have {
		t.Errorf("%s keeps %d of %d: %s", op.ID, have, want, got)
	}
}

func TestContactsArePeople(t *testing.T) {
	t.Parallel()
	res, _ := sage.New(sage.Options{}).Descriptor().Resource("contacts")
	for _, op := range []resource.Operation{*res.List, *res.Item} {
		holds(t, op, syntheticContact, stripped(t, op, syntheticContact))
	}
	short := `{"id":"keep-c1","displayed_as":"PERSON (P1)","$path":"/contacts/keep-c1"}`
	if got := stripped(t, *res.List, short); got != `{"id":"keep-c1","$path":"/contacts/keep-c1"}` {
		t.Errorf("of a short list's line is left %s", got)
	}
}

// A contact is referred to nearly everywhere, short or in full, in one or in a list: the rules hold for every operation.
func TestContactsWhereverTheyAre(t *testing.T) {
	t.Parallel()
	for _, op := range everyOperation() {
		if op.PersonalWhole {
			continue
		}
		for _, item := range []string{
			`{"id":"keep-1","contact":` + syntheticContact + `}`,
			`{"id":"keep-2","lines":[{"contact":[` + syntheticContact + `]}],"contact_name":"PERSON","contact_reference":"keep-ref"}`,
			`{"id":"keep-3","usual_supplier":{"id":"keep-4","displayed_as":"PERSON","name":"PERSON"},"insurer":{"displayed_as":"PERSON"}}`,
			`{"id":"keep-5","transaction":{"id":"keep-6","contact":{"id":"keep-7","displayed_as":"PERSON","$path":"keep-8"}}}`,
			`{"id":"keep-9","email":"PERSON","telephone":"PERSON","mobile":"PERSON","main_address_free_form":"PERSON","delivery_address_free_form":"PERSON",
			  "main_address":{"x":"PERSON"},"delivery_address":{"x":"PERSON"},"total_amount":"keep-1.00","date":"keep-2026-01-01"}`,
		} {
			holds(t, op, item, stripped(t, op, item))
		}
	}
}

// What is said of a person or an address alone is nothing without it.
func TestWhatIsPersonalAsAWhole(t *testing.T) {
	t.Parallel()
	want := []string{"getAddresses", "getAddressesKey", "getContactPersons", "getContactPersonsKey", "getUser"}
	var got []string
	for _, op := range everyOperation() {
		if op.PersonalWhole {
			got = append(got, op.ID)
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("personal as a whole are %v, want %v", got, want)
	}
}

// What the rules of one kind add, and what they leave.
func TestStripByKind(t *testing.T) {
	t.Parallel()
	for name, item := range map[string]string{
		"sales-invoices":           `{"id":"keep-1","displayed_as":"keep-SI-1","notes":"PERSON","reference":"keep-2","invoice_lines":[{"description":"keep-3"}],"status":{"id":"PAID","displayed_as":"keep-4"}}`,
		"purchase-quick-entries":   `{"id":"keep-1","displayed_as":"keep-2","notes":"PERSON"}`,
		"products":                 `{"id":"keep-1","displayed_as":"keep-2","notes":"keep-3","usual_supplier":{"id":"keep-4","displayed_as":"PERSON"}}`,
		"contact-payments":         `{"id":"keep-1","displayed_as":"PERSON","reference":"keep-2","bank_account":{"id":"keep-3","displayed_as":"keep-4"}}`,
		"unallocated-artefacts":    `{"id":"keep-1","displayed_as":"PERSON"}`,
		"ledger-entries":           `{"id":"keep-1","displayed_as":"keep-2","description":"keep-3","contact":{"id":"keep-4","displayed_as":"PERSON"},"debit":"keep-1.5"}`,
		"bank-accounts":            `{"id":"keep-1","displayed_as":"keep-2","bank_account_details":{"iban":"PERSON"},"main_contact_person":{"displayed_as":"PERSON"},"balance":"keep-3"}`,
		"attachments":              `{"id":"keep-1","file":"PERSON","file_name":"keep-2","$file_path":"keep-3"}`,
		"businesses":               `{"id":"keep-1","displayed_as":"keep-2","name":"keep-3","address_line_1":"PERSON","city":"PERSON","telephone":"PERSON","country":{"id":"GB","displayed_as":"keep-4"},"subscriptions":[{"id":"keep-5"}]}`,
		"countries":                `{"id":"GB","displayed_as":"keep-1"}`,
		"financial-settings":       `{"tax_number":"keep-1","tax_scheme":{"displayed_as":"keep-2"}}`,
		"contact-opening-balances": `{"id":"keep-1","displayed_as":"PERSON"}`,
	} {
		op := list(t, name)
		holds(t, op, item, stripped(t, op, item))
	}
}
