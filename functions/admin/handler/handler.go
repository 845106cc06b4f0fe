// Package handler is the admin API: providers, provider apps, vault entries and connectors, and the beginning of
// authorizations.
package handler

import (
	"context"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"connectorvault/shared/access"
	"connectorvault/shared/admin"
	"connectorvault/shared/api"
	"connectorvault/shared/authorize"
	"connectorvault/shared/fault"
	"connectorvault/shared/ident"
	"connectorvault/shared/lambdahttp"
	"connectorvault/shared/provider"
	"connectorvault/shared/record"
	"connectorvault/shared/vault"
)

// Config is what the function needs.
type Config struct {
	Admin     *admin.Service
	Authorize *authorize.Service
	Vault     *vault.Vault
	PublicURL string
	Logger    *slog.Logger
	Now       func() time.Time
}

// Handler answers the admin routes. It is safe for concurrent use.
type Handler struct {
	Config
	mux *lambdahttp.Mux
}

// New returns a Handler.
func New(cfg Config) *Handler {
	h := &Handler{Config: cfg}
	h.mux = &lambdahttp.Mux{Logger: cfg.Logger, Now: cfg.Now, Routes: map[string]lambdahttp.Handler{
		"GET /v1/providers":                                        h.listProviders,
		"GET /v1/providers/{provider}":                             h.getProvider,
		"GET /v1/provider-apps":                                    h.listApps,
		"PUT /v1/provider-apps/{provider}":                         h.putApp,
		"POST /v1/provider-apps/{provider}/rotate-secret":          h.rotateSecret,
		"POST /v1/vault-entries":                                   h.createEntry,
		"GET /v1/vault-entries":                                    h.listEntries,
		"GET /v1/vault-entries/{id}":                               h.getEntry,
		"PATCH /v1/vault-entries/{id}":                             h.updateEntry,
		"DELETE /v1/vault-entries/{id}":                            h.deleteEntry,
		"POST /v1/vault-entries/{id}/authorize":                    h.authorize,
		"POST /v1/vault-entries/{id}/refresh":                      h.refresh,
		"GET /v1/vault-entries/{id}/credentials":                   h.listCredentials,
		"POST /v1/vault-entries/{id}/credentials":                  h.addCredential,
		"DELETE /v1/vault-entries/{id}/credentials/{number}":       h.removeCredential,
		"POST /v1/vault-entries/{id}/credentials/{number}/promote": h.promoteCredential,
		"POST /v1/connectors":                                      h.createConnector,
		"GET /v1/connectors":                                       h.listConnectors,
		"GET /v1/connectors/{id}":                                  h.getConnector,
		"PATCH /v1/connectors/{id}":                                h.updateConnector,
		"DELETE /v1/connectors/{id}":                               h.deleteConnector,
		"POST /v1/keys":                                            h.createKey,
		"GET /v1/keys":                                             h.listKeys,
		"GET /v1/keys/{id}":                                        h.getKey,
		"DELETE /v1/keys/{id}":                                     h.revokeKey,
		"POST /v1/connector-tokens":                                h.createConnectorToken,
		"GET /v1/connector-tokens":                                 h.listConnectorTokens,
		"GET /v1/connector-tokens/{id}":                            h.getConnectorToken,
		"DELETE /v1/connector-tokens/{id}":                         h.revokeConnectorToken,
		"POST /v1/preflight":                                       h.preflight,
		"GET /v1/events":                                           h.listEvents,
		"POST /v1/webhooks":                                        h.createWebhook,
		"GET /v1/webhooks":                                         h.listWebhooks,
		"GET /v1/webhooks/{id}":                                    h.getWebhook,
		"PATCH /v1/webhooks/{id}":                                  h.updateWebhook,
		"DELETE /v1/webhooks/{id}":                                 h.deleteWebhook,
		"POST /v1/webhooks/{id}/rotate-secret":                     h.rotateWebhookSecret,
		"POST /v1/webhooks/{id}/test":                              h.testWebhook,
		"GET /v1/audit-events":                                     h.listAuditEvents,
	}}
	return h
}

// Routes lists the routes that the function answers.
func (h *Handler) Routes() map[string]lambdahttp.Handler { return h.mux.Routes }

// Handle answers an event of API Gateway.
func (h *Handler) Handle(ctx context.Context, event events.APIGatewayV2HTTPRequest) (events.APIGatewayV2HTTPResponse, error) {
	return h.mux.Handle(ctx, event)
}

func (h *Handler) listProviders(ctx context.Context, r *lambdahttp.Request) (lambdahttp.Response, error) {
	adapters, err := h.Admin.ProvidersFor(ctx, r.Principal)
	if err != nil {
		return lambdahttp.Response{}, err
	}
	return lambdahttp.JSON(http.StatusOK, api.ListOf(adapters, "", h.showProvider))
}

func (h *Handler) getProvider(ctx context.Context, r *lambdahttp.Request) (lambdahttp.Response, error) {
	adapter, err := h.Admin.ProviderFor(ctx, r.Principal, r.Param("provider"))
	if err != nil {
		return lambdahttp.Response{}, err
	}
	return lambdahttp.JSON(http.StatusOK, h.showProvider(adapter))
}

func (h *Handler) showProvider(adapter provider.Adapter) api.Provider {
	d := adapter.Descriptor()
	login := ""
	if _, ok := adapter.(provider.Storefront); ok {
		login = authorize.LoginURI(h.PublicURL, d.Name)
	}
	out := api.ProviderOf(d, authorize.RedirectURI(h.PublicURL, d.Name), login)
	out.Enabled = h.Admin.Enabled == nil || h.Admin.Enabled(d.Name)
	return out
}

func (h *Handler) listApps(ctx context.Context, r *lambdahttp.Request) (lambdahttp.Response, error) {
	apps, err := h.Vault.AppPage(vault.Showing(ctx), r.Principal.Tenant)
	if err != nil {
		return lambdahttp.Response{}, err
	}
	return lambdahttp.JSON(http.StatusOK, api.ListOf(apps.Items, "", func(a record.App) api.App { return api.AppOf(a, h.Now()) }).Without(len(apps.Newer)))
}

func (h *Handler) putApp(ctx context.Context, r *lambdahttp.Request) (lambdahttp.Response, error) {
	var in admin.Fields
	if err := r.Decode(&in); err != nil {
		return lambdahttp.Response{}, err
	}
	app, err := h.Admin.PutApp(ctx, r.Principal, r.Param("provider"), in)
	if err != nil {
		return lambdahttp.Response{}, err
	}
	return lambdahttp.JSON(http.StatusOK, api.AppOf(app, h.Now()))
}

func (h *Handler) rotateSecret(ctx context.Context, r *lambdahttp.Request) (lambdahttp.Response, error) {
	var in admin.Fields
	if err := r.Decode(&in); err != nil {
		return lambdahttp.Response{}, err
	}
	app, err := h.Admin.RotateSecret(ctx, r.Principal, r.Param("provider"), in)
	if err != nil {
		return lambdahttp.Response{}, err
	}
	return lambdahttp.JSON(http.StatusAccepted, api.RotationOf(app, h.Now()))
}

func (h *Handler) createEntry(ctx context.Context, r *lambdahttp.Request) (lambdahttp.Response, error) {
	var in admin.Fields
	if err := r.Decode(&in); err != nil {
		return lambdahttp.Response{}, err
	}
	entry, err := h.Admin.CreateEntry(ctx, r.Principal, r.Header.Get("Idempotency-Key"), in)
	if err != nil {
		return lambdahttp.Response{}, err
	}
	return h.entry(ctx, r, http.StatusCreated, entry.ID)
}

func (h *Handler) listEntries(ctx context.Context, r *lambdahttp.Request) (lambdahttp.Response, error) {
	after, limit, err := page(r, "entry#", "provider", "environment", "api_environment", "alias", "status")
	if err != nil {
		return lambdahttp.Response{}, err
	}
	filter := admin.EntryFilter{Provider: r.Query.Get("provider"), Environment: r.Query.Get("environment"),
		APIEnvironment: r.Query.Get("api_environment"), Alias: r.Query.Get("alias"), Status: r.Query.Get("status")}
	states, err := h.Admin.ListEntries(ctx, r.Principal, filter, after, limit)
	if err != nil {
		return lambdahttp.Response{}, err
	}
	now := h.Now()
	return lambdahttp.JSON(http.StatusOK, api.ListOf(states.Items, states.Next, func(s vault.EntryState) api.Entry { return api.EntryOf(s, now) }).Without(len(states.Newer)))
}

func (h *Handler) getEntry(ctx context.Context, r *lambdahttp.Request) (lambdahttp.Response, error) {
	id, err := entryID(r)
	if err != nil {
		return lambdahttp.Response{}, err
	}
	return h.entry(ctx, r, http.StatusOK, id)
}

func (h *Handler) updateEntry(ctx context.Context, r *lambdahttp.Request) (lambdahttp.Response, error) {
	id, err := entryID(r)
	if err != nil {
		return lambdahttp.Response{}, err
	}
	var in admin.Fields
	if err := r.Decode(&in); err != nil {
		return lambdahttp.Response{}, err
	}
	if _, err := h.Admin.UpdateEntry(ctx, r.Principal, id, in); err != nil {
		return lambdahttp.Response{}, err
	}
	return h.entry(ctx, r, http.StatusOK, id)
}

func (h *Handler) deleteEntry(ctx context.Context, r *lambdahttp.Request) (lambdahttp.Response, error) {
	id, err := entryID(r)
	if err != nil {
		return lambdahttp.Response{}, err
	}
	return lambdahttp.Response{Status: http.StatusNoContent}, h.Admin.DeleteEntry(ctx, r.Principal, id)
}

func (h *Handler) refresh(ctx context.Context, r *lambdahttp.Request) (lambdahttp.Response, error) {
	id, err := entryID(r)
	if err != nil {
		return lambdahttp.Response{}, err
	}
	if _, err := h.Admin.Refresh(ctx, r.Principal, id); err != nil {
		return lambdahttp.Response{}, err
	}
	return h.entry(ctx, r, http.StatusOK, id)
}

// entry answers with an entry as it now stands.
func (h *Handler) entry(ctx context.Context, r *lambdahttp.Request, status int, id string) (lambdahttp.Response, error) {
	state, err := h.Vault.EntryStateFor(ctx, r.Principal, id)
	if err != nil {
		return lambdahttp.Response{}, err
	}
	return lambdahttp.JSON(status, api.EntryOf(state, h.Now()))
}

func (h *Handler) createConnector(ctx context.Context, r *lambdahttp.Request) (lambdahttp.Response, error) {
	var in admin.ConnectorInput
	if err := r.Decode(&in); err != nil {
		return lambdahttp.Response{}, err
	}
	connector, err := h.Admin.CreateConnector(ctx, r.Principal, r.Header.Get("Idempotency-Key"), in)
	if err != nil {
		return lambdahttp.Response{}, err
	}
	return lambdahttp.JSON(http.StatusCreated, api.ConnectorOf(connector))
}

func (h *Handler) listConnectors(ctx context.Context, r *lambdahttp.Request) (lambdahttp.Response, error) {
	after, limit, err := page(r, "connector#", "vault_entry", "provider")
	if err != nil {
		return lambdahttp.Response{}, err
	}
	found, err := h.Admin.ListConnectors(ctx, r.Principal, r.Query.Get("vault_entry"), r.Query.Get("provider"), after, limit)
	if err != nil {
		return lambdahttp.Response{}, err
	}
	return lambdahttp.JSON(http.StatusOK, api.ListOf(found.Items, found.Next, api.ConnectorOf).Without(len(found.Newer)))
}

func (h *Handler) getConnector(ctx context.Context, r *lambdahttp.Request) (lambdahttp.Response, error) {
	id, err := connectorID(r)
	if err != nil {
		return lambdahttp.Response{}, err
	}
	if err := access.NeedConnector(r.Principal, id); err != nil {
		return lambdahttp.Response{}, err
	}
	connector, err := h.Vault.Connector(ctx, r.Principal.Tenant, id)
	if err != nil {
		return lambdahttp.Response{}, err
	}
	return lambdahttp.JSON(http.StatusOK, api.ConnectorOf(connector))
}

func (h *Handler) updateConnector(ctx context.Context, r *lambdahttp.Request) (lambdahttp.Response, error) {
	id, err := connectorID(r)
	if err != nil {
		return lambdahttp.Response{}, err
	}
	var in admin.ConnectorInput
	if err := r.Decode(&in); err != nil {
		return lambdahttp.Response{}, err
	}
	connector, err := h.Admin.UpdateConnector(ctx, r.Principal, id, in)
	if err != nil {
		return lambdahttp.Response{}, err
	}
	return lambdahttp.JSON(http.StatusOK, api.ConnectorOf(connector))
}

func (h *Handler) deleteConnector(ctx context.Context, r *lambdahttp.Request) (lambdahttp.Response, error) {
	id, err := connectorID(r)
	if err != nil {
		return lambdahttp.Response{}, err
	}
	return lambdahttp.Response{Status: http.StatusNoContent}, h.Admin.DeleteConnector(ctx, r.Principal, id)
}

func entryID(r *lambdahttp.Request) (string, error) {
	return r.IDParam("id", ident.Entry, "vault entry")
}

func connectorID(r *lambdahttp.Request) (string, error) {
	return r.IDParam("id", ident.Connector, "connector")
}

// page reads the parameters that every list takes, and refuses those that this one does not.
func page(r *lambdahttp.Request, prefix string, filters ...string) (after string, limit int, err error) {
	if err := lambdahttp.OnlyQuery(r, append(filters, "limit", "cursor")...); err != nil {
		return "", 0, err
	}
	limit = 50
	if r.Query.Has("limit") {
		if limit, err = strconv.Atoi(r.Query.Get("limit")); err != nil || limit < 1 || limit > 100 {
			return "", 0, fault.New(fault.Invalid, "invalid_field", "limit is not a whole number from 1 to 100.").On("limit").Do("Give such a number, or leave it out.")
		}
	}
	after, err = api.DecodeCursor(r.Query.Get("cursor"), prefix)
	return after, limit, err
}
