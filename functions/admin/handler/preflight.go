package handler

import (
	"context"
	"encoding/json"
	"net/http"

	"connectorvault/shared/admin"
	"connectorvault/shared/api"
	"connectorvault/shared/lambdahttp"
)

func (h *Handler) preflight(ctx context.Context, r *lambdahttp.Request) (lambdahttp.Response, error) {
	var in admin.Fields
	if err := r.Decode(&in); err != nil {
		return lambdahttp.Response{}, err
	}
	checks, err := h.Admin.Preflight(ctx, r.Principal, in)
	if err != nil {
		return lambdahttp.Response{}, err
	}
	out := api.Preflight{Ready: true, Checks: []api.Check{}}
	_ = json.Unmarshal(in["provider"], &out.Provider) // it was found by this name
	for _, c := range checks {
		out.Checks = append(out.Checks, api.CheckOf(c.Name, c.Detail, c.Fault))
		out.Ready = out.Ready && c.Passed
	}
	return lambdahttp.JSON(http.StatusOK, out)
}
