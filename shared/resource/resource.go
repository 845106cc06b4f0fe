// Package resource describes what can be read from a provider as data, and turns that data into requests and pages.
//
// The argument: three providers have some two hundred readable operations that differ in path, filters, paging style
// and rate, and in nothing that needs code. Written as data they can be listed to a caller, checked by a test and
// extended by a line; written as code they would be two hundred places to forget the rate limit in.
package resource

import "time"

// Resource is something readable under one name: GET /v1/connectors/{connector}/{name}[/{item}].
type Resource struct {
	Name     string     // kebab case, unique within the provider
	Title    string     // for a person
	List     *Operation // nil: there is no list
	Item     *Operation // nil: nothing is read by item. With Items set it answers a list that belongs to the item
	Create   *Operation // nil: nothing can be asked for; Amazon's reports are asked for
	Document bool       // an item can be read as a document (bytes, by range)
	Aliases  []string   // other names it is found by, such as those of the provider's own operations
}

// Operation is one operation of a provider's API.
type Operation struct {
	ID      string   // the provider's own name for it
	Method  string   // "" = GET
	Path    string   // with {placeholders}: "{item}" is the item of our API's path, every other one a filter InPath
	Filters []Filter // everything a caller may say, page size and page token apart
	Paging  Paging
	Items   string  // gjson path of the list, or of the one item, within the answer; "" = the answer is the item
	Rate    float64 // requests a second; 0 = the provider states none, and none is enforced
	Burst   int
	// Personal are the paths, within an item, of a natural person's data. "*" stands for every element of a list, and
	// for every member of an object; "**.x" for x at any depth. A list that a path does not mention is looked through.
	// They are taken out of answers to callers who may not see them.
	Personal []string
	// Withheld are the paths, as those of Personal, of what nobody is given: addresses that open what lies behind them to
	// whoever has them.
	Withheld []string
	// PersonalValues are filter values that make the provider return personal data: filter → values. They are not
	// sent for callers who may not see it.
	PersonalValues map[string][]string
	// PersonalWhole marks an answer that is personal data as a whole; it is refused without the grant.
	PersonalWhole bool
	OneOf         [][]string // of each group of filters exactly one must be given; a default steps back for another of its group
	Retires       time.Time  // announced by the provider; zero = not
	Accounts      []string   // account types it serves ("seller", "vendor"); empty = all
	// Grantless is the scope of the application's own token, which the operation takes in place of an account's; "" =
	// the account's. No account's data is behind it.
	Grantless string
}

// Filter is a parameter of an operation.
type Filter struct {
	Name     string // as in the provider's API, and as in ours
	In       Place
	Required bool
	List     ListStyle
	// Default is sent when the caller says nothing. A "$name" is resolved by the adapter, "=name" is what another filter
	// before this one has, a list is comma separated.
	Default string
	Yields  []string // other filters beside which the default is not sent
	Values  []string // all it may be; empty = anything
	Max     int      // most elements of a list; 0 = not stated
	Help    string   // for a person
}

// Place is where a parameter travels.
type Place int

// The places.
const (
	InQuery Place = iota
	InPath
	InBody
)

// ListStyle is how several values travel.
type ListStyle int

// The styles.
const (
	Single ListStyle = iota
	CSV              // a,b,c
	Multi            // name=a&name=b
)

// Paging is how an operation's pages follow each other.
type Paging struct {
	Param string // parameter that takes the next token; "" = the operation has one page
	Next  string // gjson path of the next token in the answer
	Link  bool   // Next is the address of the next page, whose number, which is the token, is its Param
	// Pages is the gjson path of how many pages there are, where pages are numbered from 0 and Next is the path of the
	// answer's own number: the token is the number after it.
	Pages    string
	Size     string            // parameter for the page size; "" = the provider's own
	MaxSize  int               // 0 = not stated
	Alone    bool              // the token must be the only parameter (Amazon reports, feeds)
	Drop     []string          // parameters left out beside the token
	Add      map[string]string // parameters added beside the token
	TokenTTL time.Duration     // how long a token lives; 0 = not stated
}
