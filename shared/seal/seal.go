// Package seal encrypts what the vault keeps, bound to the place where it is kept.
//
// The argument: encryption alone does not stop somebody who can write the table from moving a sealed token to another
// row or putting an older one back. So every seal names its [Binding] as associated data, and opens only under the
// same one. The cipher is AES-256-GCM of the standard library; a tenant's keys come as a [Keyring], and each seal
// names its key, so that a new key can be brought in while the old seals still open.
package seal

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"connectorvault/shared/fault"
	"connectorvault/shared/schema"
	"connectorvault/shared/secret"
)

// Binding says what a sealed value is and where it belongs.
type Binding struct {
	Purpose    string // "tokens", "verifier", "cursor": a value of one purpose never opens as another
	Tenant     string
	Record     string // entry, request or connector id
	Provider   string
	Generation int64 // of a token set; 0 elsewhere
}

// associated encodes the binding without ambiguity: every part carries its length.
func (b Binding) associated() []byte {
	out := []byte("connector-vault/1")
	for _, part := range []string{b.Purpose, b.Tenant, b.Record, b.Provider} {
		out = binary.AppendUvarint(out, uint64(len(part)))
		out = append(out, part...)
	}
	return binary.AppendVarint(out, b.Generation)
}

// Sealer seals and opens under the tenant's keys. Implementations fetch keys, hence the context.
type Sealer interface {
	Seal(ctx context.Context, b Binding, plaintext []byte) ([]byte, error)

	// Open returns ErrSealed when the value was not sealed under this binding, or was changed; fault.Newer when a newer version
	// sealed it.
	Open(ctx context.Context, b Binding, sealed []byte) ([]byte, error)
}

// MACer authenticates what is kept in the clear, under keys that are derived from the tenant's. Implementations fetch keys,
// hence the context.
type MACer interface {
	// MAC returns the code of a message under the named key, or under the one that seals now when keyID is "". used names
	// it. ErrUnknownKey when the keyring does not have it.
	MAC(ctx context.Context, tenant, keyID string, message []byte) (used string, mac []byte, err error)
}

// The errors of opening.
var (
	ErrSealed     = errors.New("the sealed value does not open: it was changed, or belongs elsewhere")
	ErrUnknownKey = errors.New("the sealed value names a key that the keyring does not have")
)

// Key is one AES-256 key of a keyring.
type Key struct {
	ID          string
	PrimaryFrom time.Time // from when new values are sealed under it
	Secret      secret.Text
}

// Keyring is a tenant's keys, oldest first. The newest one whose PrimaryFrom has come seals; all of them open.
type Keyring []Key

// version is the first byte of every sealed value.
const version = 1

// keyBytes is the length of an AES-256 key.
const keyBytes = 32

// NewKey returns a fresh key.
func NewKey(random io.Reader, id string, primaryFrom time.Time) (Key, error) {
	raw := make([]byte, keyBytes)
	if _, err := io.ReadFull(random, raw); err != nil {
		return Key{}, fmt.Errorf("reading randomness for a key: %w", err)
	}
	return Key{ID: id, PrimaryFrom: primaryFrom, Secret: secret.New(base64.StdEncoding.EncodeToString(raw))}, nil
}

// Seal encrypts under the primary key. The result is version, key id and nonce with ciphertext.
func (k Keyring) Seal(now time.Time, b Binding, plaintext []byte) ([]byte, error) {
	key, err := k.primary(now)
	if err != nil {
		return nil, err
	}
	aead, err := key.aead()
	if err != nil {
		return nil, err
	}
	head := append([]byte{version, byte(len(key.ID))}, key.ID...)
	return append(head, aead.Seal(nil, nil, plaintext, b.associated())...), nil
}

// Open decrypts what Seal made under the same binding.
func (k Keyring) Open(b Binding, sealed []byte) ([]byte, error) {
	if len(sealed) > 0 && schema.Seal.Newer(int64(sealed[0])) {
		return nil, fault.Newer(string(schema.Seal), int64(sealed[0]), version)
	}
	if len(sealed) < 2 || sealed[0] != version || len(sealed) < 2+int(sealed[1]) {
		return nil, ErrSealed
	}
	id, body := string(sealed[2:2+sealed[1]]), sealed[2+sealed[1]:]
	for _, key := range k {
		if key.ID != id {
			continue
		}
		aead, err := key.aead()
		if err != nil {
			return nil, err
		}
		plaintext, err := aead.Open(nil, nil, body, b.associated())
		if err != nil {
			return nil, ErrSealed
		}
		return plaintext, nil
	}
	return nil, ErrUnknownKey
}

// MAC authenticates a message under a key derived from the one named, or from the one that seals now when keyID is "". Being
// derived, it says nothing of the key that seals, and lives as long: what an older key authenticated can still be checked.
func (k Keyring) MAC(now time.Time, tenant, keyID string, message []byte) (used string, mac []byte, err error) {
	for _, key := range k {
		if key.ID == keyID {
			mac, err = key.mac(tenant, message)
			return key.ID, mac, err
		}
	}
	if keyID != "" {
		return "", nil, ErrUnknownKey
	}
	key, err := k.primary(now)
	if err != nil {
		return "", nil, err
	}
	mac, err = key.mac(tenant, message)
	return key.ID, mac, err
}

func (k Key) mac(tenant string, message []byte) ([]byte, error) {
	raw, err := base64.StdEncoding.DecodeString(k.Secret.Reveal())
	if err != nil || len(raw) != keyBytes {
		return nil, fmt.Errorf("key %s is not %d bytes of base64", k.ID, keyBytes)
	}
	derived, err := hkdf.Key(sha256.New, raw, nil, "connector-vault/1 audit "+tenant, keyBytes)
	if err != nil {
		return nil, fmt.Errorf("key %s: %w", k.ID, err)
	}
	h := hmac.New(sha256.New, derived)
	h.Write(message)
	return h.Sum(nil), nil
}

func (k Keyring) primary(now time.Time) (Key, error) {
	for i := len(k) - 1; i >= 0; i-- {
		if !now.Before(k[i].PrimaryFrom) {
			return k[i], nil
		}
	}
	if len(k) == 0 {
		return Key{}, errors.New("the keyring is empty")
	}
	return k[0], nil // a clock behind the maker's
}

func (k Key) aead() (cipher.AEAD, error) {
	raw, err := base64.StdEncoding.DecodeString(k.Secret.Reveal())
	if err != nil || len(raw) != keyBytes {
		return nil, fmt.Errorf("key %s is not %d bytes of base64", k.ID, keyBytes)
	}
	block, err := aes.NewCipher(raw)
	if err != nil {
		return nil, fmt.Errorf("key %s: %w", k.ID, err)
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// keyJSON is a key as the secret store keeps it.
type keyJSON struct {
	ID          string    `json:"id"`
	PrimaryFrom time.Time `json:"primary_from"`
	Key         string    `json:"key"`
}

// Encode returns the keyring as the secret store keeps it.
func (k Keyring) Encode() (secret.Text, error) {
	out := make([]keyJSON, len(k))
	for i, key := range k {
		out[i] = keyJSON{ID: key.ID, PrimaryFrom: key.PrimaryFrom, Key: key.Secret.Reveal()}
	}
	b, err := json.Marshal(out)
	if err != nil {
		return secret.Text{}, errors.New("encoding a keyring failed")
	}
	return secret.New(string(b)), nil
}

// Decode reads what Encode made. Its error never quotes the input.
func Decode(text secret.Text) (Keyring, error) {
	var in []keyJSON
	var later struct { // a list has no place for a number, so the form after this one is no list
		Schema int64 `json:"schema"`
	}
	if err := json.Unmarshal([]byte(text.Reveal()), &later); err == nil && schema.Keyring.Newer(later.Schema) {
		return nil, fault.Newer(string(schema.Keyring), later.Schema, schema.Of(schema.Keyring).Reads)
	}
	if err := json.Unmarshal([]byte(text.Reveal()), &in); err != nil || len(in) == 0 {
		return nil, errors.New("the keyring cannot be read")
	}
	out := make(Keyring, len(in))
	for i, key := range in {
		out[i] = Key{ID: key.ID, PrimaryFrom: key.PrimaryFrom, Secret: secret.New(key.Key)}
	}
	return out, nil
}
