package refresh_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"connectorvault/shared/audit"
	"connectorvault/shared/bundle/bundletest"
	"connectorvault/shared/fault"
	"connectorvault/shared/provider"
	"connectorvault/shared/record"
	"connectorvault/shared/refresh"
	"connectorvault/shared/secret"
	"connectorvault/shared/store"
	"connectorvault/shared/tokens"
	"connectorvault/shared/vault"
)

const (
	appClient = "client-1"
	newSecret = "canary-client-secret-new"
	laterOne  = "canary-client-secret-later"
	week      = 7 * day
)

// plainRack is a rack whose application has no secrets that reads need.
func plainRack(t *testing.T) *rack {
	t.Helper()
	t.Parallel()
	r := &rack{log: &logbook{}}
	r.Bench = bundletest.New(t, bundletest.Options{Log: r.log})
	t.Cleanup(func() { r.hides("the log", r.log.String()) })
	r.App()
	r.Upstream.Handle(bundletest.RotatePath, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	return r
}

func (r *rack) appOf(tenant string) record.App {
	r.Helper()
	app, found, err := r.Vault.App(r.Context(), tenant, bundletest.Name, record.Production)
	r.OK(err)
	if !found {
		r.Fatal("there is no application")
	}
	return app
}

// secretOf is what lies under a version of the application's.
func (r *rack) secretOf(tenant, version string) string {
	r.Helper()
	text, err := r.Secrets.Secrets.GetSecret(r.Context(), vault.AppSecret(tenant, bundletest.Name, record.Production, version))
	if errors.Is(err, store.ErrNotFound) {
		return ""
	}
	r.OK(err)
	got, err := vault.DecodeSecrets(text)
	r.OK(err)
	return got.Fields[bundletest.FieldSecret].Reveal()
}

func (r *rack) notice(n bundletest.Notice) error {
	r.Helper()
	err := r.Tokens.Notice(r.Context(), bundletest.Name, n.Text())
	if err != nil {
		r.hides("an error", err.Error())
	}
	return err
}

// fresh is the message of a new secret that is made now.
func (r *rack) fresh(value string) bundletest.Notice {
	now := r.Clock.Now()
	return bundletest.Notice{Client: appClient, Secret: value, Ends: now.Add(180 * day), BeforeEnds: now.Add(week)}
}

func (r *rack) rotations() int { return len(r.Upstream.Seen(bundletest.RotatePath)) }

func (r *rack) wantsSecrets(tenant, inForce, before string) record.App {
	r.Helper()
	app, second := r.appOf(tenant), ""
	if app.Previous != nil {
		second = r.secretOf(tenant, app.Previous.Version)
	}
	if first := r.secretOf(tenant, app.Version); first != inForce || second != before {
		r.Errorf("in force is %q, before %q; want %q and %q", first, second, inForce, before)
	}
	return app
}

func TestANewSecretTakesThePlaceOfTheOneInForce(t *testing.T) {
	r := plainRack(t)
	r.Clock.Add(100 * day)
	n := r.fresh(newSecret)
	r.OK(r.notice(n))
	app := r.wantsSecrets(bundletest.Tenant, newSecret, bundletest.ClientSecret)
	if !app.SecretExpires.Equal(n.Ends) || app.ExpiryAssumed || !app.Previous.Until.Equal(n.BeforeEnds) || !app.UpdatedAt.Equal(r.Clock.Now()) {
		t.Errorf("the record is %+v, before until %s", app, app.Previous.Until)
	}
	r.toldOnce(app)
	for range 3 {
		r.OK(r.notice(n)) // again
	}
	r.toldOnce(app)
	if again := r.wantsSecrets(bundletest.Tenant, newSecret, bundletest.ClientSecret); again.Version != app.Version {
		t.Error("a repeated message made another version")
	}
	r.Clock.Add(day)
	later := r.fresh(laterOne)
	r.OK(r.notice(later))
	r.OK(r.notice(n)) // out of order
	r.wantsSecrets(bundletest.Tenant, laterOne, newSecret)
	r.Clock.Add(181 * day)
	r.OK(r.notice(later)) // it lay in the queue until it was of no use
	stale := r.fresh("canary-stale")
	stale.Ends = r.Clock.Now()
	r.OK(r.notice(stale))
	r.wantsSecrets(bundletest.Tenant, laterOne, newSecret)
}

// toldOnce looks for the one event of the audit trail that says that an application's secret was replaced.
func (r *rack) toldOnce(app record.App) {
	r.Helper()
	subject := audit.Subject{Kind: audit.ProviderApp, ID: audit.AppID(app.Provider, string(app.APIEnvironment))}
	page, err := r.Vault.AuditChain(r.Context(), app.Tenant, subject, "", time.Time{}, 10, func(e audit.Event) bool { return e.Action == audit.AppReplaced })
	r.OK(err)
	if len(page.Items) != 1 || page.Items[0].Actor.Kind != audit.TokenService {
		r.Errorf("told is %+v", page.Items)
	}
}

func TestTheSecretBeforeNeverOutlivesItsOwnEnd(t *testing.T) {
	r := plainRack(t)
	end := r.appOf(bundletest.Tenant).SecretExpires
	r.Clock.Add(178 * day)
	r.OK(r.notice(r.fresh(newSecret)))
	if app := r.appOf(bundletest.Tenant); !app.Previous.Until.Equal(end) {
		t.Errorf("it works until %s; its end is %s", app.Previous.Until, end)
	}
	without := r.fresh(laterOne)
	without.Ends, without.BeforeEnds = without.Ends.Add(time.Hour), time.Time{}
	r.OK(r.notice(without))
	if app := r.appOf(bundletest.Tenant); !app.Previous.Until.Equal(r.Clock.Now().Add(week)) {
		t.Errorf("it works until %s, and nobody said so", app.Previous.Until)
	}
}

func TestASecretThatAnOwnerBroughtIsKnownAgain(t *testing.T) {
	r := plainRack(t)
	r.Clock.Add(day)
	n := r.fresh(bundletest.ClientSecret)
	n.Ends = n.Ends.Add(-2 * day)
	before := r.appOf(bundletest.Tenant)
	r.OK(r.notice(n))
	app := r.wantsSecrets(bundletest.Tenant, bundletest.ClientSecret, "")
	if app.Version != before.Version || app.ExpiryAssumed || !app.SecretExpires.Equal(n.Ends) {
		t.Errorf("the record is %+v", app)
	}
	r.OK(r.notice(n))
	if again := r.appOf(bundletest.Tenant); again.Revision != app.Revision {
		t.Error("it is noted each time")
	}
}

// A message of a secret that may be older or newer than what an owner has brought without a date: both are kept.
func TestASecretOfUnknownAgeIsKeptBeside(t *testing.T) {
	r := plainRack(t)
	n := r.fresh(newSecret)
	n.Ends = n.Ends.Add(-time.Hour) // made an hour before the owner registered
	r.OK(r.notice(n))
	app := r.wantsSecrets(bundletest.Tenant, bundletest.ClientSecret, newSecret)
	if !app.Previous.Until.Equal(n.Ends) || !app.ExpiryAssumed {
		t.Errorf("the record is %+v", app)
	}
	r.OK(r.notice(n))
	if again := r.appOf(bundletest.Tenant); again.Previous.Version != app.Previous.Version {
		t.Error("it is stored each time")
	}
	e := r.Active("shop")
	r.Upstream.TakeSecret(appClient, newSecret) // and when the owner's dies
	r.wants(e, tokens.Success)
}

func TestEachTenantWithTheClientGetsTheSecretAndNobodyElse(t *testing.T) {
	r := plainRack(t)
	_, err := r.Admin.PutApp(r.Context(), r.Alien, bundletest.Name, bundletest.AppFields())
	r.OK(err)
	r.Clock.Add(day)
	r.OK(r.notice(r.fresh(newSecret)))
	for _, tenant := range []string{bundletest.Tenant, bundletest.Other} {
		r.wantsSecrets(tenant, newSecret, bundletest.ClientSecret)
	}
	// The other tenant takes another client, and hears no more of this one.
	in := bundletest.AppFields()
	in["client_id"] = []byte(`"client-2"`)
	moved, err := r.Admin.PutApp(r.Context(), r.Alien, bundletest.Name, in)
	r.OK(err)
	if moved.Previous != nil {
		t.Error("another client's secret is kept beside")
	}
	r.Clock.Add(day)
	r.OK(r.notice(r.fresh(laterOne)))
	r.wantsSecrets(bundletest.Tenant, laterOne, newSecret)
	r.wantsSecrets(bundletest.Other, bundletest.ClientSecret, "")
	apps, err := r.Vault.AppsOf(r.Context(), bundletest.Name, appClient)
	if err != nil || len(apps) != 1 || apps[0].Tenant != bundletest.Tenant {
		t.Errorf("the client is of %+v, %v", apps, err)
	}
	foreign := r.fresh(newSecret)
	foreign.Client = "client-9"
	if r.notice(foreign) == nil || r.Tokens.Notice(r.Context(), bundletest.Name, secret.New("canary")) == nil ||
		r.Tokens.Notice(r.Context(), bundletest.BareName, foreign.Text()) == nil || r.Tokens.Notice(r.Context(), "nobody", foreign.Text()) == nil {
		t.Error("a message that is nobody's is carried out")
	}
}

func TestANewSecretIsAskedForOnceForEachEnd(t *testing.T) {
	r := plainRack(t)
	_, err := r.Admin.PutApp(r.Context(), r.Alien, bundletest.Name, bundletest.AppFields())
	r.OK(err)
	r.Clock.Add(170 * day)
	said := bundletest.Notice{Client: appClient, Ends: r.Clock.Now().Add(10 * day)}
	r.OK(r.notice(said))
	for range 3 {
		r.OK(r.notice(said))
		r.Clock.Add(2 * time.Minute)
	}
	if n := r.rotations(); n != 1 {
		t.Errorf("it was asked for %d times", n)
	}
	r.Clock.Add(day) // nothing has come: once more
	r.OK(r.notice(said))
	if n := r.rotations(); n != 2 {
		t.Errorf("it was asked for %d times", n)
	}
	r.OK(r.notice(r.fresh(newSecret)))
	r.Clock.Add(2 * day)
	r.OK(r.notice(said)) // it has come
	if n := r.rotations(); n != 2 {
		t.Errorf("it was asked for %d times", n)
	}
	if got := r.Upstream.Forms()[0]; got.Get("grant_type") != "client_credentials" || got.Get("scope") != "secrets:rotate" {
		t.Errorf("the token was asked for with %s %s", got.Get("grant_type"), got.Get("scope"))
	}
}

func TestOfManyAtOnceOneAsks(t *testing.T) {
	r := plainRack(t)
	r.Clock.Add(170 * day)
	said := bundletest.Notice{Client: appClient, Ends: r.Clock.Now().Add(10 * day)}
	services := [8]*refresh.Service{}
	for i := range services {
		services[i] = r.NewTokens()
	}
	errs := together(len(services), func(i int) error { return services[i].Notice(r.Context(), bundletest.Name, said.Text()) })
	for _, err := range errs {
		if err != nil && fault.KindOf(err) != fault.RateLimited {
			t.Errorf("an answer is %v", err)
		}
	}
	if n := r.rotations(); n != 1 {
		t.Errorf("it was asked for %d times", n)
	}
}

func rotateCall() tokens.Call {
	return tokens.Call{Op: tokens.Rotate, Tenant: bundletest.Tenant, Provider: bundletest.Name, APIEnvironment: record.Production}
}

func TestAskingByHand(t *testing.T) {
	r := plainRack(t)
	rotate := func(change func(*tokens.Call)) error {
		call := rotateCall()
		change(&call)
		_, err := r.Tokens.Do(r.Context(), call)
		return err
	}
	as := func(*tokens.Call) {}
	r.Fault(rotate(func(c *tokens.Call) { c.Provider = bundletest.BareName }), fault.Conflict, "rotation_unavailable")
	r.Fault(rotate(func(c *tokens.Call) { c.APIEnvironment = record.Sandbox }), fault.Conflict, "rotation_unavailable")
	r.Fault(rotate(func(c *tokens.Call) { c.Tenant = bundletest.Other }), fault.NotFound, "not_found")
	r.OK(rotate(as))
	if f := r.Fault(rotate(as), fault.RateLimited, "rate_limited"); f.RetryAfter != time.Minute {
		t.Errorf("it is to be tried again after %s", f.RetryAfter)
	}
	r.Clock.Add(time.Minute)
	r.OK(rotate(as))
	r.Clock.Add(time.Minute)
	r.Upstream.Handle(bundletest.RotatePath, func(w http.ResponseWriter, _ *http.Request) { bundletest.Refuse(w, 400, bundletest.NotEnrolled) })
	if f := r.Fault(rotate(as), fault.Conflict, "rotation_unavailable"); f.Provider == nil || f.Provider.Code != bundletest.NotEnrolled || f.Provider.Status != 400 {
		t.Errorf("what the provider said is %+v", f.Provider)
	}
	r.Clock.Add(time.Minute)
	r.Upstream.Handle(bundletest.RotatePath, func(w http.ResponseWriter, _ *http.Request) { bundletest.Refuse(w, 503, "busy") })
	r.Fault(rotate(as), fault.Unavailable, "provider_unavailable")
	if n := r.rotations(); n != 4 {
		t.Errorf("it was asked for %d times", n)
	}
	r.Tokens.Notices = nil
	r.Fault(rotate(as), fault.Conflict, "rotation_unavailable")
}

// Two rotations at once are two, of whichever side and provider.
func TestRotationsAtOnceAreNotOne(t *testing.T) {
	r := plainRack(t)
	begun, gate := make(chan struct{}), make(chan struct{})
	r.Upstream.Handle(bundletest.RotatePath, func(w http.ResponseWriter, _ *http.Request) {
		close(begun)
		<-gate
		w.WriteHeader(http.StatusNoContent)
	})
	first := make(chan error, 1)
	go func() {
		_, err := r.Tokens.Do(r.Context(), rotateCall())
		first <- err
	}()
	<-begun
	for _, change := range []func(*tokens.Call){func(c *tokens.Call) { c.APIEnvironment = record.Sandbox }, func(c *tokens.Call) { c.Provider = bundletest.BareName }} {
		call := rotateCall()
		change(&call)
		second := make(chan error, 1)
		go func() {
			_, err := r.Tokens.Do(r.Context(), call)
			second <- err
		}()
		select {
		case err := <-second:
			r.Fault(err, fault.Conflict, "rotation_unavailable")
		case <-time.After(5 * time.Second):
			t.Error("it waits for the other one")
		}
	}
	close(gate)
	r.OK(<-first)
}

// The token for asking was bought with a secret that has ended since: one more is bought.
func TestAskingWithATokenThatDied(t *testing.T) {
	r := plainRack(t)
	_, err := r.Tokens.Do(r.Context(), rotateCall())
	r.OK(err)
	kept, found, err := r.Vault.KeptGrant(r.Context(), r.appOf(bundletest.Tenant), "secrets:rotate")
	r.OK(err)
	if !found {
		t.Fatal("the token is not kept")
	}
	r.Upstream.Revoke(kept.Access)
	r.Clock.Add(2 * time.Minute)
	_, err = r.Tokens.Do(r.Context(), rotateCall())
	r.OK(err)
	if len(r.Upstream.Forms()) != 2 || r.rotations() != 3 {
		t.Errorf("%d tokens, asked %d times", len(r.Upstream.Forms()), r.rotations())
	}
}

// Whichever step fails, or is the last one before a death, the message is carried out when it comes again, and of the
// secrets that were stored on the way those go that no record names.
func TestANewSecretIsStoredWhicheverStepFails(t *testing.T) {
	for name, breaks := range map[string]func(r *rack){
		"reading the record": func(r *rack) {
			r.Store.Fail(func(op string, table store.Table) bool { return op == "get" && table == store.Records })
		},
		"storing the secret": func(r *rack) {
			r.Secrets.Before(func(op, _ string) error {
				if op == "put" {
					return bundletest.ErrStore
				}
				return nil
			})
		},
		"storing the record": func(r *rack) {
			r.Store.Fail(func(op string, table store.Table) bool { return op == "apply" && table == store.Records })
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := plainRack(t)
			e := r.Active("shop")
			r.Clock.Add(day)
			breaks(r)
			if err := r.notice(r.fresh(newSecret)); fault.KindOf(err) != fault.Unavailable {
				t.Fatalf("the answer is %v", err)
			}
			r.Store.Fail(nil)
			r.Secrets.Before(nil)
			r.wantsSecrets(bundletest.Tenant, bundletest.ClientSecret, "")
			n := r.fresh(newSecret)
			for range 2 {
				r.OK(r.notice(n))
			}
			r.wantsSecrets(bundletest.Tenant, newSecret, bundletest.ClientSecret)
			r.Upstream.TakeSecret(appClient, newSecret)
			r.wants(e, tokens.Success)
			app := r.appOf(bundletest.Tenant)
			for range 12 { // the week, and two sightings
				_, err := r.NewTokens().SweepOrphans(r.Context())
				r.OK(err)
				r.Clock.Add(day)
			}
			var left []string
			for _, name := range r.Secrets.Names(r.Context()) {
				if strings.Contains(name, "/app/") {
					left = append(left, name)
				}
			}
			if len(left) != 1 || left[0] != vault.AppSecret(bundletest.Tenant, bundletest.Name, record.Production, app.Version) {
				t.Errorf("there are %v", left)
			}
		})
	}
}

// While both work, none of them is removed.
func TestTheSecretBeforeStaysForItsTime(t *testing.T) {
	r := plainRack(t)
	r.Clock.Add(day)
	r.OK(r.notice(r.fresh(newSecret)))
	for range 6 {
		_, err := r.NewTokens().SweepOrphans(r.Context())
		r.OK(err)
		r.Clock.Add(day)
	}
	r.wantsSecrets(bundletest.Tenant, newSecret, bundletest.ClientSecret)
}

func TestOwnersAndMessagesAtOnceLoseNothing(t *testing.T) {
	r := plainRack(t)
	r.Clock.Add(day)
	var all sync.WaitGroup
	for i := range 6 {
		n := r.fresh(fmt.Sprintf("canary-client-secret-%d", i))
		n.Ends = n.Ends.Add(time.Duration(i) * time.Second)
		all.Go(func() {
			if err := r.NewTokens().Notice(r.Context(), bundletest.Name, n.Text()); err != nil && fault.KindOf(err) != fault.Unavailable {
				t.Errorf("an answer is %v", err)
			}
		})
	}
	all.Wait()
	last := r.fresh("canary-client-secret-5")
	last.Ends = last.Ends.Add(5 * time.Second)
	r.OK(r.notice(last))
	if got := r.secretOf(bundletest.Tenant, r.appOf(bundletest.Tenant).Version); got != "canary-client-secret-5" {
		t.Errorf("in force is %q", got)
	}
	// An owner writes between a message's reading of the record and its writing.
	r.Clock.Add(day)
	var once sync.Once
	r.Secrets.Before(func(op, _ string) error {
		if op == "put" {
			once.Do(func() { r.Secrets.Before(nil); r.put("canary-by-hand") })
		}
		return nil
	})
	r.Clock.Add(time.Hour)
	next := r.fresh(laterOne)
	next.Ends = next.Ends.Add(time.Hour) // surely newer than what the owner brought
	r.OK(r.notice(next))
	r.wantsSecrets(bundletest.Tenant, laterOne, "canary-by-hand")
}

// put registers the application with another client secret.
func (r *rack) put(value string) record.App {
	r.Helper()
	in := bundletest.AppFields()
	in["client_secret"] = fmt.Appendf(nil, "%q", value)
	app, err := r.Admin.PutApp(r.Context(), r.Owner, bundletest.Name, in)
	r.OK(err)
	return app
}

// brought are the client secrets that the token endpoint was brought, in their order.
func (r *rack) brought() (out []string) {
	for _, form := range r.Upstream.Forms() {
		out = append(out, form.Get("client_secret"))
	}
	return out
}

func TestWhichOfTwoSecretsWorksIsFoundOutOnce(t *testing.T) {
	r := plainRack(t)
	e := r.Active("shop")
	r.Clock.Add(time.Hour)
	r.put(newSecret) // and the provider knows nothing of it
	for range 3 {
		r.wants(e, tokens.Success)
	}
	if got := strings.Join(r.brought(), " "); got != strings.Join([]string{newSecret, bundletest.ClientSecret, bundletest.ClientSecret, bundletest.ClientSecret}, " ") {
		t.Errorf("the endpoint was brought %s", got)
	}
	if n := len(r.logged("until")); n != 1 { // not each time
		t.Errorf("it was logged %d times", n)
	}
	r.put(newSecret) // somebody who says so again may have set it right
	r.wants(e, tokens.Success)
	if got := r.brought()[4:]; len(got) != 2 || got[0] != newSecret {
		t.Errorf("the endpoint was brought %s", got)
	}
	r.Clock.Add(time.Hour) // by now the new one may work
	r.Upstream.TakeSecret(appClient, bundletest.ClientSecret, newSecret)
	r.wants(e, tokens.Success)
	r.Upstream.TakeSecret(appClient, newSecret)
	r.wants(e, tokens.Success)
	if got := r.brought()[6:]; len(got) != 2 || got[0] != newSecret || got[1] != newSecret {
		t.Errorf("the endpoint was brought %s", got)
	}
}

func TestASecretIsNotOfferedOnceItsTimeIsOver(t *testing.T) {
	r := plainRack(t)
	e := r.Active("shop")
	r.Clock.Add(time.Hour)
	r.put(newSecret)
	r.wants(e, tokens.Success) // by the one before
	r.Clock.Add(week - time.Minute)
	r.wants(e, tokens.Success)
	r.Clock.Add(time.Minute)
	before := len(r.brought())
	r.wants(e, tokens.Misconfigured)
	if got := r.brought()[before:]; len(got) != 1 || got[0] != newSecret {
		t.Errorf("the endpoint was brought %s", got)
	}
}

// Both are refused: two POSTs, and it is the application's fault.
func TestBothSecretsMayBeRefused(t *testing.T) {
	r := plainRack(t)
	e := r.Active("shop")
	r.Clock.Add(time.Hour)
	r.put(newSecret)
	r.Upstream.TakeSecret(appClient, "another")
	r.wants(e, tokens.Misconfigured)
	if got := r.brought(); len(got) != 2 {
		t.Errorf("the endpoint was brought %s", got)
	}
}

// A secret that is not in the store any more, or not yet: the other one is used.
func TestARefusedSecretBeforeGivesWay(t *testing.T) {
	r := plainRack(t)
	e := r.Active("shop")
	r.Clock.Add(time.Hour)
	app := r.put(newSecret)
	r.wants(e, tokens.Success) // by the one before
	r.Upstream.TakeSecret(appClient, newSecret)
	r.wants(e, tokens.Success) // which is refused now: the new one
	r.wants(e, tokens.Success)
	if got := r.brought()[2:]; len(got) != 3 || got[0] != bundletest.ClientSecret || got[1] != newSecret || got[2] != newSecret {
		t.Errorf("the endpoint was brought %s", got)
	}
	if app.Previous == nil {
		t.Error("nothing was kept beside")
	}
}

func TestReplacingByHandKeepsTheOneBefore(t *testing.T) {
	r := plainRack(t)
	first := r.appOf(bundletest.Tenant)
	r.Clock.Add(10 * day)
	r.put(newSecret)
	app := r.wantsSecrets(bundletest.Tenant, newSecret, bundletest.ClientSecret)
	if !app.Previous.Until.Equal(r.Clock.Now().Add(week)) || !app.SecretExpires.Equal(r.Clock.Now().Add(180*day)) {
		t.Errorf("it works until %s", app.Previous.Until)
	}
	r.Clock.Add(day)
	again := r.put(newSecret) // said again is not made anew
	r.wantsSecrets(bundletest.Tenant, newSecret, bundletest.ClientSecret)
	if !again.SecretExpires.Equal(app.SecretExpires) || !again.Previous.Until.Equal(app.Previous.Until) || again.Version == app.Version {
		t.Errorf("the record is %+v", again)
	}
	r.Clock.Add(week)
	if last := r.put(newSecret); last.Previous != nil {
		t.Error("what has ended is kept")
	}
	r.Clock.Add(180 * day)
	if last := r.put(laterOne); last.Previous != nil {
		t.Error("what has ended by itself is kept")
	}
	if first.Version == app.Version {
		t.Error("two secrets have one version")
	}
}

// Of a provider that takes no old secret beside a new one, none is kept.
func TestNothingIsKeptBesideWhereTheProviderTakesNone(t *testing.T) {
	t.Parallel()
	r := &rack{log: &logbook{}}
	r.Bench = bundletest.New(t, bundletest.Options{Describe: []func(*provider.Descriptor){func(d *provider.Descriptor) { d.SecretOverlap = 0 }}})
	r.App()
	if app := r.put(newSecret); app.Previous != nil {
		t.Errorf("kept is %+v", app.Previous)
	}
}

// Of two wrong secrets in a row the second must not take the place of the one that works: the provider was seen to refuse
// the first.
func TestASecondMistakeKeepsTheSecretThatWorks(t *testing.T) {
	r := plainRack(t)
	e := r.Active("shop")
	r.Upstream.TakeSecret(appClient, bundletest.ClientSecret)
	for _, wrong := range []string{"canary-wrong-one", "canary-wrong-two", "canary-wrong-three"} {
		r.put(wrong)
		r.wantsSecrets(bundletest.Tenant, wrong, bundletest.ClientSecret)
		r.wants(e, tokens.Success)
		r.Clock.Add(time.Hour)
	}
	r.Upstream.TakeSecret(appClient, newSecret) // the right one at last
	r.put(newSecret)
	r.wantsSecrets(bundletest.Tenant, newSecret, bundletest.ClientSecret)
	r.wants(e, tokens.Success)
	r.put(laterOne) // which nobody has seen refused: it works as far as is known
	r.wantsSecrets(bundletest.Tenant, laterOne, newSecret)
}
