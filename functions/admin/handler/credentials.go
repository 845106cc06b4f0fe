package handler

import (
	"context"
	"net/http"
	"strconv"

	"connectorvault/shared/admin"
	"connectorvault/shared/api"
	"connectorvault/shared/lambdahttp"
	"connectorvault/shared/vault"
)

func (h *Handler) listCredentials(ctx context.Context, r *lambdahttp.Request) (lambdahttp.Response, error) {
	id, err := entryID(r)
	if err != nil {
		return lambdahttp.Response{}, err
	}
	if err := lambdahttp.OnlyQuery(r); err != nil {
		return lambdahttp.Response{}, err
	}
	state, err := h.Vault.EntryState(ctx, r.Principal.Tenant, id)
	if err != nil {
		return lambdahttp.Response{}, err
	}
	as := func(c api.Credential) api.Credential { return c }
	return lambdahttp.JSON(http.StatusOK, api.ListOf(api.CredentialsOf(state), "", as))
}

func (h *Handler) addCredential(ctx context.Context, r *lambdahttp.Request) (lambdahttp.Response, error) {
	id, err := entryID(r)
	if err != nil {
		return lambdahttp.Response{}, err
	}
	var in admin.Fields
	if err := r.Decode(&in); err != nil {
		return lambdahttp.Response{}, err
	}
	next, err := h.Admin.AddClient(ctx, r.Principal, id, r.Header.Get("Idempotency-Key"), in)
	if err != nil {
		return lambdahttp.Response{}, err
	}
	return lambdahttp.JSON(http.StatusCreated, api.SuccessorOf(next))
}

func (h *Handler) promoteCredential(ctx context.Context, r *lambdahttp.Request) (lambdahttp.Response, error) {
	id, number, err := credential(r)
	if err != nil {
		return lambdahttp.Response{}, err
	}
	if err := h.Admin.PromoteClient(ctx, r.Principal, id, number); err != nil {
		return lambdahttp.Response{}, err
	}
	return h.entry(ctx, r, http.StatusOK, id)
}

func (h *Handler) removeCredential(ctx context.Context, r *lambdahttp.Request) (lambdahttp.Response, error) {
	id, number, err := credential(r)
	if err != nil {
		return lambdahttp.Response{}, err
	}
	return lambdahttp.Response{Status: http.StatusNoContent}, h.Admin.RemoveClient(ctx, r.Principal, id, number)
}

// credential reads which of an entry's clients is meant.
func credential(r *lambdahttp.Request) (entry string, number int64, err error) {
	if entry, err = entryID(r); err != nil {
		return "", 0, err
	}
	given := r.Param("number")
	number, err = strconv.ParseInt(given, 10, 64)
	if err != nil || number < 1 || strconv.FormatInt(number, 10) != given {
		return "", 0, vault.NotFound("credential", given[:min(len(given), 20)])
	}
	return entry, number, nil
}
