package handler

import (
	"context"
	"net/http"

	"connectorvault/shared/lambdahttp"
	"connectorvault/shared/openapi"
)

// openAPI answers with the description of the API. It holds nothing of anybody, so pages of other sites may read it: those
// that show such documents to people.
func (h *Handler) openAPI(_ context.Context, r *lambdahttp.Request) (lambdahttp.Response, error) {
	if err := lambdahttp.OnlyQuery(r); err != nil {
		return lambdahttp.Response{}, err
	}
	return lambdahttp.Response{Status: http.StatusOK, Body: openapi.Document(), Header: http.Header{
		"Content-Type": {openapi.ContentType}, "Access-Control-Allow-Origin": {"*"}}}, nil
}
