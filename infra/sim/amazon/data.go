package amazonsim

import (
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"
	"time"
)

// dice is a number that looks random and is always the same for the same words. All seeded data comes from it,
// so that any process computes the same order from the same identifier.
type dice uint64

func roll(words ...string) dice {
	h := fnv.New64a()
	for _, word := range words {
		_, _ = h.Write([]byte(word)) // a hash never fails
		_, _ = h.Write([]byte{0})
	}
	x := h.Sum64() // FNV alone mixes its last bytes poorly
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	return dice(x)
}

// below returns a number from 0 to n-1.
func (d dice) below(n int) int { return int(uint64(d) % uint64(n)) } //nolint:gosec // less than n, which is an int

// productsPerSeller makes more than three pages of every list of products (Amazon facts 7.1: pages of 50, 20 and 10).
const productsPerSeller = 160

// product is one article of a seller's. It is the same in every marketplace but for its price's currency.
type product struct {
	asin, sku, title, brand, kind string
	cents                         int64
	fba                           bool
}

// The parts of titles. Some are not ASCII, and one SKU holds characters that need escaping in a path.
var (
	titleNouns   = [...]string{"Lantern", "Kettle", "Backpack", "Fahrradtasche", "Théière", "Sleeping Bag", "Almohada", "Bottle", "Compass", "Gürtel"}
	titleStyles  = [...]string{"Classic", "Light", "Compact", "Expedition", "Größe L", "Premium", "Travel", "Été"}
	productKinds = [...]string{"LANTERN", "KETTLE", "BACKPACK", "BICYCLE_BAG", "TEAPOT", "SLEEPING_BAG", "PILLOW", "BOTTLE", "COMPASS", "BELT"}
)

func (seller Seller) product(i int) product {
	d := roll("product", seller.ID, strconv.Itoa(i))
	noun := d.below(len(titleNouns))
	p := product{
		asin:  "B0" + strings.ToUpper(fmt.Sprintf("%08s", strconv.FormatUint(uint64(d)%2821109907456, 36))),
		sku:   fmt.Sprintf("%s-%04d", productKinds[noun][:3], i),
		title: titleNouns[noun] + " " + titleStyles[d.below(80)/10] + " " + strconv.Itoa(100+i),
		brand: strings.Fields(seller.Name)[0],
		kind:  productKinds[noun],
		cents: int64(500 + d.below(9500)),
		fba:   fulfilledByAmazon(i),
	}
	if i == 7 {
		p.sku = "AB/12 ü+%-0007" // a slash, a space and more, as real SKUs have
	}
	return p
}

// fulfilledByAmazon says who ships product i: Amazon two of three.
func fulfilledByAmazon(i int) bool { return i%3 != 2 }

func (seller Seller) products() []product {
	all := make([]product, productsPerSeller)
	for i := range all {
		all[i] = seller.product(i)
	}
	return all
}

func (seller Seller) productBySKU(sku string) (product, bool) {
	for i := range productsPerSeller {
		if p := seller.product(i); p.sku == sku {
			return p, true
		}
	}
	return product{}, false
}

// money is an amount as most of the newer APIs print it.
type money struct {
	Amount   string `json:"amount"`
	Currency string `json:"currencyCode"`
}

// moneyIn prints an amount of hundredths. The yen has none, so the number itself is taken for yen.
func (m marketplace) moneyIn(cents int64) money {
	if m.currency == "JPY" {
		return money{strconv.FormatInt(cents, 10), m.currency}
	}
	sign := ""
	if cents < 0 {
		sign, cents = "-", -cents
	}
	return money{fmt.Sprintf("%s%d.%02d", sign, cents/100, cents%100), m.currency}
}

// number is the same amount as a JSON number.
func (m marketplace) number(cents int64) float64 {
	if m.currency == "JPY" {
		return float64(cents)
	}
	return float64(cents) / 100
}

// stamp prints a time as SP-API does, with milliseconds (Amazon facts 7.2).
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// parseTime reads ISO 8601 as far as SP-API takes it: a date, or a time with an offset.
func parseTime(text string) (time.Time, bool) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999", "2006-01-02", "20060102T150405Z"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC(), true
		}
	}
	return time.Time{}, false
}
