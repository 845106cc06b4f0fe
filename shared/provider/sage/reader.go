package sage

import (
	"encoding/hex"
	"io"
	"net/http"
	"strings"
	"time"

	"connectorvault/shared/fault"
	"connectorvault/shared/provider"
	"connectorvault/shared/record"
	"connectorvault/shared/resource"
)

// businessHeader names the business that a call is for, and the one that an answer was made for.
const businessHeader = "X-Business"

// BaseURL implements provider.Reader.
func (a *Adapter) BaseURL(entry record.Entry) string { return a.endpoints.api(entry) }

// Resolve implements provider.Reader. No filter of Sage's has a default that follows from the account.
func (a *Adapter) Resolve(string, provider.Target, time.Time) []string { return nil }

// scoped reports whether an operation is about one business. The others are about the user (Sage facts 2.1).
func scoped(op resource.Operation) bool {
	return op.Path != userPath && op.Path != businessesPath && !strings.HasPrefix(op.Path, businessesPath+"/")
}

// businessOf is the business that a call is for: the connector's; "" when it names none. A call without any connector is
// an entry's check, which asks for the first business whose subscription is active.
func businessOf(target provider.Target) string {
	if target.Connector.ID == "" && len(target.Connector.Settings) == 0 {
		for _, m := range target.Account.Members {
			if m.Active && businessShape.MatchString(m.ID) {
				return m.ID
			}
		}
		return ""
	}
	if named := target.Connector.Settings[connectorBusiness]; len(named) == 1 && businessShape.MatchString(named[0]) {
		return named[0]
	}
	return ""
}

// Sign implements provider.Reader.
func (a *Adapter) Sign(r *http.Request, on provider.Session, call provider.Call, _ time.Time) error {
	r.Header.Set("Authorization", "Bearer "+on.Access.Reveal())
	r.Header.Set("User-Agent", userAgent)
	if isLegacy(on.Entry) {
		return a.signLegacy(r, on, call)
	}
	if !scoped(call.Op) {
		return nil
	}
	id := businessOf(on.Target)
	if id == "" {
		return noBusiness()
	}
	r.Header.Set(businessHeader, id)
	return nil
}

// signLegacy puts the older API's headers on a request (Sage facts 3.2). The signature goes along where there is a
// secret for it; Sage has stopped looking.
func (a *Adapter) signLegacy(r *http.Request, on provider.Session, call provider.Call) error {
	site, subscription := on.Account.ID, on.Secrets[fieldSubscription]
	switch {
	case !siteShape.MatchString(site):
		return fault.New(fault.ReauthRequired, "reauthorization_required", "It is not known whose account this is.").
			Do("Authorize the vault entry again, as the owner of the business.")
	case !secretShape.MatchString(subscription.Reveal()):
		return fault.New(fault.Misconfigured, "client_misconfigured", "There is no APIM subscription key, or it is none.").
			Do("Set " + fieldSubscription + " on the vault entry, or on the provider app where the entry uses it.")
	}
	r.Header.Set("Ocp-Apim-Subscription-Key", subscription.Reveal())
	r.Header.Set("X-Site", site)
	r.Header.Set("Content-Type", "application/json")
	key := on.Secrets[fieldSignature]
	if key.IsZero() {
		return nil
	}
	raw := make([]byte, 16)
	if _, err := io.ReadFull(a.random, raw); err != nil {
		return fault.Wrap(err, fault.Internal, "internal_error", "There is no randomness for a nonce.")
	}
	nonce := hex.EncodeToString(raw)
	signature, err := sign(r.Method, r.URL, call.Body, nonce, site, key, on.Access)
	if err != nil {
		return err
	}
	r.Header.Set("X-Nonce", nonce)
	r.Header.Set("X-Signature", signature)
	return nil
}

// Confirm implements provider.Confirmer: an answer says for which business it was made (Sage facts 2.1), and one for
// another business, or for nobody knows which, goes no further.
func (a *Adapter) Confirm(on provider.Session, call provider.Call, header http.Header) error {
	if isLegacy(on.Entry) || !scoped(call.Op) {
		return nil
	}
	answered, asked := header.Values(businessHeader), businessOf(on.Target)
	if len(answered) == 1 && asked != "" && strings.EqualFold(strings.TrimSpace(answered[0]), asked) {
		return nil
	}
	detail := "Sage answered for another business than the one that was asked for, so nothing of the answer is passed on."
	if len(answered) == 0 {
		detail = "Sage's answer does not say for which business it is, so nothing of it is passed on."
	}
	id, _ := a.Meta(header)
	return fault.New(fault.Refused, "business_mismatch", detail).
		Do("Check that the user who authorized the vault entry still has the business, and ask again; if it stays, tell the operator.").
		Said(fault.Provider{RequestID: id})
}

// Meta implements provider.Reader. Sage spells the header of the request's id with underscores in its documentation
// (Sage facts 2.1). It says nothing of a rate.
func (a *Adapter) Meta(header http.Header) (requestID string, rate float64) {
	for _, name := range []string{"X-Request-Id", "X_request_id"} {
		if id := header.Get(name); id != "" {
			return clip(id), 0
		}
	}
	return "", 0
}
