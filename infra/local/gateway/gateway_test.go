package gateway_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"connectorvault/infra/local/gateway"
	"connectorvault/shared/route"
)

// rig is a gateway whose functions are one function, and whose authorizer lets "Bearer good" in.
type rig struct {
	*testing.T
	*gateway.Gateway
	events []events.APIGatewayV2HTTPRequest
	asked  int
}

func newRig(t *testing.T, f func(ctx context.Context, e events.APIGatewayV2HTTPRequest) (events.APIGatewayV2HTTPResponse, error)) *rig {
	r := &rig{T: t}
	function := func(ctx context.Context, payload []byte) ([]byte, error) {
		var e events.APIGatewayV2HTTPRequest
		if err := json.Unmarshal(payload, &e); err != nil {
			return nil, err
		}
		r.events = append(r.events, e)
		out, err := f(ctx, e)
		if err != nil {
			return nil, err
		}
		return json.Marshal(out)
	}
	authorizer := func(_ context.Context, payload []byte) ([]byte, error) {
		r.asked++
		var e events.APIGatewayV2CustomAuthorizerV2Request
		if err := json.Unmarshal(payload, &e); err != nil {
			return nil, err
		}
		switch e.Headers["authorization"] {
		case "Bearer good":
			return []byte(`{"isAuthorized":true,"context":{"tenant":"t_1","key":"key_1","role":"owner","personal_data":"true"}}`), nil
		case "Bearer store-down":
			return nil, errors.New("canary: the store is down")
		case "Bearer odd":
			return []byte(`nonsense`), nil
		default:
			return []byte(`{"isAuthorized":false}`), nil
		}
	}
	r.Gateway = gateway.New(gateway.Config{Authorizer: authorizer, Now: time.Now, Random: rand.Reader, Logger: slog.New(slog.DiscardHandler),
		Functions: map[route.Function]gateway.Function{route.Admin: function, route.Read: function, route.Callback: function, route.Validate: function}})
	return r
}

func fine(context.Context, events.APIGatewayV2HTTPRequest) (events.APIGatewayV2HTTPResponse, error) {
	return events.APIGatewayV2HTTPResponse{StatusCode: 200, Body: "fine", Headers: map[string]string{"X-Ours": "1"}, Cookies: []string{"a=1", "b=2"}}, nil
}

func (r *rig) send(method, target string, body io.Reader, headers ...string) *httptest.ResponseRecorder {
	r.Helper()
	request := httptest.NewRequest(method, target, body)
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Add(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	r.ServeHTTP(w, request)
	return w
}

// said fails unless the gateway itself answered, in its own words.
func (r *rig) said(w *httptest.ResponseRecorder, status int, message string) {
	r.Helper()
	if want := fmt.Sprintf(`{"message":%q}`, message); w.Code != status || w.Body.String() != want || w.Header().Get("Content-Type") != "application/json" {
		r.Errorf("the answer is %d %s; want %d %s", w.Code, w.Body, status, want)
	}
}

func TestTheGatewayAnswersByItself(t *testing.T) {
	t.Parallel()
	r := newRig(t, fine)
	r.said(r.send("GET", "/v1/providers", nil), 401, "Unauthorized")
	r.said(r.send("GET", "/v1/providers", nil, "Authorization", ""), 401, "Unauthorized")
	r.said(r.send("GET", "/v1/providers", nil, "Authorization", "Bearer bad"), 403, "Forbidden")
	r.said(r.send("GET", "/v1/providers", nil, "Authorization", "Bearer store-down"), 500, "Internal Server Error")
	r.said(r.send("GET", "/v1/providers", nil, "Authorization", "Bearer odd"), 500, "Internal Server Error")
	for _, nowhere := range []string{"/", "/v1", "/v1/providers/", "/v1//providers", "/V1/providers", "/v1/ghosts", "/oauth/start/", "/v1/connectors/a/b/c/d"} {
		r.said(r.send("GET", nowhere, nil, "Authorization", "Bearer good"), 404, "Not Found")
	}
	for _, method := range []string{"POST", "HEAD", "OPTIONS", "TRACE", "get"} {
		r.said(r.send(method, "/v1/providers", nil, "Authorization", "Bearer good"), 404, "Not Found")
	}
	r.said(r.send("GET", "/v1/providers", nil, "Authorization", "Bearer good", "X-Long", strings.Repeat("x", 10240)), 431, "Request Header Fields Too Large")
	r.said(r.send("GET", "/v1/providers?q="+strings.Repeat("x", 10240), nil, "Authorization", "Bearer good"), 431, "Request Header Fields Too Large")
	r.said(r.send("POST", "/v1/connectors", bytes.NewReader(make([]byte, 10<<20+1)), "Authorization", "Bearer good"), 413, "Request Entity Too Large")
	if len(r.events) != 0 {
		t.Errorf("a function was asked: %+v", r.events)
	}
}

func TestABrowserIsAskedForNoKey(t *testing.T) {
	t.Parallel()
	r := newRig(t, fine)
	if w := r.send("GET", "/oauth/acme/callback?state=x", nil); w.Code != 200 || r.asked != 0 || r.events[0].RequestContext.Authorizer != nil {
		t.Errorf("the answer is %d, %d keys were asked for", w.Code, r.asked)
	}
}

func TestAKeyIsRememberedForASecondAndARefusalNotAtAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, fine)
		for range 3 {
			r.send("GET", "/v1/providers", nil, "Authorization", "Bearer good")
		}
		if r.asked != 1 {
			t.Errorf("the authorizer was asked %d times", r.asked)
		}
		time.Sleep(time.Second + time.Millisecond)
		r.send("GET", "/v1/providers", nil, "Authorization", "Bearer good")
		for range 2 {
			r.said(r.send("GET", "/v1/providers", nil, "Authorization", "Bearer bad"), 403, "Forbidden")
		}
		if r.asked != 4 {
			t.Errorf("the authorizer was asked %d times", r.asked)
		}
	})
}

func TestARequestBecomesAnEvent(t *testing.T) {
	t.Parallel()
	r := newRig(t, fine)
	w := r.send("GET", "/v1/connectors/con_1/or%64ers/a%20b%C3%BC?status=a&status=b%2Cc&q=%zz", nil, "Authorization", "Bearer good",
		"Cookie", "a=1; b=2", "Cookie", "c=3", "X-Two", "one", "X-Two", "two")
	e := r.events[0]
	if w.Code != 200 || e.RouteKey != "GET /v1/connectors/{id}/{resource}/{item}" || e.Version != "2.0" || len(e.RequestContext.RequestID) != 16 {
		t.Fatalf("the answer is %d, the event %+v", w.Code, e)
	}
	if e.PathParameters["item"] != "a bü" || e.PathParameters["resource"] != "orders" || e.RawPath != "/v1/connectors/con_1/orders/a bü" {
		t.Errorf("the path is %q %v", e.RawPath, e.PathParameters)
	}
	if e.RawQueryString != "status=a&status=b%2Cc&q=%zz" || e.QueryStringParameters["status"] != "a,b,c" {
		t.Errorf("the query is %q %v", e.RawQueryString, e.QueryStringParameters)
	}
	if fmt.Sprint(e.Cookies) != "[a=1 b=2 c=3]" || e.Headers["cookie"] != "" || e.Headers["x-two"] != "one,two" || e.Headers["host"] != "example.com" {
		t.Errorf("the headers are %v, the cookies %v", e.Headers, e.Cookies)
	}
	if e.RequestContext.Authorizer.Lambda["tenant"] != "t_1" || e.RequestContext.HTTP.Method != "GET" {
		t.Errorf("the context is %+v", e.RequestContext)
	}
	// A slash that is escaped parts segments like any other; it never reaches a parameter.
	r.said(r.send("GET", "/v1/connectors/con_1/orders/a%2Fb%2Fc", nil, "Authorization", "Bearer good"), 404, "Not Found")
	r.send("GET", "/v1/connectors/con_1/orders/a%2Fdocument", nil, "Authorization", "Bearer good")
	if got := r.events[1]; got.PathParameters["item"] != "a" || !strings.HasSuffix(got.RouteKey, "/document") {
		t.Errorf("the event is %s %v", got.RouteKey, got.PathParameters)
	}
}

func TestNobodyCanSayWhoTheyAre(t *testing.T) {
	t.Parallel()
	r := newRig(t, fine)
	r.send("GET", "/v1/providers?tenant=t_2", nil, "Authorization", "Bearer good", "tenant", "t_2", "X-Amzn-Authorizer", `{"tenant":"t_2"}`)
	if got := r.events[0].RequestContext.Authorizer.Lambda["tenant"]; got != "t_1" {
		t.Errorf("the tenant is %v", got)
	}
}

func TestABodyTravelsAsItIs(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(_ context.Context, e events.APIGatewayV2HTTPRequest) (events.APIGatewayV2HTTPResponse, error) {
		return events.APIGatewayV2HTTPResponse{StatusCode: 206, Body: e.Body, IsBase64Encoded: e.IsBase64Encoded}, nil
	})
	for _, body := range []string{"", `{"a":"ü"}`, "\xff\x00\xfe"} {
		w := r.send("POST", "/v1/connectors", strings.NewReader(body), "Authorization", "Bearer good")
		if w.Body.String() != body || w.Code != 206 {
			t.Errorf("%q came back as %d %q", body, w.Code, w.Body)
		}
	}
	if r.events[1].IsBase64Encoded || !r.events[2].IsBase64Encoded {
		t.Error("text travels as base64, or bytes as text")
	}
}

func TestAnAnswerIsPassedOnWhole(t *testing.T) {
	t.Parallel()
	r := newRig(t, fine)
	w := r.send("GET", "/v1/providers", nil, "Authorization", "Bearer good")
	if w.Code != 200 || w.Body.String() != "fine" || w.Header().Get("X-Ours") != "1" || fmt.Sprint(w.Header()["Set-Cookie"]) != "[a=1 b=2]" {
		t.Errorf("the answer is %d %s %v", w.Code, w.Body, w.Header())
	}
}

func TestAFunctionThatFailsIsA500WithoutItsWords(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]func(context.Context, events.APIGatewayV2HTTPRequest) (events.APIGatewayV2HTTPResponse, error){
		"an error": func(context.Context, events.APIGatewayV2HTTPRequest) (events.APIGatewayV2HTTPResponse, error) {
			return events.APIGatewayV2HTTPResponse{}, errors.New("canary")
		},
		"a panic": func(context.Context, events.APIGatewayV2HTTPRequest) (events.APIGatewayV2HTTPResponse, error) {
			panic("canary")
		},
		"no status": func(context.Context, events.APIGatewayV2HTTPRequest) (events.APIGatewayV2HTTPResponse, error) {
			return events.APIGatewayV2HTTPResponse{Body: "canary"}, nil
		},
		"an odd status": func(context.Context, events.APIGatewayV2HTTPRequest) (events.APIGatewayV2HTTPResponse, error) {
			return events.APIGatewayV2HTTPResponse{StatusCode: 1000}, nil
		},
		"no base64": func(context.Context, events.APIGatewayV2HTTPRequest) (events.APIGatewayV2HTTPResponse, error) {
			return events.APIGatewayV2HTTPResponse{StatusCode: 200, Body: "canary!", IsBase64Encoded: true}, nil
		},
		"more than 6 MB": func(context.Context, events.APIGatewayV2HTTPRequest) (events.APIGatewayV2HTTPResponse, error) {
			return events.APIGatewayV2HTTPResponse{StatusCode: 200, Body: strings.Repeat("x", 6<<20)}, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, f)
			r.said(r.send("GET", "/v1/providers", nil, "Authorization", "Bearer good"), 500, "Internal Server Error")
		})
	}
}

func TestAFunctionRunsOnWhenItsCallerHangsUp(t *testing.T) {
	t.Parallel()
	began, goOn, ended := make(chan bool), make(chan bool), make(chan error, 1)
	r := newRig(t, func(ctx context.Context, _ events.APIGatewayV2HTTPRequest) (events.APIGatewayV2HTTPResponse, error) {
		began <- true
		<-goOn
		ended <- ctx.Err()
		return events.APIGatewayV2HTTPResponse{StatusCode: 200}, nil
	})
	ctx, hangUp := context.WithCancel(t.Context())
	request := httptest.NewRequest("POST", "/v1/connectors", nil).WithContext(ctx)
	request.Header.Set("Authorization", "Bearer good")
	answered := make(chan bool)
	go func() { r.ServeHTTP(httptest.NewRecorder(), request); close(answered) }()
	<-began
	hangUp()
	<-answered
	short, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.Drain(short); err == nil {
		t.Error("nothing runs any more")
	}
	close(goOn)
	if err := <-ended; err != nil {
		t.Errorf("the function was told to stop: %v", err)
	}
	if err := r.Drain(t.Context()); err != nil {
		t.Errorf("draining: %v", err)
	}
}

func TestAfterThirtySecondsTheGatewayGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(ctx context.Context, _ events.APIGatewayV2HTTPRequest) (events.APIGatewayV2HTTPResponse, error) {
			time.Sleep(35 * time.Second) // it does not listen
			return events.APIGatewayV2HTTPResponse{StatusCode: 200}, nil
		})
		began := time.Now()
		r.said(r.send("GET", "/v1/providers", nil, "Authorization", "Bearer good"), 503, "Service Unavailable")
		if took := time.Since(began); took != 30*time.Second {
			t.Errorf("it gave up after %s", took)
		}
		if err := r.Drain(t.Context()); err != nil || time.Since(began) != 35*time.Second {
			t.Errorf("the function was not waited for: %s, %v", time.Since(began), err)
		}
		r = newRig(t, func(ctx context.Context, _ events.APIGatewayV2HTTPRequest) (events.APIGatewayV2HTTPResponse, error) {
			<-ctx.Done()
			return fine(ctx, events.APIGatewayV2HTTPRequest{})
		})
		if w := r.send("GET", "/v1/providers", nil, "Authorization", "Bearer good"); w.Code != 200 {
			t.Errorf("one that listens is answered with %d", w.Code)
		}
	})
}
