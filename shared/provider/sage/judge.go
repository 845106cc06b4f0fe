package sage

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"connectorvault/shared/fault"
	"connectorvault/shared/provider"
)

const (
	maxSaid = 500 // characters of what Sage said that are kept of each kind

	// unsaidWait is how long to wait after a 429 that does not say (Sage facts 2.6).
	unsaidWait = 5 * time.Second
)

// Judge implements provider.Reader: what a refusal means (Sage facts 2.5). The status decides, but for what is said of
// a subscription: Sage says it with the status of a rejected token, and no new token would help.
func (a *Adapter) Judge(status int, header http.Header, body []byte) provider.Verdict {
	said := saying(body)
	said.Status = status
	said.RequestID, _ = a.Meta(header)
	verdict := provider.Verdict{}
	switch {
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		verdict = denied(status, said)
	case status == http.StatusTooManyRequests:
		wait, stated := retryAfter(header)
		if !stated {
			wait = unsaidWait
		}
		verdict.Fault = fault.New(fault.RateLimited, "rate_limited", "Sage takes no more requests of this application for now.").
			Do("Wait and ask again; ask for larger pages rather than more of them.").After(wait)
	case status >= http.StatusInternalServerError:
		wait, _ := retryAfter(header)
		verdict.Fault = unavailable(status).After(wait)
	case status == http.StatusNotFound:
		verdict.Fault = fault.New(fault.NotFound, "provider_refused", "Sage has no such item in this business.").
			Do("Check the identifier and the connector's business.")
	case status == http.StatusMethodNotAllowed || status == http.StatusUnsupportedMediaType || status == http.StatusNotAcceptable:
		verdict.Fault = fault.New(fault.Refused, "provider_refused", "Sage does not serve this read in the form that we asked in.").
			Do("Tell the operator: the operation has changed at Sage, or an address is set wrongly.")
	case status == http.StatusRequestEntityTooLarge:
		verdict.Fault = fault.New(fault.TooLarge, "provider_refused", "Sage finds the request too large.").
			Do("Ask for fewer attributes or with a smaller limit.")
	case status == http.StatusBadRequest || status == http.StatusUnprocessableEntity:
		verdict.Fault = fault.New(fault.Invalid, "provider_refused", "Sage does not accept the parameters.").
			Do("Read Sage's message and details; the details name the field as a rule.")
	default:
		verdict.Fault = fault.New(fault.Refused, "provider_refused", "Sage refused the request.").Do("Read Sage's message and details.")
	}
	_ = verdict.Fault.Said(said)
	return verdict
}

func unavailable(status int) *fault.Error {
	problem := fault.New(fault.Unavailable, "provider_unavailable", "Sage cannot answer just now.").Do("Try again in a minute.")
	if status == http.StatusGatewayTimeout {
		// Seen with attributes=all on pages of many lines (Sage facts 2.5).
		problem.Detail = "Sage took too long over the answer."
		problem.Action = "Ask for fewer attributes or with a smaller limit, or try again in a minute."
	}
	return problem
}

// denied reads a 401 or a 403.
func denied(status int, said fault.Provider) provider.Verdict {
	message := strings.ToLower(said.Message)
	has := func(text string) bool { return strings.Contains(message, text) }
	switch {
	case has("cannot verify subscription") || has("subscription key"):
		// The gateway before the older API, of its own key. It reads as if it were about the business (Sage facts 2.5).
		return provider.Verdict{Fault: fault.New(fault.Misconfigured, "client_misconfigured", "Sage does not accept the APIM subscription key.").
			Do("Set " + fieldSubscription + " anew, from the subscription at Sage; the primary and the secondary key both work.")}
	case has("no active subscription") || status == http.StatusUnauthorized && said.Code == "AuthorizationFailure" && has("subscription"):
		return provider.Verdict{Fault: fault.New(fault.Refused, "subscription_lapsed", "The business has no active subscription at Sage.").
			Do("Renew the subscription of the business at Sage; the authorization stays as it is.")}
	case said.Code == "HeaderNotFound":
		return provider.Verdict{Fault: fault.New(fault.Refused, "provider_refused", "Sage missed a header that its older API needs.").
			Do("Authorize the vault entry again as the owner of the business; if it stays, tell the operator.")}
	case status == http.StatusUnauthorized:
		return provider.Verdict{TokenRejected: true, Fault: fault.New(fault.Refused, "provider_refused", "Sage does not accept the access token.").
			Do("A new access token is fetched by itself; if this stays, authorize the vault entry again.")}
	default:
		return provider.Verdict{Fault: fault.New(fault.Refused, "provider_refused", "The user who authorized the vault entry may not read this at Sage.").
			Do("Give the user access to this area of the business in Sage Accounting. If every read is refused, the user has lost the business: authorize the entry as one who has it.")}
	}
}

// saying takes the first error out of a body: a list of them, or the older wrapper of one (Sage facts 2.5), or a gateway's
// single message. Of what is not JSON, such as a proxy's page, nothing is kept.
func saying(body []byte) fault.Provider {
	if !json.Valid(body) {
		return fault.Provider{}
	}
	said := gjson.ParseBytes(body)
	if wrapped := said.Get("$diagnoses"); wrapped.Exists() {
		said = wrapped
	}
	if said.IsArray() {
		return sayings(said)
	}
	if !said.IsObject() {
		return fault.Provider{}
	}
	return one(said)
}

// sayings joins what Sage says of several fields at once; the code is the first one's.
func sayings(list gjson.Result) fault.Provider {
	var out fault.Provider
	var messages, sources []string
	for i, item := range list.Array() {
		if !item.IsObject() || i == maxSayings {
			continue
		}
		said := one(item)
		out.Code = cmp.Or(out.Code, said.Code)
		messages, sources = appendNew(messages, said.Message), appendNew(sources, said.Details)
	}
	out.Message, out.Details = clip(strings.Join(messages, "; ")), clip(strings.Join(sources, ", "))
	return out
}

// maxSayings is how many of Sage's errors are kept of one refusal.
const maxSayings = 10

func appendNew(list []string, text string) []string {
	if text == "" || slices.Contains(list, text) {
		return list
	}
	return append(list, text)
}

func one(said gjson.Result) fault.Provider {
	text := func(names ...string) string {
		for _, name := range names {
			if value := said.Get(name); value.Type == gjson.String || value.Type == gjson.Number {
				return clip(value.String())
			}
		}
		return ""
	}
	return fault.Provider{Code: text("$dataCode"), Message: text("$message", "message"), Details: text("$source")}
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

// retryAfter reads a Retry-After in seconds. Sage documents none; those seen are seconds (Sage facts 2.6).
func retryAfter(header http.Header) (wait time.Duration, stated bool) {
	n, err := strconv.Atoi(header.Get("Retry-After"))
	if err != nil || n < 0 {
		return 0, false
	}
	return time.Duration(min(n, 3600)) * time.Second, true
}
