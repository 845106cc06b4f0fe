package amazonsim_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	amazonsim "connectorvault/infra/sim/amazon"
)

type reportBody struct {
	ReportID         string `json:"reportId"`
	ReportType       string
	ProcessingStatus string
	ReportDocumentID string `json:"reportDocumentId"`
}

func (f *front) createReport(token, kind, rest string) string {
	f.t.Helper()
	a := f.call(http.MethodPost, "eu/reports/2021-06-30/reports", token, `{"reportType":"`+kind+`","marketplaceIds":["A1PA6795UKMFR9"]`+rest+`}`)
	wantStatus(f.t, a, http.StatusAccepted)
	return decode[reportBody](f.t, a).ReportID
}

func (f *front) report(token, id string) reportBody {
	f.t.Helper()
	a := f.get("eu/reports/2021-06-30/reports/"+id, token)
	wantStatus(f.t, a, http.StatusOK)
	return decode[reportBody](f.t, a)
}

// finishedReport creates a report and waits for its document.
func (f *front) finishedReport(token, kind, rest string) string {
	f.t.Helper()
	id := f.createReport(token, kind, rest)
	f.clock.Step(15 * time.Second)
	got := f.report(token, id)
	if got.ProcessingStatus != "DONE" || got.ReportDocumentID == "" {
		f.t.Fatalf("report %+v", got)
	}
	return got.ReportDocumentID
}

type documentBody struct {
	URL         string
	Compression string `json:"compressionAlgorithm"`
}

func (f *front) document(token, id, query string) documentBody {
	f.t.Helper()
	a := f.get("eu/reports/2021-06-30/documents/"+id+query, token)
	wantStatus(f.t, a, http.StatusOK)
	return decode[documentBody](f.t, a)
}

// download fetches an address as it is: no SP-API headers, no transparent decompression.
func (f *front) download(address string) answer {
	f.t.Helper()
	return f.send(http.MethodGet, address, http.Header{"Accept-Encoding": {"identity"}}, "")
}

func gunzip(t *testing.T, text string) string {
	t.Helper()
	z, err := gzip.NewReader(strings.NewReader(text))
	if err != nil {
		t.Fatalf("gunzip: %v", err)
	}
	out, err := io.ReadAll(z)
	if err != nil {
		t.Fatalf("gunzip: %v", err)
	}
	return string(out)
}

func TestReportLifecycle(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	token := f.access(amazonsim.SellerEurope, "eu")
	id := f.createReport(token, "GET_AFN_INVENTORY_DATA", "")
	for _, stage := range []struct {
		step   time.Duration
		status string
	}{{0, "IN_QUEUE"}, {5 * time.Second, "IN_PROGRESS"}, {9 * time.Second, "IN_PROGRESS"}, {time.Second, "DONE"}} {
		f.clock.Step(stage.step)
		if got := f.report(token, id); got.ProcessingStatus != stage.status || (got.ReportDocumentID != "") != (stage.status == "DONE") {
			t.Errorf("%+v, want %s", got, stage.status)
		}
	}
	other := f.access(amazonsim.SellerGlobal, "eu")
	wantFailure(t, f.get("eu/reports/2021-06-30/reports/"+id, other), http.StatusNotFound, "NotFound", "")
	a := f.call(http.MethodDelete, "eu/reports/2021-06-30/reports/"+id, token, "")
	wantStatus(t, a, http.StatusBadRequest)

	queued := f.createReport(token, "GET_AFN_INVENTORY_DATA", "")
	a = f.call(http.MethodDelete, "eu/reports/2021-06-30/reports/"+queued, token, "")
	if a.status != http.StatusOK || a.body != "" {
		t.Errorf("cancel: %d %q", a.status, a.body)
	}
	if got := f.report(token, queued); got.ProcessingStatus != "CANCELLED" {
		t.Errorf("after cancelling: %+v", got)
	}
	if got := f.createReport(token, "GET_AFN_INVENTORY_DATA", `,"dataStartTime":"2027-01-01","dataEndTime":"2027-02-01"`); got != "" {
		f.clock.Step(time.Minute)
		if r := f.report(token, got); r.ProcessingStatus != "CANCELLED" || r.ReportDocumentID != "" {
			t.Errorf("report without data: %+v", r)
		}
	}
	f.fault(amazonsim.Fault{Name: amazonsim.FaultReportFatal, Times: 1})
	fatal := f.createReport(token, "GET_AFN_INVENTORY_DATA", "")
	f.clock.Step(time.Minute)
	if r := f.report(token, fatal); r.ProcessingStatus != "FATAL" {
		t.Errorf("fatal report: %+v", r)
	}
}

func TestReportRefusals(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	token := f.access(amazonsim.SellerEurope, "eu")
	for _, body := range []string{
		`{`, `{"reportType":"BAD_REPORT","marketplaceIds":["A1PA6795UKMFR9"]}`, `{"reportType":"GET_AFN_INVENTORY_DATA","marketplaceIds":[]}`,
		`{"reportType":"GET_V2_SETTLEMENT_REPORT_DATA_FLAT_FILE_V2","marketplaceIds":["A1PA6795UKMFR9"]}`,
		`{"reportType":"GET_AFN_INVENTORY_DATA","marketplaceIds":["A1PA6795UKMFR9"],"dataStartTime":"soon"}`,
	} {
		a := f.call(http.MethodPost, "eu/reports/2021-06-30/reports", token, body)
		if a.status != http.StatusBadRequest || decode[apiFailure](t, a).Errors[0].Code != "400" {
			t.Errorf("%s: %d %s", body, a.status, a.body)
		}
	}
	a := f.call(http.MethodPost, "eu/reports/2021-06-30/reports", token, `{"reportType":"GET_AFN_INVENTORY_DATA","marketplaceIds":["ATVPDKIKX0DER"]}`)
	wantStatus(t, a, http.StatusForbidden)
}

func TestReportListPages(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	token := f.access(amazonsim.SellerEurope, "eu")
	f.createReport(token, "GET_AFN_INVENTORY_DATA", "")
	type page struct {
		Reports   []reportBody
		NextToken string
	}
	types := "reportTypes=GET_AFN_INVENTORY_DATA,GET_V2_SETTLEMENT_REPORT_DATA_FLAT_FILE_V2"
	list := "eu/reports/2021-06-30/reports?"
	first := decode[page](t, f.get(list+types, token))
	if len(first.Reports) != 10 || first.Reports[0].ReportType != "GET_AFN_INVENTORY_DATA" || first.Reports[0].ProcessingStatus != "IN_QUEUE" {
		t.Fatalf("first page %+v", first)
	}
	next := "nextToken=" + url.QueryEscape(first.NextToken)
	wantStatus(t, f.get(list+types+"&"+next, token), http.StatusBadRequest)
	seen := len(first.Reports)
	for next != "nextToken=" {
		got := decode[page](t, f.get(list+next, token))
		seen += len(got.Reports)
		next = "nextToken=" + url.QueryEscape(got.NextToken)
	}
	if seen < 30 { // six or seven settlements in each of five marketplaces
		t.Errorf("%d reports", seen)
	}
	done := decode[page](t, f.get(list+types+"&processingStatuses=IN_QUEUE,IN_PROGRESS", token))
	if len(done.Reports) != 1 {
		t.Errorf("%d reports under way", len(done.Reports))
	}
	settled := f.document(token, first.Reports[1].ReportDocumentID, "")
	if a := f.download(settled.URL); a.status != http.StatusOK || !strings.HasPrefix(a.body, "amazon-order-id\t") {
		t.Errorf("settlement: %d %.100s", a.status, a.body)
	}
}

func TestDocumentAddressesExpireAndAreSigned(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	token := f.access(amazonsim.SellerEurope, "eu")
	id := f.finishedReport(token, "GET_AFN_INVENTORY_DATA", "")
	got := f.document(token, id, "")
	if got.Compression != "GZIP" {
		t.Errorf("compression %q", got.Compression)
	}
	a := f.download(got.URL)
	wantStatus(t, a, http.StatusOK)
	if a.header.Get("Content-Encoding") != "" || !strings.HasPrefix(gunzip(t, a.body), "sku\tasin\t") {
		t.Errorf("headers %v", a.header)
	}
	ranged := f.send(http.MethodGet, got.URL, http.Header{"Accept-Encoding": {"identity"}, "Range": {"bytes=0-1"}}, "")
	if ranged.status != http.StatusPartialContent || ranged.body != "\x1f\x8b" {
		t.Errorf("range: %d %q", ranged.status, ranged.body)
	}
	encoded := f.document(token, id, "?enableContentEncodingUrlHeader=true")
	if a := f.download(encoded.URL); a.header.Get("Content-Encoding") != "gzip" {
		t.Errorf("content encoding %q", a.header.Get("Content-Encoding"))
	}
	for name, address := range map[string]string{
		"other date":     strings.Replace(got.URL, "20260615", "20260616", 1),
		"other document": strings.Replace(got.URL, ".spdoc.1.4.eu.", ".spdoc.1.4.eu.x", 1),
		"other encoding": got.URL + "&response-content-encoding=gzip",
	} {
		if a := f.download(address); a.status != http.StatusForbidden || !strings.Contains(a.body, "<Code>SignatureDoesNotMatch</Code>") {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	leaked := f.send(http.MethodGet, got.URL, http.Header{"X-Amz-Access-Token": {token}}, "")
	wantStatus(t, leaked, http.StatusBadRequest)

	f.clock.Step(300 * time.Second)
	wantStatus(t, f.download(got.URL), http.StatusOK)
	f.clock.Step(time.Second)
	if a := f.download(got.URL); a.status != http.StatusForbidden || !strings.Contains(a.body, "<Message>Request has expired</Message>") {
		t.Errorf("expired: %d %s", a.status, a.body)
	}
}

func TestDocumentContents(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	token := f.access(amazonsim.SellerEurope, "eu")
	listing := f.document(token, f.finishedReport(token, "GET_MERCHANT_LISTINGS_ALL_DATA", ""), "")
	a := f.download(listing.URL)
	if listing.Compression != "" || a.header.Get("Content-Type") != "text/plain;charset=ISO-8859-1" || !strings.Contains(a.body, "Th\xe9i\xe8re") {
		t.Errorf("listing: %q, %q", listing.Compression, a.header.Get("Content-Type"))
	}
	orders := f.document(token, f.finishedReport(token, "GET_FLAT_FILE_ALL_ORDERS_DATA_BY_ORDER_DATE_GENERAL",
		`,"dataStartTime":"2026-06-10T00:00:00Z","dataEndTime":"2026-06-11T00:00:00Z"`), "")
	rows := strings.Split(gunzip(t, f.download(orders.URL).body), "\r\n")
	if len(rows) < 24 || strings.Contains(rows[0], "buyer-name") {
		t.Errorf("%d rows; %s", len(rows), rows[0])
	}
	f.fault(amazonsim.Fault{Name: amazonsim.FaultMislabelledGzip, Times: 1})
	if a := f.download(orders.URL); a.header.Get("Content-Encoding") != "gzip" {
		t.Error("not mislabelled")
	}
	ledger := f.document(token, f.finishedReport(token, "GET_LEDGER_DETAIL_VIEW_DATA", ""), "")
	if size := len(gunzip(t, f.download(ledger.URL).body)); size <= 4<<20 {
		t.Errorf("the ledger has %d bytes, which fit into one answer", size)
	}
}

func TestRestrictedReportNeedsARestrictedDataToken(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	token := f.access(amazonsim.SellerEurope, "eu")
	id := f.finishedReport(token, "GET_FLAT_FILE_ORDER_REPORT_DATA_SHIPPING", "")
	path := "/reports/2021-06-30/documents/" + id
	wantFailure(t, f.get("eu"+path, token), http.StatusForbidden, "Unauthorized", "")
	for _, wrong := range []string{"/reports/2021-06-30/documents/{reportDocumentId}", "/sellers/v1/account"} {
		a := f.restricted(token, wrong, "")
		wantStatus(t, a, http.StatusBadRequest)
	}
	a := f.restricted(token, path, "")
	wantStatus(t, a, http.StatusOK)
	got := decode[restrictedBody](t, a)
	if !strings.HasPrefix(got.Token, "Atz.sprdt|") || got.Expires != 3600 {
		t.Errorf("restricted data token: prefix or life wrong, %d", got.Expires)
	}
	doc := f.document(got.Token, id, "")
	if text := gunzip(t, f.download(doc.URL).body); !strings.Contains(text, "Simulated Buyer") {
		t.Errorf("file %.200s", text)
	}
	wantFailure(t, f.get("eu"+participations, got.Token), http.StatusForbidden, "Unauthorized", "")
	f.clock.Step(time.Hour)
	wantFailure(t, f.get("eu"+path, got.Token), http.StatusForbidden, "Unauthorized", "The access token you provided has expired.")
}

type restrictedBody struct {
	Token   string `json:"restrictedDataToken"`
	Expires int    `json:"expiresIn"`
}

func (f *front) restricted(token, path, elements string) answer {
	f.t.Helper()
	resource := map[string]any{"method": "GET", "path": path}
	if elements != "" {
		resource["dataElements"] = strings.Split(elements, ",")
	}
	body, err := json.Marshal(map[string]any{"restrictedResources": []any{resource}})
	if err != nil {
		f.t.Fatal(err)
	}
	return f.call(http.MethodPost, "eu/tokens/2021-03-01/restrictedDataToken", token, string(body))
}

func TestRestrictedDataTokenOpensOrdersV0(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	token := f.access(amazonsim.SellerEurope, "eu")
	list := "eu/orders/v0/orders?MarketplaceIds=A1PA6795UKMFR9&CreatedAfter=2026-06-10"
	plain := f.get(list, token)
	wantStatus(t, plain, http.StatusOK)
	id := decode[struct {
		Payload struct {
			Orders []struct {
				ID string `json:"AmazonOrderId"`
			}
		}
	}](t, plain).Payload.Orders[0].ID
	if strings.Contains(plain.body, "Simulated Buyer") {
		t.Error("a plain token opened personal data")
	}
	opened := decode[restrictedBody](t, f.restricted(token, "/orders/v0/orders", "buyerInfo")).Token
	a := f.get(list, opened)
	if !strings.Contains(a.body, "Simulated Buyer") || strings.Contains(a.body, "ShippingAddress") {
		t.Errorf("buyerInfo alone: %.300s", a.body)
	}
	wantStatus(t, f.get("eu/orders/v0/orders/"+id+"/address", opened), http.StatusForbidden)
	address := decode[restrictedBody](t, f.restricted(token, "/orders/v0/orders/{orderId}/address", "")).Token
	if a := f.get("eu/orders/v0/orders/"+id+"/address", address); !strings.Contains(a.body, "Simulated Straße") {
		t.Errorf("address %s", a.body)
	}
	f.fault(amazonsim.Fault{Name: amazonsim.FaultNoPersonalData})
	wantFailure(t, f.restricted(token, "/orders/v0/orders", "buyerInfo,shippingAddress"), http.StatusForbidden, "Unauthorized",
		"Application does not have access to one or more requested data elements: [buyerInfo, shippingAddress]")
}

func TestFeeds(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	token := f.access(amazonsim.SellerEurope, "eu")
	type page struct {
		Feeds []struct {
			FeedID               string `json:"feedId"`
			ProcessingStatus     string
			ResultFeedDocumentID string `json:"resultFeedDocumentId"`
		}
		NextToken string
	}
	first := decode[page](t, f.get("eu/feeds/2021-06-30/feeds?feedTypes=JSON_LISTINGS_FEED", token))
	if len(first.Feeds) != 10 || first.NextToken == "" {
		t.Fatalf("first page %+v", first)
	}
	wantStatus(t, f.get("eu/feeds/2021-06-30/feeds?nextToken="+url.QueryEscape(first.NextToken), token), http.StatusOK)
	wantStatus(t, f.get("eu/feeds/2021-06-30/feeds/"+first.Feeds[3].FeedID, token), http.StatusOK)
	doc := decode[documentBody](t, f.get("eu/feeds/2021-06-30/documents/"+first.Feeds[3].ResultFeedDocumentID, token))
	text := gunzip(t, f.download(doc.URL).body)
	if !json.Valid([]byte(text)) || !bytes.Contains([]byte(text), []byte(amazonsim.SellerEurope)) {
		t.Errorf("processing report %s", text)
	}
}

func TestOtherDocumentsAreServedToo(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	token := f.access(amazonsim.SellerEurope, "eu")
	for path, want := range map[string]string{
		"eu/dataKiosk/2023-11-15/documents/doc-1":                                         amazonsim.SellerEurope,
		"eu/fba/inbound/v0/shipments/FBA1/labels":                                         "%PDF-",
		"eu/fba/inbound/v0/shipments/FBA1/billOfLading":                                   "%PDF-",
		"eu/inbound/fba/2024-03-20/inboundPlans/p1/shipments/sh1/deliveryChallanDocument": "%PDF-",
	} {
		a := f.get(path, token)
		wantStatus(t, a, http.StatusOK)
		address := ""
		for _, part := range strings.Split(a.body, `"`) {
			if strings.HasPrefix(part, f.base+"/documents/") {
				address = strings.ReplaceAll(part, `\u0026`, "&")
			}
		}
		if got := f.download(address); got.status != http.StatusOK || !strings.Contains(got.body, want) {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
}
