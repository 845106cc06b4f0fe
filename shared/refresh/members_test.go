package refresh_test

import (
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"

	"connectorvault/shared/authorize"
	"connectorvault/shared/bundle/bundletest"
	"connectorvault/shared/fault"
	"connectorvault/shared/provider"
	"connectorvault/shared/record"
)

// reaching is a rack whose connectors name businesses, with an entry that reaches B1 and B2.
func reaching(t *testing.T) (*rack, record.Entry) {
	t.Helper()
	t.Parallel()
	r := newRack(t, bundletest.Options{Revokes: true, Describe: []func(*provider.Descriptor){bundletest.Businesses}})
	e := r.Entry("own", bundletest.OwnClient("client-7")...)
	r.Upstream.SetMembers("acct-1", "B1", "B2")
	r.OK(r.validate(r.consented(e, "acct-1")))
	return r, e
}

func (r *rack) naming(e record.Entry, business string) record.Connector {
	r.Helper()
	return r.Connector(e, map[string][]string{bundletest.SettingBusiness: {business}})
}

func TestAnAuthorizationMustReachWhatTheEntrysConnectorsName(t *testing.T) {
	r, e := reaching(t)
	r.naming(e, "B1")
	r.Connector(e, nil) // names none
	second := r.naming(e, "B2")
	r.OK(r.validate(r.consented(e, "acct-1"))) // the same again is no less

	before, revision := r.credential(e), r.entry(e).Revision
	r.Upstream.SetMembers("acct-1", "B1", "B3")
	pasted, exchanged := r.consented(e, "acct-1"), r.exchanges()
	for range 2 { // asked again it gives the same answer, and exchanges nothing
		f := r.Fault(r.validate(pasted), fault.Conflict, "account_mismatch")
		if !strings.Contains(f.Detail, second.Name) || !strings.Contains(f.Detail, bundletest.SettingBusiness) {
			t.Errorf("nobody learns which: %+v", f)
		}
		if after := r.credential(e); !reflect.DeepEqual(after, before) || r.entry(e).Revision != revision {
			t.Errorf("it changed something: %s", shown(after))
		}
	}
	if n := r.exchanges() - exchanged; n != 1 {
		t.Errorf("%d exchanges", n)
	}
	// Of a refused consent nothing is given back: it may be the same grant as the one that works.
	r.wantRevoked()
	_, err := r.Authorize.Begin(r.Context(), r.Owner, e.ID, authorize.Begin{Mode: record.RefreshToken, RefreshToken: r.Upstream.Issue("acct-1").Refresh})
	r.Fault(err, fault.Conflict, "account_mismatch")
	if after := r.credential(e); !reflect.DeepEqual(after, before) {
		t.Errorf("a brought token changed something: %s", shown(after))
	}

	r.OK(r.Admin.DeleteConnector(r.Context(), r.Owner, second.ID))
	r.OK(r.validate(r.consented(e, "acct-1")))
	if after := r.credential(e); after.Generation != before.Generation+1 || len(after.Account.Members) != 2 || after.Account.Members[1].ID != "B3" {
		t.Errorf("the account is %+v", after.Account)
	}
}

func (r *rack) entry(e record.Entry) record.Entry {
	r.Helper()
	now, err := r.Vault.Entry(r.Context(), e.Tenant, e.ID)
	r.OK(err)
	return now
}

func TestOnlyTheEntrysOwnConnectorsCount(t *testing.T) {
	r, e := reaching(t)
	another := r.Entry("another", bundletest.OwnClient("client-7")...)
	r.Upstream.SetMembers("acct-2", "B7")
	r.OK(r.validate(r.consented(another, "acct-2")))
	r.naming(another, "B7")
	r.naming(e, "B1")
	r.Upstream.SetMembers("acct-1", "B1")
	r.OK(r.validate(r.consented(e, "acct-1")))
	r.Upstream.SetMembers("acct-2")
	r.Fault(r.validate(r.consented(another, "acct-2")), fault.Conflict, "account_mismatch")
}

func TestAllConnectorsOfAnEntryAreLookedAt(t *testing.T) {
	r, e := reaching(t)
	const many = 130 // more than are read at a time
	for i := range many {
		name := "B1"
		if i == many-1 {
			name = "B2"
		}
		_, err := r.Vault.CreateConnector(r.Context(), record.Connector{Tenant: e.Tenant, ID: fmt.Sprintf("con_%016d", i), Name: "for tests", Entry: e.ID,
			Provider: e.Provider, Settings: map[string][]string{bundletest.SettingBusiness: {name}}}, nil)
		r.OK(err)
	}
	r.OK(r.validate(r.consented(e, "acct-1")))
	r.Upstream.SetMembers("acct-1", "B1")
	r.Fault(r.validate(r.consented(e, "acct-1")), fault.Conflict, "account_mismatch")
}

// Consent takes a while, and what is made meanwhile counts too.
func TestAConnectorThatIsMadeWhileConsentIsExchangedIsReached(t *testing.T) {
	r, e := reaching(t)
	var made atomic.Bool
	r.Upstream.SetMembers("acct-1", "B1")
	r.Upstream.Client.Transport = &failing{r.Upstream.Client.Transport, func(q *http.Request) bool {
		if q.URL.Path == "/eu/me" && made.CompareAndSwap(false, true) {
			r.naming(e, "B2")
		}
		return false
	}}
	r.Fault(r.validate(r.consented(e, "acct-1")), fault.Conflict, "account_mismatch")
	if c := r.credential(e); c.Generation != 1 || !made.Load() {
		t.Errorf("the credential is %s", shown(c))
	}
}

// The pinned account comes first: of another one the members are nobody's business.
func TestAnotherAccountIsRefusedWhateverItReaches(t *testing.T) {
	r, e := reaching(t)
	r.Upstream.SetMembers("acct-2", "B1", "B2")
	for _, named := range []bool{false, true} {
		if named {
			r.naming(e, "B1")
		}
		r.Fault(r.validate(r.consented(e, "acct-2")), fault.Conflict, "account_mismatch")
	}
	if c := r.credential(e); c.Account.ID != "acct-1" || c.Generation != 1 {
		t.Errorf("the credential is %s", shown(c))
	}
}

func TestAProviderWhoseConnectorsNameNoMemberIsNotHeldToThem(t *testing.T) {
	t.Parallel()
	r := newRack(t, bundletest.Options{})
	e := r.Entry("own", bundletest.OwnClient("client-7")...)
	r.OK(r.validate(r.consented(e, "acct-1")))
	r.Connector(e, map[string][]string{"marketplaces": {"M1"}})
	r.OK(r.validate(r.consented(e, "acct-1")))
}
