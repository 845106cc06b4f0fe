package refresh

import (
	"context"
	"errors"
	"fmt"
	"time"

	"connectorvault/shared/audit"
	"connectorvault/shared/fault"
	"connectorvault/shared/ident"
	"connectorvault/shared/provider"
	"connectorvault/shared/record"
	"connectorvault/shared/secret"
	"connectorvault/shared/tokens"
	"connectorvault/shared/vault"
)

// How an application's client secret is replaced: docs/secrets-that-expire.md argues the order of the steps.

// rotateNow asks a provider for a new client secret because an owner wants one.
func (s *Service) rotateNow(ctx context.Context, call tokens.Call) (tokens.Answer, error) {
	adapter, ok := s.Provider(call.Provider)
	if !ok {
		return tokens.Answer{}, fmt.Errorf("no adapter for provider %q", call.Provider)
	}
	rotator, can := adapter.(provider.Rotator)
	title := adapter.Descriptor().Title
	byHand := "Make a new client secret at the provider and register it with PUT /v1/provider-apps/" + call.Provider + "."
	switch {
	case !can:
		return tokens.Answer{}, noRotation(title + " makes no new client secret on request.").Do(byHand)
	case call.APIEnvironment == record.Sandbox:
		return tokens.Answer{}, noRotation(title + " makes no new client secret for a sandbox application on request.").Do(byHand)
	case !s.notified(call.Provider):
		return tokens.Answer{}, noRotation("This deployment has no queue that " + title + " could send a new client secret to.").
			Do(byHand + " Or deploy the queue: docs/secrets-that-expire.md.")
	}
	app, found, err := s.Vault.App(ctx, call.Tenant, call.Provider, call.APIEnvironment)
	if err != nil {
		return tokens.Answer{}, err
	}
	if !found {
		return tokens.Answer{}, vault.NotFound("provider app", call.Provider)
	}
	return tokens.Answer{Outcome: tokens.Success}, s.rotate(ctx, adapter, rotator, app, time.Time{})
}

func noRotation(detail string) *fault.Error {
	return fault.New(fault.Conflict, "rotation_unavailable", detail)
}

func (s *Service) notified(name string) bool {
	for _, of := range s.Notices {
		if of == name {
			return true
		}
	}
	return false
}

// rotate asks for a new client secret in the place of the one that ends then; the zero time says that a person asks. The
// secret comes by a message, which any process may get.
func (s *Service) rotate(ctx context.Context, adapter provider.Adapter, rotator provider.Rotator, app record.App, ends time.Time) error {
	source, posts := adapter.(provider.TokenSource)
	reader, reads := adapter.(provider.Reader)
	if !posts || !reads {
		return fmt.Errorf("provider %q has no token endpoint or no API", app.Provider)
	}
	creds, err := s.ofApp(ctx, app, false)
	if err != nil {
		return err
	}
	entry := record.Entry{Tenant: app.Tenant, Provider: app.Provider, APIEnvironment: app.APIEnvironment}
	as := client{entry: entry, adapter: adapter, source: source, app: creds}
	call, pause := rotator.Rotation(app)
	// The token first: what can fail without it does not use up the turn.
	if call.Access, err = s.ownGrantOf(ctx, as, call.Op.Grantless, false); err != nil {
		return err
	}
	turn, err := s.Vault.TakeRotation(ctx, app.Provider, rotator.ClientOf(app), ends, pause)
	switch {
	case err != nil || turn.Asked:
		return err
	case turn.Wait > 0:
		return fault.New(fault.RateLimited, "rate_limited", "A new client secret was asked for just now.").
			Do("Wait for it to arrive; GET /v1/provider-apps then shows another client_secret_expires_at.").After(turn.Wait)
	}
	calls := provider.Client{HTTP: s.HTTP, Reader: reader, Now: s.Now}
	on := provider.Session{Target: provider.Target{Entry: entry}, Access: call.Access}
	_, verdict, err := calls.Do(ctx, on, call)
	if verdict.TokenRejected { // it was bought with a secret that has ended since
		if call.Access, err = s.ownGrantOf(ctx, as, call.Op.Grantless, true); err != nil {
			return err
		}
		_, _, err = calls.Do(ctx, on, call)
	}
	if err != nil {
		return notRotated(err, adapter.Descriptor().Title)
	}
	s.Logger.InfoContext(ctx, "a new client secret was asked for", "tenant", app.Tenant, "provider", app.Provider, "client", rotator.ClientOf(app))
	if err := s.Vault.Agreed(ctx, turn); err != nil { // at worst it is asked for once more
		s.Logger.WarnContext(ctx, "that a new client secret was asked for is not noted", "provider", app.Provider, "error", err.Error())
	}
	return nil
}

// notRotated keeps what the provider said, and says what it means for a rotation.
func notRotated(err error, title string) error {
	problem := fault.As(err)
	if problem.Kind != fault.Invalid {
		return err
	}
	out := noRotation(title + " does not make a new client secret now.").
		Do("Read what the provider said. If the application is not enrolled for notifications of its rotation, enter the queue's ARN at the provider.")
	if problem.Provider != nil {
		_ = out.Said(*problem.Provider)
	}
	return out
}

// ownGrantOf is a token of an application's own, kept or new.
func (s *Service) ownGrantOf(ctx context.Context, as client, scope string, fresh bool) (secret.Text, error) {
	set, found, err := s.Vault.KeptGrant(ctx, as.app.App, scope)
	if err == nil && (!found || fresh || !s.Now().Add(grantMargin).Before(set.Expires)) {
		set, err = s.newGrant(ctx, as, scope)
	}
	return set.Access, err
}

// errNobodys is a message about a client that no application here has.
var errNobodys = errors.New("the message is about a client that no application of this deployment has")

// Notice carries out what a provider's message about a client secret says. It may come again, and in any order. An error
// makes the queue deliver it again, and set it aside in the end; it holds nothing of the message.
func (s *Service) Notice(ctx context.Context, name string, message secret.Text) error {
	s.running.begin()
	defer s.running.end()
	ctx = audit.WithActor(ctx, audit.Actor{Kind: audit.TokenService}) // nobody here asked for it
	adapter, ok := s.Provider(name)
	rotator, can := adapter.(provider.Rotator)
	if !ok || !can {
		return fmt.Errorf("provider %q sends no messages about client secrets", name)
	}
	said, err := rotator.ParseNotice(message)
	if err != nil {
		return err
	}
	apps, err := s.Vault.AppsOf(ctx, name, said.Client)
	if err == nil && len(apps) == 0 {
		err = errNobodys
	}
	if err == nil {
		apps, err = s.proven(ctx, adapter, rotator, apps)
	}
	if err != nil {
		return err
	}
	if said.Secrets == nil {
		return s.renew(ctx, adapter, rotator, apps, said)
	}
	for _, app := range apps {
		err = errors.Join(err, s.replaceSecret(ctx, adapter.Descriptor(), app, said))
	}
	return err
}

// renew asks for a new secret in the place of one that ends, unless it has been replaced. It is one client whoever uses it,
// so it is asked once, in the name of the first application that can.
func (s *Service) renew(ctx context.Context, adapter provider.Adapter, rotator provider.Rotator, apps []record.App, said provider.SecretNotice) error {
	err := errNobodys
	for _, app := range apps {
		if app.APIEnvironment != record.Production {
			continue // the provider makes none for those
		}
		if !app.ExpiryAssumed && app.SecretExpires.After(said.Ends) {
			return nil // the newer one is here
		}
		if err = s.rotate(ctx, adapter, rotator, app, said.Ends); err == nil || fault.KindOf(err) == fault.RateLimited {
			return err
		}
	}
	return err
}

// replaceSecret puts a new secret of an application in force, and keeps the one before beside it for its time. The secret is
// stored before the record that names it, which is written on the condition that nobody has changed it since.
func (s *Service) replaceSecret(ctx context.Context, d *provider.Descriptor, app record.App, said provider.SecretNotice) error {
	for range 8 {
		after, change, err := s.succeedSecret(ctx, d, app, said)
		if err != nil || !change {
			return err
		}
		err = s.Vault.ReplaceApp(ctx, app, after)
		if err == nil {
			s.Logger.InfoContext(ctx, "a new client secret is stored", "tenant", app.Tenant, "provider", app.Provider,
				"api_environment", string(app.APIEnvironment), "ends", said.Ends)
			return nil
		}
		if fault.CodeOf(err) != "changed_meanwhile" {
			return err
		}
		again, found, err := s.Vault.App(ctx, app.Tenant, app.Provider, app.APIEnvironment)
		if err != nil {
			return err
		}
		if !found || again.Client != said.Client {
			return nil // it is another application by now
		}
		app = again
	}
	return unavailable(vault.ErrOvertaken)
}

// succeedSecret is an application's record with a secret that a message brought; change is false when there is nothing to
// do. The secret is stored already.
func (s *Service) succeedSecret(ctx context.Context, d *provider.Descriptor, app record.App, said provider.SecretNotice) (after record.App, change bool, err error) {
	now := s.Now().UTC()
	if !now.Before(said.Ends) {
		return app, false, nil // it lay in the queue until it was of no use
	}
	fingerprint, err := vault.Fingerprint(said.Secrets)
	if err != nil {
		return app, false, err
	}
	after = app
	after.UpdatedAt, after.Revision = now, 0
	if after.Version, err = ident.New(s.Random, "v_"); err != nil {
		return app, false, err
	}
	switch {
	case app.Secret == fingerprint && !app.ExpiryAssumed && app.SecretExpires.Equal(said.Ends):
		return app, false, nil // here already
	case app.Secret == fingerprint: // an owner gave it in by hand, and did not know when it ends
		after.Version, after.Revision, after.SecretExpires, after.ExpiryAssumed = app.Version, app.Revision+1, said.Ends, false
		return after, true, nil
	case !app.ExpiryAssumed && !said.Ends.After(app.SecretExpires):
		return app, false, nil // older than the one in force
	case app.ExpiryAssumed && !said.Ends.After(app.SecretExpires):
		// Which of the two is newer cannot be told: the date in the record counts from when an owner registered the secret.
		// The owner's stays in force, and this one is kept beside it, so that whichever dies, the other is there.
		if app.Previous != nil && !app.Previous.Until.Before(said.Ends) {
			return app, false, nil
		}
		after.Previous = &record.PreviousSecret{Version: after.Version, Until: said.Ends}
		after.Version, after.Revision = app.Version, app.Revision+1
		return after, true, s.putAppSecret(ctx, app, after.Previous.Version, said.Secrets)
	default:
		after.Secret, after.SecretExpires, after.ExpiryAssumed = fingerprint, said.Ends, false
		after.Previous = vault.Overlap(app, d.SecretOverlap, said.BeforeEnds, now)
		return after, true, s.putAppSecret(ctx, app, after.Version, said.Secrets)
	}
}

func (s *Service) putAppSecret(ctx context.Context, app record.App, version string, fields map[string]secret.Text) error {
	text, err := vault.Secrets{Version: version, Fields: fields}.Encode()
	if err != nil {
		return err
	}
	if err := s.Secrets.PutSecret(ctx, vault.AppSecret(app.Tenant, app.Provider, app.APIEnvironment, version), text); err != nil {
		return storeUnavailable(err)
	}
	return nil
}
