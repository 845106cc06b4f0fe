package sage

import (
	"context"
	"encoding/json"
	"net/url"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"connectorvault/shared/fault"
	"connectorvault/shared/provider"
	"connectorvault/shared/record"
)

// What a token answer says beside the tokens (Sage facts 1.4).
const (
	claimRequester = "requested_by_id"   // version 3.1: the user, in a form of its own
	claimOwner     = "resource_owner_id" // the older API: whose account it is
)

// siteShape keeps what becomes a header from being anything but an identifier.
var siteShape = provider.NewShape(`^[A-Za-z0-9_.-]{1,128}$`)

// maxDetails is how many businesses are looked at one by one, when the list says only what they are called. The rest
// count as active: a read says when one is not.
const maxDetails = 10

// Identify implements provider.Identifier: the account is the user who signed in, and its members are the businesses
// that the user may see. Both questions are asked without a business, so nobody's but the token's own can be answered.
func (a *Adapter) Identify(ctx context.Context, entry record.Entry, claims map[string]string, call provider.Caller) (record.Account, error) {
	if isLegacy(entry) {
		return identifyLegacy(claims)
	}
	user, err := a.ask(ctx, call, "user")
	if err != nil {
		return record.Account{}, err
	}
	account := record.Account{ID: user.Get("id").String(), Name: name(user), Identity: record.Verified}
	if !siteShape.MatchString(account.ID) {
		return record.Account{}, unusable("Sage's answer does not say who signed in.")
	}
	list, err := a.ask(ctx, call, "businesses")
	if err != nil {
		return record.Account{}, err
	}
	account.Members, err = a.members(ctx, list, call)
	if err != nil {
		return record.Account{}, err
	}
	if len(account.Members) == 0 {
		return record.Account{}, fault.New(fault.Refused, "provider_refused", "The user who signed in has no business in Sage Accounting.").
			Do("Sign in as a user who has one, or start a trial business, and authorize again.")
	}
	return account, nil
}

// identifyLegacy takes the older API's word for whose account it is: the token endpoint's, which no browser carried. It
// is missing when somebody else than the owner signed in (Sage facts 3.1).
func identifyLegacy(claims map[string]string) (record.Account, error) {
	id := claims[claimOwner]
	if !siteShape.MatchString(id) {
		return record.Account{}, fault.New(fault.Refused, "provider_refused", "Sage does not say whose account was authorized, as it does not when somebody else than its owner signs in.").
			Do("Authorize again and sign in at Sage as the owner of the business.")
	}
	return record.Account{ID: id, Identity: record.Verified}, nil
}

// ask reads a resource that belongs to no business.
func (a *Adapter) ask(ctx context.Context, call provider.Caller, name string) (gjson.Result, error) {
	res, _ := a.descriptor.Resource(name)
	answer, err := call(ctx, provider.Call{Op: *res.List, Params: url.Values{}})
	if err != nil {
		return gjson.Result{}, err
	}
	if !json.Valid(answer.Body) {
		return gjson.Result{}, unusable("Sage's answer is not JSON.")
	}
	return gjson.ParseBytes(answer.Body), nil
}

// members reads the list of businesses. Sage's description says that lists are arrays, and the wire has them in an
// envelope (Sage facts 2.4); both are taken.
func (a *Adapter) members(ctx context.Context, list gjson.Result, call provider.Caller) ([]record.Member, error) {
	if !list.IsArray() {
		list = list.Get("$items")
	}
	if !list.IsArray() {
		return nil, unusable("Sage's answer holds no list of businesses.")
	}
	var members []record.Member
	looked := 0
	for _, b := range list.Array() {
		id := strings.ToLower(b.Get("id").String())
		if !businessShape.MatchString(id) {
			continue
		}
		lapsed := false
		if !b.Get("subscriptions").Exists() && looked < maxDetails && ctx.Err() == nil {
			looked++
			b, lapsed = a.detail(ctx, b, id, call)
		}
		members = append(members, record.Member{Kind: "business", ID: id, Country: countryOf(b), Name: name(b), Active: !lapsed && subscribed(b)})
	}
	return members, nil
}

// detail looks at one business. It adds to what is known and decides nothing, so a failure is passed over; but one that
// says that the subscription has lapsed has told what there was to ask.
func (a *Adapter) detail(ctx context.Context, listed gjson.Result, id string, call provider.Caller) (business gjson.Result, lapsed bool) {
	res, _ := a.descriptor.Resource("businesses")
	answer, err := call(ctx, provider.Call{Op: *res.Item, Params: url.Values{"item": {id}}})
	if err != nil {
		return listed, fault.CodeOf(err) == "subscription_lapsed"
	}
	found := gjson.ParseBytes(answer.Body)
	if !json.Valid(answer.Body) || !strings.EqualFold(found.Get("id").String(), id) {
		return listed, false
	}
	return found, false
}

// subscribed reports whether a business has an active subscription, as far as is known.
func subscribed(business gjson.Result) bool {
	subscriptions := business.Get("subscriptions")
	if !subscriptions.IsArray() {
		return true
	}
	for _, s := range subscriptions.Array() {
		if s.Get("active").Bool() {
			return true
		}
	}
	return false
}

// countryOf is the country's code; Sage nests it as it does everything that has an id.
func countryOf(business gjson.Result) string {
	country := business.Get("country")
	if country.IsObject() {
		country = country.Get("id")
	}
	if code := strings.ToUpper(country.String()); countryShape.MatchString(code) {
		return code
	}
	return ""
}

// name is what a person knows the user or the business by. An email address is nobody's name.
func name(of gjson.Result) string {
	for _, member := range []string{"displayed_as", "name"} {
		if text := strings.TrimSpace(clip(of.Get(member).String())); text != "" && !strings.Contains(text, "@") {
			return text
		}
	}
	return ""
}

func unusable(detail string) *fault.Error {
	return fault.New(fault.Unavailable, "provider_unavailable", detail).Do("Try again in a minute.")
}

// Probes implements provider.Prober: one cheap read an area, which shows whether the user has a role there. They are of
// the connector's business, and without a connector of the first one whose subscription is active. If none is, what could
// be asked would be refused for that alone.
func (a *Adapter) Probes(target provider.Target, _ time.Time) []provider.Probe {
	var probes []provider.Probe
	add := func(name string, params url.Values) {
		res, _ := a.descriptor.Resource(name)
		probes = append(probes, provider.Probe{Resource: name, Op: *res.List, Params: params})
	}
	if !isLegacy(target.Entry) {
		add("businesses", url.Values{})
		if businessOf(target) == "" {
			return probes
		}
	}
	for _, name := range []string{"contacts", "sales-invoices", "ledger-accounts", "bank-accounts"} {
		add(name, url.Values{"items_per_page": {"1"}})
	}
	return probes
}
