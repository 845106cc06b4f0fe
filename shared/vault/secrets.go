package vault

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"time"

	"connectorvault/shared/fault"
	"connectorvault/shared/record"
	"connectorvault/shared/secret"
	"connectorvault/shared/store"
)

// AppSecret is where a version of a provider app's secrets lies. As of an entry's, nothing is ever written there twice: the
// secret before the one in force is a version of its own, and works on beside it for as long as the provider lets it.
func AppSecret(tenant, provider string, env record.APIEnvironment, version string) string {
	return tenant + "/app/" + provider + "/" + string(env) + "/" + version
}

// EntrySecret is where a version of the secrets of an entry of its own lies. Nothing is ever written there twice: a changed
// secret has another name, so that whichever version a record names, it is that one which is read, whoever writes meanwhile.
func EntrySecret(tenant, entry, version string) string {
	return tenant + "/entry/" + entry + "/" + version
}

// GroupSecret is where a group of such secrets lies. What reads need has a name apart, so that a function which reads can
// be given that and nothing else.
func GroupSecret(name string, group record.SecretGroup) string {
	if group != record.ReadSecrets {
		return name
	}
	tenant, rest, _ := strings.Cut(name, "/")
	return tenant + "/read/" + rest
}

// Secrets is what lies there. Version says to which record it belongs: the secret store is eventually consistent,
// and a secret of another version than the record's is one to read again.
type Secrets struct {
	Version string
	Fields  map[string]secret.Text
}

// Fingerprint tells secrets from others, and nothing else of them.
func Fingerprint(fields map[string]secret.Text) (string, error) {
	text, err := Secrets{Fields: fields}.Encode()
	return text.Fingerprint(), err
}

type secretsJSON struct {
	Version string            `json:"version"`
	Fields  map[string]string `json:"fields"`
}

// Encode returns the secrets as the secret store keeps them.
func (s Secrets) Encode() (secret.Text, error) {
	out := secretsJSON{Version: s.Version, Fields: map[string]string{}}
	for name, value := range s.Fields {
		out.Fields[name] = value.Reveal()
	}
	b, err := json.Marshal(out)
	if err != nil {
		return secret.Text{}, errors.New("encoding secrets failed")
	}
	return secret.New(string(b)), nil
}

// DecodeSecrets reads what Encode made. Its error never quotes the input.
func DecodeSecrets(text secret.Text) (Secrets, error) {
	var in secretsJSON
	if err := json.Unmarshal([]byte(text.Reveal()), &in); err != nil {
		return Secrets{}, errors.New("secrets cannot be read")
	}
	out := Secrets{Version: in.Version, Fields: map[string]secret.Text{}}
	for name, value := range in.Fields {
		out.Fields[name] = secret.New(value)
	}
	return out, nil
}

// secretsLife is how long secrets are used without looking again. A changed one has another version, and one that was
// changed behind our back is refused and read again.
const secretsLife = 6 * time.Hour

// maxKept bounds what a SecretReader remembers; when it is full it starts anew.
const maxKept = 4096

// SecretReader reads the secrets of apps and entries, and remembers them. It is safe for concurrent use; the zero value
// lacks its two members.
type SecretReader struct {
	Store store.Secrets
	Now   func() time.Time

	mu   sync.Mutex
	kept map[string]keptSecrets // guarded by mu; by name
}

type keptSecrets struct {
	secrets Secrets
	fetched time.Time
}

// Read returns the secrets of a name, as its record's version has them; found is false when there are none. It reads
// until the version is the record's: the secret store is eventually consistent, and the record was written after the
// secret. again reads even what is remembered: an endpoint has just refused it.
func (r *SecretReader) Read(ctx context.Context, name, version string, again bool) (got Secrets, found bool, err error) {
	if have, ok := r.remembered(name); ok && !again && have.Version == version {
		return have, true, nil
	}
	for try := range 4 {
		if try > 0 {
			if err := pause(ctx, 250*time.Millisecond); err != nil {
				return got, false, err
			}
		}
		text, err := r.Store.GetSecret(ctx, name)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return got, false, fault.Wrap(err, fault.Unavailable, "store_unavailable", "The secret store does not answer now.").
				Do("Try again in a moment.").After(2 * time.Second)
		}
		if got, err = DecodeSecrets(text); err != nil {
			return got, false, err
		}
		if got.Version == version {
			break
		}
	}
	if got.Version == "" {
		return got, false, nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.kept == nil || len(r.kept) >= maxKept {
		r.kept = map[string]keptSecrets{}
	}
	r.kept[name] = keptSecrets{secrets: got, fetched: r.Now()}
	return got, true, nil
}

// OfReads returns the secrets that reads of an entry need: the entry's own, or those of the application that it uses. nil
// when it has none.
func (r *SecretReader) OfReads(ctx context.Context, v *Vault, entry record.Entry, usesApp bool) (map[string]secret.Text, error) {
	version := entry.Secrets[record.ReadSecrets].Version
	name := EntrySecret(entry.Tenant, entry.ID, version)
	if usesApp {
		app, found, err := v.App(ctx, entry.Tenant, entry.Provider, entry.APIEnvironment)
		if err != nil || !found || len(app.ReadSecrets) == 0 {
			return nil, err
		}
		name, version = AppSecret(app.Tenant, app.Provider, app.APIEnvironment, app.Version), app.Version
	}
	if version == "" {
		return nil, nil
	}
	got, found, err := r.Read(ctx, GroupSecret(name, record.ReadSecrets), version, false)
	if err == nil && !found {
		err = SecretMissing(entry.ID)
	}
	return got.Fields, err
}

// SecretMissing says that a record names secrets which are not there: somebody changed it just now, and it is worth
// reading again, or they are lost.
func SecretMissing(entry string) *fault.Error {
	return fault.New(fault.Misconfigured, "client_misconfigured", "The secrets of this vault entry are missing from the secret store.").
		Do("Give them again: PATCH /v1/vault-entries/" + entry + ", or POST …/credentials where the provider gives out clients.")
}

func (r *SecretReader) remembered(name string) (Secrets, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	have, ok := r.kept[name]
	return have.secrets, ok && r.Now().Sub(have.fetched) < secretsLife
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
