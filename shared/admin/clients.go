package admin

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"connectorvault/shared/fault"
	"connectorvault/shared/provider"
	"connectorvault/shared/record"
	"connectorvault/shared/tokens"
	"connectorvault/shared/vault"
)

// A client that an entry brings along ends some day, with its certificate or its project. Its successor is brought beside it,
// tried, and then put in force: at no moment is the entry without a client that works.

// AddClient brings a client to stand beside an entry's own, and tries it. One that waited there before makes room. What the
// provider refuses is not kept; what it could not judge now is, and TriedAt says so. A repeat under the same idempotency
// key returns the client of the first time.
func (s *Service) AddClient(ctx context.Context, p record.Principal, id, key string, in Fields) (record.Successor, error) {
	repeat, err := vault.NewOnce(p, key, "POST /v1/vault-entries/"+id+"/credentials", in)
	if err != nil {
		return record.Successor{}, err
	}
	entry, adapter, err := s.clientsOwner(ctx, p, id)
	if err != nil {
		return record.Successor{}, err
	}
	if number, err := s.Vault.Earlier(ctx, p.Tenant, repeat); err != nil || number != "" {
		if err == nil && (entry.Successor == nil || fmt.Sprint(entry.Successor.Number) != number) {
			err = fault.New(fault.Gone, "gone", "What this request added is not waiting any more.").Do("See the entry's credentials.")
		}
		if err != nil {
			return record.Successor{}, err
		}
		return *entry.Successor, nil
	}
	after, secrets, err := s.withSuccessor(p, entry, adapter, in)
	if err != nil {
		return record.Successor{}, err
	}
	next := *after.Successor
	waiting := after
	waiting.Secrets = next.Secrets
	if err := s.putSecrets(ctx, waiting, secrets); err != nil {
		return next, err
	}
	stored, err := s.Vault.UpdateEntryOnce(ctx, entry, after, repeat, fmt.Sprint(next.Number))
	if err != nil {
		if fault.KindOf(err) == fault.Conflict { // nothing was stored
			s.dropSecrets(ctx, entry, next.Secrets)
		}
		return next, err
	}
	tried, err := s.try(ctx, stored)
	if err != nil { // what waited before waits again
		return next, errors.Join(err, s.putBack(ctx, stored, entry.Successor), s.Vault.GiveUp(ctx, p.Tenant, repeat))
	}
	if entry.Successor != nil {
		s.dropSecrets(ctx, entry, entry.Successor.Secrets)
	}
	return tried, nil
}

// putBack takes a client that waits away, and lets the one wait that it took the place of; nil: none.
func (s *Service) putBack(ctx context.Context, entry record.Entry, displaced *record.Successor) error {
	number := entry.Successor.Number
	for try := 0; ; try++ {
		now, err := s.Vault.Entry(ctx, entry.Tenant, entry.ID)
		if err != nil || now.Successor == nil || now.Successor.Number != number {
			return err // somebody else has taken it away, or put it in force
		}
		after := now
		after.Successor, after.UpdatedAt = displaced, s.Now().UTC()
		_, err = s.Vault.UpdateEntry(ctx, now, after)
		if err == nil {
			s.dropSecrets(ctx, now, now.Successor.Secrets)
		}
		if fault.CodeOf(err) != "changed_meanwhile" || try == 4 {
			return err
		}
	}
}

// try asks the token service whether an entry's successor works, and notes what it may read. An error says that the provider
// refuses it; where the provider cannot say, promoting it tries it again.
func (s *Service) try(ctx context.Context, entry record.Entry) (record.Successor, error) {
	next := *entry.Successor
	answer, err := s.Tokens(ctx, tokens.Call{Op: tokens.Try, Tenant: entry.Tenant, Entry: entry.ID, Client: next.Number})
	if err == nil {
		err = answer.Err()
	}
	if err != nil && passing(err) {
		return next, nil
	}
	if err != nil {
		return next, refusedClient(err)
	}
	next.Reads, next.TriedAt = answer.Reads, s.Now().UTC()
	tried := entry
	tried.Successor = &next
	if _, err := s.Vault.UpdateEntry(ctx, entry, tried); err != nil && fault.CodeOf(err) != "changed_meanwhile" {
		return next, err
	}
	return next, nil // whoever changed the entry meanwhile did not change what the try showed
}

// refusedClient is what a provider says of a client that was just given: that is about what the request brought.
func refusedClient(err error) error {
	problem := *fault.As(err)
	if problem.Kind != fault.Misconfigured {
		return &problem
	}
	problem.Kind = fault.Invalid
	if problem.Code == "client_misconfigured" { // which is said of an application otherwise
		problem.Detail = "The provider does not take this client: its id, its secret and its certificate are not of one project that lives."
		problem.Action = "Bring them as the provider's download has them; check country and api_environment, and that the project has not ended."
	}
	return &problem
}

// withSuccessor is an entry with another client beside its own, everything about it checked.
func (s *Service) withSuccessor(p record.Principal, entry record.Entry, adapter provider.Adapter, in Fields) (record.Entry, secretValues, error) {
	in, err := imported(adapter, in)
	if err != nil {
		return entry, nil, err
	}
	d := clientFields(adapter.Descriptor())
	if err := in.unknown(names(d.Fields)); err != nil {
		return entry, nil, err
	}
	// The client is built as a new entry's would be, and held against the same rules.
	bare := entry
	bare.Settings, bare.Secrets, bare.Material, bare.Flags = map[string]string{}, nil, nil, nil
	for name, value := range entry.Settings {
		if !slices.ContainsFunc(d.Fields, func(f provider.Field) bool { return f.Name == name }) {
			bare.Settings[name] = value
		}
	}
	if err := s.edit(&bare, adapter, in); err != nil {
		return entry, nil, err
	}
	secrets, err := s.editSecrets(&bare, d, in)
	if err != nil {
		return entry, nil, err
	}
	if err := adapter.Normalize(&bare); err != nil {
		return entry, nil, err
	}
	if checker, ok := adapter.(provider.Checker); ok {
		if bare.Material, err = s.checkSecrets(bare, checker, secrets); err != nil {
			return entry, nil, err
		}
	}
	after := entry
	after.Clients = max(1, entry.Clients) + 1
	after.Successor = &record.Successor{Number: after.Clients, Settings: map[string]string{}, Secrets: bare.Secrets, Material: bare.Material,
		AddedBy: p.ID, AddedAt: s.Now().UTC()}
	for _, f := range d.Fields {
		if !f.Secret {
			after.Successor.Settings[f.Name] = bare.Settings[f.Name]
		}
	}
	return after, secrets, nil
}

// clientFields is a descriptor with no fields but those of a client.
func clientFields(d *provider.Descriptor) *provider.Descriptor {
	only := *d
	only.Fields = slices.DeleteFunc(slices.Clone(d.Fields), func(f provider.Field) bool { return !f.Client })
	return &only
}

// PromoteClient puts the client that waits beside an entry's own in force. A repeat is no error.
func (s *Service) PromoteClient(ctx context.Context, p record.Principal, id string, number int64) error {
	if _, _, err := s.clientsOwner(ctx, p, id); err != nil {
		return err
	}
	answer, err := s.Tokens(ctx, tokens.Call{Op: tokens.Promote, Tenant: p.Tenant, Entry: id, Client: number})
	if err == nil {
		err = answer.Err()
	}
	return err
}

// RemoveClient removes the client that waits beside an entry's own.
func (s *Service) RemoveClient(ctx context.Context, p record.Principal, id string, number int64) error {
	for try := 0; ; try++ {
		entry, _, err := s.clientsOwner(ctx, p, id)
		if err != nil {
			return err
		}
		if entry.ClientNumber() == number {
			return fault.New(fault.Conflict, "credential_in_force", "This is the client that the vault entry uses.").
				Do("Put another one in force first, or delete the vault entry.")
		}
		if entry.Successor == nil || entry.Successor.Number != number {
			return vault.NotFound("credential", fmt.Sprint(number))
		}
		after := entry
		after.Successor, after.UpdatedAt = nil, s.Now().UTC()
		_, err = s.Vault.UpdateEntry(ctx, entry, after)
		if err == nil {
			s.dropSecrets(ctx, entry, entry.Successor.Secrets)
		}
		if fault.CodeOf(err) != "changed_meanwhile" || try == 4 {
			return err
		}
	}
}

// clientsOwner reads an entry that brings its own client along.
func (s *Service) clientsOwner(ctx context.Context, p record.Principal, id string) (record.Entry, provider.Adapter, error) {
	entry, err := s.Vault.Entry(ctx, p.Tenant, id)
	if err != nil {
		return entry, nil, err
	}
	adapter, err := s.Adapter(entry.Provider)
	if err != nil {
		return entry, nil, err
	}
	if err := mayTouch(p, adapter.Descriptor()); err != nil {
		return entry, nil, err
	}
	if d := adapter.Descriptor(); !d.OwnGrant {
		return entry, nil, fault.New(fault.Conflict, "no_credentials", "A vault entry of "+d.Title+" has no client that is replaced beside another.").
			Do("Change its fields with PATCH /v1/vault-entries/" + id + ".")
	}
	return entry, adapter, nil
}

// ofClient refuses a change of one part of a client: its parts are of use together, and another client is tried before it is
// in force.
func ofClient(id string, d *provider.Descriptor, in Fields) error {
	if !d.OwnGrant {
		return nil
	}
	for _, f := range d.Fields {
		if _, said := in[f.Name]; said && f.Client && (f.Secret || f.Name == d.ClientID) {
			return fault.New(fault.Conflict, "credential_in_force", f.Name+" is part of the client in force, which is replaced as a whole.").On(f.Name).
				Do("Add the new client with POST /v1/vault-entries/" + id + "/credentials, and promote it.")
		}
	}
	if _, said := in[memberDownload]; said {
		return fault.New(fault.Conflict, "credential_in_force", "A vault entry's client is replaced as a whole, and tried before.").On(memberDownload).
			Do("Send the download to POST /v1/vault-entries/" + id + "/credentials, and promote what it adds.")
	}
	return nil
}

// passing reports whether a failure says nothing of what was tried.
func passing(err error) bool {
	switch fault.KindOf(err) {
	case fault.Unavailable, fault.RateLimited, fault.Internal:
		return true
	default:
		return false
	}
}
