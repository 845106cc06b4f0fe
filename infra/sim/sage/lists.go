package sagesim

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Paging (Sage facts 2.3).
const (
	defaultPage = 20
	largestPage = 200
)

// envelope is what a list arrives in.
type envelope struct {
	Total   int      `json:"$total"`
	Page    int      `json:"$page"`
	Next    *string  `json:"$next"`
	Back    *string  `json:"$back"`
	PerPage int      `json:"$itemsPerPage"`
	Items   []object `json:"$items"`
}

// list answers a page of a collection. A page beyond the end is the last one (Sage facts 2.3).
func (c *apiCall) list(b *book, all []row, rawQuery string) (reply, error) {
	res := c.route.resource
	rows, err := c.selectRows(b, res, all)
	if err != nil {
		return reply{}, err
	}
	if res.filtersBy("sort") {
		sortRows(rows, c.query.Get("sort"))
	}
	perPage := number(c.query.Get("items_per_page"), defaultPage, largestPage)
	last := max(1, (len(rows)+perPage-1)/perPage)
	page := number(c.query.Get("page"), 1, last)
	out := envelope{Total: len(rows), Page: page, PerPage: perPage, Items: []object{}}
	for _, r := range rows[(page-1)*perPage : min(page*perPage, len(rows))] {
		out.Items = append(out.Items, c.shape(b, r, false))
	}
	if page > 1 {
		out.Back = address(c.route.path, rawQuery, page-1, perPage)
	}
	if page < last {
		out.Next = address(c.route.path, rawQuery, page+1, perPage)
	}
	return reply{body: out}, nil
}

// number reads a parameter. What is no number is the default, and what is out of bounds the nearest that is within.
func number(text string, otherwise, most int) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		return min(otherwise, most)
	}
	return min(max(n, 1), most)
}

// address is a page's: relative, without host and version, with the other parameters as they were sent (Sage facts 2.3).
func address(path, rawQuery string, page, perPage int) *string {
	text := fmt.Sprintf("%s?page=%d&items_per_page=%d", path, page, perPage)
	for pair := range strings.SplitSeq(rawQuery, "&") {
		name, _, _ := strings.Cut(pair, "=")
		if name, err := url.QueryUnescape(name); pair != "" && err == nil && name != "page" && name != "items_per_page" {
			text += "&" + pair
		}
	}
	return &text
}

// shape is a record as it is shown: id, name and path, and what was asked for besides. A record asked for by its id is whole
// unless members are named.
func (c *apiCall) shape(b *book, r row, whole bool) object {
	res := c.route.resource
	id := r.word
	if id == "" {
		id = b.id(res.name, r.index)
	}
	if res.display != nil && !whole && !c.query.Has("attributes") && !b.query.balance {
		return object{{"id", id}, {"displayed_as", res.display(b, r)}, {"$path", "/" + res.name + "/" + id}}
	}
	all := res.render(b, r)
	return c.membersOf(object{{"id", id}, all[0], {"$path", "/" + res.name + "/" + id}}, all[1:], whole)
}

// membersOf adds the members that were asked for.
func (c *apiCall) membersOf(short, others object, whole bool) object {
	asked := strings.Split(c.query.Get("attributes"), ",")
	if slices.Contains(asked, "all") || whole && asked[0] == "" {
		return append(short, others...)
	}
	for _, m := range others {
		if slices.Contains(asked, m.name) || m.name == "balance" && c.query.Get("show_balance") == "true" {
			short = append(short, m)
		}
	}
	return short
}

// item answers one record, or what hangs on one.
func (c *apiCall) item(b *book, rows []row) (reply, error) {
	res := c.route.resource
	var i int
	if index, own := b.indexOf(res.name, c.route.key); own {
		i = slices.IndexFunc(rows, func(r row) bool { return r.word == "" && r.index == index && r.deleted.IsZero() })
	} else {
		i = slices.IndexFunc(rows, func(r row) bool { return r.word != "" && r.word == c.route.key })
	}
	if i < 0 {
		return reply{}, errNotThere
	}
	switch c.route.sub {
	case "file":
		return reply{raw: b.file(rows[i].index), contentType: "application/octet-stream", status: http.StatusOK}, nil
	case "bank_feed":
		return reply{body: object{{"$path", c.route.path}, {"status", "disconnected"}, {"last_statement_date", nil}, {"updated_at", stamp(rows[i].updated)}}}, nil
	}
	return reply{body: c.shape(b, rows[i], true)}, nil
}

// selectRows applies the filters: first those that the rows themselves show, then those that need the record.
func (c *apiCall) selectRows(b *book, res *resource, all []row) ([]row, error) {
	keep, err := c.rowFilter(res)
	if err != nil {
		return nil, err
	}
	var byMember []string
	for name, values := range c.query {
		if res.filtersBy(name) && values[0] != "" && memberOf(name) != "" {
			byMember = append(byMember, name)
		}
	}
	rows := make([]row, 0, len(all))
	for _, r := range all {
		if keep(r) && c.passes(b, res, r, byMember) {
			rows = append(rows, r)
		}
	}
	return rows, nil
}

// rowFilter judges by stamps and dates. updated_or_created_since includes its moment, deleted_since does not (Sage facts 2.3).
func (c *apiCall) rowFilter(res *resource) (func(row) bool, error) {
	var failure error
	read := func(name string) time.Time {
		text := c.query.Get(name)
		if text == "" || !res.filtersBy(name) {
			return time.Time{}
		}
		t, ok := readTime(text)
		if !ok {
			failure = badField(name)
		}
		return t
	}
	endOf := func(t time.Time) time.Time { // a date includes its day
		if t.IsZero() {
			return t
		}
		return t.Truncate(day24).Add(day24)
	}
	since, deletedSince := read("updated_or_created_since"), read("deleted_since")
	from, to := read("from_date"), endOf(read("to_date"))
	updatedFrom, updatedTo := read("updated_from_date"), endOf(read("updated_to_date"))
	return func(r row) bool {
		if deletedSince.IsZero() != r.deleted.IsZero() || !deletedSince.IsZero() && !r.deleted.After(deletedSince) {
			return false
		}
		return !r.updated.Before(since) && !r.date.Truncate(day24).Before(from.Truncate(day24)) && (to.IsZero() || r.date.Before(to)) &&
			!r.updated.Before(updatedFrom) && (updatedTo.IsZero() || r.updated.Before(updatedTo))
	}, failure
}

// memberOf is the member that a filter looks at; "" for filters that others apply.
func memberOf(filter string) string {
	switch filter {
	case "updated_or_created_since", "deleted_since", "from_date", "to_date", "updated_from_date", "updated_to_date", "sort":
		return ""
	case "filter_inactive_contacts", "filter_inactive_bank_accounts":
		return "is_active"
	case "exclude_system":
		return "system"
	}
	return strings.TrimSuffix(filter, "_id")
}

// passes judges a record by its members. A filter that looks at none of them passes all.
func (c *apiCall) passes(b *book, res *resource, r row, filters []string) bool {
	var o object
	for _, name := range filters {
		value := c.query.Get(name)
		if res.special != nil {
			if passes, known := res.special(b, r, name, value); known {
				if !passes {
					return false
				}
				continue
			}
		}
		if o == nil {
			o = res.render(b, r)
		}
		if !o.matches(name, value) {
			return false
		}
	}
	return true
}

func (o object) matches(filter, value string) bool {
	attribute := memberOf(filter)
	switch filter {
	case "search":
		return o.mentions(value)
	case "exclude_system":
		return value != "true" || o.is(attribute, "false")
	case "filter_inactive_contacts", "filter_inactive_bank_accounts":
		return value != "true" || o.is(attribute, "true")
	}
	if o.has(attribute + "s") { // contact_types
		attribute += "s"
	}
	return !o.has(attribute) || o.is(attribute, value)
}

// mentions searches where a person would look.
func (o object) mentions(text string) bool {
	for _, name := range []string{"displayed_as", "name", "reference", "contact_name", "invoice_number", "item_code", "description", "email"} {
		if value, is := o.get(name).(string); is && strings.Contains(strings.ToLower(value), strings.ToLower(text)) {
			return true
		}
	}
	return false
}

// sortRows orders by created_at, updated_at, date or due_date, with :desc for the newest first (Sage facts 2.3).
func sortRows(rows []row, by string) {
	name, direction, _ := strings.Cut(by, ":")
	when := map[string]func(row) time.Time{
		"created_at": func(r row) time.Time { return r.created }, "updated_at": func(r row) time.Time { return r.updated },
		"date": func(r row) time.Time { return r.date.Truncate(day24) }, "due_date": dueOf,
	}[name]
	if when == nil {
		return
	}
	sign := 1
	if direction == "desc" {
		sign = -1
	}
	slices.SortStableFunc(rows, func(a, b row) int {
		return cmp.Or(sign*when(a).Compare(when(b)), cmp.Compare(a.index, b.index))
	})
}
