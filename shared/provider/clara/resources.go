package clara

import (
	"strings"

	"connectorvault/shared/resource"
)

const mostItems = 100 // of a page; stated for transactions, assumed of the others (Clara facts 4.5)

// resources is everything that can be read here (Clara facts 4.5). The version of each path is the highest that is known
// for it; that of billing statements is assumed.
func resources() []resource.Resource {
	return []resource.Resource{
		collection("transactions", "Transactions", "/v3/transactions", true,
			"operationDateRangeStart operationDateRangeEnd accountingDateRangeStart accountingDateRangeEnd status type"),
		{Name: "transaction-documents", Title: "Documents of a transaction",
			Item: documentsOperation()},
		{Name: "extracted-documents", Title: "What was read out of the documents of a transaction",
			Item: operation("transactions/extracted-documents", "/v3/transactions/{item}/extracted-documents", "uuid type validationStatus", pages())},
		collection("users", "Users", "/v3/users", false,
			"status role uuid name lastName fullName email mobilePhone taxIdentifier erpId createdAtStart createdAtEnd locationUuid locationName managerUuid"),
		collection("cards", "Cards", "/v3/cards", false, "userUuid userErpId username status periodicity type"),
		collection("groups", "Groups", "/v2/groups", false, ""),
		collection("locations", "Locations, closed ones among them", "/v2/locations", false, ""),
		collection("billing-statements", "Billing statements", "/v3/billing-statements", false, ""),
		{Name: "billing-statement-transactions", Title: "Transactions of a billing statement",
			Item: operation("billing-statements/transactions", "/v3/billing-statements/{item}/transactions", "", pages())},
	}
}

// collection is a list whose items can be read one by one.
func collection(name, title, path string, document bool, filters string) resource.Resource {
	return resource.Resource{Name: name, Title: title, Document: document,
		List: operation(name, path, filters, pages()),
		Item: operation(name+"/{uuid}", path+"/{item}", "", resource.Paging{})}
}

// documentsOperation lists the documents of a transaction, which come all at once.
func documentsOperation() *resource.Operation {
	op := operation("transactions/documents", "/v3/transactions/{item}/documents", "", resource.Paging{})
	op.Items = documentsPath
	return op
}

// pages are Spring's: numbered from zero (Clara facts 4.6). Some lists come bare, and clients were seen to look for the
// numbers one level down and for the list under other names.
func pages() resource.Paging {
	return resource.Paging{Param: "page", Next: "[number,page.number].0", Pages: "[totalPages,page.totalPages].0", Size: "size", MaxSize: mostItems}
}

// The paths of lists. An answer that is a list itself is taken too; the path of documents says so, since they have no pages.
const (
	listPath      = "[content,data,items,results].0"
	documentsPath = "[attachments,content,documents,@this].0"
)

// operation is one of the table.
func operation(id, path, filters string, paging resource.Paging) *resource.Operation {
	op := &resource.Operation{ID: id, Path: path, Paging: paging, Personal: personal(path), Withheld: withheld()}
	if paging.Param != "" {
		op.Items = listPath
	}
	for _, name := range strings.Fields(filters) {
		op.Filters = append(op.Filters, filter(path, name))
	}
	return op
}

// filter is a query parameter. What it may be is said only where Clara lists it; the lists that end in "…" there are no
// reason to refuse a value.
func filter(path, name string) resource.Filter {
	f := resource.Filter{Name: name}
	switch {
	case strings.HasPrefix(name, "operationDate"), strings.HasPrefix(name, "accountingDate"), strings.HasPrefix(name, "createdAt"):
		f.Help = "A date, YYYY-MM-DD."
	case name == "status" && path == "/v3/transactions":
		f.Help = "Such as NOTIFICATION, PRE_AUTHORIZED, AUTHORIZED, REJECTED or SYSTEM_TRANSACTION."
	case name == "type" && path == "/v3/transactions":
		f.Help = "PURCHASE, REFUND, FEE, CREDIT or PAYMENT."
	case name == "status" && path == "/v3/users":
		f.Help = "ACTIVE or LOCKED."
	case name == "role":
		f.Values = []string{"EMPLOYEE", "MANAGER", "COMPANY_OWNER", "BOOKKEEPER"}
	case name == "status":
		f.Help = "Such as ACTIVE, BLOCKED, CANCELLED or EXPIRED."
	case name == "periodicity":
		f.Values = []string{"DAILY", "WEEKLY", "MONTHLY"}
	case name == "userUuid":
		f.Help = "Not together with userErpId."
	case name == "userErpId":
		f.Help = "Not together with userUuid."
	case name == "username":
		f.Help = "The exact name."
	case name == "validationStatus":
		f.Values = []string{"VALIDATED_BY_CLARA", "VALIDATED_BY_USER", "NOT_VERIFIED"}
	}
	return f
}

// personal is what of an answer is a natural person's data, at any depth: whoever holds a card is in every transaction of
// it. Ids, roles and states stay.
func personal(path string) []string {
	paths := []string{
		"**.email", "**.username", "**.userName", "**.fullName", "**.userFullName", "**.firstName", "**.lastName", "**.secondLastName",
		"**.mobilePhone", "**.phone", "**.phoneNumber", "**.address", "**.birthDate", "**.curp",
		"**.user.name", "**.manager.name", "**.owner.name", "**.holder.name", "**.cardHolder", "**.holderName",
	}
	collection := strings.Split(path, "/")[2]
	switch {
	case collection == "users":
		paths = append(paths, "name", "**.taxIdentifier", "**.rfc", "**.cpf", "alias")
	case collection == "cards":
		paths = append(paths, "alias") // people call a card after its holder
	case strings.HasSuffix(path, "documents"):
		paths = append(paths, "**.fileName", "**.filename", "**.issuer", "**.receiver", "**.content", "**.data", "**.fields")
	}
	return paths
}

// withheld are the addresses of attachments, which open them to whoever has them for twelve hours (Clara facts 4.5).
// Documents are read through us.
func withheld() []string {
	return []string{"**.url", "**.downloadUrl", "**.fileUrl", "**.documentUrl", "**.attachmentUrl", "**.presignedUrl", "**.uri", "**.attachments.*.link"}
}
