package refresh

import (
	"context"
	"time"

	"connectorvault/shared/oauth"
	"connectorvault/shared/tokens"
)

// acquireOwn gets the first token of an entry whose own client is the account: nobody consents, and nothing is spent. What
// the client may read is found out on the way, with the account.
func (s *Service) acquireOwn(ctx context.Context, call tokens.Call) (tokens.Answer, error) {
	as, err := s.client(ctx, call.Tenant, call.Entry)
	if err != nil {
		return tokens.Answer{}, err
	}
	if err := s.enoughTime(ctx, false); err != nil {
		return tokens.Answer{}, err
	}
	issued, err := s.spend(ctx, s.Now().Add(s.budget(false)+time.Second), as, ownToken)
	if err != nil {
		return tokens.Answer{}, adoptFault(err)
	}
	return s.install(ctx, as.entry, as.adapter, nil, issued, s.Now().Add(lifetime(issued)).UTC(), nil)
}

// ownToken asks for a token with the client's own credentials (RFC 6749, 4.4).
func ownToken(ctx context.Context, c oauth.Client) (oauth.Tokens, error) {
	return c.ClientCredentials(ctx, "")
}
