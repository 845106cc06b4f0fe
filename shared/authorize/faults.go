package authorize

import (
	"errors"
	"regexp"
	"strings"
	"sync"
	"time"

	"connectorvault/shared/fault"
	"connectorvault/shared/provider"
	"connectorvault/shared/record"
	"connectorvault/shared/vault"
)

func unknownRequest() *fault.Error {
	return fault.New(fault.Invalid, "authorization_request_unknown", "This consent belongs to no authorization of this vault entry.").
		On("result_url").Do("Use the URL that you landed on after the newest attempt, or begin anew: POST /v1/vault-entries/{id}/authorize.")
}

// denied tells why a provider sent no code: the person said no, the provider cannot answer, or it refuses what our
// application asked (RFC 6749, 4.1.2.1).
func denied(r record.Request, c provider.Callback) *fault.Error {
	code, _, _ := strings.Cut(c.Denied, ".") // an adapter may add a reason
	switch code {
	case "temporarily_unavailable", "server_error":
		return fault.New(fault.Unavailable, "provider_unavailable", "The provider's consent page cannot serve the authorization now.").
			Do("Nothing has changed. Wait some ten minutes, then begin anew: POST /v1/vault-entries/" + r.Entry + "/authorize.").
			Said(fault.Provider{Code: c.Denied}).After(10 * time.Minute)
	case "unauthorized_client", "invalid_scope", "unsupported_response_type":
		return fault.New(fault.Misconfigured, "client_misconfigured", "The provider does not let this application ask for consent in this way.").
			Do("The operator checks at the provider what the application may ask for; then begin anew: POST /v1/vault-entries/" + r.Entry + "/authorize.").
			Said(fault.Provider{Code: c.Denied})
	}
	return fault.New(fault.Conflict, "consent_denied", "Consent was not given at the provider.").
		Do("Nothing has changed. To try again: POST /v1/vault-entries/" + r.Entry + "/authorize.").
		Said(fault.Provider{Code: c.Denied})
}

func startUnknown() *fault.Error {
	return fault.New(fault.NotFound, "authorization_request_unknown", "This start link is not one of ours, or it is long over.").
		Do("Ask for a new one where you got it.")
}

func startUsed() *fault.Error {
	return fault.New(fault.Gone, "authorization_request_used", "This start link has been used, or a newer one has taken its place.").
		Do("Ask for a new one where you got it.")
}

func startExpired() *fault.Error {
	return fault.New(fault.Gone, "authorization_request_expired", "This start link has expired; it lives ten minutes.").
		Do("Ask for a new one where you got it.")
}

// otherBrowser is what a browser hears that did not begin: the consent may be an attacker's, or the begin may be.
func otherBrowser() *fault.Error {
	return fault.New(fault.Forbidden, "browser_mismatch", "This browser did not begin this authorization, so nothing was connected.").
		Do("Open the start link in this browser and finish here. Cookies of this site must be allowed.")
}

func startFault(err error) error {
	if errors.Is(err, vault.ErrClaimed) {
		return startUsed()
	}
	return err
}

// beginAnew is how an action tells a program to begin anew.
var beginAnew = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`:? (?:with )?POST /v1/vault-entries/[^ ]*/authorize`)
})

// onPage rewords a fault for a person at a page, who has no request field to look at.
func onPage(err error) error {
	f := *fault.As(err)
	f.Field = ""
	f.Action = strings.ReplaceAll(f.Action, "Send the same Result URL again, or reload the page", "Reload this page")
	f.Action = beginAnew().ReplaceAllString(f.Action, " where you began")
	f.Detail = strings.ReplaceAll(f.Detail, "of this vault entry", "that is open")
	return &f
}
