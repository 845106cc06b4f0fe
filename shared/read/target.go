package read

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"connectorvault/shared/fault"
	"connectorvault/shared/provider"
	"connectorvault/shared/record"
	"connectorvault/shared/resource"
	"connectorvault/shared/secret"
	"connectorvault/shared/tokens"
	"connectorvault/shared/vault"
)

// remember is how long a connector, its entry and its token are used without looking again. It is how long after
// switching an entry off a read may still succeed.
const remember = vault.ReadMemory

// target is everything a read needs to know of its connector. It never changes once made.
type target struct {
	connector  record.Connector
	entry      record.Entry
	credential record.Credential
	authorized bool
	access     secret.Text
	secrets    map[string]secret.Text // that reads need
	client     string                 // whose limits the calls count for, where the provider limits an application; "" otherwise
	adapter    provider.Adapter
	reader     provider.Reader
	fetched    time.Time
}

// cache keeps targets by tenant and connector.
type cache struct {
	mu      sync.Mutex
	targets map[string]*target // guarded by mu
}

// maxTargets bounds the cache; when it is full it starts anew, which costs each connector in use one look.
const maxTargets = 4096

func (c *cache) get(key string, now time.Time) *target {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.targets[key]
	if t == nil {
		return nil
	}
	// A clock that went back makes everything look young; then nothing is believed.
	if age := now.Sub(t.fetched); age < 0 || age >= remember {
		return nil
	}
	return t
}

func (c *cache) put(key string, t *target) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.targets == nil || len(c.targets) >= maxTargets {
		c.targets = map[string]*target{}
	}
	c.targets[key] = t
}

func (c *cache) drop(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.targets, key)
}

// target finds a connector with its entry and its tokens; from memory when it was looked at a moment ago.
func (s *Service) target(ctx context.Context, tenant, connector string) (*target, error) {
	key := tenant + "/" + connector
	if t := s.targets.get(key, s.Now()); t != nil {
		s.of(ctx, t.entry)
		return t, nil
	}
	got, err, _ := s.flight.Do(key, func() (any, error) {
		// Detached: the first caller's leaving must not fail the others.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		t, err := s.load(ctx, tenant, connector)
		if err == nil {
			s.targets.put(key, t)
		}
		return t, err
	})
	if err != nil {
		return nil, err
	}
	t := got.(*target)
	s.of(ctx, t.entry)
	return t, nil
}

func (s *Service) load(ctx context.Context, tenant, connector string) (*target, error) {
	c, err := s.Vault.Connector(ctx, tenant, connector)
	if err != nil {
		return nil, err
	}
	entry, err := s.Vault.Entry(ctx, tenant, c.Entry)
	if err != nil {
		return nil, err
	}
	t, err := s.loadEntry(ctx, entry)
	if err != nil {
		return nil, err
	}
	t.connector = c
	return t, nil
}

// errMoved means that an entry's client was replaced between reading the entry and reading its token.
var errMoved = fault.New(fault.Unavailable, "provider_unavailable", "The vault entry's credential was replaced just now.").
	Do("Try again.").After(time.Second)

// loadEntry finds an entry's tokens and secrets. An entry that is changed meanwhile is read again: what its record names is
// gone then, or belongs to another client.
func (s *Service) loadEntry(ctx context.Context, entry record.Entry) (*target, error) {
	for try := 0; ; try++ {
		t, err := s.lookAt(ctx, entry)
		if !errors.Is(err, errMoved) && fault.KindOf(err) != fault.Misconfigured || try == 3 {
			return t, err
		}
		again, missing := s.Vault.Entry(ctx, entry.Tenant, entry.ID)
		if missing != nil || again.Revision == entry.Revision {
			return nil, err
		}
		entry = again
	}
}

func (s *Service) lookAt(ctx context.Context, entry record.Entry) (*target, error) {
	t := &target{entry: entry, fetched: s.Now()}
	var ok bool
	if t.adapter, ok = s.Provider(entry.Provider); !ok {
		return nil, fmt.Errorf("no adapter for provider %q", entry.Provider)
	}
	if t.reader, ok = t.adapter.(provider.Reader); !ok {
		return nil, fmt.Errorf("provider %q cannot be read", entry.Provider)
	}
	if entry.Disabled {
		return nil, vault.EntryDisabled(entry.ID)
	}
	var err error
	if t.credential, t.authorized, err = s.Vault.Credential(ctx, entry.Tenant, entry.ID); err != nil {
		return nil, err
	}
	if !t.authorized && !t.adapter.Descriptor().OwnGrant { // nobody has to consent to such a one: its first token is asked for
		return nil, vault.NotAuthorized(entry.ID)
	}
	if number := t.credential.ClientNumber; number != 0 && number != entry.ClientNumber() {
		return nil, errMoved // the token is one client's and the certificate another's
	}
	if err := s.withClient(ctx, t); err != nil {
		return nil, err
	}
	return t, s.unseal(ctx, t)
}

// withClient looks at who calls, where that matters: whose limits the calls count for, and what they take besides a token.
func (s *Service) withClient(ctx context.Context, t *target) (err error) {
	d := t.adapter.Descriptor()
	if d.ReadsNeedSecrets() {
		if t.secrets, err = s.secrets.OfReads(ctx, s.Vault, t.entry, d.UsesApp(t.entry)); err != nil {
			return err
		}
	}
	if d.Concurrent == 0 && d.Rate == 0 {
		return nil
	}
	id := t.entry.Settings[d.ClientID]
	if d.UsesApp(t.entry) {
		app, _, err := s.Vault.App(ctx, t.entry.Tenant, t.entry.Provider, t.entry.APIEnvironment)
		if err != nil {
			return err
		}
		id = app.Fields[d.ClientID]
	}
	t.client = d.Name + "#" + digestOf(id)
	return nil
}

// session is on whose behalf a target's calls are made.
func (t *target) session() provider.Session {
	return provider.Session{Target: t.asTarget(), Access: t.access, Secrets: t.secrets}
}

// unseal opens the access token, if there is one worth having.
func (s *Service) unseal(ctx context.Context, t *target) error {
	if t.credential.Status == record.Reauth && t.credential.Cause != record.RotationUnknown {
		return vault.Reauthorize(t.credential)
	}
	if !s.Now().Before(t.credential.Expires) {
		return nil
	}
	set, err := s.Vault.OpenTokens(ctx, t.credential)
	if err != nil {
		return keysUnavailable(err)
	}
	t.access = set.Access
	return nil
}

func keysUnavailable(cause error) *fault.Error {
	if fault.IsNewer(cause) {
		return fault.As(cause)
	}
	return fault.Wrap(cause, fault.Unavailable, "store_unavailable", "The vault's keys cannot be read now.").
		Do("Try again in a moment.").After(2 * time.Second)
}

// alive returns t with an access token that lives. One with little life left is used, and its successor is asked for
// in the background; a dead one is replaced first, and everybody who needs it waits for the same call.
func (s *Service) alive(ctx context.Context, t *target) (*target, error) {
	left := t.credential.Expires.Sub(s.Now())
	if !t.access.IsZero() && left > 0 {
		if left <= min(s.MaxMargin, t.credential.Lifetime/5) && t.credential.Status == record.Active {
			s.nudge(ctx, t)
		}
		return t, nil
	}
	return s.renewed(ctx, t, tokens.Call{Op: tokens.Refresh, Tenant: t.entry.Tenant, Entry: t.entry.ID})
}

// current returns t, or what it has become when it has grown too old on its way here and its client may have been replaced: a
// read that was held up must not come with the certificate before.
func (s *Service) current(ctx context.Context, t *target) (*target, error) {
	if t.credential.ClientNumber == 0 || s.Now().Sub(t.fetched) < remember {
		return t, nil
	}
	t, err := s.again(ctx, t)
	if err != nil {
		return nil, err
	}
	return s.alive(ctx, t)
}

// renewed asks the token service and looks again.
func (s *Service) renewed(ctx context.Context, t *target, call tokens.Call) (*target, error) {
	answer, err := s.Tokens(ctx, call)
	if err != nil {
		return nil, err
	}
	fresh, err := s.again(ctx, t)
	if err != nil {
		return nil, err
	}
	stale := call.FailedGeneration != 0 && fresh.credential.Generation == call.FailedGeneration
	if fresh.access.IsZero() || stale || !s.Now().Before(fresh.credential.Expires) {
		if err := answer.Err(); err != nil {
			return nil, err
		}
		return nil, fault.New(fault.Unavailable, "provider_unavailable", "There is no living access token.").
			Do("Try again in a moment.").After(2 * time.Second)
	}
	return fresh, nil
}

// again reads a target past the cache.
func (s *Service) again(ctx context.Context, t *target) (*target, error) {
	key := t.entry.Tenant + "/" + t.connector.ID
	if t.connector.ID == "" { // a check looks at an entry without a connector
		entry, err := s.Vault.Entry(ctx, t.entry.Tenant, t.entry.ID)
		if err != nil {
			return nil, err
		}
		return s.loadEntry(ctx, entry)
	}
	s.targets.drop(key)
	s.flight.Forget(key) // a look that began earlier may have seen what is being replaced
	return s.target(ctx, t.entry.Tenant, t.connector.ID)
}

// nudge asks for a fresh token without waiting. Many readers of one entry ask once.
func (s *Service) nudge(ctx context.Context, t *target) {
	if s.Nudge == nil || !s.noted.first("nudge", t) {
		return
	}
	call := tokens.Call{Op: tokens.Refresh, Tenant: t.entry.Tenant, Entry: t.entry.ID}
	if err := s.Nudge(context.WithoutCancel(ctx), call); err != nil {
		s.noted.forget("nudge", t)
		s.Logger.WarnContext(ctx, "a refresh could not be asked for", "tenant", t.entry.Tenant, "entry", t.entry.ID, "error", err.Error())
	}
}

// noteUse tells the schedule, once a token set, that the entry is read.
func (s *Service) noteUse(ctx context.Context, t *target) {
	if !s.noted.first("use", t) {
		return
	}
	if err := s.Vault.NoteUse(ctx, t.entry.Tenant, t.entry.ID, t.credential.Generation); err != nil {
		s.noted.forget("use", t)
		s.Logger.WarnContext(ctx, "the use of an entry was not noted", "tenant", t.entry.Tenant, "entry", t.entry.ID, "error", err.Error())
	}
}

// noted remembers for which token set of an entry something was done that is done once a set.
type noted struct {
	mu   sync.Mutex
	last map[string]int64 // what and entry → generation; guarded by mu
}

func (n *noted) first(what string, t *target) bool {
	key := what + "/" + t.entry.Tenant + "/" + t.entry.ID
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.last == nil || len(n.last) > 2*maxTargets {
		n.last = map[string]int64{}
	}
	if n.last[key] == t.credential.Generation {
		return false
	}
	n.last[key] = t.credential.Generation
	return true
}

func (n *noted) forget(what string, t *target) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.last, what+"/"+t.entry.Tenant+"/"+t.entry.ID)
}

// resource finds what a connector may read by name.
func (t *target) resource(name string) (resource.Resource, error) {
	d := t.adapter.Descriptor()
	res, ok := d.Resource(name)
	if !ok {
		return res, fault.New(fault.NotFound, "unknown_resource", fmt.Sprintf("%s has no resource %q.", d.Title, clip(name))).
			Do("See GET /v1/providers/" + d.Name + " for what can be read.")
	}
	if allowed := t.connector.Settings["resources"]; len(allowed) > 0 && !slices.Contains(allowed, res.Name) {
		return res, fault.New(fault.Forbidden, "forbidden", fmt.Sprintf("This connector is not for %s.", name)).
			Do("Use one of: " + strings.Join(allowed, ", ") + ", or another connector.")
	}
	return res, t.serves(res)
}

// serves refuses what the provider has for another type of account only.
func (t *target) serves(res resource.Resource) error {
	kind := t.entry.Settings["account_type"]
	for _, op := range []*resource.Operation{res.List, res.Item, res.Create} {
		if op == nil || len(op.Accounts) == 0 || slices.Contains(op.Accounts, kind) {
			continue
		}
		return fault.New(fault.NotFound, "unknown_resource", fmt.Sprintf("%s is for accounts of type %s; this one is of type %s.",
			res.Name, strings.Join(op.Accounts, " or "), kind)).Do("Use a connector of such an account.")
	}
	return nil
}

func (t *target) resolver(now time.Time) func(string) []string {
	return func(name string) []string { return t.reader.Resolve(name, t.asTarget(), now) }
}

func (t *target) asTarget() provider.Target {
	out := provider.Target{Entry: t.entry, Connector: t.connector}
	if t.credential.Account != nil {
		out.Account = *t.credential.Account
	}
	return out
}
