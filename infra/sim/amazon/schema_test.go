package amazonsim_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	amazonsim "connectorvault/infra/sim/amazon"
)

// schema is as much of an OpenAPI schema as Amazon's models use.
type schema struct {
	Ref        string             `json:"$ref"`
	Type       string             `json:"type"`
	Enum       []string           `json:"enum"`
	Required   []string           `json:"required"`
	Properties map[string]*schema `json:"properties"`
	Items      *schema            `json:"items"`
	AllOf      []*schema          `json:"allOf"`
	Additional any                `json:"additionalProperties"`
}

type definitions map[string]*schema

// check reports where a value is not what its schema says. A member that the schema does not have counts too: a
// client would come to rely on it.
func (d definitions) check(at string, s *schema, value any) []string {
	if name, isRef := strings.CutPrefix(s.Ref, "#/definitions/"); isRef {
		return d.check(at, d[name], value)
	}
	switch value := value.(type) {
	case map[string]any:
		return d.checkObject(at, s, value)
	case []any:
		if s.Type != "array" {
			return []string{at + " is a list"}
		}
		var wrong []string
		for i, element := range value {
			wrong = append(wrong, d.check(fmt.Sprintf("%s[%d]", at, i), s.Items, element)...)
		}
		return wrong
	case string:
		if s.Type != "string" || (len(s.Enum) > 0 && !slices.Contains(s.Enum, value)) {
			return []string{at + " must not be the text " + value}
		}
	case float64:
		if s.Type != "number" && (s.Type != "integer" || value != float64(int64(value))) {
			return []string{at + " must not be a number"}
		}
	case bool:
		if s.Type != "boolean" {
			return []string{at + " must not be a boolean"}
		}
	default:
		return []string{at + " must not be null"}
	}
	return nil
}

func (d definitions) checkObject(at string, s *schema, value map[string]any) []string {
	if s.Type != "object" && s.Type != "" {
		return []string{at + " is an object"}
	}
	if (len(s.Properties) == 0 && len(s.AllOf) == 0) || s.Additional != nil || len(s.AllOf) > 0 {
		return nil // free form
	}
	var wrong []string
	for _, name := range s.Required {
		if _, found := value[name]; !found {
			wrong = append(wrong, at+"."+name+" is missing")
		}
	}
	for name, member := range value {
		if s.Properties[name] == nil {
			wrong = append(wrong, at+"."+name+" is unknown")
			continue
		}
		wrong = append(wrong, d.check(at+"."+name, s.Properties[name], member)...)
	}
	return wrong
}

// TestSeededAnswersFitTheModels holds the answers of production against Amazon's own schemas.
func TestSeededAnswersFitTheModels(t *testing.T) {
	t.Parallel()
	folder := os.Getenv(modelsVariable)
	if folder == "" {
		t.Skipf("%s is not set: it names a folder of Amazon's OpenAPI models", modelsVariable)
	}
	f := newFront(t)
	token := f.access(amazonsim.SellerEurope, "eu")
	order := decode[orderPage](t, f.get("eu/orders/2026-01-01/orders?createdAfter=2026-06-01", token)).Orders[0].OrderID
	document := f.finishedReport(token, "GET_AFN_INVENTORY_DATA", "")
	report := f.createReport(token, "GET_AFN_INVENTORY_DATA", "")
	f.clock.Step(7 * time.Second)
	everything := "&includedData=BUYER,RECIPIENT,PROCEEDS,EXPENSE,PROMOTION,CANCELLATION,FULFILLMENT,PACKAGES,TAX,PAYMENT,FULFILLMENT_ORDERS"
	const german = "marketplaceIds=A1PA6795UKMFR9"
	for _, test := range []struct{ model, template, path string }{
		{"sellers", "", "/sellers/v1/marketplaceParticipations"},
		{"sellers", "", "/sellers/v1/account"},
		{"orders_2026-01-01", "", "/orders/2026-01-01/orders?createdAfter=2026-06-01" + everything},
		{"orders_2026-01-01", "", "/orders/2026-01-01/orders?lastUpdatedAfter=2026-06-10&fulfillmentStatuses=CANCELLED,UNFULFILLABLE,PARTIALLY_SHIPPED" + everything},
		{"orders_2026-01-01", "/orders/2026-01-01/orders/{orderId}", "/orders/2026-01-01/orders/" + order + "?x=1" + everything},
		{"ordersV0", "", "/orders/v0/orders?MarketplaceIds=A1PA6795UKMFR9&CreatedAfter=2026-06-10"},
		{"ordersV0", "/orders/v0/orders/{orderId}/address", "/orders/v0/orders/" + order + "/address"},
		{"ordersV0", "/orders/v0/orders/{orderId}/orderItems", "/orders/v0/orders/" + order + "/orderItems"},
		{"fbaInventory", "", "/fba/inventory/v1/summaries?details=true&granularityType=Marketplace&granularityId=A1PA6795UKMFR9&" + german},
		{"catalogItems_2022-04-01", "", "/catalog/2022-04-01/items?keywords=lantern&includedData=classifications,dimensions,identifiers,images,productTypes,relationships,salesRanks,summaries&" + german},
		{"listingsItems_2021-08-01", "/listings/2021-08-01/items/{sellerId}", "/listings/2021-08-01/items/" + amazonsim.SellerEurope +
			"?includedData=summaries,attributes,issues,offers,fulfillmentAvailability,relationships,productTypes&" + german},
		{"finances_2024-06-19", "", "/finances/2024-06-19/transactions?postedAfter=2026-06-10"},
		{"finances_2024-06-19", "", "/finances/2024-06-19/balances"},
		{"finances_2024-06-19", "", "/finances/2024-06-19/summary"},
		{"reports_2021-06-30", "", "/reports/2021-06-30/reports?reportTypes=GET_AFN_INVENTORY_DATA," + url.QueryEscape("GET_V2_SETTLEMENT_REPORT_DATA_FLAT_FILE_V2")},
		{"reports_2021-06-30", "/reports/2021-06-30/reports/{reportId}", "/reports/2021-06-30/reports/" + report},
		{"reports_2021-06-30", "/reports/2021-06-30/documents/{reportDocumentId}", "/reports/2021-06-30/documents/" + document},
		{"reports_2021-06-30", "", "/reports/2021-06-30/schedules?reportTypes=GET_AFN_INVENTORY_DATA"},
		{"feeds_2021-06-30", "", "/feeds/2021-06-30/feeds?feedTypes=JSON_LISTINGS_FEED"},
	} {
		template := test.template
		if template == "" {
			template, _, _ = strings.Cut(test.path, "?")
		}
		t.Run(test.path, func(t *testing.T) {
			a := f.get("eu"+test.path, token)
			wantStatus(t, a, 200)
			for i, wrong := range readModel(t, folder, test.model).wrong(template, decode[any](t, a)) {
				if i == 10 {
					t.Fatal("and more")
				}
				t.Error(wrong)
			}
		})
	}
}

type model struct {
	Paths map[string]struct {
		Get struct {
			Responses map[string]struct{ Schema *schema }
		}
	}
	Definitions definitions
}

func readModel(t *testing.T, folder, name string) model {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(folder, name+".json")) //nolint:gosec // the tester names the folder
	if err != nil {
		t.Skipf("%v", err)
	}
	var m model
	if err := json.Unmarshal(text, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

func (m model) wrong(template string, value any) []string {
	s := m.Paths[template].Get.Responses["200"].Schema
	if s == nil {
		return []string{"the model has no schema for " + template}
	}
	return m.Definitions.check("", s, value)
}
