package refresh

import (
	"context"
	"fmt"

	"connectorvault/shared/fault"
	"connectorvault/shared/provider"
	"connectorvault/shared/record"
)

// proven leaves of several applications of one client those whose secret the provider takes. Anybody can register a client's
// id, which is no secret, with whatever beside it: they must not be given the next secret, nor may what they say of an end
// keep it from those who have the client. Where one tenant alone has the client there is nobody to be kept apart, and whose
// secret has ended meanwhile still gets the new one.
func (s *Service) proven(ctx context.Context, adapter provider.Adapter, rotator provider.Rotator, apps []record.App) ([]record.App, error) {
	tenants := map[string]bool{}
	for _, app := range apps {
		tenants[app.Tenant] = true
	}
	if len(tenants) < 2 {
		return apps, nil
	}
	source, posts := adapter.(provider.TokenSource)
	if !posts {
		return nil, fmt.Errorf("provider %q has no token endpoint", adapter.Descriptor().Name)
	}
	var out []record.App
	for _, app := range apps {
		creds, err := s.ofApp(ctx, app, false)
		if err == nil {
			entry := record.Entry{Tenant: app.Tenant, Provider: app.Provider, APIEnvironment: app.APIEnvironment}
			call, _ := rotator.Rotation(app)
			_, err = s.newGrant(ctx, client{entry: entry, adapter: adapter, source: source, app: creds}, call.Op.Grantless)
		}
		switch {
		case err == nil:
			out = append(out, app)
		case fault.CodeOf(err) == "client_misconfigured":
			s.Logger.WarnContext(ctx, "a message about a client secret is not for an application whose secret the provider does not take",
				"tenant", app.Tenant, "provider", app.Provider)
		default:
			return nil, err // the message comes again
		}
	}
	return out, nil
}
