package resource_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"connectorvault/shared/resource"
)

// orderPage is an answer of some 100 KB: a hundred orders of a provider's own shape.
func orderPage() []byte {
	var orders []string
	for i := range 100 {
		orders = append(orders, fmt.Sprintf(`{"orderId":"902-%07d-5435065","createdTime":"2026-11-20T12:00:00.000Z",
"buyer":{"buyerName":"Synthetic Buyer","buyerEmail":"buyer%d@example.com"},
"recipient":{"deliveryAddress":{"name":"Synthetic Buyer","addressLine1":"1 Example Street","city":"Example","countryCode":"DE"}},
"tax":{"taxRegistrations":[{"entityType":"BUYER","legalName":"Synthetic Buyer"}]},
"orderItems":[{"orderItemId":"%d","quantityOrdered":1,"product":{"asin":"B000000000","title":"%s","sellerSku":"SKU-%d"},
"fulfillment":{"packing":{"giftOption":{"giftMessage":"synthetic","giftWrapLevel":"1"}}}}]}`, i, i, i, strings.Repeat("example ", 50), i))
	}
	return []byte(`{"orders":[` + strings.Join(orders, ",") + `],"pagination":{"nextToken":"token"}}`)
}

func pageOperation() resource.Operation {
	return resource.Operation{
		Items: "orders", Paging: resource.Paging{Param: "token", Next: "pagination.nextToken"},
		Personal: []string{"buyer", "recipient", "tax.taxRegistrations.legalName", "orderItems.fulfillment.packing.giftOption.giftMessage"},
	}
}

func BenchmarkBuild(b *testing.B) {
	op, params := orders(), url.Values{"seller": {"A1"}, "after": {"2026-11-20T12:00:00Z"}, "status": {"OPEN,SENT"}, "limit": {"100"}}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := resource.Build(op, "https://api.test", params); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPage(b *testing.B) {
	op, answer := pageOperation(), orderPage()
	b.SetBytes(int64(len(answer)))
	b.ReportAllocs()
	for b.Loop() {
		if items, _, err := resource.Page(op, answer); err != nil || len(items) != 100 {
			b.Fatal(len(items), err)
		}
	}
}

func BenchmarkStrip(b *testing.B) {
	op, answer := pageOperation(), orderPage()
	items, _, err := resource.Page(op, answer)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(answer)))
	b.ReportAllocs()
	for b.Loop() {
		for _, item := range items {
			if got := resource.Strip(op, item); len(got) >= len(item) {
				b.Fatal("nothing was taken out")
			}
		}
	}
}

// The benchmark's page is what the other tests believe of it.
func TestStripLeavesNothingOfAPage(t *testing.T) {
	t.Parallel()
	items, next, err := resource.Page(pageOperation(), orderPage())
	if err != nil || next != "token" {
		t.Fatal(next, err)
	}
	for _, item := range items {
		got := resource.Strip(pageOperation(), item)
		if text := string(got); !json.Valid(got) || strings.Contains(text, "Synthetic") || strings.Contains(text, "synthetic") || !strings.Contains(text, `"sellerSku"`) {
			t.Fatalf("left %s", got)
		}
	}
}
