// Package handler decides whose request it is: it turns an API key into a principal for the other functions.
package handler

import (
	"context"
	"log/slog"
	"strings"

	"github.com/aws/aws-lambda-go/events"

	"connectorvault/shared/lambdahttp"
	"connectorvault/shared/secret"
	"connectorvault/shared/vault"
)

// Handler is the authorizer of the HTTP API. It is safe for concurrent use.
type Handler struct {
	vault  *vault.Vault
	logger *slog.Logger
}

// New returns a Handler.
func New(v *vault.Vault, logger *slog.Logger) *Handler { return &Handler{vault: v, logger: logger} }

// Handle answers with the principal of the key in Authorization, or says no. A store that does not answer is an error,
// which the gateway turns into a 500: a caller with a good key must not read that it is bad.
func (h *Handler) Handle(ctx context.Context, event events.APIGatewayV2CustomAuthorizerV2Request) (events.APIGatewayV2CustomAuthorizerSimpleResponse, error) {
	no := events.APIGatewayV2CustomAuthorizerSimpleResponse{}
	key, ok := bearer(event.Headers["authorization"])
	if !ok {
		return no, nil
	}
	p, ok, err := h.vault.Authenticate(ctx, key)
	if err != nil {
		h.logger.ErrorContext(ctx, "a key could not be looked up", "error", err.Error())
		return no, err
	}
	if !ok {
		return no, nil
	}
	return events.APIGatewayV2CustomAuthorizerSimpleResponse{IsAuthorized: true, Context: lambdahttp.Context(p)}, nil
}

func bearer(header string) (secret.Text, bool) {
	scheme, key, ok := strings.Cut(header, " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return secret.Text{}, false
	}
	return secret.New(strings.TrimSpace(key)), true
}
