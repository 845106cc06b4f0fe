package amazon

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"connectorvault/shared/fault"
	"connectorvault/shared/provider"
	"connectorvault/shared/record"
	"connectorvault/shared/resource"
)

// missingMarketplace is the detail of an account that does not sell where its entry says.
const missingMarketplace = "missing_marketplace"

// Identify implements provider.Identifier.
//
// Amazon says whose account it is in the callback alone, where anybody may have written it (Amazon facts 2.1). What
// the API tells is which marketplaces the account takes part in. They are asked for first, because an authorization
// that landed in another region shows there and nowhere else; then the claim is checked by a call that works for its
// owner only, as far as the application's roles allow. A vendor has neither call: that claim stays one.
func (a *Adapter) Identify(ctx context.Context, entry record.Entry, claims map[string]string, call provider.Caller) (record.Account, error) {
	account := record.Account{ID: claims[claimAccount], Identity: record.Claimed}
	if !accountShape.MatchString(account.ID) {
		return record.Account{}, invalid(claimAccount, "The selling partner id is missing, or is not an identifier.").
			Do("Give the merchant token (seller) or vendor group code (vendor) of the account.")
	}
	// The sandbox answers with examples, whoever asks (Amazon facts 9.3): they prove nothing and compare with nothing.
	if isVendor(entry) || entry.APIEnvironment == record.Sandbox {
		return account, nil
	}
	members, err := a.participations(ctx, "", call)
	switch {
	case deniedSilently(err):
		if elsewhere := a.elsewhere(ctx, entry, call); elsewhere != nil {
			return record.Account{}, elsewhere
		}
		// The application lacks the role for this question. The region stays unproved, and so may the claim.
	case noAnswer(err):
		// Something stands between us and Amazon that does not know the question. It proves nothing either way.
	case err != nil:
		return record.Account{}, err
	default:
		if err := a.checkRegion(ctx, entry, members, call); err != nil {
			return record.Account{}, err
		}
		account.Members = members
		a.describeAccount(&account, entry)
	}
	account.Identity, err = a.checkClaim(ctx, entry, account, call)
	if err != nil {
		return record.Account{}, err
	}
	return account, nil
}

// participations asks one region which marketplaces the account takes part in; base is "" for the entry's own.
func (a *Adapter) participations(ctx context.Context, base string, call provider.Caller) ([]record.Member, error) {
	op := a.operation("marketplaces")
	answer, err := call(ctx, provider.Call{Op: op, Params: url.Values{}, Base: base})
	if err != nil {
		return nil, err
	}
	items, _, err := resource.Page(op, answer.Body)
	if err != nil {
		return nil, err
	}
	if !gjson.GetBytes(answer.Body, op.Items).IsArray() {
		return nil, errNoAnswer
	}
	var members []record.Member
	for _, item := range items {
		fields := gjson.GetManyBytes(item, "marketplace.id", "marketplace.countryCode", "storeName", "participation.isParticipating")
		member := record.Member{Kind: "marketplace", ID: fields[0].String(), Country: fields[1].String(), Name: fields[2].String(),
			Active: fields[3].Bool()}
		if where, known := a.places.find(member.ID); known {
			member.Country = where.Country // Amazon is not sure whether it is UK or GB (Amazon facts 2.2)
		}
		if member.ID != "" {
			members = append(members, member)
		}
	}
	return members, nil
}

// checkRegion refuses an account that takes part in nothing here. Marketplaces that are not in the table, which
// Amazon has for its own purposes, say nothing about a region.
func (a *Adapter) checkRegion(ctx context.Context, entry record.Entry, members []record.Member, call provider.Caller) error {
	region := a.home(entry).Region
	var others []place
	for _, m := range members {
		where, known := a.places.find(m.ID)
		if known && where.Region == region {
			return nil
		}
		if known {
			others = append(others, where)
		}
	}
	if len(others) > 0 {
		return wrongRegion(region, others[0].Region, others)
	}
	if elsewhere := a.elsewhere(ctx, entry, call); elsewhere != nil {
		return elsewhere
	}
	return fault.New(fault.Conflict, "region_mismatch",
		fmt.Sprintf("The account takes part in no marketplace of region %s (%s).", region, regionTitle(region))).On(settingRegion).
		Do("Choose the account and region on Amazon's consent page again, or make a vault entry for the account's own region.")
}

// elsewhere asks the other regions whether the authorization is theirs. Nothing but a list with marketplaces counts:
// a refusal or a failure there is what an account of this region gets.
func (a *Adapter) elsewhere(ctx context.Context, entry record.Entry, call provider.Caller) error {
	own := a.home(entry).Region
	for _, region := range regionTitles {
		if region.code == own {
			continue
		}
		members, err := a.participations(ctx, a.endpoints.api(region.code, entry.APIEnvironment), call)
		if err != nil {
			continue
		}
		var found []place
		for _, m := range members {
			if where, known := a.places.find(m.ID); known && where.Region == region.code {
				found = append(found, where)
			}
		}
		if len(found) > 0 {
			return wrongRegion(own, region.code, found)
		}
	}
	return nil
}

func wrongRegion(wanted, actual string, found []place) *fault.Error {
	var countries []string
	for _, where := range found {
		countries = append(countries, where.Country)
	}
	return fault.New(fault.Conflict, "region_mismatch",
		fmt.Sprintf("The account was authorized in region %s (%s), and the vault entry is for region %s.",
			actual, strings.Join(countries, ", "), wanted)).On(settingRegion).
		Do("Make a vault entry for region " + actual + ", or choose an account of region " + wanted + " on Amazon's consent page.")
}

// describeAccount names the account after its store and notes when the wanted marketplace is not among its own.
func (a *Adapter) describeAccount(account *record.Account, entry record.Entry) {
	home := a.home(entry)
	at := slices.IndexFunc(account.Members, func(m record.Member) bool { return m.ID == home.ID })
	if at < 0 {
		account.Details = map[string]string{missingMarketplace: home.Country}
		at = 0
	}
	account.Name = account.Members[at].Name
}

// checkClaim asks for something that only the claimed account's own token can get. Two roles open two ways; where
// neither does, the claim stays a claim.
func (a *Adapter) checkClaim(ctx context.Context, entry record.Entry, account record.Account, call provider.Caller) (record.Identity, error) {
	marketplace := a.home(entry).ID
	active := func(m record.Member) bool { return m.ID == marketplace }
	if len(account.Members) > 0 && !slices.ContainsFunc(account.Members, active) {
		marketplace = account.Members[0].ID
	}
	op := a.operation("listings")
	answer, err := call(ctx, provider.Call{Op: op, Params: url.Values{
		"sellerId": {account.ID}, "marketplaceIds": {marketplace}, "pageSize": {"1"},
	}})
	switch {
	case err == nil && gjson.GetBytes(answer.Body, op.Items).IsArray():
		return record.Verified, nil
	case namesSeller(err):
		return "", fault.New(fault.Conflict, "account_mismatch", "Amazon says that the account that was authorized has another selling partner id.").
			On(claimAccount).Do("Begin again, and finish with the address that Amazon itself formed.")
	case passing(err):
		return "", err
	}
	return a.checkBalances(ctx, account, call)
}

// checkBalances compares the claim with the account that the Finances API names. Another id there refutes nothing:
// Amazon does not say that it is always the merchant token.
func (a *Adapter) checkBalances(ctx context.Context, account record.Account, call provider.Caller) (record.Identity, error) {
	answer, err := call(ctx, provider.Call{Op: a.operation("list-balances"), Params: url.Values{}})
	if passing(err) {
		return "", err
	}
	if err != nil {
		return record.Claimed, nil //nolint:nilerr // whoever may not ask learns nothing: the claim stays one
	}
	for _, id := range gjson.GetBytes(answer.Body, "balances.#.partnerMetadata.partnerId").Array() {
		if id.String() == account.ID {
			return record.Verified, nil
		}
	}
	return record.Claimed, nil
}

// errNoAnswer is an answer that has no list of participations in it: it is not Amazon's, or not to this question.
var errNoAnswer = errors.New("the answer holds no participations")

// noAnswer recognises that the question was not understood: an answer of another shape, or 404 for a path that Amazon has.
func noAnswer(err error) bool {
	if err == nil {
		return false
	}
	said := fault.As(err).Provider
	return errors.Is(err, errNoAnswer) || said != nil && said.Status == http.StatusNotFound
}

// deniedSilently recognises the 403 without a reason.
func deniedSilently(err error) bool {
	if err == nil {
		return false
	}
	said := fault.As(err).Provider
	return said != nil && said.Status == http.StatusForbidden && fault.KindOf(err) == fault.Refused && said.Details == ""
}

// namesSeller recognises the refusal of a selling partner id that is not the token's.
func namesSeller(err error) bool {
	said := fault.As(err).Provider
	if said == nil || said.Status != http.StatusBadRequest {
		return false
	}
	text := strings.ToLower(strings.ReplaceAll(said.Message+" "+said.Details, " ", ""))
	return strings.Contains(text, "sellerid") && (strings.Contains(text, "invalid") || strings.Contains(text, "notvalid"))
}

// passing reports a failure that another try may not have. It decides nothing about the account.
func passing(err error) bool {
	if err == nil {
		return false
	}
	switch fault.KindOf(err) {
	case fault.Unavailable, fault.RateLimited, fault.Internal, fault.Misconfigured, fault.ReauthRequired:
		return true
	default:
		return false
	}
}

// operation returns the list operation of a resource, or the item operation where there is no list.
func (a *Adapter) operation(name string) resource.Operation {
	r, _ := a.descriptor.Resource(name)
	if r.List != nil {
		return *r.List
	}
	return *r.Item
}

// Probes implements provider.Prober: one cheap read a role. What each shows is whether the application has the role
// and the account is authorized for it; the answer of Amazon's consent does not list roles (Amazon facts 5.6). The
// sandbox refuses most questions that are not its examples (Amazon facts 9.3), so it is asked little.
func (a *Adapter) Probes(target provider.Target, now time.Time) []provider.Probe {
	recent := timestamp(now.Add(-time.Hour))
	wanted := []struct {
		name   string
		params url.Values
	}{
		{"marketplaces", url.Values{}},
		{"catalog-items", url.Values{"keywords": {"samsung", "tv"}, "pageSize": {"1"}}},
		{"orders", url.Values{"lastUpdatedAfter": {recent}, "maxResultsPerPage": {"1"}}},
		{"inventory", url.Values{}},
		{"listings", url.Values{"pageSize": {"1"}}},
		{"transactions", url.Values{"postedAfter": {timestamp(now.Add(-24 * time.Hour))}}},
		{"reports", url.Values{"reportTypes": {"GET_MERCHANT_LISTINGS_ALL_DATA"}, "pageSize": {"1"}}},
		{"feeds", url.Values{"feedTypes": {"JSON_LISTINGS_FEED"}, "pageSize": {"1"}}},
	}
	if target.Entry.APIEnvironment == record.Sandbox {
		wanted = wanted[:2]
	}
	var probes []provider.Probe
	for _, w := range wanted {
		op := a.operation(w.name)
		if len(op.Accounts) > 0 && !slices.Contains(op.Accounts, kindOf(target.Entry)) {
			continue
		}
		params := resource.WithDefaults(op, w.params, func(name string) []string { return a.Resolve(name, target, now) })
		probes = append(probes, provider.Probe{Resource: w.name, Op: op, Params: params})
	}
	return probes
}

func kindOf(entry record.Entry) string {
	if isVendor(entry) {
		return vendor
	}
	return seller
}
