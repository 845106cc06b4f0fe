// Package gateway stands in for API Gateway on one machine.
//
// The argument: the functions must meet the same events here as on AWS, and callers the same answers, including those
// that the gateway makes itself and that look nothing like ours: 401, 403, 404, 413, 503. So every request becomes the
// event's JSON, goes through the authorizer, and is given to a function as bytes, as a Lambda gets it. Also as there, a
// function runs on when its caller hangs up, and is given up after 30 seconds.
package gateway

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-lambda-go/events"

	"connectorvault/shared/ident"
	"connectorvault/shared/route"
)

// The limits of HTTP APIs that shape ours.
const (
	maxHead     = 10240    // bytes of request line and headers
	maxBody     = 10 << 20 // of a request
	maxAnswer   = 6 << 20  // of a function's
	giveUpAfter = 30 * time.Second
)

// Function is a Lambda: bytes in, bytes out.
type Function func(ctx context.Context, payload []byte) ([]byte, error)

// JSON makes a Function of a handler, with the event and the answer as JSON on the way. (The runtime library's own
// wrapper reuses one buffer, since a Lambda has one request at a time; here there are many.)
func JSON[In, Out any](handle func(context.Context, In) (Out, error)) Function {
	return func(ctx context.Context, payload []byte) ([]byte, error) {
		var in In
		if err := json.Unmarshal(payload, &in); err != nil {
			return nil, err
		}
		out, err := handle(ctx, in)
		if err != nil {
			return nil, err
		}
		return json.Marshal(out)
	}
}

// Config is what the gateway needs.
type Config struct {
	Functions  map[route.Function]Function
	Authorizer Function
	Now        func() time.Time
	Random     io.Reader
	Logger     *slog.Logger
}

// Gateway is an http.Handler. It is safe for concurrent use.
type Gateway struct {
	Config
	running sync.WaitGroup
	known   identities
}

// New returns a Gateway.
func New(cfg Config) *Gateway { return &Gateway{Config: cfg} }

// Drain waits until the functions that run are done, also those whose callers have left.
func (g *Gateway) Drain(ctx context.Context) error {
	done := make(chan struct{})
	go func() { g.running.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// ServeHTTP implements http.Handler.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if headSize(r) > maxHead {
		own(w, http.StatusRequestHeaderFieldsTooLarge, "Request Header Fields Too Large")
		return
	}
	found, parameters, ok := route.Match(r.Method, r.URL.Path)
	if !ok {
		own(w, http.StatusNotFound, "Not Found")
		return
	}
	event, err := g.event(r, found, parameters)
	if err != nil {
		own(w, http.StatusRequestEntityTooLarge, "Request Entity Too Large")
		return
	}
	if !found.Open {
		identity, status := g.Identify(r.Context(), r.Header)
		if status != http.StatusOK {
			own(w, status, authWords[status])
			return
		}
		event.RequestContext.Authorizer = &events.APIGatewayV2HTTPRequestContextAuthorizerDescription{Lambda: identity}
	}
	g.answer(w, r, found, event)
}

// authWords are what the gateway says when it lets nobody in.
var authWords = map[int]string{
	http.StatusUnauthorized:        "Unauthorized",
	http.StatusForbidden:           "Forbidden",
	http.StatusInternalServerError: "Internal Server Error",
}

// Identify asks the authorizer. Without Authorization there is nobody to ask about: 401; a key that is not good is 403.
func (g *Gateway) Identify(ctx context.Context, header http.Header) (identity map[string]any, status int) {
	if header.Get("Authorization") == "" {
		return nil, http.StatusUnauthorized
	}
	if identity, ok := g.known.get(header.Get("Authorization")); ok {
		return identity, http.StatusOK
	}
	payload, err := json.Marshal(events.APIGatewayV2CustomAuthorizerV2Request{Version: "2.0", Type: "REQUEST",
		Headers: map[string]string{"authorization": header.Get("Authorization")}, IdentitySource: []string{header.Get("Authorization")}})
	if err != nil {
		return nil, http.StatusInternalServerError
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	reply, err := g.Authorizer(ctx, payload)
	if err != nil {
		return nil, http.StatusInternalServerError
	}
	var answer events.APIGatewayV2CustomAuthorizerSimpleResponse
	if err := json.Unmarshal(reply, &answer); err != nil {
		return nil, http.StatusInternalServerError
	}
	if !answer.IsAuthorized {
		return nil, http.StatusForbidden
	}
	g.known.put(header.Get("Authorization"), answer.Context)
	return answer.Context, http.StatusOK
}

// answer runs the function, detached from its caller.
func (g *Gateway) answer(w http.ResponseWriter, r *http.Request, found route.Route, event events.APIGatewayV2HTTPRequest) {
	payload, err := json.Marshal(event)
	if err != nil {
		own(w, http.StatusInternalServerError, "Internal Server Error")
		return
	}
	type result struct {
		reply []byte
		err   error
	}
	done := make(chan result, 1)
	g.running.Add(1)
	go func() {
		defer g.running.Done()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), giveUpAfter-time.Second)
		defer cancel()
		reply, err := run(ctx, g.Functions[found.Function], payload)
		done <- result{reply, err}
	}()
	timer := time.NewTimer(giveUpAfter)
	defer timer.Stop()
	select {
	case got := <-done:
		g.write(w, got.reply, got.err)
	case <-timer.C:
		own(w, http.StatusServiceUnavailable, "Service Unavailable")
	case <-r.Context().Done(): // nobody is there to answer; the function runs on
	}
}

// run contains a function's panic: on AWS it ends one instance of one function, so here it must not end them all.
func run(ctx context.Context, f Function, payload []byte) (reply []byte, err error) {
	defer func() {
		if recover() != nil { // its value may hold anything, a secret too
			err = errors.New("the function panicked")
		}
	}()
	return f(ctx, payload)
}

func (g *Gateway) write(w http.ResponseWriter, reply []byte, err error) {
	var out events.APIGatewayV2HTTPResponse
	if err == nil && len(reply) > maxAnswer {
		err = errors.New("the function's answer is larger than 6 MB")
	}
	if err == nil {
		err = json.Unmarshal(reply, &out)
	}
	if err == nil && (out.StatusCode < 200 || out.StatusCode > 599) {
		err = errors.New("the function's answer has no status")
	}
	body := []byte(out.Body)
	if err == nil && out.IsBase64Encoded {
		body, err = base64.StdEncoding.DecodeString(out.Body)
	}
	if err != nil {
		g.Logger.Error("a function failed", "error", err.Error())
		own(w, http.StatusInternalServerError, "Internal Server Error")
		return
	}
	for _, name := range slices.Sorted(maps.Keys(out.Headers)) {
		w.Header().Set(name, out.Headers[name])
	}
	for _, cookie := range out.Cookies {
		w.Header().Add("Set-Cookie", cookie)
	}
	w.WriteHeader(out.StatusCode)
	_, _ = w.Write(body) // a caller that has left needs no answer
}

// event makes the JSON event of an HTTP API, payload format 2.0.
func (g *Gateway) event(r *http.Request, found route.Route, parameters map[string]string) (events.APIGatewayV2HTTPRequest, error) {
	body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, maxBody))
	if err != nil {
		return events.APIGatewayV2HTTPRequest{}, err
	}
	id, err := ident.New(g.Random, "")
	if err != nil {
		return events.APIGatewayV2HTTPRequest{}, err
	}
	event := events.APIGatewayV2HTTPRequest{
		Version: "2.0", RouteKey: found.Key(), RawPath: r.URL.Path, RawQueryString: r.URL.RawQuery,
		Headers: map[string]string{}, QueryStringParameters: map[string]string{}, PathParameters: parameters,
		RequestContext: events.APIGatewayV2HTTPRequestContext{
			RouteKey: found.Key(), AccountID: "000000000000", Stage: "$default", RequestID: id, APIID: "local", DomainName: r.Host,
			Time: g.Now().UTC().Format("02/Jan/2006:15:04:05 -0700"), TimeEpoch: g.Now().UnixMilli(),
			HTTP: events.APIGatewayV2HTTPRequestContextHTTPDescription{Method: r.Method, Path: r.URL.Path, Protocol: r.Proto,
				SourceIP: "127.0.0.1", UserAgent: r.UserAgent()},
		},
	}
	for name, values := range r.Header {
		if name == "Cookie" {
			for _, line := range values {
				event.Cookies = append(event.Cookies, strings.Split(line, "; ")...)
			}
			continue
		}
		event.Headers[strings.ToLower(name)] = strings.Join(values, ",")
	}
	event.Headers["host"] = r.Host
	for name, values := range r.URL.Query() {
		event.QueryStringParameters[name] = strings.Join(values, ",")
	}
	if event.Body = string(body); !utf8.Valid(body) {
		event.Body, event.IsBase64Encoded = base64.StdEncoding.EncodeToString(body), true
	}
	return event, nil
}

func headSize(r *http.Request) int {
	n := len(r.Method) + len(r.RequestURI) + len(r.Proto) + len(r.Host) + 12
	for name, values := range r.Header {
		for _, value := range values {
			n += len(name) + len(value) + 4
		}
	}
	return n
}

// own is an answer that the gateway makes itself.
func own(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	body, _ := json.Marshal(map[string]string{"message": message}) // of two strings: it cannot fail
	_, _ = w.Write(body)
}
