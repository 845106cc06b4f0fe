package clara

import (
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
	maxSaid = 500 // characters of what Clara said that are kept of each kind

	// unsaidWait is how long to wait after a 429 that does not say. Clara states neither a rate nor a wait (Clara facts 4.7).
	unsaidWait = 5 * time.Second
)

// The statuses of servers that end TLS and then say what they think of the certificate. The first two are nginx's own.
const (
	statusCertificateError    = 495
	statusCertificateRequired = 496
)

// Judge implements provider.Reader: what a refusal means (Clara facts 4.7).
func (a *Adapter) Judge(status int, header http.Header, body []byte) provider.Verdict {
	said := saying(body)
	said.Status = status
	said.RequestID, _ = a.Meta(header)
	verdict := provider.Verdict{}
	switch {
	case aboutCertificate(status, body):
		verdict.Fault = certificateRejected("Clara says that it saw no client certificate, or does not take it.")
	case status == http.StatusUnauthorized:
		verdict = provider.Verdict{TokenRejected: true, Fault: fault.New(fault.Refused, "provider_refused", "Clara does not accept the access token.").
			Do("A new access token is fetched by itself; if this stays, check that the API project has not ended.")}
	case status == http.StatusForbidden:
		verdict.Fault = fault.New(fault.Refused, "provider_refused", "The API project may not read this at Clara.").
			Do("Give the project the read permission in Clara's dashboard, as the owner of the company.")
	case status == http.StatusNotFound:
		verdict.Fault = fault.New(fault.NotFound, "provider_refused", "Clara has no such item.").
			Do("Check the identifier, and the vault entry's tax identifier.")
	case status == http.StatusTooManyRequests:
		wait, stated := retryAfter(header)
		if !stated {
			wait = unsaidWait
		}
		verdict.Fault = fault.New(fault.RateLimited, "rate_limited", "Clara takes no more requests for now.").
			Do("Wait and ask again; ask for larger pages rather than more of them.").After(wait)
	case status >= http.StatusInternalServerError:
		wait, _ := retryAfter(header)
		verdict.Fault = fault.New(fault.Unavailable, "provider_unavailable", "Clara cannot answer just now.").Do("Try again in a minute.").After(wait)
	case status == http.StatusBadRequest || status == http.StatusUnprocessableEntity:
		verdict.Fault = fault.New(fault.Invalid, "provider_refused", "Clara does not accept the parameters.").Do("Read Clara's message and details.")
	default:
		verdict.Fault = fault.New(fault.Refused, "provider_refused", "Clara refused the request.").Do("Read Clara's message and details.")
	}
	_ = verdict.Fault.Said(said)
	return verdict
}

// certificateStatuses are those by which a refusal of the certificate comes: the last three with words.
func certificateStatuses() []int {
	return []int{http.StatusNetworkAuthenticationRequired, statusCertificateError, statusCertificateRequired,
		http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden}
}

// aboutCertificate reports whether a refusal is about the certificate. Clara says 511, or 401 with words; servers that stand
// before others say it with a page of their own.
func aboutCertificate(status int, body []byte) bool {
	if !slices.Contains(certificateStatuses(), status) {
		return false
	}
	if slices.Contains([]int{http.StatusNetworkAuthenticationRequired, statusCertificateError, statusCertificateRequired}, status) {
		return true
	}
	text := strings.ToLower(string(body[:min(len(body), 4096)]))
	return slices.ContainsFunc([]string{"client certificate", "ssl certificate", "certificate required", "certificate is required", "certificate missing",
		"missing certificate", "mutual tls", "mtls"}, func(words string) bool { return strings.Contains(text, words) })
}

// saying reads Clara's body: at least a message, as a rule a code (Clara facts 4.7). Of what is not JSON nothing is kept.
func saying(body []byte) fault.Provider {
	if !json.Valid(body) {
		return fault.Provider{}
	}
	said := gjson.ParseBytes(body)
	if !said.IsObject() {
		return fault.Provider{}
	}
	text := func(v gjson.Result) string {
		if v.Type == gjson.String || v.Type == gjson.Number {
			return clip(v.String())
		}
		return ""
	}
	var details []string
	for _, d := range said.Get("details").Array() {
		if d.IsObject() {
			d = gjson.Result{Type: gjson.String, Str: strings.TrimSpace(text(d.Get("field")) + " " + text(d.Get("message")))}
		}
		if one := text(d); one != "" {
			details = append(details, one)
		}
	}
	code := text(said.Get("code"))
	if code == "" {
		code = text(said.Get("error"))
	}
	return fault.Provider{Code: code, Message: text(said.Get("message")), Details: clip(strings.Join(details, "; "))}
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

func retryAfter(header http.Header) (wait time.Duration, stated bool) {
	n, err := strconv.Atoi(header.Get("Retry-After"))
	if err != nil || n < 0 {
		return 0, false
	}
	return time.Duration(min(n, 3600)) * time.Second, true
}
