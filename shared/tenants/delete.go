package tenants

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"connectorvault/shared/fault"
	"connectorvault/shared/ident"
	"connectorvault/shared/record"
	"connectorvault/shared/store"
	"connectorvault/shared/tokens"
	"connectorvault/shared/vault"
)

// atOnce is how many entries are forgotten at the same time: few enough to leave the token service to others.
const atOnce = 8

// Verify walks a tenant's audit chains. earlier are the heads that a verification before printed; nil is none. A tenant of
// which nothing is there any more, and something was then, is verified too: that is what it is for.
func (s *Service) Verify(ctx context.Context, id string, earlier []vault.HeadNote) (vault.AuditReport, error) {
	malformed := slices.ContainsFunc(earlier, func(note vault.HeadNote) bool { return !note.WellFormed() })
	if malformed || earlier != nil && len(earlier) == 0 {
		return vault.AuditReport{}, fault.New(fault.Invalid, "invalid_field", "These are not the heads that a verification printed.").On("earlier").
			Do("Give the heads as they were printed, or leave them out.")
	}
	tenant, err := s.tenant(ctx, id)
	var unreadable *store.Unreadable
	switch {
	case errors.As(err, &unreadable), fault.KindOf(err) == fault.NotFound && ident.Valid(id, ident.Tenant) && len(earlier) > 0:
	case err != nil:
		return vault.AuditReport{}, err
	case tenant.Closed():
		return vault.AuditReport{}, vault.TenantClosed(id)
	}
	return s.Vault.VerifyAudit(ctx, id, earlier)
}

// maxLeft bounds how far what remains is counted.
const maxLeft = 20_000

// Deletion says how far the deletion of a tenant has come.
type Deletion struct {
	Tenant  record.Tenant
	Removed Removed // by this invocation
	Left    int     // items and secrets that were still there at its end
	Problem error   // the first thing that could not be done and will be tried again; nil = none
	Until   time.Time
	Held    []Held
}

// Removed counts what one invocation removed.
type Removed struct {
	Connectors int `json:"connectors"`
	Entries    int `json:"vault_entries"`
	Records    int `json:"records"` // applications, keys, events, authorization requests, notes
	Secrets    int `json:"secrets"`
}

// Held is what is still there of a deleted tenant.
type Held struct {
	What  string    `json:"what"`
	Until time.Time `json:"until,omitzero"` // zero = for good, or as Why says
	Why   string    `json:"why"`
}

// Delete deletes a tenant with everything it has, or goes on with it, for as long as one invocation may. It can be asked
// at any time and as often as one likes; at once gives up telling providers, and destroys the keyring before anything else.
func (s *Service) Delete(ctx context.Context, id string, atOnce bool) (Deletion, error) {
	tenant, err := s.close(ctx, id, atOnce)
	if err != nil {
		return Deletion{}, err
	}
	return s.goOn(ctx, tenant, s.Now().Add(s.Budget))
}

// Finish goes on with every deletion that was begun. The schedule calls it, so that a deletion ends whether or not
// anybody asks again.
func (s *Service) Finish(ctx context.Context) ([]Deletion, error) {
	var out []Deletion
	var problems []error
	stop := s.Now().Add(s.Budget)
	for after := ""; ; {
		page, err := s.Vault.Tenants(ctx, after, listPage, func(line vault.Listed) bool { return line.Closing })
		if err != nil {
			return out, err
		}
		for _, line := range page.Items {
			if !s.Now().Before(stop) {
				return out, errors.Join(problems...)
			}
			tenant, err := s.tenant(ctx, line.ID)
			var d Deletion
			if err == nil {
				d, err = s.goOn(ctx, tenant, stop)
			}
			if err == nil {
				out, err = append(out, d), d.Problem
			}
			problems = append(problems, err)
		}
		if after = page.Next; after == "" {
			return out, errors.Join(problems...)
		}
	}
}

// close marks the tenant: from this one write on nobody is let in with its keys, and nothing is refreshed for it.
func (s *Service) close(ctx context.Context, id string, atOnce bool) (record.Tenant, error) {
	for try := 0; ; try++ {
		tenant, err := s.tenant(ctx, id)
		if err != nil {
			return tenant, err
		}
		now := s.Now().UTC()
		after := tenant
		if !tenant.Closed() {
			after.ClosedAt, after.RevokeUntil = now, now.Add(s.Revocation)
		}
		if atOnce && now.Before(after.RevokeUntil) {
			after.RevokeUntil = now
		}
		if after == tenant {
			return tenant, nil
		}
		tenant, err = s.Vault.UpdateTenant(ctx, tenant, after)
		if err == nil {
			s.Logger.InfoContext(ctx, "a tenant is being deleted", "tenant", id, "at_once", atOnce)
			return tenant, nil
		}
		if fault.CodeOf(err) != "changed_meanwhile" || try == 4 {
			return tenant, err
		}
	}
}

// goOn takes a deletion as far as it comes before stop. What cannot be done is noted and left for the next time, and keeps
// nothing else from being done.
func (s *Service) goOn(ctx context.Context, tenant record.Tenant, stop time.Time) (Deletion, error) {
	d := Deletion{Tenant: tenant}
	if !tenant.DeletedAt.IsZero() {
		d.Held = s.held(tenant)
		return d, nil
	}
	w := &work{Service: s, deletion: &d, stop: stop}
	// The time for telling providers is over: nothing of the tenant opens from here on, whatever else has to wait.
	if !s.Now().Before(tenant.RevokeUntil) {
		w.destroy(ctx)
	}
	w.connectors(ctx)
	if w.entries(ctx) {
		w.destroy(ctx)
		w.applications(ctx)
		w.rest(ctx)
		w.secrets(ctx)
	}
	left, err := s.Vault.Left(ctx, tenant.ID, maxLeft)
	if err != nil {
		return d, err
	}
	d.Left += left
	w.end(ctx)
	d.Held = s.held(d.Tenant)
	s.Logger.InfoContext(ctx, "a deletion went on", "tenant", tenant.ID, "connectors", d.Removed.Connectors, "entries", d.Removed.Entries,
		"records", d.Removed.Records, "secrets", d.Removed.Secrets, "left", d.Left, "deleted", !d.Tenant.DeletedAt.IsZero())
	return d, nil
}

// work is one invocation's part of a deletion.
type work struct {
	*Service
	deletion *Deletion
	stop     time.Time

	mu sync.Mutex // guards what entries count together
}

func (w *work) id() string { return w.deletion.Tenant.ID }

func (w *work) timeIsUp(ctx context.Context) bool { return ctx.Err() != nil || !w.Now().Before(w.stop) }

func (w *work) failed(ctx context.Context, what string, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.deletion.Problem == nil {
		w.deletion.Problem = err
	}
	w.Logger.WarnContext(ctx, "a part of a deletion has to wait", "tenant", w.id(), "part", what, "error", err.Error())
}

// destroy destroys the keyring, and then notes that it is gone. Dying in between repeats the first.
func (w *work) destroy(ctx context.Context) {
	if !w.deletion.Tenant.DestroyedAt.IsZero() {
		return
	}
	if err := w.Keyring.Destroy(ctx, w.id()); err != nil {
		w.failed(ctx, "keyring", err)
		return
	}
	after := w.deletion.Tenant
	after.DestroyedAt = w.Now().UTC()
	tenant, err := w.Vault.UpdateTenant(ctx, w.deletion.Tenant, after)
	if err != nil {
		w.failed(ctx, "keyring", err) // another invocation is at it too; it is destroyed in any case
		return
	}
	w.deletion.Tenant = tenant
	w.Logger.InfoContext(ctx, "a keyring is destroyed", "tenant", w.id())
}

// connectors removes the tenant's connectors, which keep its entries from being forgotten.
func (w *work) connectors(ctx context.Context) {
	for after := ""; !w.timeIsUp(ctx); {
		page, err := w.Vault.Connectors(ctx, w.id(), after, 100, func(record.Connector) bool { return true })
		if err != nil {
			w.failed(ctx, "connectors", err)
			return
		}
		w.together(ctx, len(page.Items), func(ctx context.Context, i int) error {
			if err := w.Vault.DeleteConnector(ctx, page.Items[i]); err != nil {
				return err
			}
			w.count(&w.deletion.Removed.Connectors, 1)
			return nil
		})
		if after = page.Next; after == "" {
			return
		}
	}
}

// entries has the token service forget every entry: it removes an entry together with its tokens, and tells its provider
// as long as the keyring opens them. none reports that there are no more.
func (w *work) entries(ctx context.Context) (none bool) {
	none = true
	for after := ""; ; {
		page, err := w.Vault.Entries(ctx, w.id(), after, 100, func(record.Entry) bool { return true })
		if err != nil {
			w.failed(ctx, "entries", err)
			return false
		}
		if len(page.Items) > 0 && w.timeIsUp(ctx) {
			return false
		}
		before := w.deletion.Removed.Entries
		w.together(ctx, len(page.Items), func(ctx context.Context, i int) error { return w.forget(ctx, page.Items[i].ID) })
		none = none && w.deletion.Removed.Entries-before == len(page.Items)
		if after = page.Next; after == "" {
			return none
		}
	}
}

// forget removes an entry. Its notes go first: they lie under its id, which nobody knows once it is gone.
func (w *work) forget(ctx context.Context, entry string) error {
	if err := w.Vault.RemoveNotes(ctx, w.id(), entry); err != nil {
		return err
	}
	_, err := w.Tokens(ctx, tokens.Call{Op: tokens.Forget, Tenant: w.id(), Entry: entry})
	if err != nil && fault.KindOf(err) != fault.NotFound { // gone: somebody was faster
		return err
	}
	w.count(&w.deletion.Removed.Entries, 1)
	return nil
}

// together does n things, some at a time, until the time is up. One that fails keeps no other from being done.
func (w *work) together(ctx context.Context, n int, do func(ctx context.Context, i int) error) {
	var group errgroup.Group
	group.SetLimit(atOnce)
	for i := range n {
		if w.timeIsUp(ctx) {
			break
		}
		group.Go(func() error {
			if err := do(ctx, i); err != nil {
				w.failed(ctx, "entries", err)
			}
			return nil
		})
	}
	_ = group.Wait() // nothing returns an error
}

func (w *work) count(what *int, n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	*what += n
}

// applications removes the secrets of provider apps while their records still name them.
func (w *work) applications(ctx context.Context) {
	apps, err := w.Vault.Apps(ctx, w.id())
	if err != nil {
		w.failed(ctx, "applications", err)
		return
	}
	for _, app := range apps {
		name := vault.AppSecret(w.id(), app.Provider, app.APIEnvironment, app.Version)
		names := []string{name}
		if len(app.ReadSecrets) > 0 {
			names = append(names, vault.GroupSecret(name, record.ReadSecrets))
		}
		if app.Previous != nil {
			names = append(names, vault.AppSecret(w.id(), app.Provider, app.APIEnvironment, app.Previous.Version))
		}
		for _, name := range names {
			if err := w.Secrets.DeleteSecret(ctx, name); err != nil {
				w.failed(ctx, "applications", err)
				return
			}
			w.deletion.Removed.Secrets++
		}
		if err := w.Vault.ForgetClient(ctx, app); err != nil {
			w.failed(ctx, "applications", err)
			return
		}
	}
}

// rest removes what lies beside the entries. It is not begun where secrets are still named there.
func (w *work) rest(ctx context.Context) {
	for w.deletion.Problem == nil && !w.timeIsUp(ctx) {
		removed, more, err := w.Vault.RemoveRest(ctx, w.id())
		w.deletion.Removed.Records += removed
		if err != nil {
			w.failed(ctx, "records", err)
		}
		if !more {
			return
		}
	}
}

// secrets removes what no record named: of somebody who died between a secret and its record.
func (w *work) secrets(ctx context.Context) {
	for cursor := ""; ; {
		names, next, err := w.Secrets.ListSecrets(ctx, w.id()+"/", cursor)
		if err != nil {
			w.failed(ctx, "secrets", err)
			return
		}
		for i, name := range names {
			if w.timeIsUp(ctx) {
				w.deletion.Left += len(names) - i
				return
			}
			if err := w.Secrets.DeleteSecret(ctx, name); err != nil {
				w.failed(ctx, "secrets", err)
				return
			}
			w.deletion.Removed.Secrets++
		}
		if cursor = next; cursor == "" {
			return
		}
	}
}

// end ends the deletion once nothing is left and nothing can come any more. What is kept for good is that there was such a
// tenant, without its name, so that no key, and no request that is repeated, ever finds it open.
func (w *work) end(ctx context.Context) {
	d := w.deletion
	settled := d.Tenant.ClosedAt.Add(w.Settle)
	if d.Left > 0 || d.Problem != nil || d.Tenant.DestroyedAt.IsZero() || w.Now().Before(settled) {
		d.Until = settled
		return
	}
	after := d.Tenant
	after.Name, after.FirstKey, after.DeletedAt = "", "", w.Now().UTC()
	tenant, err := w.Vault.UpdateTenant(ctx, d.Tenant, after)
	if err != nil {
		w.failed(ctx, "record", err)
		return
	}
	d.Tenant = tenant
	w.Logger.InfoContext(ctx, "a tenant is deleted", "tenant", w.id())
}

// held lists what outlasts a deletion.
func (s *Service) held(tenant record.Tenant) []Held {
	var out []Held
	last := tenant.DeletedAt
	if last.IsZero() {
		last = s.Now().UTC()
	}
	if s.Recovery > 0 {
		out = append(out, Held{What: "backups of the tables", Until: last.Add(s.Recovery),
			Why: "Point-in-time recovery reaches so far back. Without the keyring no token in them opens; names and settings can be read."})
	}
	return append(out,
		Held{What: "logs", Why: "Lines with the ids of the tenant and its entries stay as long as logs are kept."},
		Held{What: "the tenant's id", Why: "It stays for good, with the times of the deletion, so that nothing finds it open again."})
}
