// Package lambdahttp stands between API Gateway's events and our handlers.
//
// The argument: an HTTP API event is an awkward request (parameters joined by commas, bodies in base64, cookies apart)
// and an error must become the same problem document whichever function it happened in. So the conversion, the
// problem documents, the headers that every answer carries and the one log line a request leaves are written once, and
// a handler sees a plain request and returns a plain answer or an error.
package lambdahttp

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"runtime/debug"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-lambda-go/events"

	"connectorvault/shared/access"
	"connectorvault/shared/audit"
	"connectorvault/shared/fault"
	"connectorvault/shared/ident"
	"connectorvault/shared/record"
	"connectorvault/shared/route"
	"connectorvault/shared/vault"
)

// MaxBody is the most that a request's body may have. Nothing that people or programs send us is larger.
const MaxBody = 256 << 10

// maxText is how large a body may be to stand in an event as text. There every quote is escaped, which can double what
// is mostly quotes, and an event has at most 6 MB; base64 never makes more of it than a third.
const maxText = 1 << 20

// Request is a request as handlers see it.
type Request struct {
	Route     string            // "GET /v1/providers/{provider}"
	Path      map[string]string // path parameters, decoded
	Query     url.Values
	Header    http.Header
	Cookies   []*http.Cookie
	Body      []byte
	Principal record.Principal // zero on open routes
	ID        string           // names the request in our logs and answers
}

// Param returns a path parameter.
func (r *Request) Param(name string) string { return r.Path[name] }

// IDParam returns a path parameter that must be one of our ids; anything else cannot be found.
func (r *Request) IDParam(name, prefix, what string) (string, error) {
	id := r.Path[name]
	if !ident.Valid(id, prefix) {
		if len(id) > 40 {
			id = strings.ToValidUTF8(id[:40], "") + "…"
		}
		return "", vault.NotFound(what, id)
	}
	return id, nil
}

// Decode reads a JSON object into v and refuses members that v does not have.
func (r *Request) Decode(v any) error {
	if len(bytes.TrimSpace(r.Body)) == 0 {
		return badBody("The request has no body.")
	}
	if !utf8.Valid(r.Body) {
		return badBody("The body is not UTF-8.")
	}
	if bytes.TrimSpace(r.Body)[0] != '{' { // a null would decode into anything, and say nothing
		return badBody("The body is not a JSON object.")
	}
	decoder := json.NewDecoder(bytes.NewReader(r.Body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(v); err != nil {
		return decodeFault(err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return badBody("The body has something after its JSON object.")
	}
	return exact(r.Body, v)
}

// decodeFault names the member where it can. The decoder's own text quotes input, so none of it is passed on whole.
func decodeFault(err error) error {
	var wrongType *json.UnmarshalTypeError
	if errors.As(err, &wrongType) && wrongType.Field != "" {
		return fault.New(fault.Invalid, "invalid_field", wrongType.Field+" is a JSON "+word(wrongType.Value)+", which it cannot be.").
			On(wrongType.Field).Do("Send it as " + shape(wrongType.Type) + ".")
	}
	if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok && len(name) < 80 {
		name = strings.Trim(name, `"`)
		return fault.New(fault.Invalid, "invalid_field", "There is no field \""+name+"\" here.").On(name).Do("Leave it out, or check its spelling.")
	}
	return badBody("The body is not a JSON object that can be read.")
}

// shape says in words of JSON what a member takes.
func shape(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Slice, reflect.Array:
		return "a list, each element of it " + shape(t.Elem())
	case reflect.Map:
		return "an object, each member of it " + shape(t.Elem())
	case reflect.Struct:
		return "an object"
	case reflect.Int, reflect.Int64:
		return "a whole number"
	default:
		return "a number"
	}
}

func word(value string) string {
	first, _, _ := strings.Cut(value, " ") // "number 3.5" quotes the input
	return first
}

func badBody(detail string) *fault.Error {
	return fault.New(fault.Invalid, "invalid_request", detail).Do("Send one JSON object as UTF-8.")
}

// Response is an answer as handlers give it.
type Response struct {
	Status int
	Header http.Header
	Body   []byte
	Binary bool // the body is not UTF-8 text
}

// JSON answers with a JSON document.
func JSON(status int, v any) (Response, error) {
	body, err := json.Marshal(v)
	if err != nil {
		return Response{}, err
	}
	return Response{Status: status, Header: http.Header{"Content-Type": {"application/json"}}, Body: body}, nil
}

// Handler answers one route.
type Handler func(ctx context.Context, r *Request) (Response, error)

// Mux answers the routes of one function.
type Mux struct {
	Routes map[string]Handler
	Logger *slog.Logger
	Now    func() time.Time
	// Problem, if set, answers errors instead of a problem document: pages for browsers.
	Problem func(r *Request, err error) (Response, error)
}

// Handle answers an event. It returns no error: whatever happens is an answer.
func (m *Mux) Handle(ctx context.Context, event events.APIGatewayV2HTTPRequest) (events.APIGatewayV2HTTPResponse, error) {
	began := m.Now()
	r, err := requestOf(event)
	ctx = audit.WithActor(ctx, actorOf(r))
	var response Response
	if err == nil {
		response, err = m.inTime(ctx, r)
	}
	if err != nil {
		response = m.problem(ctx, r, err)
	}
	m.log(ctx, r, response, err, m.Now().Sub(began))
	return eventOf(response), nil
}

// inTime leaves a second of what the function has: Lambda ends it at the deadline itself, and then nobody says anything.
func (m *Mux) inTime(ctx context.Context, r *Request) (Response, error) {
	if deadline, ok := ctx.Deadline(); ok {
		var stop context.CancelFunc
		ctx, stop = context.WithDeadline(ctx, deadline.Add(-time.Second))
		defer stop()
	}
	return m.dispatch(ctx, r)
}

func (m *Mux) dispatch(ctx context.Context, r *Request) (Response, error) {
	handler, ok := m.Routes[r.Route]
	if !ok {
		return Response{}, fault.New(fault.NotFound, "not_found", "There is no such route.").Do("Check the method and the path.")
	}
	// The gateway has asked the authorizer before it calls us. Should it ever not have, nobody is nobody; and a role
	// that we do not know, such as a newer release's, has no rights. On a route that the table does not have, nobody has.
	if known, _ := route.Find(r.Route); !known.Open {
		if err := access.Need(r.Principal, known.Right); err != nil {
			return Response{}, err
		}
	}
	return m.safely(ctx, handler, r)
}

// safely turns a panic into an internal error: one bad request must not take the others of this process with it.
func (m *Mux) safely(ctx context.Context, h Handler, r *Request) (response Response, err error) {
	defer func() {
		if p := recover(); p != nil {
			// Where it happened, and of what type; not its value, which may hold anything.
			m.Logger.ErrorContext(ctx, "a handler panicked", "route", r.Route, "request_id", r.ID,
				"panic", fmt.Sprintf("%T", p), "stack", string(debug.Stack()))
			err = errors.New("a handler panicked")
		}
	}()
	return h(ctx, r)
}

func (m *Mux) problem(ctx context.Context, r *Request, err error) Response {
	if m.Problem != nil {
		response, failed := m.Problem(r, err)
		if failed == nil {
			return response
		}
		m.Logger.ErrorContext(ctx, "an error could not be shown", "route", r.Route, "error", failed.Error())
	}
	return Problem(err, r.ID)
}

// log leaves one line a request. It has nothing of the query, the body or the headers, where secrets travel.
func (m *Mux) log(ctx context.Context, r *Request, response Response, err error, took time.Duration) {
	attrs := []any{"route", r.Route, "status", response.Status, "ms", took.Milliseconds(), "request_id", r.ID}
	if r.Principal.Tenant != "" {
		attrs = append(attrs, "tenant", r.Principal.Tenant, "principal", r.Principal.ID)
	}
	if err != nil {
		attrs = append(attrs, "code", fault.CodeOf(err))
	}
	if response.Status >= 500 {
		m.Logger.ErrorContext(ctx, "request", append(attrs, "error", err.Error())...)
		return
	}
	m.Logger.InfoContext(ctx, "request", attrs...)
}

func requestOf(event events.APIGatewayV2HTTPRequest) (*Request, error) {
	r := &Request{Route: event.RouteKey, Path: map[string]string{}, Header: http.Header{}, ID: event.RequestContext.RequestID}
	for name, value := range event.Headers {
		r.Header.Set(name, value)
	}
	// HTTP APIs decode the path before they match it, so a parameter arrives decoded, and none can hold a slash.
	for name, value := range event.PathParameters {
		if !utf8.ValidString(value) {
			return r, fault.New(fault.Invalid, "invalid_request", "The path is not UTF-8.").Do("Escape what stands in it as UTF-8.")
		}
		r.Path[name] = value
	}
	r.Principal = principalOf(event)
	for _, line := range event.Cookies {
		r.Cookies = append(r.Cookies, cookiesOf(line)...)
	}
	var err error
	if r.Query, err = url.ParseQuery(event.RawQueryString); err != nil {
		return r, fault.New(fault.Invalid, "invalid_request", "The query cannot be read.").Do("Escape what stands in it.")
	}
	r.Body = []byte(event.Body)
	if event.IsBase64Encoded {
		if r.Body, err = base64.StdEncoding.DecodeString(event.Body); err != nil {
			return r, badBody("The body cannot be read.")
		}
	}
	if len(r.Body) > MaxBody {
		return r, fault.New(fault.TooLarge, "invalid_request", "The body is larger than anything that is sent here.").Do("Send less than 256 KiB.")
	}
	return r, nil
}

func cookiesOf(line string) []*http.Cookie {
	cookies, err := http.ParseCookie(line)
	if err != nil {
		return nil
	}
	return cookies
}

// principalOf reads what our authorizer put into the event. Clients cannot put anything there.
func principalOf(event events.APIGatewayV2HTTPRequest) record.Principal {
	a := event.RequestContext.Authorizer
	if a == nil || a.Lambda == nil {
		return record.Principal{}
	}
	text := func(name string) string { v, _ := a.Lambda[name].(string); return v }
	p := record.Principal{Tenant: text("tenant"), ID: text("key"), Role: record.Role(text("role")), PersonalData: text("personal_data") == "true"}
	if _, some := a.Lambda["connectors"]; some { // whatever it says: something that names none names no connector there is
		p.Connectors = strings.Split(text("connectors"), ",")
	}
	return p
}

// actorOf is who does what this request leads to. On a route that is open to everybody it is whoever has the browser.
func actorOf(r *Request) audit.Actor {
	if r.Principal.Tenant == "" {
		return audit.Actor{Kind: audit.Browser, RequestID: r.ID}
	}
	return audit.Actor{Kind: audit.Principal, ID: r.Principal.ID, Role: string(r.Principal.Role), RequestID: r.ID}
}

// Context is what our authorizer tells the functions of a principal.
func Context(p record.Principal) map[string]any {
	personal := "false"
	if p.PersonalData {
		personal = "true"
	}
	out := map[string]any{"tenant": p.Tenant, "key": p.ID, "role": string(p.Role), "personal_data": personal}
	if len(p.Connectors) > 0 { // the gateway passes on text, numbers and booleans alone
		out["connectors"] = strings.Join(p.Connectors, ",")
	}
	return out
}

func eventOf(r Response) events.APIGatewayV2HTTPResponse {
	out := events.APIGatewayV2HTTPResponse{StatusCode: r.Status, Headers: map[string]string{}, Body: string(r.Body)}
	for name, values := range r.Header {
		if name == "Set-Cookie" {
			out.Cookies = append(out.Cookies, values...)
			continue
		}
		out.Headers[name] = strings.Join(values, ", ")
	}
	for name, value := range map[string]string{"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"} {
		if out.Headers[name] == "" {
			out.Headers[name] = value
		}
	}
	if r.Binary || len(r.Body) > maxText {
		out.Body, out.IsBase64Encoded = base64.StdEncoding.EncodeToString(r.Body), true
	}
	return out
}

// OnlyQuery refuses query parameters that a route does not take, and ones given twice: a misspelt filter would be
// silently without effect.
func OnlyQuery(r *Request, known ...string) error {
	for _, name := range slices.Sorted(maps.Keys(r.Query)) {
		shown := strings.ToValidUTF8(name[:min(len(name), 40)], "")
		if !slices.Contains(known, name) {
			action := "Leave it out; nothing is asked for in the query here."
			if len(known) > 0 {
				action = "Leave it out, or use one of: " + strings.Join(known, ", ") + "."
			}
			return fault.New(fault.Invalid, "invalid_field", "There is no parameter \""+shown+"\" here.").On(shown).Do(action)
		}
		if len(r.Query[name]) > 1 {
			return fault.New(fault.Invalid, "invalid_field", name+" is given more than once.").On(name).Do("Give it once.")
		}
	}
	return nil
}
