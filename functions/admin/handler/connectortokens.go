package handler

import (
	"context"
	"net/http"

	"connectorvault/shared/admin"
	"connectorvault/shared/api"
	"connectorvault/shared/ident"
	"connectorvault/shared/lambdahttp"
	"connectorvault/shared/record"
	"connectorvault/shared/vault"
)

// madeConnectorToken is a new connector token with its text, which is for the one who asked, and shown once.
type madeConnectorToken struct {
	api.ConnectorToken
	Text string `json:"token"`
}

func (h *Handler) createConnectorToken(ctx context.Context, r *lambdahttp.Request) (lambdahttp.Response, error) {
	var in admin.ConnectorTokenInput
	if err := r.Decode(&in); err != nil {
		return lambdahttp.Response{}, err
	}
	token, text, err := h.Admin.CreateConnectorToken(ctx, r.Principal, r.Header.Get("Idempotency-Key"), in)
	if err != nil {
		return lambdahttp.Response{}, err
	}
	return lambdahttp.JSON(http.StatusCreated, madeConnectorToken{ConnectorToken: api.ConnectorTokenOf(token, h.Now()), Text: text.Reveal()})
}

func (h *Handler) listConnectorTokens(ctx context.Context, r *lambdahttp.Request) (lambdahttp.Response, error) {
	after, limit, err := page(r, vault.ConnectorTokenPrefix)
	if err != nil {
		return lambdahttp.Response{}, err
	}
	found, err := h.Vault.ConnectorTokens(vault.Showing(ctx), r.Principal.Tenant, after, limit)
	if err != nil {
		return lambdahttp.Response{}, err
	}
	now := h.Now()
	return lambdahttp.JSON(http.StatusOK, api.ListOf(found.Items, found.Next, func(t record.ConnectorToken) api.ConnectorToken {
		return api.ConnectorTokenOf(t, now)
	}).Without(len(found.Newer)))
}

func (h *Handler) getConnectorToken(ctx context.Context, r *lambdahttp.Request) (lambdahttp.Response, error) {
	id, err := connectorTokenID(r)
	if err != nil {
		return lambdahttp.Response{}, err
	}
	token, err := h.Vault.ConnectorToken(ctx, r.Principal.Tenant, id)
	if err != nil {
		return lambdahttp.Response{}, err
	}
	return lambdahttp.JSON(http.StatusOK, api.ConnectorTokenOf(token, h.Now()))
}

func (h *Handler) revokeConnectorToken(ctx context.Context, r *lambdahttp.Request) (lambdahttp.Response, error) {
	id, err := connectorTokenID(r)
	if err != nil {
		return lambdahttp.Response{}, err
	}
	return lambdahttp.Response{Status: http.StatusNoContent}, h.Admin.RevokeConnectorToken(ctx, r.Principal, id)
}

func connectorTokenID(r *lambdahttp.Request) (string, error) {
	return r.IDParam("id", ident.Token, "connector token")
}
