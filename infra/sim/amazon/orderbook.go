package amazonsim

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// The order book is a function of seller, marketplace and time: one order an hour since 1970, at a minute of its
// own, whose status follows from its age. So a seller has 168 orders a week in each marketplace, for ever, and
// stepping the clock makes new ones and ships old ones.
const (
	orderSlot       = time.Hour
	orderVisible    = 2 * time.Minute // until an order shows up (Amazon facts 13)
	orderSettled    = 72 * time.Hour  // no order changes after this age
	ordersKept      = 2 * 365 * 24 * time.Hour
	orderCheckMod   = 10_000_000
	orderScramble   = 6_180_339 // coprime to 10, so the slot can be had back from the order id
	orderUnscramble = 6_240_059 // its inverse modulo 10^7
	orderPrefix     = 100       // order ids of marketplace n begin with 100 + n
)

// Fulfilment statuses of Orders 2026-01-01 (Amazon facts 7.2).
const (
	statusPreorder         = "PENDING_AVAILABILITY"
	statusPending          = "PENDING"
	statusUnshipped        = "UNSHIPPED"
	statusPartiallyShipped = "PARTIALLY_SHIPPED"
	statusShipped          = "SHIPPED"
	statusCancelled        = "CANCELLED"
	statusUnfulfillable    = "UNFULFILLABLE"
)

func orderStatuses() []string {
	return []string{statusPreorder, statusPending, statusUnshipped, statusPartiallyShipped, statusShipped, statusCancelled, statusUnfulfillable}
}

// order is one order as of some time. It is small, because a search sorts thousands.
type order struct {
	slot     int64
	seller   *Seller
	market   *marketplace
	dice     dice
	created  time.Time
	updated  time.Time
	status   string
	byAmazon bool
	shipped  time.Time // zero before
}

// line is one article of an order.
type line struct {
	id       string
	product  product
	quantity int
	shipped  int
}

// orderAt computes the order of a slot as it stands at now; false while nobody can see it yet.
func orderAt(seller *Seller, market *marketplace, slot int64, now time.Time) (order, bool) {
	d := roll("order", seller.ID, market.id, strconv.FormatInt(slot, 10))
	o := order{slot: slot, seller: seller, market: market, dice: d}
	o.created = time.Unix(slot*int64(orderSlot.Seconds()), 0).Add(time.Duration(d.below(3_599_000)) * time.Millisecond).UTC()
	if slot < 0 || now.Before(o.created.Add(orderVisible)) {
		return order{}, false
	}
	o.byAmazon = fulfilledByAmazon(o.productOf(0))
	o.status, o.updated = statusPending, o.created
	for _, step := range o.history() {
		at := o.created.Add(step.after)
		if now.Before(at) {
			break
		}
		o.status, o.updated = step.status, at
		if step.status == statusShipped {
			o.shipped = at
		}
	}
	return o, true
}

// step is a change of status, so long after the order was placed.
type step struct {
	after  time.Duration
	status string
}

// history is an order's life: most are shipped after a day, some end otherwise.
func (o order) history() []step {
	ship := 24*time.Hour + time.Duration(o.dice.below(600))*time.Minute
	ready := step{30 * time.Minute, statusUnshipped}
	switch o.dice.below(20) {
	case 0:
		return []step{ready, {3 * time.Hour, statusCancelled}}
	case 1:
		if !o.byAmazon && o.lines() > 1 {
			return []step{ready, {20 * time.Hour, statusPartiallyShipped}, {44 * time.Hour, statusShipped}}
		}
	case 2:
		if o.byAmazon {
			return []step{ready, {6 * time.Hour, statusUnfulfillable}}
		}
	case 3:
		return []step{{0, statusPreorder}, {12 * time.Hour, statusPending}, {13 * time.Hour, statusUnshipped}, {13*time.Hour + ship, statusShipped}}
	}
	return []step{ready, {ship, statusShipped}}
}

// lines is how many articles the order has: mostly one.
func (o order) lines() int {
	if n := o.dice.below(7); n < 2 {
		return n + 2
	}
	return 1
}

// productOf is the number of the article on a line.
func (o order) productOf(i int) int { return o.lineDice(i).below(productsPerSeller) }

func (o order) lineDice(i int) dice {
	return roll("line", strconv.FormatUint(uint64(o.dice), 36), strconv.Itoa(i))
}

func (o order) line(i int) line {
	d := o.lineDice(i)
	l := line{
		id:       fmt.Sprintf("%014d", d.below(99_999_999_999_999)),
		product:  o.seller.product(o.productOf(i)),
		quantity: 1 + d.below(9)/6,
	}
	if o.status == statusShipped || (o.status == statusPartiallyShipped && i == 0) {
		l.shipped = l.quantity
	}
	return l
}

// total is the price of everything, in hundredths.
func (o order) total() int64 {
	var sum int64
	for i := range o.lines() {
		l := o.line(i)
		sum += l.product.cents * int64(l.quantity)
	}
	return sum
}

func (o order) id() string { return orderID(o.seller, o.market, o.slot) }

// orderID hides the slot in an id of Amazon's shape, 3-7-7 digits (Amazon facts 1). The last part is a check
// that only the right seller's slot meets.
func orderID(seller *Seller, market *marketplace, slot int64) string {
	scrambled := (slot * orderScramble) % orderCheckMod
	check := roll("order id", seller.ID, market.id, strconv.FormatInt(slot, 10)).below(orderCheckMod)
	return fmt.Sprintf("%03d-%07d-%07d", orderPrefix+marketIndex(market), scrambled, check)
}

func marketIndex(market *marketplace) int {
	return slices.IndexFunc(marketplaceTable[:], func(m marketplace) bool { return m.id == market.id })
}

// findOrder looks an order id up among the seller's orders of a region.
func findOrder(seller Seller, region, id string, now time.Time) (order, bool) {
	var prefix int
	var scrambled int64
	if _, err := fmt.Sscanf(id, "%03d-%07d-", &prefix, &scrambled); err != nil {
		return order{}, false
	}
	slot := scrambled * orderUnscramble % orderCheckMod
	for _, market := range seller.marketplacesIn(region) {
		if orderPrefix+marketIndex(&market) == prefix && orderID(&seller, &market, slot) == id {
			return orderAt(&seller, &market, slot, now)
		}
	}
	return order{}, false
}

// orderFilter is a search of the order book. Both ends of the window belong to it.
type orderFilter struct {
	markets       []marketplace
	after, before time.Time
	byUpdate      bool // the window is of changes, not of creations
	keep          func(order) bool
}

func (f orderFilter) time(o order) time.Time {
	if f.byUpdate {
		return o.updated
	}
	return o.created
}

// searchBook returns the orders of a window as of now, oldest first.
func searchBook(seller Seller, f orderFilter, now time.Time) []order {
	var found []order
	for _, market := range f.markets {
		first := f.after
		if f.byUpdate {
			first = first.Add(-orderSettled)
		}
		if oldest := market.oldestOrder(now); first.Before(oldest) {
			first = oldest
		}
		for slot := first.Unix() / 3600; slot <= f.before.Unix()/3600; slot++ {
			o, visible := orderAt(&seller, &market, slot, now)
			if !visible || f.time(o).Before(f.after) || f.time(o).After(f.before) || (f.keep != nil && !f.keep(o)) {
				continue
			}
			found = append(found, o)
		}
	}
	slices.SortFunc(found, func(a, b order) int {
		return cmp.Or(f.time(a).Compare(f.time(b)), cmp.Compare(a.market.id, b.market.id))
	})
	return found
}

// oldestOrder is how far back orders are shown: two years, but from 2016 on in the Far East (Amazon facts 7.2).
func (m marketplace) oldestOrder(now time.Time) time.Time {
	if m.region == "fe" {
		return time.Date(2016, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	return now.Add(-ordersKept)
}
