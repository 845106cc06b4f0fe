package amazon

import (
	"strings"
	"testing"
)

// An operator may edit marketplaces.json; a slip must not reach a browser.
func TestParsePlacesRefuses(t *testing.T) {
	t.Parallel()
	const good = `{"country":"US","name":"United States","id":"I1","region":"na","default":true,"seller":"a.example","vendor":""},
		{"country":"GB","aliases":["UK"],"name":"United Kingdom","id":"I2","region":"eu","default":true,"seller":"b.example","vendor":""},
		{"country":"JP","name":"Japan","id":"I3","region":"fe","default":true,"seller":"c.example","vendor":""}`
	if _, err := parsePlaces([]byte("[" + good + "]")); err != nil {
		t.Fatal(err)
	}
	for words, extra := range map[string]string{
		"there twice":        `{"country":"UK","name":"X","id":"I9","region":"eu","seller":"d.example"}`,
		"not a country code": `{"country":"usa","name":"X","id":"I9","region":"eu","seller":"d.example"}`,
		"lacks an id":        `{"country":"DE","name":"X","region":"eu","seller":"d.example"}`,
		"no region":          `{"country":"DE","name":"X","id":"I9","region":"mars","seller":"d.example"}`,
		"seller host":        `{"country":"DE","name":"X","id":"I9","region":"eu","seller":"https://d.example/"}`,
		"vendor host":        `{"country":"DE","name":"X","id":"I9","region":"eu","seller":"d.example","vendor":"d.example:443"}`,
		"2 default":          `{"country":"DE","name":"X","id":"I9","region":"eu","seller":"d.example","default":true}`,
		"marketplaces:":      `{`,
	} {
		_, err := parsePlaces([]byte("[" + good + "," + extra + "]"))
		if err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: got %v", extra, err)
		}
	}
	if _, err := parsePlaces([]byte("[]")); err == nil {
		t.Error("an empty table was taken")
	}
}

func TestUserAgentEscapes(t *testing.T) {
	t.Parallel()
	if got := escapeAgent(`a\b/c(d=e);`); got != `a\\b\/c\(d\=e\)\;` {
		t.Errorf("got %s", got)
	}
}

func TestRestrictedReports(t *testing.T) {
	t.Parallel()
	for kind, want := range map[string]bool{
		"GET_AMAZON_FULFILLED_SHIPMENTS_DATA_INVOICING":       true,
		"GET_AMAZON_FULFILLED_SHIPMENTS_DATA_TAX":             true,
		"GET_FLAT_FILE_ACTIONABLE_ORDER_DATA_SHIPPING":        true,
		"GET_FLAT_FILE_ORDER_REPORT_DATA_SHIPPING":            true,
		"GET_FLAT_FILE_ORDER_REPORT_DATA_INVOICING":           true,
		"GET_FLAT_FILE_ORDER_REPORT_DATA_TAX":                 true,
		"GET_FLAT_FILE_ORDERS_RECONCILIATION_DATA_TAX":        true,
		"GET_ORDER_REPORT_DATA_TAX":                           true,
		"SC_VAT_TAX_REPORT":                                   true,
		"GET_MERCHANT_LISTINGS_ALL_DATA":                      false,
		"GET_FBA_MYI_ALL_INVENTORY_DATA":                      false,
		"GET_FLAT_FILE_ALL_ORDERS_DATA_BY_ORDER_DATE_GENERAL": false,
		"": false,
	} {
		if got := restrictedReport(kind); got != want {
			t.Errorf("%s: restricted %t", kind, got)
		}
	}
	if !personalReport("") || !personalReport("GET_SELLER_FEEDBACK_DATA") || personalReport("GET_MERCHANT_LISTINGS_ALL_DATA") {
		t.Error("personal reports are not told apart")
	}
}
