package lambdahttp_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"connectorvault/shared/fault"
	"connectorvault/shared/lambdahttp"
	"connectorvault/shared/record"
)

const openRoute = "GET /oauth/start/{handle}"

func owner() record.Principal {
	return record.Principal{Tenant: "t_0000000000000001", ID: "key_1", Role: record.Owner, PersonalData: true}
}

// mux answers two routes with one handler, and logs into a buffer.
func mux(handler lambdahttp.Handler) (*lambdahttp.Mux, *bytes.Buffer) {
	log := &bytes.Buffer{}
	return &lambdahttp.Mux{Routes: map[string]lambdahttp.Handler{"PATCH /v1/vault-entries/{id}": handler, openRoute: handler},
		Logger: slog.New(slog.NewJSONHandler(log, nil)), Now: func() time.Time { return time.Unix(0, 0) }}, log
}

func event(change ...func(*events.APIGatewayV2HTTPRequest)) events.APIGatewayV2HTTPRequest {
	e := events.APIGatewayV2HTTPRequest{RouteKey: "PATCH /v1/vault-entries/{id}", PathParameters: map[string]string{"id": "a b"}, Headers: map[string]string{}}
	e.RequestContext.RequestID = "req-1"
	e.RequestContext.Authorizer = &events.APIGatewayV2HTTPRequestContextAuthorizerDescription{Lambda: lambdahttp.Context(owner())}
	for _, c := range change {
		c(&e)
	}
	return e
}

func handle(t *testing.T, m *lambdahttp.Mux, e events.APIGatewayV2HTTPRequest) events.APIGatewayV2HTTPResponse {
	t.Helper()
	out, err := m.Handle(t.Context(), e)
	if err != nil {
		t.Fatalf("the gateway would say 500 by itself: %v", err)
	}
	return out
}

func problem(t *testing.T, out events.APIGatewayV2HTTPResponse) map[string]any {
	t.Helper()
	var doc map[string]any
	if err := json.Unmarshal([]byte(out.Body), &doc); err != nil || out.Headers["Content-Type"] != "application/problem+json" {
		t.Fatalf("%d is no problem document: %s, %s", out.StatusCode, out.Headers["Content-Type"], out.Body)
	}
	return doc
}

func TestAnEventBecomesARequest(t *testing.T) {
	t.Parallel()
	var got *lambdahttp.Request
	m, _ := mux(func(_ context.Context, r *lambdahttp.Request) (lambdahttp.Response, error) {
		got = r
		return lambdahttp.Response{Status: http.StatusNoContent}, nil
	})
	out := handle(t, m, event(func(e *events.APIGatewayV2HTTPRequest) {
		e.RawQueryString = "status=open&status=late&q=a%20b%2Bc&empty="
		e.QueryStringParameters = map[string]string{"status": "open,late,forged"}
		e.Headers = map[string]string{"accept": "a/b,c/d", "idempotency-key": "k"}
		e.Cookies = []string{"a=1", "b=2; c=3", "broken", "b=4"}
		e.Body, e.IsBase64Encoded = base64.StdEncoding.EncodeToString([]byte("\xff\x00")), true
	}))
	if out.StatusCode != http.StatusNoContent {
		t.Fatalf("the answer is %d %s", out.StatusCode, out.Body)
	}
	if fmt.Sprint(got.Query["status"]) != "[open late]" || got.Query.Get("q") != "a b+c" || !got.Query.Has("empty") {
		t.Errorf("the query is %v", got.Query)
	}
	if got.Header.Get("Accept") != "a/b,c/d" || got.Header.Get("Idempotency-Key") != "k" || string(got.Body) != "\xff\x00" || got.Param("id") != "a b" {
		t.Errorf("the request is %+v", got)
	}
	cookies := []string{}
	for _, c := range got.Cookies {
		cookies = append(cookies, c.Name+c.Value)
	}
	if strings.Join(cookies, " ") != "a1 b2 c3 b4" {
		t.Errorf("the cookies are %v", cookies)
	}
	if !reflect.DeepEqual(got.Principal, owner()) || got.ID != "req-1" {
		t.Errorf("the principal is %+v", got.Principal)
	}
}

func TestAnEventThatIsNoRequestIsRefused(t *testing.T) {
	t.Parallel()
	m, log := mux(func(context.Context, *lambdahttp.Request) (lambdahttp.Response, error) {
		t.Error("the handler was asked")
		return lambdahttp.Response{}, nil
	})
	for name, want := range map[string]struct {
		change func(*events.APIGatewayV2HTTPRequest)
		status int
		code   string
	}{
		"a path that is not UTF-8":  {func(e *events.APIGatewayV2HTTPRequest) { e.PathParameters["id"] = "\xff" }, 400, "invalid_request"},
		"a query that is none":      {func(e *events.APIGatewayV2HTTPRequest) { e.RawQueryString = "canary=%zz" }, 400, "invalid_request"},
		"a body that is not base64": {func(e *events.APIGatewayV2HTTPRequest) { e.Body, e.IsBase64Encoded = "canary!", true }, 400, "invalid_request"},
		"a huge body":               {func(e *events.APIGatewayV2HTTPRequest) { e.Body = strings.Repeat("x", lambdahttp.MaxBody+1) }, 413, "invalid_request"},
		"a huge body in base64": {func(e *events.APIGatewayV2HTTPRequest) {
			e.Body, e.IsBase64Encoded = base64.StdEncoding.EncodeToString(make([]byte, lambdahttp.MaxBody+1)), true
		}, 413, "invalid_request"},
		"no route of ours":            {func(e *events.APIGatewayV2HTTPRequest) { e.RouteKey = "$default" }, 404, "not_found"},
		"nobody":                      {func(e *events.APIGatewayV2HTTPRequest) { e.RequestContext.Authorizer = nil }, 403, "forbidden"},
		"an authorizer without words": {func(e *events.APIGatewayV2HTTPRequest) { e.RequestContext.Authorizer.Lambda = nil }, 403, "forbidden"},
		"a tenant that is no text": {func(e *events.APIGatewayV2HTTPRequest) {
			e.RequestContext.Authorizer.Lambda = map[string]any{"tenant": 5, "role": "owner"}
		}, 403, "forbidden"},
		"a role that nobody knows": {func(e *events.APIGatewayV2HTTPRequest) { e.RequestContext.Authorizer.Lambda["role"] = "visitor" }, 403, "forbidden"},
		"no role":                  {func(e *events.APIGatewayV2HTTPRequest) { delete(e.RequestContext.Authorizer.Lambda, "role") }, 403, "forbidden"},
	} {
		out := handle(t, m, event(want.change))
		doc := problem(t, out)
		if out.StatusCode != want.status || doc["code"] != want.code || doc["action"] == "" || doc["request_id"] != "req-1" {
			t.Errorf("%s: %d %s", name, out.StatusCode, out.Body)
		}
		if strings.Contains(out.Body+log.String(), "canary") {
			t.Errorf("%s: what was sent is said back or logged: %s %s", name, out.Body, log)
		}
	}
}

func TestEveryAnswerKeepsOutOfCaches(t *testing.T) {
	t.Parallel()
	for name, handler := range map[string]lambdahttp.Handler{
		"an answer": func(context.Context, *lambdahttp.Request) (lambdahttp.Response, error) {
			return lambdahttp.JSON(200, "x")
		},
		"an error": func(context.Context, *lambdahttp.Request) (lambdahttp.Response, error) {
			return lambdahttp.Response{}, errors.New("x")
		},
		"a panic": func(context.Context, *lambdahttp.Request) (lambdahttp.Response, error) { panic("x") },
		"a file": func(context.Context, *lambdahttp.Request) (lambdahttp.Response, error) {
			return lambdahttp.Response{Status: 200, Binary: true, Body: []byte{0xff}}, nil
		},
	} {
		m, _ := mux(handler)
		out := handle(t, m, event())
		if out.Headers["Cache-Control"] != "no-store" || out.Headers["X-Content-Type-Options"] != "nosniff" || out.Headers["Referrer-Policy"] == "" {
			t.Errorf("%s has %v", name, out.Headers)
		}
	}
}

func TestAnErrorOfOursShowsNothingOfTheInside(t *testing.T) {
	t.Parallel()
	for name, handler := range map[string]lambdahttp.Handler{
		"a plain error": func(context.Context, *lambdahttp.Request) (lambdahttp.Response, error) {
			return lambdahttp.Response{}, errors.New("dial tcp 10.0.0.7: canary")
		},
		"a panic": func(context.Context, *lambdahttp.Request) (lambdahttp.Response, error) { panic("canary") },
		"a nil map": func(context.Context, *lambdahttp.Request) (lambdahttp.Response, error) {
			var m map[string]int
			m["canary"]++ //nolint:govet,staticcheck // meant: this is the panic
			return lambdahttp.Response{}, nil
		},
		"something that cannot be JSON": func(context.Context, *lambdahttp.Request) (lambdahttp.Response, error) {
			return lambdahttp.JSON(200, map[string]any{"canary": func() {}})
		},
	} {
		m, log := mux(handler)
		out := handle(t, m, event())
		doc := problem(t, out)
		if out.StatusCode != 500 || doc["code"] != "internal_error" || strings.Contains(out.Body, "canary") || strings.Contains(out.Body, "10.0") {
			t.Errorf("%s: %d %s", name, out.StatusCode, out.Body)
		}
		if !strings.Contains(log.String(), `"level":"ERROR"`) || !strings.Contains(log.String(), "req-1") {
			t.Errorf("%s: the log has %s", name, log)
		}
	}
}

func TestALogLineHasNothingOfWhatWasSent(t *testing.T) {
	t.Parallel()
	m, log := mux(func(context.Context, *lambdahttp.Request) (lambdahttp.Response, error) {
		return lambdahttp.Response{}, fault.New(fault.Invalid, "invalid_field", "wrong")
	})
	out := handle(t, m, event(func(e *events.APIGatewayV2HTTPRequest) {
		e.RawQueryString, e.Body, e.RawPath = "code=canary", `{"refresh_token":"canary"}`, "/v1/things/canary"
		e.PathParameters["id"], e.Headers["authorization"], e.Cookies = "canary", "Bearer canary", []string{"a=canary"}
	}))
	if out.StatusCode != 400 || strings.Contains(log.String(), "canary") || !strings.Contains(log.String(), `"code":"invalid_field"`) {
		t.Errorf("the log has %s", log)
	}
}

func TestEachKindHasItsStatus(t *testing.T) {
	t.Parallel()
	want := map[fault.Kind]int{fault.Internal: 500, fault.Invalid: 400, fault.Forbidden: 403, fault.NotFound: 404, fault.Conflict: 409, fault.Gone: 410,
		fault.ReauthRequired: 409, fault.Misconfigured: 409, fault.RateLimited: 429, fault.Unavailable: 503, fault.Refused: 502, fault.TooLarge: 413}
	// A kind is there as long as its name is not the one of those that nobody knows.
	for kind := fault.Internal; kind == fault.Internal || kind.String() != fault.Internal.String(); kind++ {
		if got := lambdahttp.Status(fault.New(kind, "x", "x")); got != want[kind] {
			t.Errorf("%s is %d; want %d", kind, got, want[kind])
		}
		delete(want, kind)
	}
	if len(want) != 0 {
		t.Errorf("not asked for: %v", want)
	}
	if got := lambdahttp.Status(fault.New(fault.Kind(99), "x", "x")); got != 500 {
		t.Errorf("an unknown kind is %d", got)
	}
	for said, want := range map[int]int{400: 400, 401: 502, 403: 403, 404: 404, 409: 409, 410: 502, 422: 422, 429: 502, 500: 502, 200: 502, 0: 502, 302: 502} {
		if got := lambdahttp.Status(fault.New(fault.Refused, "x", "x").Said(fault.Provider{Status: said})); got != want {
			t.Errorf("a provider's %d is %d; want %d", said, got, want)
		}
	}
	if got := lambdahttp.Status(fault.New(fault.Misconfigured, "x", "x").Said(fault.Provider{Status: 401})); got != 502 {
		t.Errorf("a client that the provider refuses is %d", got)
	}
}

func TestAProblemDocumentHasItsMembers(t *testing.T) {
	t.Parallel()
	err := fmt.Errorf("while canary: %w", fault.Wrap(errors.New("canary"), fault.RateLimited, "rate_limited", "Too much.").On("x").Do("Wait.").
		After(1500*time.Millisecond).Said(fault.Provider{Status: 429, Code: "Quota", Details: "d", RequestID: "up-1"}))
	out := lambdahttp.Problem(err, "req-1")
	if out.Status != 429 || out.Header.Get("Retry-After") != "2" || bytes.Contains(out.Body, []byte("canary")) {
		t.Errorf("%d %v %s", out.Status, out.Header, out.Body)
	}
	const want = `{"type":"about:blank","title":"Too Many Requests","status":429,"detail":"Too much.","code":"rate_limited","field":"x","action":"Wait.",` +
		`"provider":{"status":429,"code":"Quota","details":"d","request_id":"up-1"},"request_id":"req-1"}`
	if string(out.Body) != want {
		t.Errorf("the document is %s", out.Body)
	}
	if out := lambdahttp.Problem(fault.New(fault.Unavailable, "x", "x"), ""); out.Header.Get("Retry-After") != "5" {
		t.Errorf("a wait that nobody knows is %q", out.Header.Get("Retry-After"))
	}
	if out := lambdahttp.Problem(fault.New(fault.Invalid, "x", "x"), ""); out.Header.Get("Retry-After") != "" {
		t.Errorf("what waiting does not mend says %q", out.Header.Get("Retry-After"))
	}
}

func TestAnAnswerBecomesAnEvent(t *testing.T) {
	t.Parallel()
	bulky := []byte(strings.Repeat(`"`, 2<<20))
	for name, response := range map[string]lambdahttp.Response{
		"text":      {Status: 200, Body: []byte("hello"), Header: http.Header{"Set-Cookie": {"a=1", "b=2"}, "Vary": {"x", "y"}, "Cache-Control": {"private"}}},
		"bytes":     {Status: 206, Body: []byte{0xff, 0}, Binary: true},
		"much text": {Status: 200, Body: bulky},
	} {
		m, _ := mux(func(context.Context, *lambdahttp.Request) (lambdahttp.Response, error) { return response, nil })
		out := handle(t, m, event())
		body := []byte(out.Body)
		if out.IsBase64Encoded {
			var err error
			if body, err = base64.StdEncoding.DecodeString(out.Body); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(body, response.Body) || out.StatusCode != response.Status || out.IsBase64Encoded != (name != "text") {
			t.Errorf("%s: %d, %d bytes, base64 %t", name, out.StatusCode, len(body), out.IsBase64Encoded)
		}
		if payload, err := json.Marshal(out); err != nil || len(payload) > len(response.Body)*3/2+1000 {
			t.Errorf("%s: the event has %d bytes, %v", name, len(payload), err)
		}
		if name == "text" && (len(out.Cookies) != 2 || out.Headers["Set-Cookie"] != "" || out.Headers["Vary"] != "x, y" || out.Headers["Cache-Control"] != "private") {
			t.Errorf("%s: %v %v", name, out.Headers, out.Cookies)
		}
	}
}

func TestAPageThatCannotBeShownIsAProblemDocument(t *testing.T) {
	t.Parallel()
	m, _ := mux(func(context.Context, *lambdahttp.Request) (lambdahttp.Response, error) {
		return lambdahttp.Response{}, fault.New(fault.Gone, "over", "It is over.").Do("Begin again.")
	})
	broken := false
	m.Problem = func(*lambdahttp.Request, error) (lambdahttp.Response, error) {
		if broken {
			return lambdahttp.Response{}, errors.New("canary")
		}
		return lambdahttp.Response{Status: 410, Body: []byte("<p>over")}, nil
	}
	open := event(func(e *events.APIGatewayV2HTTPRequest) { e.RouteKey, e.RequestContext.Authorizer = openRoute, nil })
	if out := handle(t, m, open); out.Body != "<p>over" || out.StatusCode != 410 {
		t.Errorf("%d %s", out.StatusCode, out.Body)
	}
	broken = true
	if out := handle(t, m, open); out.StatusCode != 410 || problem(t, out)["code"] != "over" || strings.Contains(out.Body, "canary") {
		t.Errorf("%d %s", out.StatusCode, out.Body)
	}
}

type things struct {
	Name  *string             `json:"name"`
	Many  map[string][]string `json:"many"`
	Flag  bool                `json:"flag"`
	Count int                 `json:"count"`
}

func TestABodyIsOneJSONObjectWithKnownMembers(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]struct{ code, field string }{
		``:                                {"invalid_request", ""},
		"  \n":                            {"invalid_request", ""},
		`null`:                            {"invalid_request", ""},
		`[]`:                              {"invalid_request", ""},
		`"x"`:                             {"invalid_request", ""},
		`5`:                               {"invalid_request", ""},
		`{`:                               {"invalid_request", ""},
		`{"name":"a"}{}`:                  {"invalid_request", ""},
		`{"name":"a"} x`:                  {"invalid_request", ""},
		"{\"name\":\"\xff\"}":             {"invalid_request", ""},
		`{"name":"a",}`:                   {"invalid_request", ""},
		`{'name':'a'}`:                    {"invalid_request", ""},
		"\ufeff{}":                        {"invalid_request", ""},
		`{"nmae":"canary"}`:               {"invalid_field", "nmae"},
		`{"name":5}`:                      {"invalid_field", "name"},
		`{"name":{"canary":1}}`:           {"invalid_field", "name"},
		`{"many":"canary"}`:               {"invalid_field", "many"},
		`{"many":{"a":"x"}}`:              {"invalid_field", "many"},
		`{"flag":"canary"}`:               {"invalid_field", "flag"},
		`{"count":3.25}`:                  {"invalid_field", "count"},
		strings.Repeat(`{"many":`, 20000): {"invalid_request", ""},
		`{"` + strings.Repeat("canary", 20) + `":1}`: {"invalid_request", ""},
	} {
		r := &lambdahttp.Request{Body: []byte(body)}
		err := r.Decode(&things{})
		f := fault.As(err)
		if err == nil || f.Kind != fault.Invalid || f.Code != want.code || f.Field != want.field || f.Action == "" {
			t.Errorf("%.60q: %v", body, err)
		}
		if text := f.Detail + f.Action + f.Field; strings.Contains(text, "canary") || strings.Contains(text, "map[") || strings.Contains(text, "3.25") {
			t.Errorf("%.60q: the answer quotes it, or speaks Go: %s", body, text)
		}
	}
	var got things
	if err := (&lambdahttp.Request{Body: []byte(` {"name":"a","many":{"x":["y"]}} ` + "\n")}).Decode(&got); err != nil || *got.Name != "a" || got.Many["x"][0] != "y" {
		t.Errorf("a good body: %+v %v", got, err)
	}
}

func FuzzDecode(f *testing.F) {
	for _, seed := range []string{`{}`, `{"name":"a"}`, `null`, `{"many":{"a":[1]}}`, "{\"name\":\"\xff\"}", `{"a":1}`, ` [`, `{"count":1e400}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var got things
		err := (&lambdahttp.Request{Body: body}).Decode(&got)
		if err != nil {
			if fault.KindOf(err) != fault.Invalid || fault.As(err).Action == "" {
				t.Fatalf("%q: %v", body, err)
			}
			return
		}
		if !json.Valid(body) || bytes.TrimSpace(body)[0] != '{' {
			t.Fatalf("%q was taken", body)
		}
	})
}

func FuzzCookies(f *testing.F) {
	for _, seed := range []string{"a=1", "a=1; b=2", "=", ";;;", "a=\"quoted; x\"", "__Host-vault-oauth=x; __Host-vault-oauth=y", "a=\x00", "a"} {
		f.Add(seed)
	}
	var got []*http.Cookie
	m, _ := mux(func(_ context.Context, r *lambdahttp.Request) (lambdahttp.Response, error) {
		got = r.Cookies
		return lambdahttp.Response{Status: 204}, nil
	})
	f.Fuzz(func(t *testing.T, line string) {
		got = nil
		out, err := m.Handle(t.Context(), event(func(e *events.APIGatewayV2HTTPRequest) { e.Cookies = []string{line} }))
		if err != nil || out.StatusCode != 204 {
			t.Fatalf("%q: %d %v", line, out.StatusCode, err)
		}
		for _, c := range got {
			if !strings.Contains(line, c.Name) || !strings.Contains(line, c.Value) {
				t.Fatalf("%q has the cookie %q=%q", line, c.Name, c.Value)
			}
		}
	})
}

func TestAParameterThatIsNoIDIsNotFound(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"", "ve_1", "con_0000000000000000", "ve_000000000000000O", "ve_00000000000000000", "../x", strings.Repeat("é", 50)} {
		r := &lambdahttp.Request{Path: map[string]string{"id": id}}
		_, err := r.IDParam("id", "ve_", "vault entry")
		if f := fault.As(err); err == nil || f.Kind != fault.NotFound || f.Code != "not_found" || len(f.Detail) > 200 {
			t.Errorf("%q: %v", id, err)
		}
	}
	r := &lambdahttp.Request{Path: map[string]string{"id": "ve_0123456789abcdef"}}
	if id, err := r.IDParam("id", "ve_", "vault entry"); err != nil || id != "ve_0123456789abcdef" {
		t.Errorf("%q %v", id, err)
	}
}

func TestAQueryHasOnlyWhatTheRouteTakesAndOnce(t *testing.T) {
	t.Parallel()
	for query, field := range map[string]string{"limit=1": "", "": "", "limit=1&cursor=": "", "limti=1": "limti", "limit=1&limit=2": "limit", "Limit=1": "Limit",
		strings.Repeat("%C3%A9", 40) + "=1": strings.Repeat("é", 20)} {
		var got error
		m, _ := mux(func(_ context.Context, r *lambdahttp.Request) (lambdahttp.Response, error) {
			got = lambdahttp.OnlyQuery(r, "limit", "cursor")
			return lambdahttp.Response{Status: 204}, nil
		})
		handle(t, m, event(func(e *events.APIGatewayV2HTTPRequest) { e.RawQueryString = query }))
		if (got == nil) != (field == "") || got != nil && (fault.As(got).Field != field || fault.KindOf(got) != fault.Invalid) {
			t.Errorf("%s: %v", query, got)
		}
	}
}
