package provider

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"connectorvault/shared/fault"
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
	// HTTP is required unless the Reader is a Dialer, whose clients take its place. Its transport decides TLS and its
	// timeout applies. Redirects are refused whatever it says.
	HTTP    *http.Client
	Reader  Reader // required
	Now     func() time.Time
	MaxBody int64 // most bytes of an answer, decompressed; 0 = 8 MiB
}

// Do performs one call. The session's access token is replaced by call.Access when that is set. After a refusal the
// Verdict says what it means, and its Fault is the error; every other non-nil error is a *fault.Error too, and none
// holds a token or an address.
func (c Client) Do(ctx context.Context, on Session, call Call) (Answer, Verdict, error) {
	answer, body, verdict, err := c.Open(ctx, on, call)
	if err != nil {
		return answer, verdict, err
	}
	answer, err = c.Collect(ctx, answer, body)
	return answer, Verdict{}, err
}

// Collect reads and closes the body of an answer that Open gave. Its error is a *fault.Error.
func (c Client) Collect(ctx context.Context, answer Answer, body io.ReadCloser) (Answer, error) {
	defer func() { _ = body.Close() }()
	var err error
	answer.Body, err = c.body(ctx, body, answer)
	return answer, err
}

// Open is Do for an answer that is too long to be kept: its body is read by the caller, who closes it.
func (c Client) Open(ctx context.Context, on Session, call Call) (Answer, io.ReadCloser, Verdict, error) {
	if !call.Access.IsZero() {
		on.Access = call.Access
	}
	request, err := c.request(ctx, on, call)
	if err != nil {
		return Answer{}, nil, Verdict{}, err
	}
	client, err := c.client(on)
	if err != nil {
		return Answer{}, nil, Verdict{}, err
	}
	response, err := client.Do(request)
	if err != nil {
		return Answer{}, nil, Verdict{}, c.unanswered(ctx, err)
	}
	answer := Answer{Status: response.StatusCode, Header: response.Header}
	answer.RequestID, answer.Rate = c.Reader.Meta(response.Header)
	verdict := Verdict{}
	switch {
	case response.StatusCode >= http.StatusBadRequest:
		// A refusal that breaks off is judged by what came: its status is known.
		body, _ := io.ReadAll(io.LimitReader(response.Body, maxRefusal))
		verdict = c.judge(response, body, on)
		err = verdict.Fault
	case response.StatusCode >= http.StatusMultipleChoices:
		err = redirected(answer)
	default:
		if confirmer, ok := c.Reader.(Confirmer); ok {
			err = confirmer.Confirm(on, call, response.Header)
		}
	}
	if err != nil {
		_ = response.Body.Close()
		return answer, nil, verdict, err
	}
	return answer, response.Body, verdict, nil
}

// client is the entry's own where it has one.
func (c Client) client(on Session) (*http.Client, error) {
	from := c.HTTP
	if dialer, ok := c.Reader.(Dialer); ok {
		own, err := dialer.Dial(on.Entry, on.Secrets)
		if err != nil {
			return nil, err
		}
		from = own
	}
	client := *from
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &client, nil
}

func (c Client) request(ctx context.Context, on Session, call Call) (*http.Request, error) {
	if call.Op.Grantless != "" && call.Access.IsZero() {
		return nil, fault.New(fault.Refused, "provider_refused", call.Op.ID+" takes the application's own token; no account's token opens it.").
			Do("Read something else: this is not data of the account.")
	}
	base := call.Base
	if base == "" {
		base = c.Reader.BaseURL(on.Entry)
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
	request.Header.Set("Accept", cmp.Or(call.Accept, "application/json"))
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	now := time.Now
	if c.Now != nil {
		now = c.Now
	}
	return request, c.Reader.Sign(request, on, call, now())
}

// judge asks the adapter, and takes the session's secrets out of what the provider said in case it said them back.
func (c Client) judge(response *http.Response, body []byte, on Session) Verdict {
	verdict := c.Reader.Judge(response.StatusCode, response.Header, body)
	if verdict.Fault == nil {
		verdict.Fault = fault.New(fault.Unavailable, "provider_unavailable", "The provider refused without a reason we know.").
			Said(fault.Provider{Status: response.StatusCode})
	}
	secrets := append(slices.Collect(maps.Values(on.Secrets)), on.Access)
	// The longest first: of one that begins like another, nothing is to be left.
	slices.SortFunc(secrets, func(a, b secret.Text) int { return cmp.Compare(len(b.Reveal()), len(a.Reveal())) })
	for _, value := range secrets {
		scrub(verdict.Fault, value)
	}
	return verdict
}

// telling is how much of a secret's beginning gives it away: an adapter keeps no more than a part of what a provider said,
// which may end within a secret that the provider said back.
const telling = 16

func scrub(problem *fault.Error, value secret.Text) {
	if value.IsZero() {
		return
	}
	texts := []*string{&problem.Detail}
	if said := problem.Provider; said != nil {
		texts = append(texts, &said.Code, &said.Message, &said.Details, &said.RequestID)
	}
	for _, text := range texts {
		*text = without(*text, value.Reveal())
	}
}

// without takes a secret out of a text, and as much of it as stands there where only a beginning does.
func without(text, value string) string {
	text = strings.ReplaceAll(text, value, secret.Placeholder)
	if len(value) <= telling {
		return text
	}
	var out strings.Builder
	for {
		i := strings.Index(text, value[:telling])
		if i < 0 {
			out.WriteString(text)
			return out.String()
		}
		n := telling
		for n < len(value) && i+n < len(text) && text[i+n] == value[n] {
			n++
		}
		out.WriteString(text[:i] + secret.Placeholder)
		text = text[i+n:]
	}
}

func (c Client) body(ctx context.Context, from io.Reader, answer Answer) ([]byte, error) {
	most := c.MaxBody
	if most <= 0 {
		most = defaultMaxBody
	}
	body, err := io.ReadAll(io.LimitReader(from, most+1))
	if err != nil {
		return nil, c.unanswered(ctx, err)
	}
	if int64(len(body)) > most {
		return nil, fault.New(fault.TooLarge, "provider_refused", "The provider's answer is larger than can be passed on.").
			Do("Ask for less: a smaller limit, a shorter time, or fewer included parts.").
			Said(fault.Provider{Status: answer.Status, RequestID: answer.RequestID})
	}
	return body, nil
}

func redirected(answer Answer) error {
	return fault.New(fault.Refused, "provider_redirected", "The provider sent us to another address, where we take no token.").
		Do("Check where the vault entry belongs, such as its region or country; if that is right, tell the operator that the provider's address has moved.").
		Said(fault.Provider{Status: answer.Status, RequestID: answer.RequestID})
}

// unanswered asks the adapter why no answer came, where its provider shows that in the transport's error.
func (c Client) unanswered(ctx context.Context, err error) error {
	if dialer, ok := c.Reader.(Dialer); ok && ctx.Err() == nil {
		if problem := dialer.Explain(err); problem != nil {
			return problem
		}
	}
	return unanswered(ctx, err)
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
