package amazon

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"connectorvault/shared/fault"
	"connectorvault/shared/provider"
)

const maxSaid = 500 // characters of what Amazon said that are kept of each kind

// Judge implements provider.Reader: what a refusal means (Amazon facts 5.3).
//
// A 403 is the whole difficulty. Amazon answers it to an expired token, to an expired client secret, to a role that
// lacks, to a marketplace of another region and to an address that does not exist, and only the details tell some of
// them apart. None of them proves that the seller revoked anything: only the token endpoint's invalid_grant does.
func (a *Adapter) Judge(status int, header http.Header, body []byte) provider.Verdict {
	said := saying(body)
	said.Status = status
	said.RequestID, _ = a.Meta(header)
	if said.RequestID == "" {
		said.RequestID = clip(header.Get("X-Amz-Rid"))
	}
	verdict := provider.Verdict{}
	switch {
	case status == http.StatusForbidden || status == http.StatusUnauthorized:
		verdict = denied(status, said)
	case status == http.StatusTooManyRequests:
		verdict.Fault = fault.New(fault.RateLimited, "rate_limited", "Amazon's limit for this operation and account is used up for now.").
			Do("Wait and ask again; ask for larger pages rather than more of them.").After(retryAfter(header))
	case status >= http.StatusInternalServerError:
		verdict.Fault = fault.New(fault.Unavailable, "provider_unavailable", "Amazon cannot answer just now.").
			Do("Try again in a minute.").After(retryAfter(header))
	case lacksElements(said):
		verdict.Fault = restrictedElements()
	case status == http.StatusNotFound:
		verdict.Fault = fault.New(fault.NotFound, "provider_refused", "Amazon has no such item for this account.").
			Do("Check the identifier and the marketplace.")
	case status == http.StatusRequestEntityTooLarge:
		verdict.Fault = fault.New(fault.TooLarge, "provider_refused", "Amazon finds the request too large.").
			Do("Ask in smaller portions.")
	case status == http.StatusBadRequest:
		verdict.Fault = fault.New(fault.Invalid, "provider_refused", "Amazon does not accept the parameters.").
			Do("Read Amazon's message and details, which name the parameter as a rule.")
	default:
		verdict.Fault = fault.New(fault.Refused, "provider_refused", "Amazon refused the request.").
			Do("Read Amazon's message and details.")
	}
	_ = verdict.Fault.Said(said)
	return verdict
}

// denied reads a 403, and a 401, which newer models declare and nobody has seen.
func denied(status int, said fault.Provider) provider.Verdict {
	details := strings.ToLower(said.Details + " " + said.Message)
	has := func(text string) bool { return strings.Contains(details, text) }
	switch {
	case has("lwa secret"):
		// An access token outlives the secret it was bought with only in name. After a rotation a new token is all
		// that is needed, so one refresh is tried; if the secret is really gone, the token endpoint says so.
		return provider.Verdict{TokenRejected: true, Fault: fault.New(fault.Misconfigured, "client_misconfigured",
			"The client secret of the Amazon application has expired.").
			Do("The operator makes a new client secret in the Solution Provider Portal and stores it in the provider app.")}
	case has("access token") && has("expired"):
		return rejected("Amazon says that the access token has expired.")
	case has("revoked, malformed or invalid"):
		return rejected("Amazon says that the access token is revoked, malformed or invalid.")
	case has("access token is missing"):
		return rejected("Amazon saw no access token.")
	case has("not valid for region"):
		return provider.Verdict{Fault: fault.New(fault.Invalid, "region_mismatch",
			"A marketplace in the request belongs to another region than the vault entry.").On("marketplaceIds").
			Do("Name marketplaces of the entry's region, or use a vault entry of the other region.")}
	case lacksElements(said):
		return provider.Verdict{Fault: restrictedElements()}
	case said.Code == "MissingAuthenticationToken":
		return provider.Verdict{Fault: fault.New(fault.Refused, "provider_refused", "The address is not part of Amazon's API.").
			Do("Tell the operator: the operation has been removed, or an address is set wrongly.")}
	case status == http.StatusUnauthorized:
		return rejected("Amazon does not accept the access token.")
	case strings.TrimSpace(said.Details) != "":
		return provider.Verdict{Fault: fault.New(fault.Refused, "provider_refused", "Amazon denies access, for the reason in its details.").
			Do("Read Amazon's details.")}
	default:
		return provider.Verdict{Fault: fault.New(fault.Refused, "provider_refused", "Amazon denies access and gives no reason.").
			Do("Check in this order: the application has the role that this operation needs, and the account was authorized " +
				"again after the role was added; the account was authorized in this region; the operation is for this kind of " +
				"account (seller or vendor); restricted data is asked for with the restricted role; the operation still exists.")}
	}
}

func rejected(detail string) provider.Verdict {
	return provider.Verdict{TokenRejected: true, Fault: fault.New(fault.Refused, "provider_refused", detail).
		Do("A new access token is fetched by itself; if this stays, authorize the vault entry again.")}
}

// lacksElements recognises the refusal of restricted data elements (Amazon facts 5.5).
func lacksElements(said fault.Provider) bool {
	return strings.Contains(said.Message+said.Details, "does not have access to one or more requested data elements")
}

func restrictedElements() *fault.Error {
	return fault.New(fault.Refused, "provider_refused", "The Amazon application lacks a restricted role for the personal data that was asked for.").
		Do("Ask without personal data, or let the operator apply for the restricted roles (Direct-to-Consumer Delivery, Tax Invoicing, Tax Remittance).")
}

// saying takes the first error out of a body. A refusal by what stands before the API is HTML (Amazon facts 5.1), and
// of that nothing is kept.
func saying(body []byte) fault.Provider {
	if !json.Valid(body) {
		return fault.Provider{}
	}
	first := gjson.GetBytes(body, "errors.0")
	if !first.IsObject() {
		first = gjson.ParseBytes(body)
	}
	text := func(name string) string {
		if value := first.Get(name); value.Type == gjson.String || value.Type == gjson.Number {
			return clip(value.String())
		}
		return ""
	}
	return fault.Provider{Code: text("code"), Message: text("message"), Details: text("details")}
}

// clip keeps a saying printable and short.
func clip(text string) string {
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, ""))
	if runes := []rune(text); len(runes) > maxSaid {
		return string(runes[:maxSaid]) + "…"
	}
	return text
}

// retryAfter reads a Retry-After in seconds. Amazon documents none (Amazon facts 5.4); a proxy may add one.
func retryAfter(header http.Header) time.Duration {
	n, err := strconv.Atoi(header.Get("Retry-After"))
	if err != nil || n < 0 {
		return 0
	}
	return time.Duration(min(n, 3600)) * time.Second
}
