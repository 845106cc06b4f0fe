package refresh

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"connectorvault/shared/fault"
	"connectorvault/shared/provider"
	"connectorvault/shared/record"
	"connectorvault/shared/store"
	"connectorvault/shared/vault"
)

// appLife is how long an application's secrets are used without looking again.
const appLife = 10 * time.Minute

// appCache keeps applications' secrets, by the name of the secret and its version.
type appCache struct {
	mu      sync.Mutex
	entries map[string]cachedApp // guarded by mu
}

type cachedApp struct {
	secrets vault.AppSecrets
	fetched time.Time
}

// app returns the provider app that an entry uses, with its secrets. client_misconfigured when there is none. again
// fetches the secrets even when they are cached: an endpoint has just refused them.
func (s *Service) app(ctx context.Context, entry record.Entry, d *provider.Descriptor, again bool) (provider.AppCredentials, error) {
	if len(d.AppFields) == 0 {
		return provider.AppCredentials{}, nil
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
	secrets, err := s.appSecrets(ctx, app, again)
	if err != nil {
		return provider.AppCredentials{}, err
	}
	return provider.AppCredentials{App: app, Secrets: secrets.Fields}, nil
}

// appSecrets reads until the secret's version is the record's: the secret store is eventually consistent, and the
// record was written after the secret.
func (s *Service) appSecrets(ctx context.Context, app record.App, again bool) (vault.AppSecrets, error) {
	name := vault.AppSecret(app.Tenant, app.Provider, app.APIEnvironment)
	if have, ok := s.cachedApp(name); ok && !again && have.Version == app.Version {
		return have, nil
	}
	var got vault.AppSecrets
	for try := range 4 {
		if try > 0 {
			if err := sleep(ctx, 250*time.Millisecond); err != nil {
				return got, err
			}
		}
		text, err := s.Secrets.GetSecret(ctx, name)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return got, fault.Wrap(err, fault.Unavailable, "store_unavailable", "The secret store does not answer now.").
				Do("Try again in a moment.").After(2 * time.Second)
		}
		if got, err = vault.DecodeAppSecrets(text); err != nil {
			return got, err
		}
		if got.Version == app.Version {
			break
		}
	}
	if got.Version == "" {
		return got, fault.New(fault.Misconfigured, "client_misconfigured", "The application's secret is missing from the secret store.").
			Do("An owner registers the application again with PUT /v1/provider-apps/" + app.Provider + ".")
	}
	s.apps.mu.Lock()
	s.apps.entries[name] = cachedApp{secrets: got, fetched: s.Now()}
	s.apps.mu.Unlock()
	return got, nil
}

func (s *Service) cachedApp(name string) (vault.AppSecrets, bool) {
	s.apps.mu.Lock()
	defer s.apps.mu.Unlock()
	have, ok := s.apps.entries[name]
	return have.secrets, ok && s.Now().Sub(have.fetched) < appLife
}
