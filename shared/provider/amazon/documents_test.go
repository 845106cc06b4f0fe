package amazon_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"connectorvault/shared/fault"
	"connectorvault/shared/provider"
	"connectorvault/shared/provider/amazon"
	"connectorvault/shared/resource"
)

const presigned = "https://documents.example/D1?X-Amz-Signature=canary"

func locate(t *testing.T, name, item string, personal bool, answers map[string]reply) (provider.Document, error, *script) {
	t.Helper()
	adapter := amazon.New(amazon.Options{})
	s := &script{t: t, adapter: adapter, answers: answers}
	res, ok := adapter.Descriptor().Resource(name)
	if !ok || !res.Document {
		t.Fatalf("%s is no resource with documents", name)
	}
	doc, err := adapter.Locate(t.Context(), provider.Target{Entry: german(t)}, res, item, personal, s.call)
	return doc, err, s
}

func report(kind, status, document string) reply {
	raw, _ := json.Marshal(map[string]string{"reportId": "R1", "reportType": kind, "processingStatus": status, "reportDocumentId": document})
	return reply{200, string(raw)}
}

func document(more string) reply {
	return reply{200, `{"reportDocumentId":"D1","url":"` + presigned + `"` + more + `}`}
}

func TestLocateReport(t *testing.T) {
	t.Parallel()
	doc, err, s := locate(t, "reports", "R1", false, map[string]reply{
		"getReport": report("GET_MERCHANT_LISTINGS_ALL_DATA", "DONE", "amzn1.spdoc.1/2"), "getReportDocument": document(`,"compressionAlgorithm":"GZIP"`),
	})
	if err != nil {
		t.Fatal(err)
	}
	if doc.URL.Reveal() != presigned || !doc.Gzip || doc.Life != 5*time.Minute || doc.Personal {
		t.Errorf("got %+v", doc)
	}
	if strings.Contains(fmt.Sprintf("%v %+v %#v", doc, doc, doc), "canary") {
		t.Error("the address prints")
	}
	if !slices.Equal(s.calls, []string{"getReport", "getReportDocument"}) || s.last["getReportDocument"].Params.Get("item") != "amzn1.spdoc.1/2" {
		t.Errorf("called %v", s.calls)
	}
	if !s.last["getReportDocument"].Access.IsZero() {
		t.Error("a restricted token was used for a report that needs none")
	}
}

func TestLocateRestrictedReport(t *testing.T) {
	t.Parallel()
	const kind = "GET_FLAT_FILE_ORDER_REPORT_DATA_SHIPPING"
	answers := map[string]reply{
		"getReport": report(kind, "DONE", "D/1"), "getReportDocument": document(""),
		"createRestrictedDataToken": {200, `{"restrictedDataToken":"Atz.sprdt|canary","expiresIn":3600}`},
	}
	_, err, s := locate(t, "reports", "R1", false, answers)
	if fault.KindOf(err) != fault.Forbidden || fault.CodeOf(err) != "personal_data_not_granted" || !slices.Equal(s.calls, []string{"getReport"}) {
		t.Fatalf("got %v after %v", err, s.calls)
	}
	doc, err, s := locate(t, "reports", "R1", true, answers)
	if err != nil || !doc.Personal || doc.Gzip {
		t.Fatalf("got %+v, %v", doc, err)
	}
	if want := `{"restrictedResources":[{"method":"GET","path":"/reports/2021-06-30/documents/D%2F1"}]}`; string(s.last["createRestrictedDataToken"].Body) != want {
		t.Errorf("asked for %s", s.last["createRestrictedDataToken"].Body)
	}
	if s.last["getReportDocument"].Access.Reveal() != "Atz.sprdt|canary" {
		t.Error("the restricted token was not used")
	}
	answers["createRestrictedDataToken"] = reply{200, `{}`}
	if _, err, s = locate(t, "reports", "R1", true, answers); fault.KindOf(err) != fault.Unavailable || slices.Contains(s.calls, "getReportDocument") {
		t.Errorf("got %v after %v", err, s.calls)
	}
}

func TestLocateTellsWhatIsPersonal(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"GET_SELLER_FEEDBACK_DATA", ""} {
		answers := map[string]reply{"getReport": report(kind, "DONE", "D1"), "getReportDocument": document("")}
		if _, err, _ := locate(t, "reports", "R1", false, answers); fault.CodeOf(err) != "personal_data_not_granted" {
			t.Errorf("%q: got %v", kind, err)
		}
		if doc, err, s := locate(t, "reports", "R1", true, answers); err != nil || !doc.Personal || slices.Contains(s.calls, "createRestrictedDataToken") {
			t.Errorf("%q: got %+v, %v after %v", kind, doc, err, s.calls)
		}
	}
	// A document by its own id may be anything.
	answers := map[string]reply{"getReportDocument": document("")}
	if _, err, s := locate(t, "get-report-document", "D1", false, answers); fault.CodeOf(err) != "personal_data_not_granted" || len(s.calls) != 0 {
		t.Errorf("got %v after %v", err, s.calls)
	}
	if doc, err, _ := locate(t, "get-report-document", "D1", true, answers); err != nil || !doc.Personal {
		t.Errorf("got %+v, %v", doc, err)
	}
}

func TestLocateWithoutADocument(t *testing.T) {
	t.Parallel()
	for status, want := range map[string]string{
		"IN_QUEUE": "document_not_ready", "IN_PROGRESS": "document_not_ready", "CANCELLED": "document_absent", "FATAL": "document_absent", "DONE": "document_absent",
	} {
		_, err, s := locate(t, "reports", "R1", false, map[string]reply{"getReport": report("GET_MERCHANT_LISTINGS_ALL_DATA", status, "")})
		if fault.CodeOf(err) != want || len(s.calls) != 1 {
			t.Errorf("%s: got %v after %v", status, err, s.calls)
		}
	}
	_, err, _ := locate(t, "reports", "R1", false, map[string]reply{"getReport": {404, `{"errors":[{"code":"NotFound","message":"no"}]}`}})
	if fault.KindOf(err) != fault.NotFound {
		t.Errorf("got %v", err)
	}
	_, err, _ = locate(t, "reports", "R1", false, map[string]reply{"getReport": report("GET_MERCHANT_LISTINGS_ALL_DATA", "DONE", "D1"), "getReportDocument": {200, `{}`}})
	if fault.KindOf(err) != fault.Unavailable {
		t.Errorf("got %v", err)
	}
	// Amazon sometimes explains a FATAL in a document.
	doc, err, _ := locate(t, "reports", "R1", false, map[string]reply{"getReport": report("GET_MERCHANT_LISTINGS_ALL_DATA", "FATAL", "D1"), "getReportDocument": document("")})
	if err != nil || doc.URL.Reveal() != presigned {
		t.Errorf("got %+v, %v", doc, err)
	}
}

func TestLocateOthers(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		item    string
		answers map[string]reply
	}{
		"feeds": {"F1", map[string]reply{"getFeed": {200, `{"feedId":"F1","processingStatus":"DONE","resultFeedDocumentId":"D1"}`},
			"getFeedDocument": {200, `{"feedDocumentId":"D1","url":"` + presigned + `"}`}}},
		"get-feed-document":  {"D1", map[string]reply{"getFeedDocument": {200, `{"feedDocumentId":"D1","url":"` + presigned + `"}`}}},
		"get-document":       {"D1", map[string]reply{"getDocument": {200, `{"documentId":"D1","documentUrl":"` + presigned + `"}`}}},
		"get-labels":         {"S1", map[string]reply{"getLabels": {200, `{"payload":{"DownloadURL":"` + presigned + `"}}`}}},
		"get-bill-of-lading": {"S1", map[string]reply{"getBillOfLading": {200, `{"payload":{"DownloadURL":"` + presigned + `"}}`}}},
		"get-delivery-challan-document": {"P1/S1", map[string]reply{"getDeliveryChallanDocument": {200,
			`{"documentDownload":{"downloadType":"URL","uri":"` + presigned + `"}}`}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			doc, err, _ := locate(t, name, test.item, false, test.answers)
			if err != nil || doc.URL.Reveal() != presigned || doc.Personal {
				t.Errorf("got %+v, %v", doc, err)
			}
		})
	}
}

// No read gives out where a document lies: whoever has a presigned address can read it.
func TestReadsHideAddresses(t *testing.T) {
	t.Parallel()
	answer := `{"reportDocumentId":"D1","feedDocumentId":"D1","documentId":"D1","compressionAlgorithm":"GZIP","url":"` + presigned + `","documentUrl":"` +
		presigned + `","payload":{"DownloadURL":"` + presigned + `"},"documentDownload":{"downloadType":"URL","uri":"` + presigned + `","expiration":"2026"}}`
	found := 0
	for _, r := range amazon.New(amazon.Options{}).Descriptor().Resources {
		if !r.Document || r.Name == "reports" || r.Name == "feeds" {
			continue
		}
		found++
		items, _, err := resource.Page(*r.Item, []byte(answer))
		if err != nil || len(items) != 1 || strings.Contains(string(items[0]), "canary") {
			t.Errorf("%s gives out %s, %v", r.Name, items, err)
		}
	}
	if found != 6 {
		t.Errorf("%d resources are documents", found)
	}
}

// TestPersonalDataOfOrders is an order as the model has it, with a buyer everywhere that a buyer can be.
func TestPersonalDataOfOrders(t *testing.T) {
	t.Parallel()
	order := `{"orderId":"902-1845936-5435065","buyer":{"buyerName":"CANARY","buyerEmail":"CANARY","buyerCompanyName":"CANARY","buyerPurchaseOrderNumber":"1"},
"recipient":{"deliveryAddress":{"name":"CANARY","addressLine1":"CANARY","phone":"CANARY","extendedFields":{"streetName":"CANARY"}},"deliveryPreference":{"dropOffLocation":"CANARY","addressInstruction":"CANARY"}},
"tax":{"taxRegistrations":[{"entityType":"BUYER","legalName":"CANARY","taxRegistrationNumber":"CANARY","taxRegistrationAddress":{"name":"CANARY"}}]},
"orderItems":[{"orderItemId":"1","product":{"asin":"B0","customization":{"customizedUrl":"CANARY"}},"fulfillment":{"packing":{"giftOption":{"giftMessage":"CANARY","giftWrapLevel":"2"}}}}],
"packages":[{"trackingNumber":"T","shipFromAddress":{"name":"CANARY","addressLine1":"CANARY"}}]}`
	res, _ := amazon.New(amazon.Options{}).Descriptor().Resource("orders")
	for _, op := range []*resource.Operation{res.List, res.Item} {
		got := string(resource.Strip(*op, json.RawMessage(order)))
		if strings.Contains(got, "CANARY") {
			t.Errorf("%s gives out %s", op.ID, got)
		}
		for _, kept := range []string{"902-1845936-5435065", `"asin":"B0"`, `"trackingNumber":"T"`, `"giftWrapLevel":"2"`, `"entityType":"BUYER"`} {
			if !strings.Contains(got, kept) {
				t.Errorf("%s lost %s", op.ID, kept)
			}
		}
		if !slices.Equal(op.PersonalValues["includedData"], []string{"BUYER", "RECIPIENT"}) {
			t.Errorf("%s asks for %v", op.ID, op.PersonalValues)
		}
	}
}
