// Package providertest is the conformance suite for adapters: what a use case may count on whatever the provider.
//
// The argument: adapters are mostly data, and data goes wrong quietly. A resource without a rate hammers a provider, a
// filter that is called as one of our own parameters can never be given, a judgement without a fault lets a refusal
// pass for an answer. The suite asks every adapter the same questions, so that a new one needs tests of its own for its
// provider's quirks alone.
package providertest

import (
	"maps"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"testing"
	"time"

	"connectorvault/shared/fault"
	"connectorvault/shared/provider"
	"connectorvault/shared/record"
	"connectorvault/shared/secret"
)

// Harness is an adapter with examples of what its provider takes.
type Harness struct {
	Adapter provider.Adapter
	Entries []record.Entry // as a caller may give them; at least one. The suite normalizes copies
	Refused []record.Entry // what Normalize must refuse

	// App is an application whose fields ValidateApp takes; zero where there is none.
	App provider.AppCredentials

	// Callback is the query of a good redirect with this state and code; nil where the adapter is no Authorizer.
	Callback func(state, code string) url.Values

	// Secrets are good ones of an entry at the suite's time. A Dialer needs them; nil = a Checker is not asked.
	Secrets map[string]secret.Text

	// Account is what an identified account looks like, for filters and headers that follow from it.
	Account record.Account

	// Connector is one that is good for each of the entries and this account; zero where connectors have no settings.
	Connector record.Connector
}

// Run asks everything that applies to the adapter's capabilities.
func Run(t *testing.T, h Harness) {
	t.Helper()
	if len(h.Entries) == 0 {
		t.Fatal("the harness needs an entry")
	}
	t.Run("descriptor", func(t *testing.T) { descriptor(t, h) })
	t.Run("capabilities", func(t *testing.T) { capabilities(t, h) })
	t.Run("normalize", func(t *testing.T) { normalize(t, h) })
	t.Run("resources", func(t *testing.T) { resources(t, h) })
	t.Run("application", func(t *testing.T) { application(t, h) })
	t.Run("authorization", func(t *testing.T) { authorization(t, h) })
	t.Run("tokens", func(t *testing.T) { tokens(t, h) })
	t.Run("connector", func(t *testing.T) { connector(t, h) })
	t.Run("reader", func(t *testing.T) { reads(t, h) })
	t.Run("material", func(t *testing.T) { material(t, h) })
	t.Run("dialer", func(t *testing.T) { dialer(t, h) })
	t.Run("documents", func(t *testing.T) { documents(t, h) })
	t.Run("horizon", func(t *testing.T) { horizon(t, h) })
}

var (
	nameShape  = regexp.MustCompile(`^[a-z][a-z0-9]*$`)
	kebabShape = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`)
	snakeShape = regexp.MustCompile(`^[a-z][a-z0-9]*(_[a-z0-9]+)*$`)
)

// Now is the suite's clock.
func Now() time.Time { return now() }

func now() time.Time { return time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC) }

// canary is a secret that must be seen nowhere but where secrets belong.
const canary = "canary-5d1f0b8e-canary"

// readCanary is a secret that reads need.
const readCanary = "canary-97c6a3f2-canary"

func descriptor(t *testing.T, h Harness) {
	d := h.Adapter.Descriptor()
	if d != h.Adapter.Descriptor() {
		t.Error("the descriptor is another one each time")
	}
	if !nameShape.MatchString(d.Name) || d.Title == "" {
		t.Errorf("the name %q or the title %q cannot be used", d.Name, d.Title)
	}
	fields(t, "application", d.AppFields)
	fields(t, "entry", d.Fields)
	client(t, d)
	settings(t, d)
	codes, ids := map[string]bool{}, map[string]bool{}
	for _, r := range d.Regions {
		if r.Code == "" || r.Title == "" || codes[r.Code] {
			t.Errorf("region %+v has no code or title, or is there twice", r)
		}
		codes[r.Code] = true
		for _, m := range r.Marketplaces {
			if m.ID == "" || m.Name == "" || len(m.Country) != 2 || ids[m.ID] {
				t.Errorf("marketplace %+v is incomplete, or is there twice", m)
			}
			ids[m.ID] = true
		}
	}
	for _, note := range d.Notes {
		if len(note) < 10 || note[len(note)-1] != '.' {
			t.Errorf("%q is not a sentence", note)
		}
	}
	for name, life := range map[string]time.Duration{"code": d.CodeLife, "authorization": d.AuthorizationLife, "refresh token": d.RefreshLife, "secret": d.SecretLife} {
		if life < 0 {
			t.Errorf("a %s lives %s", name, life)
		}
	}
}

func fields(t *testing.T, of string, all []provider.Field) {
	t.Helper()
	seen := map[string]bool{}
	for _, f := range all {
		switch {
		case !snakeShape.MatchString(f.Name) || f.Label == "":
			t.Errorf("the %s's field %q is not in snake case, or has no label", of, f.Name)
		case seen[f.Name]:
			t.Errorf("the %s's field %s is there twice", of, f.Name)
		case f.Secret && (f.Default != "" || len(f.Options) > 0):
			t.Errorf("the %s's field %s is a secret that one can choose", of, f.Name)
		case f.Default != "" && len(f.Options) > 0 && !slices.Contains(f.Options, f.Default):
			t.Errorf("the default of the %s's field %s is none of its options", of, f.Name)
		case f.Reads && !f.Secret:
			t.Errorf("the %s's field %s is no secret, so reads have it anyway", of, f.Name)
		case f.Flag && (f.Secret || f.Default != "" || len(f.Options) > 0):
			t.Errorf("the %s's field %s is a flag and something else", of, f.Name)
		}
		seen[f.Name] = true
	}
}

// client asks whether it is clear whose OAuth client an entry uses.
func client(t *testing.T, d *provider.Descriptor) {
	t.Helper()
	find := func(all []provider.Field, name string) (provider.Field, bool) {
		i := slices.IndexFunc(all, func(f provider.Field) bool { return f.Name == name })
		if i < 0 {
			return provider.Field{}, false
		}
		return all[i], true
	}
	if flag, there := find(d.Fields, d.AppFlag); d.AppFlag != "" && (!there || !flag.Flag || !flag.Fixed || len(d.AppFields) == 0) {
		t.Errorf("the flag %q is no fixed flag of an entry, or there is no application", d.AppFlag)
	}
	if d.ClientID != "" {
		own, both := find(d.Fields, d.ClientID)
		shared, there := find(d.AppFields, d.ClientID)
		if d.OwnGrant {
			// The client is the entry's alone, and may be followed by another one.
			if !both || own.Secret {
				t.Errorf("the client's id %q is no public field of an entry", d.ClientID)
			}
		} else if !there || own.Secret || shared.Secret || both != (d.AppFlag != "") || both && !own.Fixed {
			t.Errorf("the client's id %q is no public field of an application, or of an entry that may bring its own", d.ClientID)
		}
	}
	for _, own := range d.Fields {
		if shared, both := find(d.AppFields, own.Name); both && (own.Secret != shared.Secret || own.Reads != shared.Reads) {
			t.Errorf("%s is not as secret for an entry as for an application", own.Name)
		}
	}
}

// settings looks at what connectors say of themselves, and at the limits of an application.
func settings(t *testing.T, d *provider.Descriptor) {
	t.Helper()
	seen := map[string]provider.Setting{"resources": {}}
	for _, s := range d.Settings {
		if _, twice := seen[s.Name]; twice || !snakeShape.MatchString(s.Name) || s.Label == "" {
			t.Errorf("the setting %q is not in snake case, has no label, or is there twice", s.Name)
		}
		seen[s.Name] = s
	}
	if _, there := seen[d.Member]; d.Member != "" && !there {
		t.Errorf("connectors name a member in %s, which is none of their settings", d.Member)
	}
	if d.Concurrent < 0 || d.Rate < 0 || d.Burst < 0 || (d.Rate > 0) != (d.Burst > 0) {
		t.Errorf("an application may make %d calls at once, with rate %v and burst %d", d.Concurrent, d.Rate, d.Burst)
	}
}

// capabilities holds what the descriptor promises against what the adapter can do.
func capabilities(t *testing.T, h Harness) {
	d := h.Adapter.Descriptor()
	_, authorizes := h.Adapter.(provider.Authorizer)
	_, storefront := h.Adapter.(provider.Storefront)
	_, validates := h.Adapter.(provider.AppValidator)
	_, tokens := h.Adapter.(provider.TokenSource)
	_, reads := h.Adapter.(provider.Reader)
	_, librarian := h.Adapter.(provider.Librarian)
	_, dials := h.Adapter.(provider.Dialer)
	_, checks := h.Adapter.(provider.Checker)
	documents := false
	for _, r := range d.Resources {
		documents = documents || r.Document
	}
	for what, holds := range map[string]bool{
		"a browser or Result URL mode is an Authorizer's":      (d.Mode(record.Browser) || d.Mode(record.ResultURL)) == authorizes,
		"the appstore mode is a Storefront's":                  d.Mode(record.Appstore) == storefront,
		"an application's fields are an AppValidator's":        (len(d.AppFields) > 0) == validates,
		"an Authorizer exchanges codes at a TokenSource":       !authorizes || tokens,
		"an Authorizer says how long a code lives":             !authorizes || d.CodeLife > 0,
		"refresh tokens that rotate are a TokenSource's":       !d.Rotates || tokens,
		"an own refresh token is spent at a TokenSource":       !d.Mode(record.RefreshToken) || tokens,
		"resources are a Reader's":                             (len(d.Resources) > 0) == reads,
		"tokens of an entry's own grant are a TokenSource's":   !d.OwnGrant || tokens,
		"nobody consents to an entry's own grant":              !d.OwnGrant || len(d.Modes) == 0 && !d.Rotates && len(d.AppFields) == 0,
		"what a Dialer dials with has been checked":            !dials || checks && h.Secrets != nil,
		"documents are a Librarian's":                          documents == librarian,
		"each mode is there once":                              len(d.Modes) == len(slices.Compact(slices.Sorted(slices.Values(d.Modes)))),
		"the harness of an Authorizer has an example callback": !authorizes || h.Callback != nil,
	} {
		if !holds {
			t.Errorf("not so: %s", what)
		}
	}
}

// normalized is a normalized copy of the harness's entries.
func normalized(t *testing.T, h Harness) []record.Entry {
	t.Helper()
	var all []record.Entry
	for _, e := range h.Entries {
		e.Provider, e.Settings = h.Adapter.Descriptor().Name, maps.Clone(e.Settings)
		if err := h.Adapter.Normalize(&e); err != nil {
			t.Fatalf("%v is refused: %v", e.Settings, err)
		}
		all = append(all, e)
	}
	return all
}

func normalize(t *testing.T, h Harness) {
	known := map[string]provider.Field{}
	for _, f := range h.Adapter.Descriptor().Fields {
		known[f.Name] = f
	}
	for _, e := range normalized(t, h) {
		again := e
		again.Settings = maps.Clone(e.Settings)
		if err := h.Adapter.Normalize(&again); err != nil || !reflect.DeepEqual(e, again) {
			t.Errorf("%v became %v the second time, %v", e.Settings, again.Settings, err)
		}
		for name, value := range e.Settings {
			f, ok := known[name]
			if !ok || f.Secret || (len(f.Options) > 0 && !slices.Contains(f.Options, value)) {
				t.Errorf("the setting %s=%q is none of the public fields, or none of their options", name, value)
			}
		}
	}
	for _, e := range h.Refused {
		e.Settings = maps.Clone(e.Settings)
		err := h.Adapter.Normalize(&e)
		if problem := fault.As(err); err == nil || problem.Kind != fault.Invalid || problem.Field == "" || problem.Action == "" {
			t.Errorf("%v is refused with %v, which names no field or no way out", e.Settings, err)
		}
	}
	odd := h.Entries[0]
	odd.Settings = maps.Clone(odd.Settings)
	if odd.Settings == nil {
		odd.Settings = map[string]string{}
	}
	odd.Settings["no_such_setting"] = "x"
	if err := h.Adapter.Normalize(&odd); fault.As(err).Field != "no_such_setting" {
		t.Errorf("an unknown setting is met with %v", err)
	}
}

// credentials are what an entry's client asks with, all its secrets being the canary: the harness's application, or
// what the entry brings along.
func credentials(h Harness, e record.Entry) provider.AppCredentials {
	d := h.Adapter.Descriptor()
	all := provider.AppCredentials{Secrets: map[string]secret.Text{}}
	fields := d.Fields
	if d.UsesApp(e) {
		all.App, fields = h.App.App, d.AppFields
	}
	for _, f := range fields {
		if f.Secret {
			all.Secrets[f.Name] = secret.New(canary)
		}
	}
	return all
}

// session is one with everything that a call may need.
func session(h Harness, e record.Entry) provider.Session {
	on := provider.Session{Target: provider.Target{Entry: e, Account: h.Account, Connector: h.Connector}, Access: secret.New(canary),
		Secrets: map[string]secret.Text{}}
	d := h.Adapter.Descriptor()
	for _, f := range slices.Concat(d.Fields, d.AppFields) {
		if f.Secret && f.Reads {
			on.Secrets[f.Name] = secret.New(readCanary)
		}
	}
	return on
}

// secrets returns the harness's application with every secret replaced by the canary.
func secrets(h Harness) map[string]secret.Text {
	all := map[string]secret.Text{}
	for name := range h.App.Secrets {
		all[name] = secret.New(canary)
	}
	return all
}
