package invoke

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
)

// lambda is Lambda's operation Invoke, on the SDK's own signer and HTTP client. The SDK's client for Lambda describes each of
// its eighty operations to itself when a process starts, for this one: three quarters of a megabyte of every program, and a
// fifth of what comes before its first question for work. Tests hold each request against the one that the SDK makes.
type lambda struct {
	client interface {
		Do(request *http.Request) (*http.Response, error)
	}
	signer      *v4.Signer
	credentials aws.CredentialsProvider
	region      string
	now         func() time.Time
}

func newLambda(config aws.Config, now func() time.Time) *lambda {
	return &lambda{client: awshttp.NewBuildableClient(), signer: v4.NewSigner(), credentials: config.Credentials, region: config.Region, now: now}
}

// The ways a function is invoked.
const (
	wait  = "RequestResponse"
	event = "Event" // it is only begun
)

// partitions are AWS's, by how the names of their Regions begin, with what the names of their hosts end in.
var partitions = [...]struct{ begins, ends string }{
	{"cn-", "amazonaws.com.cn"}, {"eusc-", "amazonaws.eu"}, {"us-iso-", "c2s.ic.gov"}, {"us-isob-", "sc2s.sgov.gov"},
	{"eu-isoe-", "cloud.adc-e.uk"}, {"us-isof-", "csp.hci.ic.gov"},
}

// host is where Lambda's API of a Region is.
func host(region string) string {
	for _, p := range partitions {
		if strings.HasPrefix(region, p.begins) {
			return "lambda." + region + "." + p.ends
		}
	}
	return "lambda." + region + ".amazonaws.com"
}

// maxAnswer is more than Lambda lets a function answer.
const maxAnswer = 8 << 20

// errThrottled is Lambda's word for a function that has as many instances as it may, or more calls than it takes.
var errThrottled = errors.New("lambda takes no more invocations at the moment")

// result is what an invocation came to; failed is Lambda's word for a function that did not answer at all.
type result struct {
	payload []byte
	failed  string
}

// invoke sends one request.
func (l *lambda) invoke(ctx context.Context, function, how string, payload []byte) (result, error) {
	request, err := l.request(ctx, function, how, payload)
	if err != nil {
		return result{}, err
	}
	response, err := l.client.Do(request)
	if err != nil {
		return result{}, err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	switch {
	case response.StatusCode == http.StatusTooManyRequests:
		return result{}, errors.Join(errThrottled, refusal(response))
	case response.StatusCode != http.StatusOK && response.StatusCode != http.StatusAccepted:
		return result{}, refusal(response)
	case err != nil:
		return result{}, fmt.Errorf("reading lambda's answer: %w", err)
	case len(body) > maxAnswer:
		return result{}, errors.New("lambda's answer is larger than any")
	}
	return result{payload: body, failed: response.Header.Get("X-Amz-Function-Error")}, nil
}

// refusal says what Lambda's own support would ask for. Lambda's sentence is left out: it may quote what was sent.
func refusal(response *http.Response) error {
	kind, _, _ := strings.Cut(response.Header.Get("X-Amzn-Errortype"), ":")
	return fmt.Errorf("lambda answered %d %.60s (request %.60s)", response.StatusCode, kind, response.Header.Get("X-Amzn-Requestid"))
}

func (l *lambda) request(ctx context.Context, function, how string, payload []byte) (*http.Request, error) {
	path := "/2015-03-31/functions/" + function + "/invocations"
	address := url.URL{Scheme: "https", Host: host(l.region), Path: path,
		RawPath: "/2015-03-31/functions/" + strings.ReplaceAll(url.PathEscape(function), ":", "%3A") + "/invocations"}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address.String(), bytes.NewReader(payload))
	if err != nil {
		return nil, fmt.Errorf("making a request of lambda: %w", err)
	}
	request.Header.Set("Content-Type", "application/octet-stream")
	request.Header.Set("X-Amz-Invocation-Type", how)
	if trace, _ := ctx.Value("x-amzn-trace-id").(string); trace != "" { // the runtime's own key; by it Lambda sees functions that go round in circles
		request.Header.Set("X-Amzn-Trace-Id", trace)
	}
	return request, l.sign(ctx, request, payload, l.now())
}

func (l *lambda) sign(ctx context.Context, request *http.Request, payload []byte, at time.Time) error {
	credentials, err := l.credentials.Retrieve(ctx)
	if err != nil {
		return fmt.Errorf("asking for credentials: %w", err)
	}
	sum := sha256.Sum256(payload)
	if err := l.signer.SignHTTP(ctx, credentials, request, hex.EncodeToString(sum[:]), "lambda", l.region, at); err != nil {
		return fmt.Errorf("signing a request of lambda: %w", err)
	}
	return nil
}
