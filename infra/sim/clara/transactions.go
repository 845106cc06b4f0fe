package clarasim

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// A company spends the same number of times a month, from July 2025 on or from six months ago, whichever is earlier. So there are never
// fewer than 132 transactions, and more every day.
const (
	monthlyTransactions = 22
	firstMonth          = 2025*12 + 6
	statementCount      = 6 // months that are over and that statements are listed of
)

// monthOf numbers months.
func monthOf(t time.Time) int { return t.Year()*12 + int(t.Month()) - 1 }

func monthStart(month int) time.Time {
	return time.Date(month/12, time.Month(month%12+1), 1, 0, 0, 0, 0, time.UTC)
}

// The types of transactions (Clara facts 4.5).
const (
	typePurchase = "PURCHASE"
	typeRefund   = "REFUND"
	typeFee      = "FEE"
	typeCredit   = "CREDIT"
	typePayment  = "PAYMENT"
)

// The states of transactions.
func statuses() []word {
	return []word{{"ON", "NOTIFICATION"}, {"AU", "PRE_AUTHORIZED"}, {"OP", "AUTHORIZED"}, {"RJ", "REJECTED"}, {"EC", "SYSTEM_TRANSACTION"}}
}

func statusWords() []string {
	var names []string
	for _, w := range statuses() {
		names = append(names, w.Code, w.Description)
	}
	return names
}

// settled is how long a card's transaction takes to be final: two business days at most (Clara facts 4.5).
const settled = 48 * time.Hour

// transaction is something that was spent, or paid to Clara.
type transaction struct {
	index, month int
	uuid, kind   string
	at           time.Time
	amount       money
	shop         shop
	card         card
	rejected     bool
	documents    int
	invoice      bool
	label        int // -1 for none
}

func (b *books) transaction(month, k int) transaction {
	index := month*monthlyTransactions + k
	d := b.roll("transaction", index)
	start := monthStart(month)
	span := int(start.AddDate(0, 1, 0).Sub(start) / time.Second)
	shops := b.place().shops
	t := transaction{
		index: index, month: month, uuid: b.uuid("transaction", index), kind: typePurchase, at: start.Add(time.Duration(d.below(span, 1)) * time.Second),
		amount: b.place().factor * money(100+d.below(200000, 2)), shop: shops[d.below(len(shops), 3)], card: b.card(d.below(cardCount, 4)),
		rejected: d.below(17, 5) == 0, documents: d.below(3, 6), label: d.below(6, 8) - 1,
	}
	if k%5 == 0 {
		t.amount -= t.amount % 100 // a whole number, which has a fraction on the wire all the same
	}
	switch {
	case k == 0:
		t.kind = typePayment
	case k == 1:
		t.kind = typeFee
	case k == 2:
		t.kind = typeCredit
	case k%9 == 5:
		t.kind = typeRefund
	}
	if t.byClara() {
		t.shop, t.rejected, t.documents = shop{"Clara", "CLARA", "SERVICES"}, false, 0
	}
	t.invoice = b.country == CountryMexico && t.documents > 0 && d.below(2, 7) == 0
	return t
}

// byClara reports whether no card was used.
func (t transaction) byClara() bool {
	return t.kind == typePayment || t.kind == typeFee || t.kind == typeCredit
}

// status is what has become of a transaction by now.
func (t transaction) status(now time.Time) word {
	known := statuses()
	switch age := now.Sub(t.at); {
	case t.byClara():
		return known[4]
	case t.rejected:
		return known[3]
	case age < 10*time.Minute:
		return known[0]
	case age < settled:
		return known[1]
	}
	return known[2]
}

// months are the first month of the books and the one that is now.
func (b *books) months() (first, now int) {
	now = monthOf(b.now)
	return min(firstMonth, now-statementCount), now
}

// transactions lists what has happened so far, the newest first.
func (b *books) transactions() []transaction {
	first, now := b.months()
	list := make([]transaction, 0, (now-first+1)*monthlyTransactions)
	for month := first; month <= now; month++ {
		list = append(list, b.transactionsOf(month)...)
	}
	slices.SortFunc(list, func(a, b transaction) int {
		if order := b.at.Compare(a.at); order != 0 {
			return order
		}
		return strings.Compare(a.uuid, b.uuid)
	})
	return list
}

// transactionsOf lists those of a month, in no order.
func (b *books) transactionsOf(month int) []transaction {
	list := make([]transaction, 0, monthlyTransactions)
	for _, t := range b.monthly(month) {
		if !t.at.After(b.now) {
			list = append(list, t)
		}
	}
	return list
}

// written is where the transactions of a month lie, once they were made.
type written struct {
	country, side, tax string
	month              int
}

// monthly is what happens in a month, also what is yet to come. It is always the same, so it is made once where it can be kept.
func (b *books) monthly(month int) []transaction {
	at := written{b.country, b.side, b.tax, month}
	if b.kept != nil {
		if list, ok := b.kept.Load(at); ok {
			return list.([]transaction)
		}
	}
	list := make([]transaction, 0, monthlyTransactions)
	for k := range monthlyTransactions {
		list = append(list, b.transaction(month, k))
	}
	if b.kept != nil {
		b.kept.Store(at, list)
	}
	return list
}

type transactionWire struct {
	UUID                string      `json:"uuid"`
	Type                string      `json:"type"`
	TransactionLabel    string      `json:"transactionLabel"`
	Labels              []labelWire `json:"labels"`
	Status              any         `json:"status"`
	OperationDate       string      `json:"operationDate"`
	AccountingDate      *string     `json:"accountingDate"` // null until it is final
	AuthorizationNumber string      `json:"authorizationNumber"`
	AmountValue         amountWire  `json:"amountValue"`
	Merchant            merchant    `json:"merchant"`
	Card                *cardRef    `json:"card"`
	User                *userRef    `json:"user"`
	BillingStatement    *ref        `json:"billingStatement"`
	HasAttachments      any         `json:"hasAttachments"`
	HasInvoice          any         `json:"hasInvoice"`
}

type labelWire struct {
	UUID  string     `json:"uuid"`
	Links []linkWire `json:"links"`
}

type linkWire struct {
	Rel  string `json:"rel"`
	Href string `json:"href"`
}

type amountWire struct {
	Value    money  `json:"value"`
	Currency string `json:"currency"`
}

type merchant struct {
	Name     string `json:"name"`
	Category string `json:"category"`
}

type cardRef struct {
	LastFourDigits string `json:"lastFourDigits"`
}

type userRef struct {
	Name string `json:"name"`
	UUID string `json:"uuid"`
}

func transactionsCollection() *collection {
	c := &collection{version: "v3", name: "transactions", permission: permitTransactions, noun: "Transaction", size: 50, sorted: "operationDate"}
	c.filters = []filter{
		{name: "operationDateRangeStart", facet: "operationDate", kind: dayFrom}, {name: "operationDateRangeEnd", facet: "operationDate", kind: dayUntil},
		{name: "accountingDateRangeStart", facet: "accountingDate", kind: dayFrom}, {name: "accountingDateRangeEnd", facet: "accountingDate", kind: dayUntil},
		{name: "status", words: statusWords()}, {name: "labelUuid"}, {name: "label", facet: "transactionLabel", kind: part},
	}
	c.rows = func(b *books) []row {
		list := b.transactions()
		rows := make([]row, 0, len(list))
		for _, t := range list {
			rows = append(rows, b.transactionRow(t))
		}
		return rows
	}
	c.below = map[string]below{
		"documents":           {single: func(b *books, r row) any { return b.documentsWire(r.of.(transaction)) }},
		"extracted-documents": {list: extractedCollection(), rows: func(b *books, r row) []row { return b.extracted(r.of.(transaction)) }},
	}
	return withFind(c)
}

// accounting is the day that a transaction is booked on; "" while it is not final.
func (t transaction) accounting(now time.Time) string {
	if now.Sub(t.at) < settled {
		return ""
	}
	return day(t.at.Add(settled))
}

func (b *books) transactionRow(t transaction) row {
	status := t.status(b.now)
	facets := map[string]string{
		"operationDate": day(t.at), "accountingDate": t.accounting(b.now), "status": status.Code + " " + status.Description, "transactionLabel": t.shop.label,
	}
	if t.label >= 0 {
		facets["labelUuid"] = b.uuid("label", t.label)
	}
	return row{uuid: t.uuid, facets: facets, of: t, short: func() any { return b.transactionWire(t) }}
}

func (b *books) transactionWire(t transaction) transactionWire {
	w := transactionWire{
		UUID: t.uuid, Type: t.kind, TransactionLabel: t.shop.label, Labels: []labelWire{}, Status: b.word(t.index, t.status(b.now)), OperationDate: day(t.at),
		AuthorizationNumber: fmt.Sprintf("%06d", b.roll("authorization", t.index).below(1000000, 1)),
		AmountValue:         amountWire{t.amount, b.place().currency}, Merchant: merchant{t.shop.name, t.shop.category},
		HasAttachments: b.flag(t.index, t.documents > 0), HasInvoice: b.flag(t.index, t.invoice),
	}
	if at := t.accounting(b.now); at != "" {
		w.AccountingDate = &at
	}
	if t.label >= 0 {
		id := b.uuid("label", t.label)
		w.Labels = append(w.Labels, labelWire{id, []linkWire{{"self", "https://public-api." + b.country + ".clara.com/api/v2/labels/" + id}}})
	}
	if !t.byClara() {
		w.Card, w.User = &cardRef{t.card.last}, &userRef{t.card.user.fullName(), t.card.user.uuid}
	}
	if _, now := b.months(); t.month < now {
		w.BillingStatement = &ref{UUID: b.uuid("statement", t.month)}
	}
	return w
}

// statementWire is a month that is over.
type statementWire struct {
	UUID               string `json:"uuid"`
	StatementStartDate string `json:"statementStartDate"`
	StatementEndDate   string `json:"statementEndDate"`
	Currency           string `json:"currency"`
	TotalAmount        money  `json:"totalAmount"`
	Status             string `json:"status,omitempty"`      // of one that is shown alone
	GeneratedAt        string `json:"generatedAt,omitempty"` // as above
}

// entryWire is a transaction as a statement shows it. Clara publishes uuid and amount; the rest is assumed.
type entryWire struct {
	UUID          string `json:"uuid"`
	Amount        money  `json:"amount"`
	Currency      string `json:"currency"`
	Type          string `json:"type"`
	OperationDate string `json:"operationDate"`
	Merchant      string `json:"merchant"`
}

// total is what a month's statement asks for: what was spent and charged, less what came back.
func (b *books) total(month int) money {
	var sum money
	for _, t := range b.transactionsOf(month) {
		switch {
		case t.rejected || t.kind == typePayment:
		case t.kind == typePurchase || t.kind == typeFee:
			sum += t.amount
		default:
			sum -= t.amount
		}
	}
	return sum
}

func statementsCollection() *collection {
	c := &collection{version: "v3", name: "billing-statements", permission: permitStatements, noun: "Billing statement", size: 50}
	c.rows = func(b *books) []row {
		_, now := b.months()
		rows := make([]row, 0, statementCount)
		for month := now - 1; month >= now-statementCount; month-- {
			rows = append(rows, b.statementRow(month))
		}
		return rows
	}
	// Older ones are listed no more, and are there: transactions name them.
	c.find = func(b *books, key string) (row, bool) {
		first, now := b.months()
		for month := first; month < now; month++ {
			if b.uuid("statement", month) == key {
				return b.statementRow(month), true
			}
		}
		return row{}, false
	}
	entries := &collection{size: 50}
	c.below = map[string]below{"transactions": {list: entries, rows: func(b *books, r row) []row {
		list := b.transactionsOf(r.of.(int))
		slices.SortFunc(list, func(a, b transaction) int { return a.at.Compare(b.at) })
		rows := make([]row, 0, len(list))
		for _, t := range list {
			if t.rejected {
				continue
			}
			w := entryWire{t.uuid, t.amount, b.place().currency, t.kind, day(t.at), t.shop.name}
			rows = append(rows, row{uuid: t.uuid, short: func() any { return w }})
		}
		return rows
	}}}
	return c
}

func (b *books) statementRow(month int) row {
	start := monthStart(month)
	w := statementWire{
		UUID: b.uuid("statement", month), StatementStartDate: day(start), StatementEndDate: day(start.AddDate(0, 1, -1)), Currency: b.place().currency,
		TotalAmount: b.total(month),
	}
	return row{uuid: w.UUID, of: month, short: func() any { return w }, long: func() any {
		w.Status, w.GeneratedAt = "closed", stamp(start.AddDate(0, 1, 0).Add(10*time.Hour))
		return w
	}}
}
