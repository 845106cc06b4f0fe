package clarasim

import (
	"context"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// collection is a kind of record that the API lists.
type collection struct {
	version, name string // of the path: "v3", "cards"
	permission    string
	noun          string // in a refusal
	size          int    // of a page, where none is asked for
	array         bool   // a list is an array, unless a switch says otherwise (Clara facts 4.6)
	sorted        string // the facet that "sort" may name; "" for none
	filters       []filter
	check         func(url.Values) error // of what no filter can know; nil for nothing
	rows          func(*books) []row
	find          func(*books, string) (row, bool) // nil = among rows
	below         map[string]below
}

// below is what a record's path goes on to: one thing, or a list of them.
type below struct {
	single func(*books, row) any
	list   *collection
	rows   func(*books, row) []row
}

// row is one record before it is written.
type row struct {
	uuid   string
	facets map[string]string // what filters look at
	short  func() any        // as lists show it
	long   func() any        // as it is shown alone; nil = short
	of     any               // what it was made from
}

func (r row) whole() any {
	if r.long != nil {
		return r.long()
	}
	return r.short()
}

// filter is one query parameter.
type filter struct {
	name  string
	facet string // "" = the name
	kind  filterKind
	words []string // what an enumeration takes; nil = anything
}

type filterKind int

const (
	exact    filterKind = iota // the same text, whatever the case
	part                       // a part of it, whatever the case
	dayFrom                    // that day or later
	dayUntil                   // that day or earlier
)

// matches holds a record against the values that were given; any one of them will do.
func (f filter) matches(r row, values []string) bool {
	facet := f.facet
	if facet == "" {
		facet = f.name
	}
	actual := r.facets[facet]
	return slices.ContainsFunc(values, func(value string) bool {
		switch f.kind {
		case part:
			return strings.Contains(strings.ToLower(actual), strings.ToLower(value))
		case dayFrom:
			return actual >= value
		case dayUntil:
			return actual != "" && actual <= value
		case exact:
		}
		if f.words != nil {
			return slices.Contains(strings.Split(actual, " "), strings.ToUpper(value)) // a status has two names
		}
		return strings.EqualFold(actual, value)
	})
}

// check refuses a value that can match nothing by its form.
func (f filter) check(values []string) error {
	for _, value := range values {
		switch {
		case f.kind == dayFrom || f.kind == dayUntil:
			if _, err := time.Parse(time.DateOnly, value); err != nil {
				return badValue("Invalid date format: " + f.name + " must be YYYY-MM-DD")
			}
		case f.words != nil && !slices.Contains(f.words, strings.ToUpper(value)):
			return badValue("Invalid value for " + f.name)
		}
	}
	return nil
}

// given returns what was asked of a filter. Enumerations take several words with commas between them.
func (f filter) given(query url.Values) []string {
	var values []string
	for _, value := range query[f.name] {
		if value == "" {
			continue
		}
		if f.words == nil {
			values = append(values, value)
			continue
		}
		values = append(values, strings.Split(value, ",")...)
	}
	return values
}

// largestPage is Clara facts 4.5.
const largestPage = 100

// page is the envelope of version 3 (Clara facts 4.6).
type page struct {
	Content       []any `json:"content"`
	TotalElements int   `json:"totalElements"`
	TotalPages    int   `json:"totalPages"`
	Size          int   `json:"size"`
	Number        int   `json:"number"`
}

// nested is how newer versions of Clara's framework write the same.
type nested struct {
	Content []any      `json:"content"`
	Page    nestedPage `json:"page"`
}

type nestedPage struct {
	Size          int `json:"size"`
	Number        int `json:"number"`
	TotalElements int `json:"totalElements"`
	TotalPages    int `json:"totalPages"`
}

// list filters, sorts and cuts a list into pages.
func (s *Simulator) list(ctx context.Context, c *apiCall, of *collection, rows []row) (any, error) {
	rows, err := of.chosen(c.query, rows)
	if err != nil {
		return nil, err
	}
	shape := ShapePage
	if of.array {
		shape = ShapeArray
	}
	f, on, err := s.setting(ctx, s.state, FaultEnvelope, c.where)
	if err != nil {
		return nil, err
	}
	if on {
		shape = f.Shape
	}
	if shape == ShapeArray {
		return shorts(rows), nil
	}
	_, clamp, err := s.setting(ctx, s.state, FaultClampSize, c.where)
	if err != nil {
		return nil, err
	}
	number, size, err := of.readPage(c.query, clamp)
	if err != nil {
		return nil, err
	}
	total := len(rows)
	pages := (total + size - 1) / size
	from := total
	if number < pages {
		from = number * size
	}
	content := shorts(rows[from:min(from+size, total)])
	switch shape {
	case ShapePagedArray:
		return content, nil
	case ShapeNested:
		return nested{content, nestedPage{size, number, total, pages}}, nil
	}
	return page{content, total, pages, size, number}, nil
}

func shorts(rows []row) []any {
	list := make([]any, 0, len(rows))
	for _, r := range rows {
		list = append(list, r.short())
	}
	return list
}

// chosen applies filters and order.
func (of *collection) chosen(query url.Values, rows []row) ([]row, error) {
	if of.check != nil {
		if err := of.check(query); err != nil {
			return nil, err
		}
	}
	for _, f := range of.filters {
		values := f.given(query)
		if len(values) == 0 {
			continue
		}
		if err := f.check(values); err != nil {
			return nil, err
		}
		rows = slices.DeleteFunc(slices.Clone(rows), func(r row) bool { return !f.matches(r, values) })
	}
	sort := query.Get("sort")
	if sort == "" || of.sorted == "" {
		return rows, nil
	}
	name, direction, _ := strings.Cut(sort, ",")
	if name != of.sorted || direction != "" && direction != "asc" && direction != "desc" {
		return nil, badValue("Invalid value for sort")
	}
	rows = slices.Clone(rows)
	slices.SortStableFunc(rows, func(a, b row) int {
		order := strings.Compare(a.facets[name], b.facets[name])
		if direction == "desc" {
			return -order
		}
		return order
	})
	return rows, nil
}

// readPage reads page and size. Pages count from 0.
func (of *collection) readPage(query url.Values, clamp bool) (number, size int, err error) {
	size = of.size
	for _, member := range []struct {
		name  string
		value *int
		least int
		most  int
	}{{"page", &number, 0, math.MaxInt32}, {"size", &size, 1, largestPage}} {
		text := query.Get(member.name)
		if text == "" {
			continue
		}
		n, err := strconv.Atoi(text)
		if err == nil && clamp && member.name == "size" {
			n = min(n, largestPage)
		}
		if err != nil || n < member.least || n > member.most {
			return 0, 0, badValue("Invalid value for " + member.name)
		}
		*member.value = n
	}
	return number, size, nil
}
