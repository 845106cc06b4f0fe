// Package oauthtest is a collection of answers that token endpoints give, each with what it means.
//
// The argument: a vault loses accounts by misreading answers, in one of two ways. It takes something passing for a
// revoked grant, and asks a customer to authorize again for nothing; or it throws away tokens that nobody gets twice,
// because a member beside them was odd. Which answers there are is known from the providers, the RFC and the machines
// that stand in between, so they are data, and the wire (shared/oauth) and the service that stores what they mean
// (shared/refresh) are held to the same table.
//
// The rule behind it: revoked is only what RFC 6749 calls invalid_grant, as one JSON object in a 4xx. Tokens are taken in
// every form in which they can be found. Everything else is to be tried again, and perhaps spent.
package oauthtest

import (
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"connectorvault/shared/oauth"
)

// Canary is a part of every token of these answers, and of every text that must go no further than the wire: bodies,
// descriptions, headers. Where it shows, something was quoted.
const Canary = "canary-7c41"

// The tokens that answers with tokens hold.
const (
	Access  = Canary + "-access-next"
	Refresh = Canary + "-refresh-next"
)

// Case is one answer.
type Case struct {
	Name   string // what it is and, where that is not plain, why it means what it does
	Status int
	Header map[string]string // all that is sent, but for Date and framing; no Content-Type is guessed
	Body   string
	Breaks bool // the connection breaks where Body ends
	Raw    bool // Body is all that is sent, head included, and then the connection breaks
	Want   Want
}

// Want is what an answer means: tokens, or a failure.
type Want struct {
	Tokens   bool
	Refresh  string        // the new refresh token; empty when the old one stays
	Lifetime time.Duration // of the access token; 0 when not said

	Outcome oauth.Outcome
	Code    string
	Spent   bool
	Wait    time.Duration // that the endpoint asks for, an hour at most; 0 when it does not
}

// ServeHTTP implements http.Handler: it gives the answer.
func (c Case) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	if c.Raw {
		connection, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err) // a test's server can
		}
		_, _ = io.WriteString(connection, c.Body)
		_ = connection.Close()
		return
	}
	w.Header()["Content-Type"] = nil
	for name, value := range c.Header {
		w.Header().Set(name, value)
	}
	w.WriteHeader(c.Status)
	_, _ = io.WriteString(w, c.Body)
	if c.Breaks {
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
}

// Corpus is all of them, by their names, which are unique.
func Corpus() []Case {
	all := slices.Concat(given(), odd(), lacking(), refused(), codes(), doubtful(), waits(), bare(), broken())
	slices.SortFunc(all, func(a, b Case) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// The wants.

func tokens(lifetime int) Want {
	return Want{Tokens: true, Refresh: Refresh, Lifetime: time.Duration(lifetime) * time.Second}
}

// unrotated is tokens without a new refresh token.
func unrotated(lifetime int) Want {
	want := tokens(lifetime)
	want.Refresh = ""
	return want
}

func revoked() Want { return Want{Outcome: oauth.Revoked, Code: "invalid_grant"} }

func misconfigured(code string) Want { return Want{Outcome: oauth.Misconfigured, Code: code} }

func limited(code string) Want { return Want{Outcome: oauth.RateLimited, Code: code} }

// perhaps is to be tried again, and perhaps spent.
func perhaps(code string) Want { return Want{Outcome: oauth.Transient, Code: code, Spent: true} }

func (w Want) waiting(seconds int) Want {
	w.Wait = time.Duration(seconds) * time.Second
	return w
}

// The headers.

func kind(contentType string) map[string]string {
	return map[string]string{"Content-Type": contentType}
}

func headers(contentType string, more ...string) map[string]string {
	h := kind(contentType)
	for i := 0; i < len(more); i += 2 {
		h[more[i]] = more[i+1]
	}
	return h
}

const (
	asJSON  = "application/json"
	asHTML  = "text/html; charset=utf-8"
	asPlain = "text/plain; charset=utf-8"
	asForm  = "application/x-www-form-urlencoded"
)

func json(name string, status int, body string, want Want) Case {
	return Case{Name: name, Status: status, Header: kind(asJSON), Body: body, Want: want}
}

func says(name string, status int, header map[string]string, body string, want Want) Case {
	return Case{Name: name, Status: status, Header: header, Body: body, Want: want}
}

// pair is an answer with both tokens and what else is written there, which begins with a comma.
func pair(more string) string {
	return `{"access_token":"` + Access + `","refresh_token":"` + Refresh + `"` + more + `}`
}

const invalidGrant = `{"error":"invalid_grant"}`

// codes are the six of RFC 6749, 5.2, each wherever it may stand.
func codes() []Case {
	var all []Case
	for _, code := range []string{"invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type", "invalid_scope"} {
		body := `{"error":"` + code + `","error_description":"` + Canary + `"}`
		definite := misconfigured(code)
		if code == "invalid_grant" {
			definite = revoked()
		}
		for _, status := range []int{400, 401, 403, 404, 409, 422} {
			all = append(all, json(code+" in a "+strconv.Itoa(status), status, body, definite))
		}
		for status, why := range map[int]string{
			200: "a success is no refusal",
			302: "what redirects does not answer",
			500: "a server that failed may have begun",
			502: "a gateway's word for somebody else",
			503: "who is not there refuses nothing",
		} {
			all = append(all, json(code+" in a "+strconv.Itoa(status)+": "+why, status, body, perhaps(code)))
		}
	}
	return all
}
