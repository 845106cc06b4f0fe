package handler

import (
	"context"
	"net/http"

	"connectorvault/shared/admin"
	"connectorvault/shared/api"
	"connectorvault/shared/ident"
	"connectorvault/shared/lambdahttp"
	"connectorvault/shared/record"
)

// madeKey is a new key with its text, which is for the one who asked, and shown once.
type madeKey struct {
	api.Key
	Text string `json:"key"`
}

func (h *Handler) createKey(ctx context.Context, r *lambdahttp.Request) (lambdahttp.Response, error) {
	var in admin.KeyInput
	if err := r.Decode(&in); err != nil {
		return lambdahttp.Response{}, err
	}
	key, text, err := h.Admin.CreateKey(ctx, r.Principal, r.Header.Get("Idempotency-Key"), in)
	if err != nil {
		return lambdahttp.Response{}, err
	}
	return lambdahttp.JSON(http.StatusCreated, madeKey{Key: api.KeyOf(key, h.Now()), Text: text.Reveal()})
}

func (h *Handler) listKeys(ctx context.Context, r *lambdahttp.Request) (lambdahttp.Response, error) {
	after, limit, err := page(r, "key#")
	if err != nil {
		return lambdahttp.Response{}, err
	}
	found, err := h.Admin.ListKeys(ctx, r.Principal, after, limit)
	if err != nil {
		return lambdahttp.Response{}, err
	}
	now := h.Now()
	return lambdahttp.JSON(http.StatusOK, api.ListOf(found.Items, found.Next, func(k record.APIKey) api.Key { return api.KeyOf(k, now) }).Without(len(found.Newer)))
}

func (h *Handler) getKey(ctx context.Context, r *lambdahttp.Request) (lambdahttp.Response, error) {
	id, err := keyID(r)
	if err != nil {
		return lambdahttp.Response{}, err
	}
	key, err := h.Admin.Key(ctx, r.Principal, id)
	if err != nil {
		return lambdahttp.Response{}, err
	}
	return lambdahttp.JSON(http.StatusOK, api.KeyOf(key, h.Now()))
}

func (h *Handler) revokeKey(ctx context.Context, r *lambdahttp.Request) (lambdahttp.Response, error) {
	id, err := keyID(r)
	if err != nil {
		return lambdahttp.Response{}, err
	}
	return lambdahttp.Response{Status: http.StatusNoContent}, h.Admin.RevokeKey(ctx, r.Principal, id)
}

func keyID(r *lambdahttp.Request) (string, error) {
	return r.IDParam("id", ident.Key, "key")
}
