package amazonsim

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// The report types whose files have columns of their own. Any other type gets a short file.
const (
	listingsReport = "GET_MERCHANT_LISTINGS_ALL_DATA"
	ledgerReport   = "GET_LEDGER_DETAIL_VIEW_DATA"
	stockReport    = "GET_FBA_MYI_UNSUPPRESSED_INVENTORY_DATA"
	trafficReport  = "GET_SALES_AND_TRAFFIC_REPORT"
)

// ledgerRows makes the ledger's file larger than the 4 MiB that go into one answer of a Lambda.
const ledgerRows = 60_000

const (
	contentUTF8   = "text/plain;charset=UTF-8"
	contentLatin1 = "text/plain;charset=ISO-8859-1"
)

// gzipped says whether Amazon compresses the file. Which it compresses is nowhere written, so both occur.
func (d document) gzipped() bool {
	switch d.kind {
	case listingsReport, settlementType, kioskMark, labelsMark, ladingMark, challanMark:
		return false
	}
	return true
}

// content makes the file. European listings come in Latin-1 (Amazon facts 7.3).
func (d document) content() (file []byte, contentType string, err error) {
	switch {
	case d.kind == feedType:
		file, err = json.Marshal(map[string]any{
			"header":  map[string]string{"sellerId": d.seller.ID, "version": "2.0", "feedId": d.id},
			"issues":  []any{},
			"summary": map[string]int{"errors": 0, "warnings": 0, "messagesProcessed": 1, "messagesAccepted": 1, "messagesInvalid": 0},
		})
		return file, "application/json;charset=UTF-8", err
	case d.kind == kioskMark:
		return []byte(`{"sellingPartnerId":` + quote(d.seller.ID) + "}\n"), "application/jsonl", nil
	case d.kind == labelsMark || d.kind == ladingMark || d.kind == challanMark:
		return []byte("%PDF-1.4\n% a simulated paper of " + d.seller.ID + "\n%%EOF\n"), "application/pdf", nil
	case d.kind == trafficReport:
		file, err = json.Marshal(map[string]any{"reportSpecification": d.spec, "salesAndTrafficByDate": []any{}})
		return file, "application/json;charset=UTF-8", err
	case d.kind == listingsReport && d.european():
		return latin1(table(d.listingRows())), contentLatin1, nil
	case d.kind == listingsReport:
		return []byte(table(d.listingRows())), contentUTF8, nil
	case d.kind == ledgerReport:
		return []byte(table(d.ledger())), contentUTF8, nil
	case d.kind == stockReport || d.kind == "GET_AFN_INVENTORY_DATA":
		return []byte(table(d.stockRows())), contentUTF8, nil
	case d.kind == settlementType || strings.Contains(d.kind, "ORDER") || strings.Contains(d.kind, "SHIPMENT"):
		return []byte(table(d.orderRows())), contentUTF8, nil
	}
	return []byte(table([][]string{{"report-type", "seller"}, {d.kind, d.seller.ID}})), contentUTF8, nil
}

// european says whether the report is about a European marketplace.
func (d document) european() bool {
	return slices.ContainsFunc(d.markets(), func(m marketplace) bool { return m.region == "eu" })
}

func (d document) markets() []marketplace {
	var list []marketplace
	for _, id := range d.spec.Marketplaces {
		if m, known := marketplaceByID(id); known {
			list = append(list, m)
		}
	}
	return list
}

// table prints rows as Amazon's flat files are: tabs between, CRLF behind.
func table(rows [][]string) string {
	var b strings.Builder
	for _, row := range rows {
		b.WriteString(strings.Join(row, "\t"))
		b.WriteString("\r\n")
	}
	return b.String()
}

// latin1 encodes what fits into ISO 8859-1; the seeded titles all do.
func latin1(text string) []byte {
	out := make([]byte, 0, len(text))
	for _, r := range text {
		if r > 0xff {
			r = '?'
		}
		out = append(out, byte(r))
	}
	return out
}

func (d document) listingRows() [][]string {
	rows := [][]string{{"item-name", "seller-sku", "price", "quantity", "asin1", "fulfillment-channel", "status"}}
	for i, p := range d.seller.products() {
		channel := "DEFAULT"
		if p.fba {
			channel = "AMAZON"
		}
		price := fmt.Sprintf("%d.%02d", p.cents/100, p.cents%100)
		rows = append(rows, []string{p.title, p.sku, price, strconv.Itoa(i % 40), p.asin, channel, "Active"})
	}
	return rows
}

func (d document) stockRows() [][]string {
	rows := [][]string{{"sku", "asin", "product-name", "condition", "afn-fulfillable-quantity"}}
	for _, p := range d.seller.products() {
		if p.fba {
			rows = append(rows, []string{p.sku, p.asin, p.title, "New", strconv.Itoa(roll("listed", p.sku).below(200))})
		}
	}
	return rows
}

func (d document) ledger() [][]string {
	rows := make([][]string, 0, ledgerRows+1)
	rows = append(rows, []string{"Date", "FNSKU", "ASIN", "MSKU", "Title", "Event Type", "Reference ID", "Quantity", "Fulfillment Center"})
	products := d.seller.products()
	for i := range ledgerRows {
		p := products[i%len(products)]
		rows = append(rows, []string{
			d.created.AddDate(0, 0, -i%90).Format("01/02/2006"), "X00" + p.asin[3:], p.asin, p.sku, p.title, "Shipments",
			fmt.Sprintf("REF%09d", i), "-1", "SIM" + strconv.Itoa(i%9),
		})
	}
	return rows
}

// orderRows lists the orders of the report's window. The restricted types carry the person.
func (d document) orderRows() [][]string {
	start, end, _ := d.spec.window(d.created) // checked when the report was made
	private := restrictedReport(d.kind)
	header := []string{"amazon-order-id", "purchase-date", "last-updated-date", "order-status", "sales-channel", "sku", "quantity", "currency", "item-price"}
	if private {
		header = append(header, "buyer-name", "ship-address-1", "ship-phone-number")
	}
	rows := [][]string{header}
	for _, o := range searchBook(d.seller, orderFilter{markets: d.markets(), after: start, before: end}, d.created) {
		for i := range o.lines() {
			l := o.line(i)
			price := o.market.moneyIn(l.product.cents * int64(l.quantity))
			row := []string{
				o.id(), stamp(o.created), stamp(o.updated), v0Status(o.status), o.market.name, l.product.sku,
				strconv.Itoa(l.quantity), price.Currency, price.Amount,
			}
			if private {
				a := o.v0Address(true)
				row = append(row, o.person(), fmt.Sprint(a["AddressLine1"]), fmt.Sprint(a["Phone"]))
			}
			rows = append(rows, row)
		}
	}
	return rows
}
