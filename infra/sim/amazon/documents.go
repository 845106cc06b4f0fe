package amazonsim

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"connectorvault/infra/sim/engine"
)

// metaSigningKey names the key that signs document addresses. It lies in the state, so that one process serves
// what another has signed.
const metaSigningKey = "document signing key"

// documentLife is how long a document's address works (Amazon facts 13).
const documentLife = 300 * time.Second

const amzDate = "20060102T150405Z"

// document is a file behind a presigned address.
type document struct {
	id      string
	kind    string // a report type or feed type
	seller  Seller
	spec    reportSpec
	created time.Time
}

// computedDocument is the id of a document that is computed: what it is and whose can be told from the id alone.
func computedDocument(c *call, mark, id string) string {
	return "amzn1.spdoc.1.4." + c.region + "." + mark + c.seller.ID + "-" + id
}

// getReportDocument gives the address of a report. A restricted type needs a restricted data token (Amazon facts 5.5).
func (s *Simulator) getReportDocument(ctx context.Context, c *call) (reply, error) {
	id := c.vars["reportDocumentId"]
	all, err := s.reportsOf(ctx, c)
	if err != nil {
		return reply{}, err
	}
	i := slices.IndexFunc(all, func(r report) bool { return r.documentID == id && r.status(c.now) == processDone })
	if i < 0 {
		return reply{}, errResourceNotFound
	}
	if restrictedReport(all[i].spec.ReportType) && c.token.kind != kindRestricted {
		return reply{}, errDenied
	}
	return s.documentReply(ctx, c, "reportDocumentId", all[i].document(c.seller))
}

func (r report) document(seller Seller) document {
	return document{id: r.documentID, kind: r.spec.ReportType, seller: seller, spec: r.spec, created: r.created}
}

// The documents of operations that have no list to find them in: any id names one.
const (
	kioskMark   = "kiosk-"
	labelsMark  = "labels-"
	ladingMark  = "lading-"
	challanMark = "challan-"
)

// getKioskDocument gives the address of a Data Kiosk document.
func (s *Simulator) getKioskDocument(ctx context.Context, c *call) (reply, error) {
	id := c.vars["documentId"]
	address, err := s.presignAny(ctx, c, kioskMark, id)
	return ok(map[string]string{"documentId": id, "documentUrl": address}), err
}

// getShipmentPaper gives the address of a shipment's labels or bill of lading.
func (s *Simulator) getShipmentPaper(ctx context.Context, c *call) (reply, error) {
	mark := ladingMark
	if c.op.id == "getLabels" {
		mark = labelsMark
	}
	address, err := s.presignAny(ctx, c, mark, c.vars["shipmentId"])
	return ok(map[string]any{"payload": map[string]string{"DownloadURL": address}}), err
}

// getChallan gives the address of the delivery papers that India asks for.
func (s *Simulator) getChallan(ctx context.Context, c *call) (reply, error) {
	address, err := s.presignAny(ctx, c, challanMark, c.vars["shipmentId"])
	return ok(map[string]any{"documentDownload": map[string]any{
		"downloadType": "URL", "uri": address, "expiration": stamp(c.now.Add(documentLife)),
	}}), err
}

func (s *Simulator) presignAny(ctx context.Context, c *call, mark, id string) (string, error) {
	return s.presign(ctx, c, document{id: computedDocument(c, mark, id), kind: mark, seller: c.seller})
}

// documentReply signs an address and describes what lies there.
func (s *Simulator) documentReply(ctx context.Context, c *call, idName string, d document) (reply, error) {
	signed, err := s.presign(ctx, c, d)
	if err != nil {
		return reply{}, err
	}
	body := map[string]any{idName: d.id, "url": signed}
	if d.gzipped() {
		body["compressionAlgorithm"] = "GZIP"
	}
	return ok(body), nil
}

// The query parameters of a presigned address: those of S3 that matter here.
const (
	paramDate      = "X-Amz-Date"
	paramExpires   = "X-Amz-Expires"
	paramSignature = "X-Amz-Signature"
	paramEncoding  = "response-content-encoding"
)

func (s *Simulator) presign(ctx context.Context, c *call, d document) (string, error) {
	query := url.Values{
		"X-Amz-Algorithm": {"AWS4-HMAC-SHA256"}, paramDate: {c.now.UTC().Format(amzDate)},
		paramExpires: {fmt.Sprint(int(documentLife.Seconds()))},
	}
	if d.gzipped() && c.query.Get("enableContentEncodingUrlHeader") == "true" {
		query.Set(paramEncoding, "gzip")
	}
	signature, err := s.signature(ctx, d.id, query)
	if err != nil {
		return "", err
	}
	query.Set(paramSignature, signature)
	return s.base() + "/documents/" + url.PathEscape(d.id) + "?" + query.Encode(), nil
}

// signature covers everything but itself.
func (s *Simulator) signature(ctx context.Context, id string, query url.Values) (string, error) {
	key, err := engine.Meta(ctx, s.state, metaSigningKey)
	if err != nil {
		return "", err
	}
	mac := hmac.New(sha256.New, []byte(key))
	_, _ = mac.Write([]byte(id + "?" + withoutParameters(query, []string{paramSignature}))) // a hash never fails
	return hex.EncodeToString(mac.Sum(nil)), nil
}

// serveDocument is the object store behind the addresses.
func (s *Simulator) serveDocument(w http.ResponseWriter, r *http.Request) {
	ctx, id := r.Context(), r.PathValue("document")
	if r.Header.Get("X-Amz-Access-Token") != "" || r.Header.Get("Authorization") != "" {
		// A presigned address is fetched without credentials (Amazon facts 7.3); sending them leaks them to a third host.
		s.state.Count(ctx, endpointStrict, "token_to_document", "refused")
		s.writeStoreError(w, http.StatusBadRequest, "InvalidArgument", "Only one auth mechanism allowed")
		return
	}
	where := scope{endpoint: endpointDocuments}
	if s.injectBefore(w, r, where, "document") {
		return
	}
	query := r.URL.Query()
	allowed, err := s.addressAllowed(ctx, id, query)
	if err == nil && allowed == nil {
		var d document
		if d, err = s.documentByID(ctx, id); err == nil {
			s.sendDocument(w, r, where, d)
			return
		}
	}
	switch {
	case allowed != nil:
		s.state.Count(ctx, endpointDocuments, "document", allowed.code)
		s.writeStoreError(w, http.StatusForbidden, allowed.code, allowed.message)
	case errors.Is(err, engine.ErrNotFound):
		s.writeStoreError(w, http.StatusNotFound, "NoSuchKey", "The specified key does not exist.")
	default:
		s.internal(w, r, "serving a document", err)
	}
}

// addressAllowed checks signature and age. The first result is the refusal, nil when there is none.
func (s *Simulator) addressAllowed(ctx context.Context, id string, query url.Values) (*apiError, error) {
	want, err := s.signature(ctx, id, query)
	if err != nil {
		return nil, err
	}
	if !hmac.Equal([]byte(want), []byte(query.Get(paramSignature))) {
		return &apiError{code: "SignatureDoesNotMatch", message: "The request signature we calculated does not match the signature you provided."}, nil
	}
	signed, err := time.Parse(amzDate, query.Get(paramDate))
	if err != nil {
		return nil, fmt.Errorf("reading a signed date: %w", err)
	}
	_, expired, err := s.fire(ctx, FaultDocumentExpired, scope{endpoint: endpointDocuments})
	if err != nil {
		return nil, err
	}
	if expired || s.now().Sub(signed) > documentLife {
		return &apiError{code: "AccessDenied", message: "Request has expired"}, nil
	}
	return nil, nil
}

// writeStoreError is S3's error format.
func (s *Simulator) writeStoreError(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/xml")
	engine.WriteBody(w, status, []byte(`<?xml version="1.0" encoding="UTF-8"?>`+"\n"+
		"<Error><Code>"+code+"</Code><Message>"+message+"</Message><RequestId>"+s.rid()+"</RequestId></Error>"))
}

// documentByID finds what an id stands for: a stored report, or a computed document.
func (s *Simulator) documentByID(ctx context.Context, id string) (document, error) {
	r, err := scanReport(s.state.QueryRowContext(ctx, selectReport+` WHERE document_id = ?`, id).Scan)
	if err == nil {
		seller, _ := s.seller(strings.Split(r.owner, "|")[1]) // owner is application|seller|region
		return r.document(seller), nil
	}
	if !errors.Is(err, sql.ErrNoRows) {
		return document{}, err
	}
	region, rest, _ := strings.Cut(strings.TrimPrefix(id, "amzn1.spdoc.1.4."), ".")
	for _, mark := range []string{settlementMark, feedMark, kioskMark, labelsMark, ladingMark, challanMark} {
		sellerID, number, found := strings.Cut(strings.TrimPrefix(rest, mark), "-")
		if seller, known := s.seller(sellerID); found && known && strings.HasPrefix(rest, mark) {
			return s.computed(seller, region, mark, number)
		}
	}
	return document{}, engine.ErrNotFound
}

func (s *Simulator) computed(seller Seller, region, mark, number string) (document, error) {
	c := &call{apiTarget: apiTarget{region: region}, seller: seller, now: s.now()}
	switch mark {
	case settlementMark:
	case feedMark:
		return document{id: number, kind: feedType, seller: seller}, nil
	default:
		return document{id: number, kind: mark, seller: seller}, nil
	}
	for _, r := range settlements(c) {
		if r.id == number {
			return r.document(seller), nil
		}
	}
	return document{}, engine.ErrNotFound
}

// sendDocument sends the bytes, whole or in the range asked for.
func (s *Simulator) sendDocument(w http.ResponseWriter, r *http.Request, where scope, d document) {
	ctx := r.Context()
	content, contentType, err := d.content()
	if err == nil && d.gzipped() {
		content, err = compress(content)
	}
	if err != nil {
		s.internal(w, r, "making a document", err)
		return
	}
	_, mislabelled, err := s.fire(ctx, FaultMislabelledGzip, where)
	if err != nil {
		s.internal(w, r, "reading switches", err)
		return
	}
	if mislabelled || r.URL.Query().Get(paramEncoding) != "" {
		w.Header().Set("Content-Encoding", "gzip")
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Etag", `"`+engine.Digest(string(content))[:32]+`"`)
	s.state.Count(ctx, endpointDocuments, "document", "200")
	if !s.switches.SurelyOff(ctx, FaultDrop) || !s.switches.SurelyOff(ctx, FaultEmptyBody) || !s.switches.SurelyOff(ctx, FaultTruncated) || !s.switches.SurelyOff(ctx, FaultGarbled) {
		s.writeSpoiled(w, r, where, http.StatusOK, content)
		return
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
}

func compress(content []byte) ([]byte, error) {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	if _, err := z.Write(content); err != nil {
		return nil, fmt.Errorf("compressing: %w", err)
	}
	if err := z.Close(); err != nil {
		return nil, fmt.Errorf("compressing: %w", err)
	}
	return out.Bytes(), nil
}
