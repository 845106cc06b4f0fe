package provider

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"connectorvault/shared/fault"
	"connectorvault/shared/record"
	"connectorvault/shared/resource"
	"connectorvault/shared/secret"
)

const (
	defaultMaxBody = 8 << 20
	maxRefusal     = 64 << 10 // of a refusal's body; what a provider says about an error is short
)

// Client performs single calls of a provider's API. It knows nothing of rates, leases or retries: those belong to
// whoever holds the account's token.
type Client struct {
	HTTP    *http.Client // required; its transport decides TLS and its timeout applies. Redirects are refused whatever it says
	Reader  Reader       // required
	Now     func() time.Time
	MaxBody int64 // most bytes of an answer, decompressed; 0 = 8 MiB
}

// Do performs one call. access is the entry's own access token, which call.Access replaces when it is set. After a
// refusal the Verdict says what it means, and its Fault is the error; every other non-nil error is a *fault.Error too,
// and none holds a token or an address.
func (c Client) Do(ctx context.Context, entry record.Entry, access secret.Text, call Call) (Answer, Verdict, error) {
	if !call.Access.IsZero() {
		access = call.Access
	}
	request, err := c.request(ctx, entry, access, call)
	if err != nil {
		return Answer{}, Verdict{}, err
	}
	client := *c.HTTP
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	response, err := client.Do(request)
	if err != nil {
		return Answer{}, Verdict{}, unanswered(ctx, err)
	}
	defer func() { _ = response.Body.Close() }()
	answer := Answer{Status: response.StatusCode, Header: response.Header}
	answer.RequestID, answer.Rate = c.Reader.Meta(response.Header)
	switch {
	case response.StatusCode >= http.StatusBadRequest:
		// A refusal that breaks off is judged by what came: its status is known.
		body, _ := io.ReadAll(io.LimitReader(response.Body, maxRefusal))
		verdict := c.judge(response, body, access)
		return answer, verdict, verdict.Fault
	case response.StatusCode >= http.StatusMultipleChoices:
		return answer, Verdict{}, redirected(answer)
	}
	answer.Body, err = c.body(ctx, response, answer)
	return answer, Verdict{}, err
}

func (c Client) request(ctx context.Context, entry record.Entry, access secret.Text, call Call) (*http.Request, error) {
	if call.Op.Grantless != "" && call.Access.IsZero() {
		return nil, fault.New(fault.Refused, "provider_refused", call.Op.ID+" takes the application's own token; no account's token opens it.").
			Do("Read something else: this is not data of the account.")
	}
	base := call.Base
	if base == "" {
		base = c.Reader.BaseURL(entry)
	}
	address, err := resource.Build(call.Op, base, call.Params)
	if err != nil {
		return nil, err
	}
	method := call.Op.Method
	if method == "" {
		method = http.MethodGet
	}
	// An explicit nil: a GET with a body, or with a Content-Length of one, is refused by Amazon (Amazon facts 5.1).
	var body io.Reader
	if method != http.MethodGet && call.Body != nil {
		body = bytes.NewReader(call.Body)
	}
	request, err := http.NewRequestWithContext(ctx, method, address.String(), body)
	if err != nil {
		return nil, fault.New(fault.Internal, "internal_error", "The request to the provider cannot be formed.")
	}
	request.Header.Set("Accept", "application/json")
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	now := time.Now
	if c.Now != nil {
		now = c.Now
	}
	c.Reader.Sign(request, access, now())
	return request, nil
}

// judge asks the adapter, and takes the token out of what the provider said in case it said it back.
func (c Client) judge(response *http.Response, body []byte, access secret.Text) Verdict {
	verdict := c.Reader.Judge(response.StatusCode, response.Header, body)
	if verdict.Fault == nil {
		verdict.Fault = fault.New(fault.Unavailable, "provider_unavailable", "The provider refused without a reason we know.").
			Said(fault.Provider{Status: response.StatusCode})
	}
	if token := access.Reveal(); token != "" {
		problem := verdict.Fault
		scrub := func(text *string) { *text = strings.ReplaceAll(*text, token, secret.Placeholder) }
		scrub(&problem.Detail)
		if said := problem.Provider; said != nil {
			scrub(&said.Code)
			scrub(&said.Message)
			scrub(&said.Details)
			scrub(&said.RequestID)
		}
	}
	return verdict
}

func (c Client) body(ctx context.Context, response *http.Response, answer Answer) ([]byte, error) {
	most := c.MaxBody
	if most <= 0 {
		most = defaultMaxBody
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, most+1))
	if err != nil {
		return nil, unanswered(ctx, err)
	}
	if int64(len(body)) > most {
		return nil, fault.New(fault.TooLarge, "provider_refused", "The provider's answer is larger than can be passed on.").
			Do("Ask for less: a smaller limit, a shorter time, or fewer included parts.").
			Said(fault.Provider{Status: answer.Status, RequestID: answer.RequestID})
	}
	return body, nil
}

func redirected(answer Answer) error {
	return fault.New(fault.Refused, "provider_refused", "The provider sent us to another address, where we take no token.").
		Do("Check the region of the vault entry; if it is right, tell the operator that the provider's address has moved.").
		Said(fault.Provider{Status: answer.Status, RequestID: answer.RequestID})
}

// unanswered says that no answer came. The transport's own error is not kept: it quotes the address, whose query can
// hold a page token, and sometimes the answer's bytes. What remains is the class of the trouble.
func unanswered(ctx context.Context, err error) error {
	detail, cause := "The provider's answer did not arrive.", error(nil)
	var timeout net.Error
	var dns *net.DNSError
	var certificate *tls.CertificateVerificationError
	switch {
	case ctx.Err() != nil:
		detail, cause = "The provider did not answer in time.", ctx.Err()
	case errors.As(err, &dns):
		detail, cause = "The provider's host has no address just now.", errors.New("name resolution")
	case errors.As(err, &certificate):
		detail, cause = "The provider's host could not prove who it is.", errors.New("certificate verification")
	case errors.As(err, &timeout) && timeout.Timeout():
		detail, cause = "The provider did not answer in time.", context.DeadlineExceeded
	}
	return fault.Wrap(cause, fault.Unavailable, "provider_unavailable", detail).Do("Try again in a minute.")
}
