package handler

import (
	"context"
	"net/http"
	"slices"

	"connectorvault/shared/admin"
	"connectorvault/shared/api"
	"connectorvault/shared/ident"
	"connectorvault/shared/lambdahttp"
	"connectorvault/shared/record"
	"connectorvault/shared/vault"
)

func (h *Handler) createWebhook(ctx context.Context, r *lambdahttp.Request) (lambdahttp.Response, error) {
	var in admin.WebhookInput
	if err := r.Decode(&in); err != nil {
		return lambdahttp.Response{}, err
	}
	w, text, err := h.Admin.CreateWebhook(ctx, r.Principal, r.Header.Get("Idempotency-Key"), in)
	if err != nil {
		return lambdahttp.Response{}, err
	}
	return lambdahttp.JSON(http.StatusCreated, api.WebhookWithSecretOf(w, h.Now(), text))
}

// listWebhooks answers with all of them: they are few.
func (h *Handler) listWebhooks(ctx context.Context, r *lambdahttp.Request) (lambdahttp.Response, error) {
	after, limit, err := page(r, vault.WebhookPrefix)
	if err != nil {
		return lambdahttp.Response{}, err
	}
	all, err := h.Admin.ListWebhooks(ctx, r.Principal)
	if err != nil {
		return lambdahttp.Response{}, err
	}
	found := slices.DeleteFunc(all.Items, func(w record.Webhook) bool { return vault.WebhookPrefix+w.ID <= after })
	next := ""
	if len(found) > limit {
		found, next = found[:limit], vault.WebhookPrefix+found[limit-1].ID
	}
	return lambdahttp.JSON(http.StatusOK, api.ListOf(found, next, h.showWebhook).Without(len(all.Newer)))
}

func (h *Handler) showWebhook(w record.Webhook) api.Webhook { return api.WebhookOf(w, h.Now()) }

func (h *Handler) getWebhook(ctx context.Context, r *lambdahttp.Request) (lambdahttp.Response, error) {
	id, err := webhookID(r)
	if err != nil {
		return lambdahttp.Response{}, err
	}
	w, err := h.Vault.Webhook(ctx, r.Principal.Tenant, id)
	if err != nil {
		return lambdahttp.Response{}, err
	}
	return lambdahttp.JSON(http.StatusOK, h.showWebhook(w))
}

func (h *Handler) updateWebhook(ctx context.Context, r *lambdahttp.Request) (lambdahttp.Response, error) {
	id, err := webhookID(r)
	if err != nil {
		return lambdahttp.Response{}, err
	}
	var in admin.WebhookInput
	if err := r.Decode(&in); err != nil {
		return lambdahttp.Response{}, err
	}
	w, err := h.Admin.UpdateWebhook(ctx, r.Principal, id, in)
	if err != nil {
		return lambdahttp.Response{}, err
	}
	return lambdahttp.JSON(http.StatusOK, h.showWebhook(w))
}

func (h *Handler) deleteWebhook(ctx context.Context, r *lambdahttp.Request) (lambdahttp.Response, error) {
	id, err := webhookID(r)
	if err != nil {
		return lambdahttp.Response{}, err
	}
	return lambdahttp.Response{Status: http.StatusNoContent}, h.Admin.DeleteWebhook(ctx, r.Principal, id)
}

func (h *Handler) rotateWebhookSecret(ctx context.Context, r *lambdahttp.Request) (lambdahttp.Response, error) {
	id, err := emptyPost(r)
	if err != nil {
		return lambdahttp.Response{}, err
	}
	w, text, err := h.Admin.RotateWebhookSecret(ctx, r.Principal, r.Header.Get("Idempotency-Key"), id)
	if err != nil {
		return lambdahttp.Response{}, err
	}
	return lambdahttp.JSON(http.StatusOK, api.WebhookWithSecretOf(w, h.Now(), text))
}

func (h *Handler) testWebhook(ctx context.Context, r *lambdahttp.Request) (lambdahttp.Response, error) {
	id, err := emptyPost(r)
	if err != nil {
		return lambdahttp.Response{}, err
	}
	event, err := h.Admin.TestWebhook(ctx, r.Principal, r.Header.Get("Idempotency-Key"), id)
	if err != nil {
		return lambdahttp.Response{}, err
	}
	return lambdahttp.JSON(http.StatusAccepted, map[string]string{"event": event})
}

// emptyPost is a request about a webhook that says all in its path. A body would be a misunderstanding, but for {}.
func emptyPost(r *lambdahttp.Request) (id string, err error) {
	if id, err = webhookID(r); err != nil || len(r.Body) == 0 {
		return id, err
	}
	var nothing struct{}
	return id, r.Decode(&nothing)
}

func webhookID(r *lambdahttp.Request) (string, error) {
	return r.IDParam("id", ident.Webhook, "webhook")
}
