package sqlitestore

import (
	"cmp"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"connectorvault/shared/secret"
	"connectorvault/shared/store"
)

// ErrWrongKey says that the master key does not open what the file holds.
var ErrWrongKey = errors.New("the master key is not the one that the store's secrets were sealed with")

const (
	sealVersion   = 1 // the first byte of a sealed value; the rest is nonce, ciphertext and tag
	maxValue      = 64 * 1024
	secretPage    = 100
	keyCheckName  = "\x00key" // no secret's name: it holds a byte that names may not
	keyCheckValue = "connector vault"
)

func newAEAD(key []byte) (cipher.AEAD, error) {
	if len(key) != KeySize {
		return nil, fmt.Errorf("the master key has %d bytes instead of %d", len(key), KeySize)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, errors.New("the master key is not usable")
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("preparing AES-GCM: %w", err)
	}
	return aead, nil
}

// checkKey seals a known value into a new file and opens it in an old one, so that a wrong key is found at once and not
// when the first secret is needed.
func (s *Store) checkKey(ctx context.Context) error {
	if s.aead == nil {
		return nil
	}
	if _, err := s.stmt.secretCreate.ExecContext(ctx, keyCheckName, s.seal(keyCheckName, keyCheckValue)); err != nil {
		return fmt.Errorf("checking the master key: %w", mapped(ctx, err))
	}
	var sealed []byte
	if err := s.stmt.secretGet.QueryRowContext(ctx, keyCheckName).Scan(&sealed); err != nil {
		return fmt.Errorf("checking the master key: %w", mapped(ctx, err))
	}
	if _, err := s.open(keyCheckName, sealed); err != nil {
		return ErrWrongKey
	}
	return nil
}

// seal binds the value to its name: moved to another row, it does not open.
func (s *Store) seal(name, value string) []byte {
	return s.aead.Seal([]byte{sealVersion}, nil, []byte(value), []byte(name))
}

func (s *Store) open(name string, sealed []byte) (string, error) {
	if len(sealed) == 0 || sealed[0] != sealVersion {
		return "", errors.New("the secret was sealed in a form that this program does not know")
	}
	value, err := s.aead.Open(nil, nil, sealed[1:], []byte(name))
	if err != nil { // the key is right, or Open would have refused it
		return "", errors.New("the secret does not open: the file was changed by somebody else")
	}
	return string(value), nil
}

// GetSecret implements [store.Secrets].
func (s *Store) GetSecret(ctx context.Context, name string) (secret.Text, error) {
	if err := s.checkSecret(name); err != nil {
		return secret.Text{}, fmt.Errorf("reading a secret: %w", err)
	}
	var sealed []byte
	err := s.stmt.secretGet.QueryRowContext(ctx, name).Scan(&sealed)
	if errors.Is(err, sql.ErrNoRows) {
		return secret.Text{}, store.ErrNotFound
	}
	if err != nil {
		return secret.Text{}, fmt.Errorf("reading a secret: %w", mapped(ctx, err))
	}
	value, err := s.open(name, sealed)
	if err != nil {
		return secret.Text{}, fmt.Errorf("reading a secret: %w", err)
	}
	return secret.New(value), nil
}

// PutSecret implements [store.Secrets].
func (s *Store) PutSecret(ctx context.Context, name string, value secret.Text) error {
	if err := cmp.Or(s.checkSecret(name), checkValue(value)); err != nil {
		return fmt.Errorf("writing a secret: %w", err)
	}
	if _, err := s.stmt.secretPut.ExecContext(ctx, name, s.seal(name, value.Reveal())); err != nil {
		return fmt.Errorf("writing a secret: %w", mapped(ctx, err))
	}
	return nil
}

// CreateSecret implements [store.Secrets].
func (s *Store) CreateSecret(ctx context.Context, name string, value secret.Text) (exists bool, err error) {
	if err := cmp.Or(s.checkSecret(name), checkValue(value)); err != nil {
		return false, fmt.Errorf("making a secret: %w", err)
	}
	result, err := s.stmt.secretCreate.ExecContext(ctx, name, s.seal(name, value.Reveal()))
	if err != nil {
		return false, fmt.Errorf("making a secret: %w", mapped(ctx, err))
	}
	made, err := result.RowsAffected()
	if err != nil {
		return false, fmt.Errorf("making a secret: %w", err)
	}
	return made == 0, nil
}

// DeleteSecret implements [store.Secrets].
func (s *Store) DeleteSecret(ctx context.Context, name string) error {
	if err := s.checkSecret(name); err != nil {
		return fmt.Errorf("removing a secret: %w", err)
	}
	if _, err := s.stmt.secretDelete.ExecContext(ctx, name); err != nil {
		return fmt.Errorf("removing a secret: %w", mapped(ctx, err))
	}
	return nil
}

// ListSecrets implements [store.Secrets]. Here the listing never lags. The cursor is the last name of the page before.
func (s *Store) ListSecrets(ctx context.Context, prefix, cursor string) (names []string, next string, err error) {
	from := max(prefix, "\x01") // above keyCheckName
	if cursor != "" {
		from = max(from, cursor+"\x00")
	}
	rows, err := s.stmt.secretList.QueryContext(ctx, from, prefixEnd(prefix), secretPage+1)
	if err != nil {
		return nil, "", fmt.Errorf("listing secrets: %w", mapped(ctx, err))
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		if len(names) == secretPage {
			return names, names[secretPage-1], nil
		}
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, "", fmt.Errorf("listing secrets: %w", mapped(ctx, err))
		}
		names = append(names, name)
	}
	if err := rows.Err(); err != nil {
		return nil, "", fmt.Errorf("listing secrets: %w", mapped(ctx, err))
	}
	return names, "", nil
}

// checkSecret keeps to the limits of AWS Secrets Manager.
func (s *Store) checkSecret(name string) error {
	if s.aead == nil {
		return errors.New("the store was opened without a master key")
	}
	if len(name) == 0 || len(name) > 512 || strings.ContainsFunc(name, notInName) {
		return errors.New("a secret's name has 1 to 512 characters out of A-Z a-z 0-9 / _ + = . @ -")
	}
	return nil
}

func checkValue(value secret.Text) error {
	if n := len(value.Reveal()); n == 0 || n > maxValue {
		return fmt.Errorf("the value has %d bytes: 1 to %d are possible", n, maxValue)
	}
	return nil
}

func notInName(r rune) bool {
	return (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && (r < '0' || r > '9') && !strings.ContainsRune("/_+=.@-", r)
}
