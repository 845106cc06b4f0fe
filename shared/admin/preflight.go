package admin

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"connectorvault/shared/fault"
	"connectorvault/shared/provider"
	"connectorvault/shared/record"
	"connectorvault/shared/version"
)

// Check is one thing that must be so before an account can be connected.
type Check struct {
	Name   string       // one of those below
	Passed bool         //
	Detail string       // what was found, where that says more than Passed
	Fault  *fault.Error // what is missing, and what to do; nil when nothing is
}

// What is looked at, in this order.
const (
	CheckEnabled    = "enabled"             // accounts of the provider may be connected in this deployment
	CheckToken      = "connector_token"     // whoever asks may connect such an account: by their role, or a token with a use left
	CheckVersion    = "version"             // this release is new enough for the adapter
	CheckApp        = "provider_app"        // the application that the entry uses is registered here
	CheckRegistered = "callback_registered" // its callback address is registered at the provider, by the operator's word
	CheckReachable  = "callback_reachable"  // browsers that come back reach this deployment
	CheckFields     = "fields"              // what a vault entry must say is there, and right
)

// Preflight says what is missing before an account of a provider can be connected. in is what a request for a vault entry would
// say, as far as it is known; nothing of it is kept.
func (s *Service) Preflight(ctx context.Context, p record.Principal, in Fields) ([]Check, error) {
	name, err := in.text("provider")
	if err != nil {
		return nil, err
	}
	adapter, err := s.known(name)
	if err != nil {
		return nil, err
	}
	d := adapter.Descriptor()
	token, err := s.tokenOf(ctx, p)
	if err == nil && token != nil { // what is set up for other providers is none of a holder's business
		err = mayMake(p, token, d)
	}
	if err != nil {
		return nil, err
	}
	if in, err = imported(adapter, token.complete(in)); err != nil {
		return nil, err
	}
	if err := in.unknown(append(entryMembers[:len(entryMembers)-1:len(entryMembers)-1], names(d.Fields)...)); err != nil {
		return nil, err
	}
	side, err := in.side()
	if err != nil {
		return nil, err
	}
	checks := []Check{checked(CheckEnabled, "", s.licensed(d)), checked(CheckToken, "", mayConnect(p, token, d)), checked(CheckVersion, version.Bundle, recent(d))}
	for _, look := range []func(context.Context, record.Principal, *provider.Descriptor, record.APIEnvironment, Fields) ([]Check, error){s.checkApp, s.checkCallback} {
		found, err := look(ctx, p, d, side, in)
		if err != nil {
			return nil, err
		}
		checks = append(checks, found...)
	}
	return append(checks, s.checkFields(p, token, d, in)...), nil
}

// checked is a check that failed with a fault, or passed without.
func checked(name, detail string, err error) Check {
	if err == nil {
		return Check{Name: name, Passed: true, Detail: detail}
	}
	return Check{Name: name, Detail: detail, Fault: fault.As(err)}
}

// licensed refuses a provider that this deployment does not let accounts be connected at.
func (s *Service) licensed(d *provider.Descriptor) error {
	if s.Enabled == nil || s.Enabled(d.Name) {
		return nil
	}
	return fault.New(fault.Forbidden, "not_licensed", "This deployment does not connect accounts of "+d.Title+".").
		Do("Ask the operator to enable the provider.")
}

func recent(d *provider.Descriptor) error {
	if version.Meets(version.Bundle, d.Needs) {
		return nil
	}
	return fault.New(fault.Misconfigured, "version_too_old", fmt.Sprintf("This is release %s, and %s needs %s.", version.Bundle, d.Title, d.Needs)).
		Do("Ask the operator to deploy a newer release.")
}

// usesApp reports whether the entry that a request describes uses the operator's application.
func usesApp(d *provider.Descriptor, in Fields) bool {
	if len(d.AppFields) == 0 {
		return false
	}
	return d.AppFlag == "" || string(in[d.AppFlag]) == "true"
}

func (s *Service) checkApp(ctx context.Context, p record.Principal, d *provider.Descriptor, side record.APIEnvironment, in Fields) ([]Check, error) {
	if !usesApp(d, in) {
		return nil, nil
	}
	app, found, err := s.Vault.App(ctx, p.Tenant, d.Name, side)
	switch {
	case err != nil:
		return nil, err
	case !found:
		return []Check{checked(CheckApp, "", fault.New(fault.Misconfigured, "client_misconfigured", fmt.Sprintf("No application of %s is registered for %s.", d.Title, side)).
			Do("An owner registers it with PUT /v1/provider-apps/"+d.Name+"."))}, nil
	case !app.SecretExpires.IsZero() && !s.Now().Before(app.SecretExpires):
		return []Check{checked(CheckApp, "", fault.New(fault.Misconfigured, "client_misconfigured", "The application's client secret ended on "+app.SecretExpires.Format(time.DateOnly)+".").
			Do("An owner makes a new one at the provider and registers it with PUT /v1/provider-apps/"+d.Name+"."))}, nil
	default:
		return []Check{checked(CheckApp, "", nil)}, nil
	}
}

// checkCallback looks at where browsers come back to. An entry with a client of its own names that address itself, and one
// that is not ours is completed by pasting it.
func (s *Service) checkCallback(ctx context.Context, p record.Principal, d *provider.Descriptor, side record.APIEnvironment, in Fields) ([]Check, error) {
	if !d.Mode(record.Browser) && !d.Mode(record.ResultURL) || s.RedirectURI == nil {
		return nil, nil
	}
	ours := s.RedirectURI(d.Name)
	if !usesApp(d, in) {
		return []Check{checked(CheckReachable, ours, s.Reach(ctx, d.Name))}, nil
	}
	app, found, err := s.Vault.App(ctx, p.Tenant, d.Name, side)
	if err != nil {
		return nil, err
	}
	var word error
	if !found || app.Registered != ours {
		word = fault.New(fault.Misconfigured, "callback_not_registered", "Nobody has said that this callback address is registered at "+d.Title+".").
			Do("Register it there, and say so with callback_registered in PUT /v1/provider-apps/" + d.Name + ".")
	}
	return []Check{checked(CheckRegistered, ours, word), checked(CheckReachable, ours, s.Reach(ctx, d.Name))}, nil
}

// checkFields looks for everything that the entry must say and does not. When all of it is there, it is looked at as the
// entry itself would be.
func (s *Service) checkFields(p record.Principal, token *holding, d *provider.Descriptor, in Fields) []Check {
	var lacking []Check
	said := func(name string) bool {
		raw, ok := in[name]
		return ok && string(raw) != "null" && strings.Trim(string(raw), `" `) != ""
	}
	required := []string{"alias", "environment"}
	for _, f := range d.Fields {
		// What belongs to a client is not asked for where the application is used.
		ofApp := usesApp(d, in) && slices.ContainsFunc(d.AppFields, func(a provider.Field) bool { return a.Name == f.Name })
		if f.Required && !ofApp {
			required = append(required, f.Name)
		}
	}
	for _, name := range required {
		if !said(name) {
			lacking = append(lacking, checked(CheckFields, "", missing(name).Do("Give it when the vault entry is made.")))
		}
	}
	if len(lacking) > 0 {
		return lacking
	}
	_, _, err := s.newEntry(p, token, in)
	return []Check{checked(CheckFields, "", err)}
}

func (f Fields) side() (record.APIEnvironment, error) {
	text, err := f.text("api_environment")
	if err != nil {
		return "", err
	}
	return side(text)
}
