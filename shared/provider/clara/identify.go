package clara

import (
	"context"
	"net/url"
	"strings"
	"time"

	"connectorvault/shared/fault"
	"connectorvault/shared/provider"
	"connectorvault/shared/record"
)

// Identify implements provider.Identifier: the account is the API project, which is known by its client's id, and its member
// the company whose tax identifier the entry names. That a token was issued for it is proof enough; what is asked is
// what it may read. A project that may read nothing is an account all the same, and says why.
func (a *Adapter) Identify(ctx context.Context, entry record.Entry, _ map[string]string, call provider.Caller) (record.Account, error) {
	account := record.Account{ID: entry.Settings[fieldTokenKey], Identity: record.Verified}
	if tax := entry.Settings[fieldTax]; tax != "" {
		account.Members = []record.Member{{Kind: "tax_identifier", ID: tax, Country: strings.ToUpper(entry.Settings[fieldCountry]), Active: true}}
	}
	answered := false
	var last error
	for _, probe := range a.Probes(provider.Target{Entry: entry}, time.Time{}) {
		_, err := call(ctx, provider.Call{Op: probe.Op, Params: probe.Params})
		if err != nil && decisive(err) {
			return record.Account{}, err
		}
		permission := permissionOf(probe.Resource, err)
		if permission.Allowed != nil {
			answered = true
		} else {
			last = err
		}
		account.Reads = append(account.Reads, permission)
	}
	if !answered {
		return record.Account{}, last // nobody looked at the token
	}
	return account, nil
}

// decisive reports whether a refusal is of the token or of the certificate, which every other read would meet with too.
func decisive(err error) bool {
	f := fault.As(err)
	return f.Kind == fault.Misconfigured || f.Kind == fault.ReauthRequired || f.Provider != nil && f.Provider.Status == 401
}

// permissionOf is what one probe showed.
func permissionOf(name string, err error) record.Permission {
	yes, no := true, false
	if err == nil {
		return record.Permission{Resource: name, Allowed: &yes}
	}
	f := fault.As(err)
	permission := record.Permission{Resource: name, Code: f.Code, Detail: f.Detail}
	if said := f.Provider; said != nil {
		if said.Code != "" {
			permission.Code = said.Code
		}
		if said.Message != "" {
			permission.Detail += " " + said.Message
		}
	}
	switch f.Kind {
	case fault.Unavailable, fault.RateLimited, fault.Internal:
	case fault.Invalid, fault.TooLarge: // it was looked at, so it had been let in
		return record.Permission{Resource: name, Allowed: &yes}
	default:
		permission.Allowed = &no
	}
	return permission
}

// Probes implements provider.Prober: one item of each thing that a project has a permission for.
func (a *Adapter) Probes(provider.Target, time.Time) []provider.Probe {
	var probes []provider.Probe
	for _, name := range []string{"transactions", "users", "cards", "groups", "locations", "billing-statements"} {
		res, _ := a.descriptor.Resource(name)
		probes = append(probes, provider.Probe{Resource: name, Op: *res.List, Params: url.Values{res.List.Paging.Size: {"1"}}})
	}
	return probes
}
