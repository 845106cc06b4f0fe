package amazon

import (
	"context"
	"encoding/json"
	"net/url"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"connectorvault/shared/fault"
	"connectorvault/shared/provider"
	"connectorvault/shared/resource"
	"connectorvault/shared/secret"
)

// documentLife is how long a presigned address works (Amazon facts 13).
const documentLife = 5 * time.Minute

// restrictedToken is the operation that turns the account's token into one for one path of personal data (Amazon
// facts 5.5). It asks for a token, so it is no resource.
func restrictedToken() resource.Operation {
	return resource.Operation{ID: "createRestrictedDataToken", Method: "POST", Path: "/tokens/2021-03-01/restrictedDataToken", Rate: 1, Burst: 10}
}

// Locate implements provider.Librarian. The item of "reports" and "feeds" is the report or feed, whose document is
// looked up; that of the resources named after documents is the document itself.
func (a *Adapter) Locate(ctx context.Context, target provider.Target, res resource.Resource, item string, personal bool, call provider.Caller) (provider.Document, error) {
	switch res.Name {
	case "reports":
		return a.reportDocument(ctx, item, personal, call)
	case "feeds":
		return a.feedDocument(ctx, item, call)
	case "get-report-document":
		// The document's id does not say what kind of report it is. What may be personal data counts as such.
		if !personal {
			return provider.Document{}, personalNeeded("What kind of report this document is cannot be told from its id, so it counts as personal data.").
				Do("Read it as the document of its report, or with a key that has the grant and personal_data=true.")
		}
		doc, err := a.place(ctx, call, provider.Call{Op: a.operation(res.Name), Params: itemOf(item)}, "url")
		doc.Personal = true
		return doc, err
	case "get-feed-document":
		return a.place(ctx, call, provider.Call{Op: a.operation(res.Name), Params: itemOf(item)}, "url")
	}
	source, known := addressPaths[res.Name]
	if !known || res.Item == nil {
		return provider.Document{}, fault.New(fault.NotFound, "unknown_resource", "There is no document behind "+res.Name+".")
	}
	params := itemOf(item)
	if plan, shipment, two := strings.Cut(item, "/"); two && res.Name == "get-delivery-challan-document" {
		params = url.Values{"inboundPlanId": {plan}, "item": {shipment}}
	}
	params = resource.WithDefaults(*res.Item, params, func(name string) []string { return a.Resolve(name, target, time.Time{}) })
	return a.place(ctx, call, provider.Call{Op: *res.Item, Params: params}, source)
}

// addressPaths are where the answers of the remaining operations hold the address of a document.
var addressPaths = map[string]string{
	"get-bill-of-lading":            "payload.DownloadURL",
	"get-labels":                    "payload.DownloadURL",
	"get-document":                  "documentUrl",
	"get-delivery-challan-document": "documentDownload.uri",
}

func itemOf(item string) url.Values { return url.Values{"item": {item}} }

func (a *Adapter) reportDocument(ctx context.Context, report string, personal bool, call provider.Caller) (provider.Document, error) {
	answer, err := call(ctx, provider.Call{Op: a.item("reports"), Params: itemOf(report)})
	if err != nil {
		return provider.Document{}, err
	}
	kind := gjson.GetBytes(answer.Body, "reportType").String()
	restricted := restrictedReport(kind)
	if (restricted || personalReport(kind)) && !personal {
		return provider.Document{}, personalNeeded("Reports of type " + clip(kind) + " hold personal data.").
			Do("Ask with a key that has the grant and with personal_data=true.")
	}
	id, err := documentID(answer.Body, "reportDocumentId", "report")
	if err != nil {
		return provider.Document{}, err
	}
	where := provider.Call{Op: a.item("get-report-document"), Params: itemOf(id)}
	if restricted {
		// The token is good for this very path and nothing else; a general path would not be taken for reports.
		where.Access, err = a.mint(ctx, strings.Replace(where.Op.Path, "{item}", url.PathEscape(id), 1), call)
		if err != nil {
			return provider.Document{}, err
		}
	}
	doc, err := a.place(ctx, call, where, "url")
	doc.Personal = restricted || personalReport(kind)
	return doc, err
}

func (a *Adapter) feedDocument(ctx context.Context, feed string, call provider.Caller) (provider.Document, error) {
	answer, err := call(ctx, provider.Call{Op: a.item("feeds"), Params: itemOf(feed)})
	if err != nil {
		return provider.Document{}, err
	}
	id, err := documentID(answer.Body, "resultFeedDocumentId", "feed")
	if err != nil {
		return provider.Document{}, err
	}
	return a.place(ctx, call, provider.Call{Op: a.item("get-feed-document"), Params: itemOf(id)}, "url")
}

// documentID takes the document's id out of a report or a feed, or says why there is none.
func documentID(body []byte, member, what string) (string, error) {
	if id := gjson.GetBytes(body, member).String(); id != "" {
		return id, nil
	}
	switch status := gjson.GetBytes(body, "processingStatus").String(); status {
	case "IN_QUEUE", "IN_PROGRESS":
		return "", fault.New(fault.Conflict, "document_not_ready", "The "+what+" is "+status+"; there is no document yet.").
			Do("Look at the " + what + " until its processingStatus is DONE.").After(30 * time.Second)
	case "CANCELLED":
		return "", fault.New(fault.Gone, "document_absent", "Amazon cancelled the "+what+", or it has no data; there is no document.").
			Do("Ask for it again later, with another time; Amazon also cancels what is asked for too often.")
	case "FATAL":
		return "", fault.New(fault.Gone, "document_absent", "Amazon could not finish the "+what+"; there is no document.").
			Do("Check its type, marketplaces and options, and ask for it again.")
	default:
		return "", fault.New(fault.Gone, "document_absent", "There is no document for the "+what+".")
	}
}

// place asks where a document lies.
func (a *Adapter) place(ctx context.Context, call provider.Caller, where provider.Call, path string) (provider.Document, error) {
	answer, err := call(ctx, where)
	if err != nil {
		return provider.Document{}, err
	}
	address := gjson.GetBytes(answer.Body, path).String()
	if address == "" {
		return provider.Document{}, fault.New(fault.Unavailable, "provider_unavailable", "Amazon's answer does not say where the document lies.").
			Do("Try again in a minute.").Said(fault.Provider{Status: answer.Status, RequestID: answer.RequestID})
	}
	return provider.Document{
		URL:  secret.New(address),
		Gzip: gjson.GetBytes(answer.Body, "compressionAlgorithm").String() == "GZIP",
		Life: documentLife,
	}, nil
}

// mint gets a restricted data token for one path.
func (a *Adapter) mint(ctx context.Context, path string, call provider.Caller) (secret.Text, error) {
	type restrictedResource struct {
		Method string `json:"method"`
		Path   string `json:"path"`
	}
	body, err := json.Marshal(map[string][]restrictedResource{"restrictedResources": {{Method: "GET", Path: path}}})
	if err != nil {
		return secret.Text{}, fault.Wrap(err, fault.Internal, "internal_error", "The request for a restricted data token cannot be formed.")
	}
	answer, err := call(ctx, provider.Call{Op: restrictedToken(), Params: url.Values{}, Body: body})
	if err != nil {
		return secret.Text{}, err
	}
	token := secret.New(gjson.GetBytes(answer.Body, "restrictedDataToken").String())
	if token.IsZero() {
		return secret.Text{}, fault.New(fault.Unavailable, "provider_unavailable", "Amazon's answer holds no restricted data token.").
			Do("Try again in a minute.").Said(fault.Provider{Status: answer.Status, RequestID: answer.RequestID})
	}
	return token, nil
}

// item returns the item operation of a resource of ours.
func (a *Adapter) item(name string) resource.Operation {
	r, _ := a.descriptor.Resource(name)
	return *r.Item
}

// restrictedReport reports whether Amazon gives a report type's document out for a restricted data token only (Amazon
// facts 5.5). Its list names order and shipment reports made for shipping, invoicing and taxes, and a few more; the
// families are matched by name, so that a sibling which is added later is asked for rightly.
func restrictedReport(kind string) bool {
	switch kind {
	case "GET_EASYSHIP_DOCUMENTS", "GET_GST_MTR_B2B_CUSTOM", "GET_VAT_TRANSACTION_DATA", "SC_VAT_TAX_REPORT",
		"GET_FLAT_FILE_VAT_INVOICE_DATA_REPORT", "GET_XML_VAT_INVOICE_DATA_REPORT":
		return true
	}
	purpose := strings.HasSuffix(kind, "_SHIPPING") || strings.HasSuffix(kind, "_INVOICING") || strings.HasSuffix(kind, "_TAX")
	return purpose && (strings.Contains(kind, "ORDER") || strings.Contains(kind, "SHIPMENT"))
}

// personalReport reports whether a document holds personal data although Amazon gives it out for any token. A type
// that is not known to us by name at all (there is none) counts.
func personalReport(kind string) bool {
	return kind == "" || kind == "GET_SELLER_FEEDBACK_DATA" // the buyers' email addresses
}

func personalNeeded(detail string) *fault.Error {
	return fault.New(fault.Forbidden, "personal_data_not_granted", detail)
}
