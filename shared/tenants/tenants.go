// Package tenants makes tenants and their keys, and deletes tenants with everything that they have.
//
// The argument: a key that could make keys would be worth more than all others, and the first one would still have to
// come from somewhere. So tenants and their owners' keys are made by whoever runs the bundle, past the API. Deleting is
// theirs too, and is the one thing here that cannot be taken back: its order, its crash points and what outlasts it are
// argued in docs/tenants.md. Everything can be asked again, after a crash, a lost answer or a timeout, and goes on from
// where it was.
package tenants

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"connectorvault/shared/fault"
	"connectorvault/shared/ident"
	"connectorvault/shared/keyring"
	"connectorvault/shared/record"
	"connectorvault/shared/secret"
	"connectorvault/shared/store"
	"connectorvault/shared/tokens"
	"connectorvault/shared/vault"
)

// Config is what the Service needs. Every duration but Recovery has a default.
type Config struct {
	Vault   *vault.Vault
	Keyring *keyring.Sealer
	Secrets store.Secrets
	Tokens  tokens.Invoke
	Now     func() time.Time
	Random  io.Reader
	Logger  *slog.Logger

	Recovery time.Duration // how far back the tables can be restored; 0 = not at all

	Budget     time.Duration // how long one invocation works on deletions before it says what remains; 40 s
	Revocation time.Duration // how long a deletion waits for providers to be told before it destroys the keyring; 15 min
	Settle     time.Duration // how long after the beginning of a deletion something may still be written; 20 min
}

// Service carries out what an operator asks. It is safe for concurrent use.
type Service struct{ Config }

// New returns a Service, with defaults filled in.
func New(cfg Config) *Service {
	defaults := func(d *time.Duration, value time.Duration) {
		if *d == 0 {
			*d = value
		}
	}
	defaults(&cfg.Budget, 40*time.Second)
	defaults(&cfg.Revocation, 15*time.Minute)
	// The gateway's answer about a key lives a minute, a function another; a secret is listed after minutes, and a cached
	// keyring lives twice its life where the secret store is silent, which is the longest of these.
	defaults(&cfg.Settle, 2*keyring.Life)
	return &Service{Config: cfg}
}

// repeatable is how long a request to make a tenant is recognised.
const repeatable = 24 * time.Hour

// firstKey labels the key that a tenant is made with.
const firstKey = "first key"

// NewTenant asks for a tenant.
type NewTenant struct {
	Name         string
	PersonalData bool   // its key may ask for personal data
	Request      string // names this request, so that a repeat makes no second tenant; "" = each makes one
}

// Made is a tenant, or a key of one, with the key's text, which cannot be had again.
type Made struct {
	Tenant string
	KeyID  string
	Key    secret.Text
}

// Create makes a tenant with its keyring and an owner's key.
//
// A request that names itself is recognised by its repeat for a day: the tenant's id is made of the name, so there is
// never a second one. The key's text is kept nowhere and cannot be given again, and whether the first answer arrived
// nobody knows; so the repeat mints a new key and ends the one before. Who got both answers uses the later one.
//
// The record comes first: what is left by a process that dies after it is a tenant that the list shows and that nobody
// has a key of, and not a keyring that nobody finds.
func (s *Service) Create(ctx context.Context, in NewTenant) (Made, error) {
	in.Name = strings.TrimSpace(in.Name)
	if err := errors.Join(checkText("name", in.Name), checkRequest(in.Request)); err != nil {
		return Made{}, err
	}
	id, err := s.identify(in.Request)
	if err != nil {
		return Made{}, err
	}
	asked := secret.New(in.Name + "\n" + strconv.FormatBool(in.PersonalData)).Fingerprint()
	tenant, err := s.Vault.Tenant(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		// The keyring comes first: what is told of the record takes a key of it.
		if err := s.Keyring.Create(ctx, id); err != nil {
			return Made{}, err
		}
		if err := s.Vault.CreateTenant(ctx, record.Tenant{ID: id, Name: in.Name, CreatedAt: s.Now().UTC(), Request: asked}); err != nil {
			return Made{}, err
		}
		tenant, err = s.Vault.Tenant(ctx, id)
	}
	switch {
	case err != nil:
		return Made{}, err
	case tenant.Closed():
		return Made{}, vault.TenantClosed(id)
	case tenant.Request != asked:
		return Made{}, fault.New(fault.Conflict, "request_reused", "This request made another tenant, "+id+".").On("request").
			Do("Name each request differently; a random identifier does.")
	case s.Now().Sub(tenant.CreatedAt) >= repeatable:
		return Made{}, fault.New(fault.Conflict, "tenant_exists", "This request made the tenant "+id+" more than a day ago.").On("request").
			Do("For another key of it: mint_key.")
	}
	key, text, err := s.Vault.CreateKey(ctx, record.APIKey{Tenant: id, Role: record.Owner, Label: firstKey, PersonalData: in.PersonalData})
	if err != nil {
		return Made{}, err
	}
	if tenant.FirstKey != "" {
		if err := s.Vault.RevokeKey(ctx, id, tenant.FirstKey); err != nil {
			return Made{}, err
		}
	}
	after := tenant
	after.FirstKey = key.ID
	if _, err := s.Vault.UpdateTenant(ctx, tenant, after); err != nil {
		// Somebody else repeats it at the same time: one of the two keys would be one too many.
		return Made{}, errors.Join(err, s.Vault.RevokeKey(ctx, id, key.ID))
	}
	s.Logger.InfoContext(ctx, "a tenant has a first key", "tenant", id, "key", key.ID, "personal_data", in.PersonalData)
	return Made{Tenant: id, KeyID: key.ID, Key: text}, nil
}

// identify makes a tenant's id: of the request where that names itself.
func (s *Service) identify(request string) (string, error) {
	if request == "" {
		return ident.New(s.Random, ident.Tenant)
	}
	sum := sha256.Sum256([]byte("tenant\n" + request))
	return ident.New(bytes.NewReader(sum[:]), ident.Tenant)
}

func checkText(field, text string) error {
	if text == "" || utf8.RuneCountInString(text) > 200 || !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
		return fault.New(fault.Invalid, "invalid_field", "The "+field+" is not 1 to 200 characters of one line.").On(field).
			Do("Give a shorter " + field + ", without line breaks.")
	}
	return nil
}

func checkRequest(request string) error {
	if len(request) > 200 || strings.ContainsFunc(request, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return fault.New(fault.Invalid, "invalid_field", "The request's name is not 1 to 200 printable characters.").On("request").
			Do("Use a random identifier.")
	}
	return nil
}

// open asks whether a tenant is there and is not being deleted.
func (s *Service) open(ctx context.Context, id string) error {
	tenant, err := s.tenant(ctx, id)
	if err == nil && tenant.Closed() {
		err = vault.TenantClosed(id)
	}
	return err
}

func (s *Service) tenant(ctx context.Context, id string) (record.Tenant, error) {
	if !ident.Valid(id, ident.Tenant) {
		return record.Tenant{}, vault.TenantUnknown(id)
	}
	tenant, err := s.Vault.Tenant(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return tenant, vault.TenantUnknown(id)
	}
	return tenant, err
}

// MintKey makes a further owner's key, for one that was lost.
func (s *Service) MintKey(ctx context.Context, tenant, label string, personal bool) (Made, error) {
	label = strings.TrimSpace(label)
	if label == "" {
		label = "minted by the operator"
	}
	if err := checkText("label", label); err != nil {
		return Made{}, err
	}
	if err := s.open(ctx, tenant); err != nil {
		return Made{}, err
	}
	key, text, err := s.Vault.CreateKey(ctx, record.APIKey{Tenant: tenant, Role: record.Owner, Label: label, PersonalData: personal})
	if err != nil {
		return Made{}, err
	}
	s.Logger.InfoContext(ctx, "an owner's key is minted", "tenant", tenant, "key", key.ID, "personal_data", personal)
	return Made{Tenant: tenant, KeyID: key.ID, Key: text}, nil
}

// RevokeKey ends a key. The gateway may let it in for another minute.
func (s *Service) RevokeKey(ctx context.Context, tenant, key string) error {
	if err := s.open(ctx, tenant); err != nil {
		return err
	}
	if !ident.Valid(key, ident.Key) {
		return vault.NotFound("key", key)
	}
	if _, err := s.Vault.Key(ctx, tenant, key); errors.Is(err, store.ErrNotFound) {
		return vault.NotFound("key", key)
	} else if err != nil {
		return err
	}
	if err := s.Vault.RevokeKey(ctx, tenant, key); err != nil {
		return err
	}
	s.Logger.InfoContext(ctx, "a key is revoked", "tenant", tenant, "key", key)
	return nil
}

// RotateKeyring adds a key to a tenant's keyring, which seals from the time that is returned, when every function has it.
// What older keys sealed still opens.
func (s *Service) RotateKeyring(ctx context.Context, tenant string) (from time.Time, err error) {
	if err := s.open(ctx, tenant); err != nil {
		return from, err
	}
	from = s.Now().Add(2 * keyring.Life).UTC()
	if err := s.Keyring.Rotate(ctx, tenant); err != nil {
		return from, err
	}
	s.Logger.InfoContext(ctx, "a keyring has a new key", "tenant", tenant)
	return from, nil
}

// listPage is how many tenants a page of the list has.
const listPage = 100

// List lists the tenants that are not deleted, after the id of one; next is "" on the last page.
func (s *Service) List(ctx context.Context, after string) (list []record.Tenant, next string, err error) {
	page, err := s.Vault.Tenants(ctx, after, listPage, func(vault.Listed) bool { return true })
	if err != nil {
		return nil, "", err
	}
	for _, line := range page.Items {
		tenant, err := s.Vault.Tenant(ctx, line.ID)
		if err != nil {
			return nil, "", err
		}
		list = append(list, tenant)
	}
	return list, page.Next, nil
}
