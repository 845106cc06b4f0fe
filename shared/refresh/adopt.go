package refresh

import (
	"context"
	"time"

	"connectorvault/shared/metric"
	"connectorvault/shared/oauth"
	"connectorvault/shared/tokens"
)

// adopt puts a refresh token in force that an owner brings: it is spent once to see that it works.
func (s *Service) adopt(ctx context.Context, call tokens.Call) (tokens.Answer, error) {
	as, err := s.client(ctx, call.Tenant, call.Entry)
	if err != nil {
		return tokens.Answer{}, err
	}
	if err := s.enoughTime(ctx, false); err != nil {
		return tokens.Answer{}, err
	}
	until := s.Now().Add(s.budget(false) + time.Second)
	issued, err := s.spend(ctx, until, as, metric.Refresh, func(ctx context.Context, c oauth.Client) (oauth.Tokens, error) {
		return c.Refresh(ctx, call.RefreshToken)
	})
	if err != nil {
		return tokens.Answer{}, adoptFault(err)
	}
	if issued.Refresh.IsZero() {
		issued.Refresh = call.RefreshToken
	}
	return s.install(ctx, as.entry, as.adapter, call.Claims, issued, s.Now().Add(lifetime(issued)).UTC(), nil)
}
