package clarasim

import (
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// filesPath is where files are served, on the control front and on the API's own.
const filesPath = "files/"

// fileLife is Clara facts 4.5.
const fileLife = 12 * time.Hour

// fileSignatureLength is that of an address.
const fileSignatureLength = 32

// document is a file that somebody attached to a transaction.
type document struct {
	uuid, name, format string
	updated            time.Time
}

func (b *books) documents(t transaction) []document {
	list := make([]document, 0, t.documents)
	for i := range t.documents {
		d := document{uuid: b.uuid("document "+strconv.Itoa(i), t.index), name: fmt.Sprintf("recibo núm. %d.jpg", i+1), format: "jpeg", updated: t.at.Add(time.Hour)}
		switch {
		case i == 1 && t.invoice:
			d.name, d.format = "factura.xml", "xml"
		case i == 1:
			d.name, d.format = "factura.pdf", "pdf"
		}
		list = append(list, d)
	}
	return list
}

type documentsWire struct {
	TransactionUUID string           `json:"transactionUuid"`
	Attachments     []attachmentWire `json:"attachments"`
}

type attachmentWire struct {
	UUID     string       `json:"uuid"`
	FileName string       `json:"fileName"`
	UpdateAt string       `json:"updateAt"`
	Format   string       `json:"format"`
	Download downloadWire `json:"download"`
}

type downloadWire struct {
	URLExpiration string `json:"urlExpiration"`
	URL           string `json:"url"`
}

func (b *books) documentsWire(t transaction) documentsWire {
	w := documentsWire{TransactionUUID: t.uuid, Attachments: []attachmentWire{}}
	for _, d := range b.documents(t) {
		address, until := b.files(d)
		w.Attachments = append(w.Attachments, attachmentWire{d.uuid, d.name, stamp(d.updated), d.format, downloadWire{stamp(until), address}})
	}
	return w
}

// fileAddress makes an address that anybody may fetch a file from for twelve hours, as Clara's storage does.
func (s *Simulator) fileAddress(r *http.Request, d document) (string, time.Time) {
	until := s.now().Add(fileLife).Truncate(time.Second)
	expires := strconv.FormatInt(until.Unix(), 10)
	signature, err := s.signature(fileText(d.uuid, d.name, d.format, expires), fileSignatureLength)
	if err != nil {
		panic(err) // the front's recover turns it into a 500
	}
	query := url.Values{"format": {d.format}, "Expires": {expires}, "Signature": {hex.EncodeToString(signature)}}
	return s.filesAt("https://"+r.Host) + "/" + filesPath + d.uuid + "/" + url.PathEscape(d.name) + "?" + query.Encode(), until
}

func fileText(uuid, name, format, expires string) string {
	return strings.Join([]string{"file", uuid, name, format, expires}, "\x00")
}

// serveFile gives a file to whoever has its address. It asks for no token, and on the control front for no certificate.
func (s *Simulator) serveFile(w http.ResponseWriter, r *http.Request) {
	c := &call{where: scope{endpoint: endpointFiles, operation: "file"}}
	a, err := s.injectBefore(w, r, c.where)
	if err == nil && a.fault == "" {
		a = s.file(w, r, c)
	}
	s.finish(w, r, c, a, err)
}

func (s *Simulator) file(w http.ResponseWriter, r *http.Request, c *call) answer {
	denied := func(why string) answer {
		c.why = why
		return answer{status: http.StatusForbidden, contentType: "application/xml",
			body: []byte(`<?xml version="1.0" encoding="UTF-8"?>` + "\n<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>")}
	}
	if r.Method != http.MethodGet {
		w.Header().Set("Allow", http.MethodGet)
		return answer{status: http.StatusMethodNotAllowed, contentType: "text/plain"}
	}
	uuid, name, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"+filesPath), "/")
	query := r.URL.Query()
	signature, err := hex.DecodeString(query.Get("Signature"))
	if err != nil || !s.signed(fileText(uuid, name, query.Get("format"), query.Get("Expires")), signature, fileSignatureLength) {
		return denied("signature")
	}
	expires, err := strconv.ParseInt(query.Get("Expires"), 10, 64)
	if err != nil || s.seconds() >= expires {
		return denied("address expired")
	}
	w.Header().Set("Content-Disposition", "attachment; filename*=UTF-8''"+url.PathEscape(name))
	return fileContent(uuid, query.Get("format"))
}

// fileContent makes the bytes of a file: always the same of the same one, up to some 300 kB.
func fileContent(uuid, format string) answer {
	d := roll("file", uuid)
	switch format {
	case "xml":
		return answer{contentType: "application/xml", body: []byte(`<?xml version="1.0" encoding="UTF-8"?>` + "\n" +
			`<cfdi:Comprobante xmlns:cfdi="http://www.sat.gob.mx/cfd/4" Version="4.0" Folio="` + uuid + `" Total="` + strconv.Itoa(1+d.below(99999, 1)) + `.00"/>` + "\n")}
	case "pdf":
		return answer{contentType: "application/pdf", body: []byte("%PDF-1.4\n% simulated invoice " + uuid + "\n%%EOF\n")}
	}
	body := make([]byte, 20000+d.below(280000, 1))
	copy(body, "\xff\xd8\xff\xe0\x00\x10JFIF\x00")
	for i := 11; i < len(body)-2; i++ {
		body[i] = byte(uint64(d) >> (i % 57))
	}
	copy(body[len(body)-2:], "\xff\xd9")
	return answer{contentType: "image/jpeg", body: body}
}

// extracted documents are what was read off the files (Clara facts 4.5).
type extractedWire struct {
	UUID             string        `json:"uuid"`
	Type             string        `json:"type"`
	UserUUID         string        `json:"userUuid"`
	ValidationStatus string        `json:"validationStatus"`
	Data             extractedData `json:"data"`
}

type extractedData struct {
	InvoiceID   string          `json:"invoiceId"`
	IssueDate   string          `json:"issueDate"`
	Country     string          `json:"country"`
	Issuer      extractedIssuer `json:"issuer"`
	Items       []extractedItem `json:"items"`
	Amount      extractedAmount `json:"amount"`
	Description string          `json:"itemsDescription"`
}

type extractedIssuer struct {
	LegalName     string `json:"legalName"`
	TaxIdentifier string `json:"taxIdentifier"`
}

type extractedItem struct {
	Name      string `json:"name"`
	UnitPrice money  `json:"unitPrice"`
	Quantity  int    `json:"quantity"`
	Total     money  `json:"total"`
}

type extractedAmount struct {
	Currency    string `json:"currency"`
	SubTotal    money  `json:"subTotal"`
	TaxesAmount money  `json:"taxesAmount"`
	TipAmount   money  `json:"tipAmount"`
	TotalAmount money  `json:"totalAmount"`
}

func extractedTypes() []string {
	return []string{"MEXICAN_FISCAL_INVOICE", "INVOICE", "RECEIPT", "OTHER"}
}

func validations() []string {
	return []string{"VALIDATED_BY_CLARA", "VALIDATED_BY_USER", "NOT_VERIFIED"}
}

func extractedCollection() *collection {
	return &collection{size: 20, filters: []filter{
		{name: "uuid"}, {name: "type", words: extractedTypes()}, {name: "validationStatus", words: validations()},
	}}
}

// extracted lists what was read off the files of a transaction. Every so often somebody attached a stack of slips, so that there is
// more than one page of it.
func (b *books) extracted(t transaction) []row {
	n := t.documents
	if n > 0 && t.index%4 == 3 {
		n = 23
	}
	rows := make([]row, 0, n)
	for i := range n {
		d := b.roll("extracted "+strconv.Itoa(i), t.index)
		kind := extractedTypes()[1+d.below(3, 1)]
		if t.invoice && i == 1 {
			kind = extractedTypes()[0]
		}
		tax := t.amount * 16 / 116
		w := extractedWire{
			UUID: b.uuid("extracted "+strconv.Itoa(i), t.index), Type: kind, UserUUID: t.card.user.uuid, ValidationStatus: validations()[d.below(3, 2)],
			Data: extractedData{
				InvoiceID: fmt.Sprintf("F-%d-%d", t.index, i+1), IssueDate: day(t.at), Country: strings.ToUpper(b.country),
				Issuer: extractedIssuer{t.shop.name, taxIdentifier(b.country, t.shop.name)}, Description: t.shop.category,
				Items:  []extractedItem{{t.shop.category, t.amount - tax, 1, t.amount - tax}},
				Amount: extractedAmount{b.place().currency, t.amount - tax, tax, 0, t.amount},
			},
		}
		rows = append(rows, row{uuid: w.UUID, short: func() any { return w }, facets: map[string]string{"uuid": w.UUID, "type": kind, "validationStatus": w.ValidationStatus}})
	}
	return rows
}
