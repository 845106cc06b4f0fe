package clara

import (
	"net/http"
	"time"

	"connectorvault/shared/fault"
	"connectorvault/shared/provider"
	"connectorvault/shared/record"
)

// taxHeader names the company that a call is for, where a project reaches several (Clara facts 4.4).
const taxHeader = "X-Tax-Identifier"

// BaseURL implements provider.Reader.
func (a *Adapter) BaseURL(entry record.Entry) string { return a.endpoints.api(entry) }

// Resolve implements provider.Reader. No filter of Clara's has a default that follows from the account.
func (a *Adapter) Resolve(string, provider.Target, time.Time) []string { return nil }

// Sign implements provider.Reader. Codes: client_misconfigured.
func (a *Adapter) Sign(r *http.Request, on provider.Session, _ provider.Call, _ time.Time) error {
	r.Header.Set("Authorization", "Bearer "+on.Access.Reveal())
	r.Header.Set("User-Agent", userAgent)
	tax := on.Entry.Settings[fieldTax]
	switch {
	case tax == "":
		return nil
	case !taxShape.MatchString(tax):
		return fault.New(fault.Misconfigured, "client_misconfigured", "The vault entry's tax identifier is none.").
			Do("Correct tax_identifier of the vault entry.")
	}
	r.Header.Set(taxHeader, tax)
	return nil
}

// Meta implements provider.Reader. Clara documents neither header nor rate; this is the header's usual name.
func (a *Adapter) Meta(header http.Header) (requestID string, rate float64) {
	return clip(header.Get("X-Request-Id")), 0
}
