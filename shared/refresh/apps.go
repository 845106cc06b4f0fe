package refresh

import (
	"context"
	"fmt"
	"maps"

	"connectorvault/shared/fault"
	"connectorvault/shared/provider"
	"connectorvault/shared/record"
	"connectorvault/shared/secret"
	"connectorvault/shared/vault"
)

// credentials returns who asks at the token endpoint for an entry: the operator's application, or the client that the
// entry brings along. client_misconfigured when it is not there. again fetches secrets even when they are remembered: an
// endpoint has just refused them.
func (s *Service) credentials(ctx context.Context, entry record.Entry, d *provider.Descriptor, again bool) (provider.AppCredentials, error) {
	if !d.UsesApp(entry) {
		return s.ownClient(ctx, entry, d, again)
	}
	app, found, err := s.Vault.App(ctx, entry.Tenant, entry.Provider, entry.APIEnvironment)
	if err != nil {
		return provider.AppCredentials{}, err
	}
	if !found {
		return provider.AppCredentials{}, fault.New(fault.Misconfigured, "client_misconfigured",
			fmt.Sprintf("No %s application is registered for %s.", d.Title, entry.APIEnvironment)).
			Do("An owner registers it with PUT /v1/provider-apps/" + d.Name + ".")
	}
	return s.ofApp(ctx, app, again)
}

// ofApp is an application with the one of its secrets that works, as far as is known.
func (s *Service) ofApp(ctx context.Context, app record.App, again bool) (provider.AppCredentials, error) {
	version := s.works.choose(app, s.Now())
	secrets, found, err := s.secretsOf(ctx, app, version, again)
	if err == nil && !found && version != app.Version {
		version = app.Version
		secrets, found, err = s.secretsOf(ctx, app, version, again)
	}
	if err == nil && !found {
		err = fault.New(fault.Misconfigured, "client_misconfigured", "The application's secret is missing from the secret store.").
			Do("An owner registers the application again with PUT /v1/provider-apps/" + app.Provider + ".")
	}
	return provider.AppCredentials{App: app, Secrets: secrets.Fields, Version: version}, err
}

func (s *Service) secretsOf(ctx context.Context, app record.App, version string, again bool) (vault.Secrets, bool, error) {
	return s.secrets.Read(ctx, vault.AppSecret(app.Tenant, app.Provider, app.APIEnvironment, version), version, again)
}

// ownClient is the client that an entry brings along.
func (s *Service) ownClient(ctx context.Context, entry record.Entry, d *provider.Descriptor, again bool) (provider.AppCredentials, error) {
	stored, has := entry.Secrets[record.ClientSecrets]
	if !has {
		return provider.AppCredentials{}, nil
	}
	secrets, found, err := s.secrets.Read(ctx, vault.EntrySecret(entry.Tenant, entry.ID, stored.Version), stored.Version, again)
	if err == nil && found && d.OwnGrant { // its certificate goes to the token endpoint too
		more, err := s.secrets.OfReads(ctx, s.Vault, entry, false)
		if err != nil {
			return provider.AppCredentials{}, err
		}
		all := maps.Clone(more)
		if all == nil {
			all = map[string]secret.Text{}
		}
		maps.Copy(all, secrets.Fields)
		return provider.AppCredentials{Secrets: all}, nil
	}
	if err == nil && !found {
		err = vault.SecretMissing(entry.ID)
	}
	return provider.AppCredentials{Secrets: secrets.Fields}, err
}

// changedClient returns what else a client may be that was refused: it reads its secrets anew, and where they are those that
// were used, takes the other one of two that overlap. false when there is nothing else.
func (s *Service) changedClient(ctx context.Context, used client) (provider.AppCredentials, bool) {
	fresh, err := s.credentials(ctx, used.entry, used.adapter.Descriptor(), true)
	if err != nil {
		return fresh, false
	}
	if !sameClient(fresh, used.app) {
		return fresh, true
	}
	before := fresh.App.Overlapping(s.Now())
	if before == nil || fresh.App.Version == "" {
		return fresh, false
	}
	other := fresh
	if other.Version = before.Version; fresh.Version == before.Version {
		other.Version = fresh.App.Version
	}
	secrets, found, err := s.secretsOf(ctx, other.App, other.Version, false)
	other.Secrets = secrets.Fields
	return other, err == nil && found && !sameClient(other, used.app)
}

func sameClient(fresh, used provider.AppCredentials) bool {
	return maps.EqualFunc(fresh.Secrets, used.Secrets, func(a, b secret.Text) bool { return a.Equal(b) }) &&
		maps.Equal(fresh.App.Fields, used.App.Fields)
}

// session is on whose behalf the token service itself calls a provider's API.
func (s *Service) session(ctx context.Context, entry record.Entry, d *provider.Descriptor, access secret.Text) (provider.Session, error) {
	on := provider.Session{Target: provider.Target{Entry: entry}, Access: access}
	if !d.ReadsNeedSecrets() {
		return on, nil
	}
	var err error
	on.Secrets, err = s.secrets.OfReads(ctx, s.Vault, entry, d.UsesApp(entry))
	return on, err
}
