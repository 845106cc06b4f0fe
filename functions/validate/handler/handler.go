// Package handler validates Result URLs: the door for people who paste the address that they landed on.
package handler

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"connectorvault/shared/api"
	"connectorvault/shared/authorize"
	"connectorvault/shared/ident"
	"connectorvault/shared/lambdahttp"
	"connectorvault/shared/secret"
	"connectorvault/shared/vault"
)

// Config is what the function needs.
type Config struct {
	Authorize *authorize.Service
	Vault     *vault.Vault
	Logger    *slog.Logger
	Now       func() time.Time
}

// Handler answers the validate route. It is safe for concurrent use.
type Handler struct {
	Config
	mux *lambdahttp.Mux
}

// New returns a Handler.
func New(cfg Config) *Handler {
	h := &Handler{Config: cfg}
	h.mux = &lambdahttp.Mux{Logger: cfg.Logger, Now: cfg.Now, Routes: map[string]lambdahttp.Handler{
		"POST /v1/vault-entries/{id}/validate": h.validate,
	}}
	return h
}

// Routes lists the routes that the function answers.
func (h *Handler) Routes() map[string]lambdahttp.Handler { return h.mux.Routes }

// Handle answers an event of API Gateway.
func (h *Handler) Handle(ctx context.Context, event events.APIGatewayV2HTTPRequest) (events.APIGatewayV2HTTPResponse, error) {
	return h.mux.Handle(ctx, event)
}

func (h *Handler) validate(ctx context.Context, r *lambdahttp.Request) (lambdahttp.Response, error) {
	id, err := r.IDParam("id", ident.Entry, "vault entry")
	if err != nil {
		return lambdahttp.Response{}, err
	}
	var in struct {
		ResultURL string `json:"result_url"`
	}
	if err := r.Decode(&in); err != nil {
		return lambdahttp.Response{}, err
	}
	if err := h.Authorize.Validate(ctx, r.Principal, id, secret.New(in.ResultURL)); err != nil {
		return lambdahttp.Response{}, err
	}
	state, err := h.Vault.EntryStateFor(ctx, r.Principal, id)
	if err != nil {
		return lambdahttp.Response{}, err
	}
	return lambdahttp.JSON(http.StatusOK, api.EntryOf(state, h.Now()))
}
