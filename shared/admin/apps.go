package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"connectorvault/shared/fault"
	"connectorvault/shared/ident"
	"connectorvault/shared/provider"
	"connectorvault/shared/record"
	"connectorvault/shared/secret"
	"connectorvault/shared/tokens"
	"connectorvault/shared/vault"
)

// Members of an application that every provider's has, beside its own fields.
const (
	fieldSide    = "api_environment"
	fieldExpires = "client_secret_expires_at"
	fieldDraft   = "draft"
	fieldWord    = "callback_registered"
)

// PutApp registers the operator's application, or replaces what was registered. The secret is stored before the
// record that names its version, so a crash in between leaves the old record with its own, and a secret that no record names.
// The secret before stays beside the new one for as long as the provider takes both.
func (s *Service) PutApp(ctx context.Context, p record.Principal, name string, in Fields) (record.App, error) {
	adapter, err := s.Adapter(name)
	if err != nil {
		return record.App{}, err
	}
	d := adapter.Descriptor()
	if err := s.licensed(d); err != nil {
		return record.App{}, err
	}
	validator, ok := adapter.(provider.AppValidator)
	if !ok || len(d.AppFields) == 0 {
		return record.App{}, fault.New(fault.Invalid, "invalid_request", d.Title+" needs no application.").Do("Create a vault entry right away.")
	}
	app, secrets, err := s.parseApp(d, in)
	if err != nil {
		return app, err
	}
	if err = validator.ValidateApp(app.Fields, secrets); err != nil {
		return app, err
	}
	app.Tenant, app.Provider = p.Tenant, d.Name
	if rotator, can := adapter.(provider.Rotator); can {
		app.Client = rotator.ClientOf(app)
	}
	if app.Secret, err = vault.Fingerprint(apart(secrets, app.ReadSecrets)[record.ClientSecrets]); err != nil {
		return app, err
	}
	_, dated := in[fieldExpires]
	// Of two who register at once, whoever finds another's record begins again: what was before is then the other's.
	for try := 0; ; try++ {
		stored, err := s.storeApp(ctx, d, app, dated, secrets)
		if fault.CodeOf(err) != "changed_meanwhile" || try == 4 {
			return stored, err
		}
	}
}

func (s *Service) storeApp(ctx context.Context, d *provider.Descriptor, app record.App, dated bool, secrets map[string]secret.Text) (record.App, error) {
	before, found, err := s.Vault.App(ctx, app.Tenant, app.Provider, app.APIEnvironment)
	if err != nil {
		return app, err
	}
	if app.Version, err = ident.New(s.Random, "v_"); err != nil {
		return app, err
	}
	app.UpdatedAt = s.Now().UTC()
	app.CreatedAt = app.UpdatedAt
	if found {
		app.CreatedAt = before.CreatedAt
	}
	if found && app.Client != "" && app.Client == before.Client {
		refused, err := s.Vault.SecretRefused(ctx, before)
		if err != nil {
			return app, err
		}
		overlap(d, &app, before, dated, refused)
	}
	name := vault.AppSecret(app.Tenant, app.Provider, app.APIEnvironment, app.Version)
	for group, values := range apart(secrets, app.ReadSecrets) {
		text, err := vault.Secrets{Version: app.Version, Fields: values}.Encode()
		if err != nil {
			return app, err
		}
		if err := s.putSecret(ctx, vault.GroupSecret(name, group), text); err != nil {
			return app, err
		}
	}
	return app, s.Vault.ReplaceApp(ctx, before, app)
}

// overlap keeps what works beside a secret of the same client: the one before, or, where it is the same secret, what was
// kept beside it so far. One that the provider was seen to refuse is not kept in place of the one that works.
func overlap(d *provider.Descriptor, app *record.App, before record.App, dated, refused bool) {
	if refused && app.Secret != before.Secret {
		app.Previous = before.Overlapping(app.UpdatedAt)
		return
	}
	if app.Secret != before.Secret {
		app.Previous = vault.Overlap(before, d.SecretOverlap, time.Time{}, app.UpdatedAt)
		return
	}
	app.Previous = before.Overlapping(app.UpdatedAt)
	if !dated { // said again is not made anew
		app.SecretExpires, app.ExpiryAssumed = before.SecretExpires, before.ExpiryAssumed
	}
}

// apart splits an application's secrets into those that reads need and the others.
func apart(secrets map[string]secret.Text, reads []string) secretValues {
	out := secretValues{record.ClientSecrets: {}}
	for name, value := range secrets {
		group := record.ClientSecrets
		if slices.Contains(reads, name) {
			group = record.ReadSecrets
		}
		if out[group] == nil {
			out[group] = map[string]secret.Text{}
		}
		out[group][name] = value
	}
	return out
}

func (s *Service) parseApp(d *provider.Descriptor, in Fields) (record.App, map[string]secret.Text, error) {
	app := record.App{Fields: map[string]string{}}
	if err := in.unknown(append(names(d.AppFields), fieldSide, fieldExpires, fieldDraft, fieldWord)); err != nil {
		return app, nil, err
	}
	env, err := in.text(fieldSide)
	if err != nil {
		return app, nil, err
	}
	if app.APIEnvironment, err = side(env); err != nil {
		return app, nil, err
	}
	if len(d.Sides) > 0 && !slices.Contains(d.Sides, app.APIEnvironment) {
		return app, nil, invalid(fieldSide, fmt.Sprintf("%s has no side %q.", d.Title, app.APIEnvironment)).Do("Leave api_environment out.")
	}
	if raw, ok := in[fieldDraft]; ok {
		if err := json.Unmarshal(raw, &app.Draft); err != nil {
			return app, nil, invalid(fieldDraft, "draft is neither true nor false.").Do("Send true or false.")
		}
	}
	if _, said := in[fieldWord]; said {
		word, err := in.flag(fieldWord)
		if err != nil {
			return app, nil, err
		}
		if word != "" && s.RedirectURI != nil {
			app.Registered = s.RedirectURI(d.Name)
		}
	}
	if err := s.secretLife(d, in, &app); err != nil {
		return app, nil, err
	}
	secrets, err := appFields(d, in, &app)
	return app, secrets, err
}

// appFields takes over what a request says of the provider's own fields.
func appFields(d *provider.Descriptor, in Fields, app *record.App) (map[string]secret.Text, error) {
	secrets := map[string]secret.Text{}
	for _, f := range d.AppFields {
		if f.Name == fieldSide || f.Name == fieldExpires || f.Name == fieldDraft {
			continue
		}
		value, err := in.text(f.Name)
		if err != nil {
			return nil, err
		}
		value = strings.TrimSpace(value)
		switch {
		case value == "" && f.Required:
			return nil, missing(f.Name).Do("Give the " + f.Label + ". " + f.Help)
		case len(value) > 4096:
			return nil, invalid(f.Name, f.Name+" is longer than any such value.").Do("Check what was pasted.")
		case value == "":
		case f.Secret:
			secrets[f.Name] = secret.New(value)
			if f.Reads {
				app.ReadSecrets = append(app.ReadSecrets, f.Name)
			}
		default:
			app.Fields[f.Name] = value
		}
	}
	return secrets, nil
}

// secretLife settles when the client secret ends. A date that nobody told us is the usual one, and says so.
func (s *Service) secretLife(d *provider.Descriptor, in Fields, app *record.App) error {
	text, err := in.text(fieldExpires)
	if err != nil {
		return err
	}
	if text == "" {
		if d.SecretLife > 0 {
			app.SecretExpires, app.ExpiryAssumed = s.Now().Add(d.SecretLife).UTC().Truncate(time.Second), true
		}
		return nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		if at, err = time.Parse(time.DateOnly, text); err != nil {
			return invalid(fieldExpires, "client_secret_expires_at is not a date.").Do("Send it as 2027-05-20 or 2027-05-20T12:00:00Z.")
		}
	}
	if !at.After(s.Now()) {
		return invalid(fieldExpires, fmt.Sprintf("The client secret has been expired since %s.", at.UTC().Format(time.DateOnly))).
			Do("Make a new client secret at the provider and register that.")
	}
	app.SecretExpires = at.UTC()
	return nil
}

// RotateSecret asks the provider for a new client secret of an application. It comes by itself, and takes the place of the
// one in force.
func (s *Service) RotateSecret(ctx context.Context, p record.Principal, name string, in Fields) (record.App, error) {
	adapter, err := s.Adapter(name)
	if err != nil {
		return record.App{}, err
	}
	if err := in.unknown([]string{fieldSide}); err != nil {
		return record.App{}, err
	}
	text, err := in.text(fieldSide)
	if err != nil {
		return record.App{}, err
	}
	env, err := side(text)
	if err != nil {
		return record.App{}, err
	}
	answer, err := s.Tokens(ctx, tokens.Call{Op: tokens.Rotate, Tenant: p.Tenant, Provider: adapter.Descriptor().Name, APIEnvironment: env})
	if err == nil {
		err = answer.Err()
	}
	if err != nil {
		return record.App{}, err
	}
	app, _, err := s.Vault.App(ctx, p.Tenant, adapter.Descriptor().Name, env)
	return app, err
}
