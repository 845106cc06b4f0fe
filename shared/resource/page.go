package resource

import (
	"bytes"
	"encoding/json"
	"net/url"
	"strconv"

	"github.com/tidwall/gjson"

	"connectorvault/shared/fault"
)

// Page takes an answer apart: the items, byte for byte as the provider sent them but for what is withheld, and the next
// page's token, "" at the end. A list that is not there is empty, but where pages are linked or numbered it is an answer of
// another kind: then the whole answer may be the list, and if it is not there is none. An answer that is not JSON, has no
// list where there must be one, links to no page, or does not say which page it is, is a *fault.Error.
func Page(op Operation, answer []byte) (items []json.RawMessage, next string, err error) {
	answer = bytes.TrimPrefix(answer, []byte("\xef\xbb\xbf")) // seen before Sage's answers (Sage facts 2.4)
	// encoding/json and not gjson: it refuses nesting that would run a recursive reader out of stack.
	if !json.Valid(answer) {
		return nil, "", unreadable("The provider's answer is not JSON.")
	}
	if next, err = op.Paging.next(answer); err != nil {
		return nil, "", err
	}
	if items, err = op.list(answer); err != nil {
		return nil, "", err
	}
	if len(op.Withheld) > 0 {
		rules := rulesOf(op.Withheld)
		for i := range items {
			items[i] = stripValid(items[i], rules)
		}
	}
	return items, next, nil
}

// list finds the items of a valid answer.
func (op Operation) list(answer []byte) ([]json.RawMessage, error) {
	if op.Items == "" {
		return []json.RawMessage{answer}, nil
	}
	found := gjson.GetBytes(answer, op.Items)
	if (op.Paging.Link || op.Paging.Pages != "") && !found.IsArray() && !(found.Exists() && found.Type == gjson.Null) {
		if found = gjson.ParseBytes(answer); !found.IsArray() {
			return nil, unreadable("The provider's answer holds no list.")
		}
	}
	switch {
	case !found.Exists() || found.Type == gjson.Null:
		return []json.RawMessage{}, nil
	case !found.IsArray():
		return []json.RawMessage{json.RawMessage(found.Raw)}, nil
	}
	items := []json.RawMessage{}
	found.ForEach(func(_, item gjson.Result) bool {
		items = append(items, json.RawMessage(item.Raw))
		return true
	})
	return items, nil
}

// next is the next page's token.
func (p Paging) next(answer []byte) (string, error) {
	switch {
	case p.Next == "":
		return "", nil
	case p.Pages != "":
		return p.number(gjson.ParseBytes(answer))
	default:
		return p.token(gjson.GetBytes(answer, p.Next))
	}
}

// number is the number of the page after an answer that is numbered. An answer that is a list is all there is. Any other
// must say which page it is of how many: taking one that does not for the last would lose the rest unseen.
func (p Paging) number(answer gjson.Result) (string, error) {
	if answer.IsArray() {
		return "", nil
	}
	at, of := answer.Get(p.Next), answer.Get(p.Pages)
	number, err := strconv.Atoi(at.Raw)
	pages, err2 := strconv.Atoi(of.Raw)
	if err != nil || err2 != nil || number < 0 || pages < 0 {
		return "", unreadable("The provider's answer does not say which page of how many it is.")
	}
	if number >= pages-1 {
		return "", nil
	}
	return strconv.Itoa(number + 1), nil
}

// token is what leads to the next page: what the answer says, or the number of the page that it links to. No page comes
// after itself, so a link to the first one is broken.
func (p Paging) token(said gjson.Result) (string, error) {
	if !p.Link || said.Type == gjson.Null {
		return said.String(), nil
	}
	if said.Type != gjson.String {
		return "", brokenLink()
	}
	if said.Str == "" {
		return "", nil
	}
	u, err := url.Parse(said.Str)
	if err != nil {
		return "", brokenLink()
	}
	number, err := strconv.Atoi(u.Query().Get(p.Param))
	if err != nil || number < 2 {
		return "", brokenLink()
	}
	return strconv.Itoa(number), nil
}

// Advance is NextParams for a token that was just read from the page that params asked for. Where pages are linked, a link
// that does not lead further is a *fault.Error: whoever follows it would read the same pages for ever, and whoever does
// not would believe that they are all there is. So is, where they are numbered, an answer that is another page than the
// one that was asked for.
func Advance(op Operation, params url.Values, token string) (url.Values, error) {
	switch {
	case op.Paging.Pages != "":
		asked, err := strconv.Atoi(params.Get(op.Paging.Param))
		if err != nil {
			asked = 0
		}
		if token != strconv.Itoa(asked+1) {
			return nil, unreadable("The provider's answer is another page than the one that was asked for.")
		}
	case op.Paging.Link:
		asked, err := strconv.Atoi(params.Get(op.Paging.Param))
		if err != nil {
			asked = 1
		}
		if number, err := strconv.Atoi(token); err != nil || number <= asked {
			return nil, brokenLink()
		}
	}
	return NextParams(op, params, token), nil
}

func brokenLink() *fault.Error {
	return unreadable("The provider's link to the next page does not lead further.")
}

func unreadable(detail string) *fault.Error {
	return fault.New(fault.Unavailable, "provider_unavailable", detail).Do("Try again in a minute.")
}
