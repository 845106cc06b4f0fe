// Package handler is where browsers come: the start page of an authorization, the redirect endpoint, and the login URI
// of providers that have a store of their own.
//
// Whoever is here has no key. What they may do follows from a handle, a cookie and a state, each of which is checked by
// package authorize; this package adds what only a browser needs: pages, cookies, and the refusal of requests that
// another site made.
package handler

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"connectorvault/shared/authorize"
	"connectorvault/shared/fault"
	"connectorvault/shared/lambdahttp"
	"connectorvault/shared/secret"
)

// Config is what the function needs.
type Config struct {
	Authorize *authorize.Service
	PublicURL string // as in authorize.Config; over http, the cookie cannot be Secure and has another name
	Logger    *slog.Logger
	Now       func() time.Time
}

// Handler answers browsers. It is safe for concurrent use.
type Handler struct {
	Config
	mux    *lambdahttp.Mux
	cookie string
	secure bool
}

// New returns a Handler.
func New(cfg Config) *Handler {
	h := &Handler{Config: cfg, cookie: "vault-oauth", secure: strings.HasPrefix(cfg.PublicURL, "https://")}
	if h.secure {
		h.cookie = "__Host-vault-oauth" // no other host, subdomain or path can set it
	}
	h.mux = &lambdahttp.Mux{Logger: cfg.Logger, Now: cfg.Now, Problem: problemPage, Routes: map[string]lambdahttp.Handler{
		"GET /oauth/start/{handle}":      h.startPage,
		"POST /oauth/start/{handle}":     h.start,
		"GET /oauth/{provider}/callback": h.callback,
		"GET /oauth/{provider}/login":    h.login,
		"GET /openapi.yaml":              h.openAPI,
	}}
	return h
}

// Routes lists the routes that the function answers.
func (h *Handler) Routes() map[string]lambdahttp.Handler { return h.mux.Routes }

// Handle answers an event of API Gateway.
func (h *Handler) Handle(ctx context.Context, event events.APIGatewayV2HTTPRequest) (events.APIGatewayV2HTTPResponse, error) {
	return h.mux.Handle(ctx, event)
}

// startPage says what is about to be connected, and uses nothing up: link previews and scanners open links too.
func (h *Handler) startPage(ctx context.Context, r *lambdahttp.Request) (lambdahttp.Response, error) {
	journey, err := h.Authorize.Journey(ctx, secret.New(r.Param("handle")), h.cookieOf(r))
	if err != nil {
		return lambdahttp.Response{}, err
	}
	response, err := page(http.StatusOK, beginning(journey), "'self' "+journey.ConsentHost)
	if err == nil {
		// A page that sends no referrer at all posts its form with "Origin: null", which is what a foreign one may do too.
		response.Header.Set("Referrer-Policy", "same-origin")
	}
	return response, err
}

// start goes on to the provider. The form posts to our own page; a request that another site made is refused.
func (h *Handler) start(ctx context.Context, r *lambdahttp.Request) (lambdahttp.Response, error) {
	if err := h.sameSite(r); err != nil {
		return lambdahttp.Response{}, err
	}
	address, cookie, err := h.Authorize.Start(ctx, secret.New(r.Param("handle")), h.cookieOf(r))
	if err != nil {
		return lambdahttp.Response{}, err
	}
	return lambdahttp.Response{Status: http.StatusSeeOther, Header: http.Header{"Location": {address.Reveal()}, "Set-Cookie": {h.setCookie(cookie)}}}, nil
}

// sameSite refuses what another site's page sends. Browsers that tell nothing are old, and have the cookie's SameSite.
func (h *Handler) sameSite(r *lambdahttp.Request) error {
	origin, site := r.Header.Get("Origin"), r.Header.Get("Sec-Fetch-Site")
	// No page can write Sec-Fetch-Site, so it may vouch for an origin that a browser's settings keep back.
	kept := origin == "null" && site == "same-origin"
	if origin != "" && !kept && !sameOrigin(origin, h.PublicURL) || site != "" && site != "same-origin" {
		return fault.New(fault.Forbidden, "forbidden", "Another site sent this request.").
			Do("Open the start link yourself and press Continue there.")
	}
	return nil
}

func sameOrigin(origin, public string) bool {
	a, errA := url.Parse(origin)
	b, errB := url.Parse(public)
	return errA == nil && errB == nil && a.Scheme == b.Scheme && strings.EqualFold(a.Host, b.Host)
}

func (h *Handler) callback(ctx context.Context, r *lambdahttp.Request) (lambdahttp.Response, error) {
	if ours, err := h.Authorize.Probed(ctx, r.Query); err != nil || ours {
		return lambdahttp.Response{Status: http.StatusNoContent}, err
	}
	returned, err := h.Authorize.Return(ctx, r.Param("provider"), r.Query, h.cookieOf(r))
	if err != nil {
		return lambdahttp.Response{}, err
	}
	if returned.Done {
		return page(http.StatusOK, connected(returned.Entry), "'none'")
	}
	return page(http.StatusOK, toCopy(returned.Entry), "'none'")
}

func (h *Handler) login(ctx context.Context, r *lambdahttp.Request) (lambdahttp.Response, error) {
	visit, err := h.Authorize.Login(ctx, r.Param("provider"), r.Query)
	if err != nil {
		return lambdahttp.Response{}, err
	}
	response, err := page(http.StatusOK, arrived(visit.Title, visit.Handle.Reveal()), "'none'")
	if err == nil {
		response.Header.Set("Set-Cookie", h.setCookie(visit.Cookie))
	}
	return response, err
}

// setCookie lives as long as a request does. SameSite=Lax lets it come along on the provider's redirect.
func (h *Handler) setCookie(value secret.Text) string {
	c := http.Cookie{Name: h.cookie, Value: value.Reveal(), Path: "/", MaxAge: int(authorize.RequestLife.Seconds()),
		Secure: h.secure, HttpOnly: true, SameSite: http.SameSiteLaxMode}
	return c.String()
}

func (h *Handler) cookieOf(r *lambdahttp.Request) secret.Text {
	for _, c := range r.Cookies {
		if c.Name == h.cookie {
			return secret.New(c.Value)
		}
	}
	return secret.Text{}
}
