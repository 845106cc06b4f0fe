// Package handler decides whose request it is: it turns what stands in Authorization into a principal for the other
// functions.
package handler

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"connectorvault/shared/issuer"
	"connectorvault/shared/lambdahttp"
	"connectorvault/shared/metric"
	"connectorvault/shared/record"
	"connectorvault/shared/secret"
	"connectorvault/shared/store"
	"connectorvault/shared/vault"
)

// Authenticator knows one kind of credential, by how its text begins.
type Authenticator struct {
	Mark string
	// Find finds whose it is; ok is false for what lets nobody in. An error says that it could not be found out.
	Find func(ctx context.Context, text secret.Text) (p record.Principal, ok bool, err error)
}

// Handler is the authorizer of the HTTP API. It is safe for concurrent use.
type Handler struct {
	kinds  []Authenticator
	vault  *vault.Vault
	logger *slog.Logger
	noted  noted

	Metrics *metric.Recorder // nil: nothing is counted
}

// New returns a Handler that knows the vault's own keys and connector tokens, and other kinds of credentials besides.
func New(v *vault.Vault, logger *slog.Logger, others ...Authenticator) *Handler {
	h := &Handler{vault: v, logger: logger}
	h.kinds = append([]Authenticator{{Mark: vault.KeyMark, Find: h.key}, {Mark: vault.TokenMark, Find: v.AuthenticateConnectorToken}}, others...)
	return h
}

// OfIssuers knows the tokens of OpenID Connect issuers; nil: it knows none. A tenant that a token names must be there.
func OfIssuers(v *vault.Vault, verifier *issuer.Verifier) Authenticator {
	return Authenticator{Mark: issuer.Mark, Find: func(ctx context.Context, text secret.Text) (record.Principal, bool, error) {
		if verifier == nil {
			return record.Principal{}, false, nil
		}
		p, ok, err := verifier.Principal(ctx, text)
		if err != nil || !ok {
			return record.Principal{}, false, err
		}
		tenant, err := v.Tenant(ctx, p.Tenant)
		if errors.Is(err, store.ErrNotFound) {
			return record.Principal{}, false, nil
		}
		return p, err == nil && !tenant.Closed(), err
	}}
}

// Handle answers with the principal of what stands in Authorization, or says no. A store that does not answer is an error,
// which the gateway turns into a 500: a caller with a good key must not read that it is bad.
func (h *Handler) Handle(ctx context.Context, event events.APIGatewayV2CustomAuthorizerV2Request) (events.APIGatewayV2CustomAuthorizerSimpleResponse, error) {
	no := events.APIGatewayV2CustomAuthorizerSimpleResponse{}
	kindOf, outcome := metric.Unknown, metric.Rejected
	defer func() { h.Metrics.Authentication(ctx, kindOf, outcome) }()
	text, ok := bearer(event.Headers["authorization"])
	if !ok {
		return no, nil
	}
	for _, kind := range h.kinds {
		if !strings.HasPrefix(text.Reveal(), kind.Mark) {
			continue
		}
		kindOf = operation(kind.Mark)
		p, ok, err := kind.Find(ctx, text)
		if err != nil {
			outcome = metric.Failed
			h.logger.ErrorContext(ctx, "a key could not be looked up", "error", err.Error())
			return no, err
		}
		if !ok {
			return no, nil
		}
		outcome = metric.Success
		return events.APIGatewayV2CustomAuthorizerSimpleResponse{IsAuthorized: true, Context: lambdahttp.Context(p)}, nil
	}
	return no, nil
}

// operation is what a kind of credential is counted as.
func operation(mark string) metric.Operation {
	switch mark {
	case vault.KeyMark:
		return metric.Key
	case vault.TokenMark:
		return metric.ConnectorToken
	case issuer.Mark:
		return metric.IssuerToken
	default:
		return metric.Unknown
	}
}

// key knows the vault's own keys.
func (h *Handler) key(ctx context.Context, text secret.Text) (record.Principal, bool, error) {
	key, ok, err := h.vault.AuthenticateKey(ctx, text)
	if err != nil || !ok {
		return record.Principal{}, false, err
	}
	h.note(ctx, key)
	return vault.PrincipalOf(key), true, nil
}

// noteTime is how long a request may wait for the note of its key's use.
const noteTime = 300 * time.Millisecond

// note notes that a key is used, once in some minutes. A function that has answered stands still, so it is done before;
// but a request neither waits for it long nor fails for it.
func (h *Handler) note(ctx context.Context, key record.APIKey) {
	if !h.noted.first(key.Tenant+"/"+key.ID, h.vault.Now()) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, noteTime)
	defer cancel()
	if err := h.vault.NoteKeyUse(ctx, key.Tenant, key.ID); err != nil {
		h.logger.WarnContext(ctx, "the use of a key was not noted", "tenant", key.Tenant, "key", key.ID, "error", err.Error())
	}
}

// maxNoted bounds what is remembered; when it is full it starts anew, which costs each key in use one write.
const maxNoted = 1000

// noted remembers which keys' use was noted lately, or tried to.
type noted struct {
	mu   sync.Mutex
	last map[string]time.Time // guarded by mu
}

func (n *noted) first(key string, now time.Time) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if since := now.Sub(n.last[key]); since >= 0 && since < vault.UseNoted {
		return false
	}
	if n.last == nil || len(n.last) >= maxNoted {
		n.last = map[string]time.Time{}
	}
	n.last[key] = now
	return true
}

func bearer(header string) (secret.Text, bool) {
	scheme, key, ok := strings.Cut(header, " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return secret.Text{}, false
	}
	return secret.New(strings.TrimSpace(key)), true
}
