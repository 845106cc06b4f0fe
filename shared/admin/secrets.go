package admin

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"connectorvault/shared/fault"
	"connectorvault/shared/ident"
	"connectorvault/shared/provider"
	"connectorvault/shared/record"
	"connectorvault/shared/secret"
	"connectorvault/shared/vault"
)

// secretValues are values of secret fields, by the group that is stored together.
type secretValues map[record.SecretGroup]map[string]secret.Text

func groupOf(f provider.Field) record.SecretGroup {
	if f.Reads {
		return record.ReadSecrets
	}
	return record.ClientSecrets
}

// editSecrets takes over what a request says of an entry's secret fields. The entry then names them, under versions that
// putSecrets stores. This side of the vault writes secrets and reads none, so a group that is changed is given whole.
func (s *Service) editSecrets(e *record.Entry, d *provider.Descriptor, in Fields) (secretValues, error) {
	out := secretValues{}
	for _, f := range d.Fields {
		if _, said := in[f.Name]; !f.Secret || !said {
			continue
		}
		value, err := in.secret(f.Name)
		if err != nil {
			return nil, err
		}
		group := groupOf(f)
		if out[group] == nil {
			out[group] = map[string]secret.Text{}
		}
		if !value.IsZero() {
			out[group][f.Name] = value
		}
	}
	for group, values := range out {
		if err := whole(e.Secrets[group].Fields, values, in); err != nil {
			return nil, err
		}
		if len(values) == 0 {
			delete(e.Secrets, group)
			delete(out, group)
			continue
		}
		version, err := ident.New(s.Random, "v_")
		if err != nil {
			return nil, err
		}
		if e.Secrets == nil {
			e.Secrets = record.SecretGroups{}
		}
		e.Secrets[group] = record.StoredSecret{Version: version, Fields: slices.Sorted(maps.Keys(values))}
	}
	return out, nil
}

// whole refuses a change that would lose a secret which lies in the same group and was not mentioned.
func whole(stored []string, given map[string]secret.Text, in Fields) error {
	for _, name := range stored {
		if _, said := in[name]; !said {
			others := cmp.Or(strings.Join(slices.Sorted(maps.Keys(given)), ", "), "what is to be removed")
			return invalid(name, fmt.Sprintf("%s is kept together with %s.", name, others)).
				Do("Give it too, or null to remove it.")
		}
	}
	return nil
}

// How long a secret may be: one that is typed, and one that is a file's content.
const (
	maxSecret = 4096
	maxFile   = 64 << 10
)

// memberDownload is where a request brings files as the provider hands them out: one, or a list, each as text or as the JSON
// that it holds.
const memberDownload = "download"

// imported takes the files apart that a request brings along. What the request says itself counts for more.
func imported(adapter provider.Adapter, in Fields) (Fields, error) {
	raw, has := in[memberDownload]
	importer, can := adapter.(provider.Importer)
	if !has || !can {
		return in, nil
	}
	files := []json.RawMessage{raw}
	if trimmed := bytes.TrimSpace(raw); len(trimmed) > 0 && trimmed[0] == '[' {
		if err := json.Unmarshal(raw, &files); err != nil {
			return nil, invalid(memberDownload, "The list of files cannot be read.").Do("Send each file as a JSON string, or as the object that it holds.")
		}
	}
	out := maps.Clone(in)
	delete(out, memberDownload)
	for _, file := range files {
		text := string(file)
		_ = json.Unmarshal(file, &text) // an object stays as it is
		fields, err := importer.Import(secret.New(text))
		if err != nil {
			problem := *fault.As(err)
			return nil, problem.On(memberDownload)
		}
		for name, value := range fields {
			if _, said := out[name]; said {
				continue
			}
			quoted, err := json.Marshal(value.Reveal())
			if err != nil {
				return nil, invalid(memberDownload, "A file's content is no text.").Do("Send it as it was downloaded.")
			}
			out[name] = quoted
		}
	}
	return out, nil
}

// secret takes a secret field; the zero Text for null and for nothing but space.
func (f Fields) secret(name string) (secret.Text, error) {
	value, err := f.text(name)
	if err != nil {
		return secret.Text{}, err
	}
	value = strings.TrimSpace(value)
	file := strings.HasPrefix(value, "-----BEGIN ")
	switch {
	case file && len(value) <= maxFile:
		return secret.New(value), nil // its lines are the adapter's to check
	case len(value) > maxSecret:
		return secret.Text{}, invalid(name, name+" is longer than any such value.").Do("Check what was pasted.")
	case strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return secret.Text{}, invalid(name, name+" has characters that do not print.").Do("Paste it without line breaks.")
	default:
		return secret.New(value), nil
	}
}

// putSecrets stores secrets under the versions that the entry names.
func (s *Service) putSecrets(ctx context.Context, e record.Entry, values secretValues) error {
	for _, group := range slices.Sorted(maps.Keys(values)) {
		text, err := vault.Secrets{Version: e.Secrets[group].Version, Fields: values[group]}.Encode()
		if err != nil {
			return err
		}
		name := vault.EntrySecret(e.Tenant, e.ID, e.Secrets[group].Version)
		if err := s.putSecret(ctx, vault.GroupSecret(name, group), text); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) putSecret(ctx context.Context, name string, text secret.Text) error {
	if err := s.Secrets.PutSecret(ctx, name, text); err != nil {
		return fault.Wrap(err, fault.Unavailable, "store_unavailable", "The secret store takes nothing now.").
			Do("Try again in a moment; what was stored before is still in force.").After(2 * time.Second)
	}
	return nil
}

// dropSecrets removes secrets of an entry that no record names, or none any more. What stays behind is found by the search
// for orphans.
func (s *Service) dropSecrets(ctx context.Context, e record.Entry, secrets record.SecretGroups) {
	for group, stored := range secrets {
		_ = s.Secrets.DeleteSecret(ctx, vault.GroupSecret(vault.EntrySecret(e.Tenant, e.ID, stored.Version), group))
	}
}

// without are the groups of a that b has not, or has in another version.
func without(a, b record.SecretGroups) record.SecretGroups {
	out := record.SecretGroups{}
	for group, stored := range a {
		if b[group].Version != stored.Version {
			out[group] = stored
		}
	}
	return out
}
