package invoke

import (
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/google/go-cmp/cmp"

	"connectorvault/shared/boot/environment"
)

// wire keeps a request and gives an answer.
type wire struct {
	request *http.Request
	body    string

	status int
	header http.Header
	answer io.Reader
	err    error
}

func (w *wire) Do(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	w.request, w.body = r, string(body)
	if err = errors.Join(err, w.err); err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: w.status, Header: w.header, Body: io.NopCloser(w.answer), Request: r}, nil
}

func answering(status int, body string, header ...string) *wire {
	w := &wire{status: status, header: http.Header{}, answer: strings.NewReader(body)}
	for i := 0; i < len(header); i += 2 {
		w.header.Set(header[i], header[i+1])
	}
	return w
}

func config(region string) aws.Config {
	return aws.Config{Region: region, Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{AccessKeyID: "AKIA1", SecretAccessKey: "canary-aws-secret", SessionToken: "canary-aws-session"}, nil
	})}
}

// over is a client whose requests go over a wire, at a time.
func over(w *wire, region string, now time.Time) *lambda {
	l := newLambda(config(region), func() time.Time { return now })
	l.client = w
	return l
}

// ofSDK is the request that the SDK's own client makes.
func ofSDK(t *testing.T, region, function, how string, payload []byte) (*http.Request, string) {
	t.Helper()
	w := answering(http.StatusAccepted, "")
	client := sdk.NewFromConfig(config(region), func(o *sdk.Options) { o.RetryMaxAttempts, o.HTTPClient = 1, w })
	if _, err := client.Invoke(t.Context(), &sdk.InvokeInput{FunctionName: aws.String(function), InvocationType: types.InvocationType(how), Payload: payload}); err != nil {
		t.Fatal(err)
	}
	return w.request, w.body
}

// What the SDK's client tells of itself.
var itself = []string{"Authorization", "User-Agent", "Amz-Sdk-Invocation-Id", "Amz-Sdk-Request", "X-Amz-Date", "Accept-Encoding"}

func TestARequestIsTheOneThatTheSDKMakes(t *testing.T) {
	t.Parallel()
	for _, how := range []string{wait, event} {
		for _, function := range []string{"connector-vault-RefreshFunction-AbC123", "arn:aws:lambda:eu-central-1:111122223333:function:refresh", "refresh:live"} {
			payload := []byte(`{"op":"due","größe":1}`)
			want, wantBody := ofSDK(t, "eu-central-1", function, how, payload)
			at, err := time.Parse("20060102T150405Z", want.Header.Get("X-Amz-Date"))
			if err != nil {
				t.Fatal(err)
			}
			got := answering(http.StatusOK, "")
			l := over(got, "eu-central-1", at)
			if _, err := l.invoke(t.Context(), function, how, payload); err != nil {
				t.Fatal(err)
			}
			if got.request.Method != want.Method || got.request.URL.String() != want.URL.String() || got.request.Host != want.URL.Host || got.body != wantBody || got.request.ContentLength != want.ContentLength {
				t.Errorf("%s %s of %d bytes; the SDK sends %s %s of %d", got.request.Method, got.request.URL, got.request.ContentLength, want.Method, want.URL, want.ContentLength)
			}
			headers := func(r *http.Request) http.Header {
				out := maps.Clone(r.Header)
				for _, name := range itself {
					delete(out, name)
				}
				return out
			}
			if diff := cmp.Diff(headers(want), headers(got.request)); diff != "" {
				t.Error(diff)
			}
			// The SDK signs the headers about itself as well, so its own request is signed once more, here.
			signed := want.Header.Get("Authorization")
			if !strings.Contains(signed, "/eu-central-1/lambda/aws4_request") {
				t.Fatalf("the SDK signs %s", signed)
			}
			if err := l.sign(t.Context(), want, payload, at); err != nil || want.Header.Get("Authorization") != signed {
				t.Errorf("%v, signed %s; the SDK signs %s", err, want.Header.Get("Authorization"), signed)
			}
			if ours := got.request.Header.Get("Authorization"); !strings.HasPrefix(ours, "AWS4-HMAC-SHA256 Credential=AKIA1/"+at.Format("20060102")) || got.request.Header.Get("X-Amz-Date") != want.Header.Get("X-Amz-Date") {
				t.Errorf("signed %s", ours)
			}
		}
	}
}

// Regions of every partition, and one that is not there yet.
func TestLambdaIsWhereTheSDKFindsIt(t *testing.T) {
	t.Parallel()
	for _, region := range []string{"eu-central-1", "us-east-1", "ap-southeast-7", "mx-central-1", "il-central-1", "us-gov-west-1", "us-gov-east-1", "cn-north-1", "cn-northwest-1",
		"eusc-de-east-1", "us-iso-east-1", "us-iso-west-1", "us-isob-east-1", "us-isob-west-1", "eu-isoe-west-1", "us-isof-south-1", "us-isof-east-1", "eu-nowhere-9"} {
		want, _ := ofSDK(t, region, "refresh", wait, []byte("{}"))
		if got := host(region); got != want.URL.Host {
			t.Errorf("%s: %s; the SDK goes to %s", region, got, want.URL.Host)
		}
	}
}

func TestATraceGoesAlong(t *testing.T) {
	t.Parallel()
	const trace = "Root=1-00000000-000000000000000000000000;Parent=0000000000000000;Sampled=0"
	w := answering(http.StatusOK, "")
	ctx := context.WithValue(t.Context(), "x-amzn-trace-id", trace) //nolint:revive,staticcheck // the runtime's own key
	if _, err := over(w, "eu-central-1", time.Now()).invoke(ctx, "refresh", wait, nil); err != nil || w.request.Header.Get("X-Amzn-Trace-Id") != trace {
		t.Errorf("%v: %v", err, w.request.Header)
	}
}

func TestEachAnswerOfLambda(t *testing.T) {
	t.Parallel()
	kind := []string{"X-Amzn-Requestid", "1-2-3", "X-Amzn-Errortype"}
	for name, want := range map[string]struct {
		wire      *wire
		out       result
		throttled bool
		says      string
	}{
		"an answer":         {wire: answering(200, `{"a":1}`), out: result{payload: []byte(`{"a":1}`)}},
		"begun":             {wire: answering(202, ""), out: result{payload: []byte{}}},
		"a crash":           {wire: answering(200, `{"errorMessage":"x"}`, "X-Amz-Function-Error", "Unhandled"), out: result{failed: "Unhandled", payload: []byte(`{"errorMessage":"x"}`)}},
		"too many":          {wire: answering(429, `{"Message":"canary"}`, append(kind, "TooManyRequestsException")...), throttled: true, says: "429 TooManyRequestsException (request 1-2-3)"},
		"no right":          {wire: answering(403, `{"Message":"canary"}`, append(kind, "AccessDeniedException:http://internal.amazon.com/")...), says: "403 AccessDeniedException (request 1-2-3)"},
		"broken":            {wire: answering(500, `canary`), says: "500"},
		"a redirect":        {wire: answering(307, ``, "Location", "https://elsewhere.example"), says: "307"},
		"no answer":         {wire: &wire{err: errors.New("away")}, says: "away"},
		"half an answer":    {wire: &wire{status: 200, answer: io.MultiReader(strings.NewReader(`{"a"`), broken{})}, says: "cut"},
		"without an end":    {wire: &wire{status: 200, answer: endless{}}, says: "larger than any"},
		"a refusal, halved": {wire: &wire{status: 502, answer: broken{}}, says: "502"},
	} {
		out, err := over(want.wire, "eu-central-1", time.Now()).invoke(t.Context(), "refresh", wait, []byte("canary"))
		if want.says == "" {
			if diff := cmp.Diff(want.out, out, cmp.AllowUnexported(result{})); err != nil || diff != "" {
				t.Errorf("%s: %v\n%s", name, err, diff)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), want.says) || strings.Contains(err.Error(), "canary") || errors.Is(err, errThrottled) != want.throttled {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWithoutCredentialsNothingIsSent(t *testing.T) {
	t.Parallel()
	w := answering(200, "")
	l := over(w, "eu-central-1", time.Now())
	l.credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return aws.Credentials{}, errors.New("none") })
	if _, err := l.invoke(t.Context(), "refresh", wait, nil); err == nil || w.request != nil {
		t.Errorf("%v, %v", err, w.request)
	}
}

func TestWhoAsksTheTokenServiceNamesItsFunction(t *testing.T) {
	t.Parallel()
	values := map[string]string{"CV_REFRESH_FUNCTION": "refresh"}
	v := environment.Of(func(name string) (string, bool) { value, ok := values[name]; return value, ok })
	var found environment.Found
	TokenService(v, config("eu-central-1"), &found)
	if v.Err() != nil || found.Invoke == nil || found.Nudge == nil {
		t.Errorf("%v, %+v", v.Err(), found)
	}
	v = environment.Of(func(string) (string, bool) { return "", false })
	if TokenService(v, config("eu-central-1"), &found); v.Err() == nil || !strings.Contains(v.Err().Error(), "CV_REFRESH_FUNCTION is not set") {
		t.Errorf("without it: %v", v.Err())
	}
}

// What the SDK signs beside its own words is signed here too; none is forgotten.
func TestWhatIsSigned(t *testing.T) {
	t.Parallel()
	w := answering(200, "")
	if _, err := over(w, "eu-central-1", time.Now()).invoke(t.Context(), "refresh", event, []byte("{}")); err != nil {
		t.Fatal(err)
	}
	_, names, _ := strings.Cut(w.request.Header.Get("Authorization"), "SignedHeaders=")
	names, _, _ = strings.Cut(names, ",")
	for _, name := range []string{"content-length", "content-type", "host", "x-amz-date", "x-amz-invocation-type", "x-amz-security-token"} {
		if !slices.Contains(strings.Split(names, ";"), name) {
			t.Errorf("%s is not signed: %s", name, names)
		}
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("cut") }

type endless struct{}

func (endless) Read(b []byte) (int, error) { return len(b), nil }
