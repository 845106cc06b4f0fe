// Package handler answers reads of providers' data, and checks what a credential may read.
package handler

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/aws/aws-lambda-go/events"

	"connectorvault/shared/fault"
	"connectorvault/shared/ident"
	"connectorvault/shared/lambdahttp"
	"connectorvault/shared/read"
)

// Config is what the function needs.
type Config struct {
	Read   *read.Service
	Logger *slog.Logger
	Now    func() time.Time
}

// Handler answers the read routes. It is safe for concurrent use.
type Handler struct {
	Config
	mux *lambdahttp.Mux
}

// New returns a Handler.
func New(cfg Config) *Handler {
	h := &Handler{Config: cfg}
	h.mux = &lambdahttp.Mux{Logger: cfg.Logger, Now: cfg.Now, Routes: map[string]lambdahttp.Handler{
		"GET /v1/connectors/{id}/{resource}":                 h.read,
		"POST /v1/connectors/{id}/{resource}":                h.create,
		"GET /v1/connectors/{id}/{resource}/{item}":          h.read,
		"GET /v1/connectors/{id}/{resource}/{item}/document": h.document,
		"POST /v1/vault-entries/{id}/check":                  h.check,
	}}
	return h
}

// Routes lists the routes that the function answers.
func (h *Handler) Routes() map[string]lambdahttp.Handler { return h.mux.Routes }

// Handle answers an event of API Gateway.
func (h *Handler) Handle(ctx context.Context, event events.APIGatewayV2HTTPRequest) (events.APIGatewayV2HTTPResponse, error) {
	return h.mux.Handle(ctx, event)
}

func (h *Handler) read(ctx context.Context, r *lambdahttp.Request) (lambdahttp.Response, error) {
	q, err := query(r)
	if err != nil {
		return lambdahttp.Response{}, err
	}
	if lines(r) {
		body, err := h.Read.Run(ctx, r.Principal, q)
		h.note(ctx, r, q, lastOf(body), err)
		return lambdahttp.Response{Status: http.StatusOK, Body: body, Header: http.Header{"Content-Type": {"application/x-ndjson"}}}, err
	}
	page, err := h.Read.Read(ctx, r.Principal, q)
	h.note(ctx, r, q, access{items: len(page.Items), requestID: page.Meta.RequestID}, err)
	if err != nil {
		return lambdahttp.Response{}, err
	}
	return pageOf(http.StatusOK, page)
}

func (h *Handler) create(ctx context.Context, r *lambdahttp.Request) (lambdahttp.Response, error) {
	q, err := query(r)
	if err != nil {
		return lambdahttp.Response{}, err
	}
	if err := lambdahttp.OnlyQuery(r); err != nil {
		return lambdahttp.Response{}, err
	}
	page, err := h.Read.Create(ctx, r.Principal, r.Header.Get("Idempotency-Key"), q.Connector, q.Resource, r.Body)
	h.note(ctx, r, q, access{items: len(page.Items), requestID: page.Meta.RequestID}, err)
	if err != nil {
		return lambdahttp.Response{}, err
	}
	return pageOf(http.StatusCreated, page)
}

func pageOf(status int, page read.Page) (lambdahttp.Response, error) {
	body, err := page.Encode()
	return lambdahttp.Response{Status: status, Body: body, Header: http.Header{"Content-Type": {"application/json"}}}, err
}

// document answers with a part of a document's bytes (RFC 9110, 14).
func (h *Handler) document(ctx context.Context, r *lambdahttp.Request) (lambdahttp.Response, error) {
	q, err := query(r)
	if err != nil {
		return lambdahttp.Response{}, err
	}
	if err := lambdahttp.OnlyQuery(r, "personal_data"); err != nil {
		return lambdahttp.Response{}, err
	}
	span, err := read.ParseRange(r.Header.Get("Range"))
	if err != nil {
		return lambdahttp.Response{}, err
	}
	part, err := h.Read.Document(ctx, r.Principal, q, span)
	h.note(ctx, r, q, access{bytes: len(part.Bytes)}, err)
	var beyond *read.ErrBeyond
	if errors.As(err, &beyond) {
		out := lambdahttp.Response{Status: http.StatusRequestedRangeNotSatisfiable, Header: http.Header{}}
		if beyond.Total >= 0 {
			out.Header.Set("Content-Range", fmt.Sprintf("bytes */%d", beyond.Total))
		}
		return out, nil
	}
	if err != nil {
		return lambdahttp.Response{}, err
	}
	return partOf(part, span), nil
}

func partOf(part read.Part, span read.Span) lambdahttp.Response {
	out := lambdahttp.Response{Status: http.StatusOK, Body: part.Bytes, Binary: true, Header: http.Header{
		"Content-Type": {part.ContentType}, "Accept-Ranges": {"bytes"}, "Content-Disposition": {"attachment"}}}
	if part.Whole && (!span.Given || len(part.Bytes) == 0) { // no range of nothing can be written down
		return out
	}
	out.Status = http.StatusPartialContent
	total := "*"
	if part.Total >= 0 {
		total = strconv.FormatInt(part.Total, 10)
	}
	out.Header.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%s", part.From, part.From+int64(len(part.Bytes))-1, total))
	return out
}

func (h *Handler) check(ctx context.Context, r *lambdahttp.Request) (lambdahttp.Response, error) {
	id, err := r.IDParam("id", ident.Entry, "vault entry")
	if err != nil {
		return lambdahttp.Response{}, err
	}
	found, err := h.Read.Check(ctx, r.Principal, id)
	if err != nil {
		return lambdahttp.Response{}, err
	}
	return lambdahttp.JSON(http.StatusOK, found)
}

// maxItem is longer than any identifier of a provider, in bytes.
const maxItem = 1024

// query reads what every read takes; what is left over are the provider's own filters.
func query(r *lambdahttp.Request) (read.Query, error) {
	id, err := r.IDParam("id", ident.Connector, "connector")
	if err != nil {
		return read.Query{}, err
	}
	q := read.Query{Connector: id, Resource: r.Param("resource"), Item: r.Param("item"), Params: url.Values{}}
	for name, values := range r.Query {
		one := values[0]
		switch name {
		case "limit", "cursor", "personal_data", "item":
			if len(values) > 1 {
				return q, invalid(name, name+" is given more than once.").Do("Give it once.")
			}
		default:
			q.Params[name] = values
			continue
		}
		switch name {
		case "limit":
			if q.Limit, err = strconv.Atoi(one); err != nil || q.Limit < 1 {
				return q, invalid(name, "limit is not a whole number from 1.").Do("Give such a number, or leave it out.")
			}
		case "cursor":
			if q.Cursor = one; one == "" {
				return q, fault.New(fault.Invalid, "invalid_cursor", "The cursor is empty.").On(name).Do("Leave it out to begin.")
			}
		case "personal_data":
			if q.Personal, err = strconv.ParseBool(one); err != nil {
				return q, invalid(name, "personal_data is neither true nor false.").Do("Give true or false.")
			}
		case "item": // an item with a slash cannot stand in the path
			if q.Item != "" || one == "" {
				return q, invalid(name, "The item is named twice, or not at all.").Do("Give it in the path, or as item.")
			}
			q.Item = one
		}
	}
	if len(q.Item) > maxItem || strings.ContainsFunc(q.Item, unicode.IsControl) {
		return q, invalid("item", "The item is not an identifier.").Do("Give the identifier as the provider wrote it.")
	}
	return q, nil
}

func invalid(field, detail string) *fault.Error {
	return fault.New(fault.Invalid, "invalid_field", detail).On(field)
}

// lines reports whether newline delimited JSON was asked for.
func lines(r *lambdahttp.Request) bool {
	for _, accepted := range strings.Split(r.Header.Get("Accept"), ",") {
		kind, _, _ := strings.Cut(accepted, ";")
		if strings.EqualFold(strings.TrimSpace(kind), "application/x-ndjson") {
			return true
		}
	}
	return false
}
