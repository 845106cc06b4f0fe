// Package secretsstore keeps slow secrets in AWS Secrets Manager.
//
// The argument: Secrets Manager is made for values that seldom change, and fails in its own ways when it is used for
// others: a write that finds a hundred young versions is refused for hours, a deleted name stays taken for a while, a
// read may be behind. Those have names here ([ErrQuota], [ErrDeleting], [ErrKey]), so that nobody has to know the
// service's codes, and no error of this package can hold a value: where a request carried one, what the service said
// about the request is left out.
package secretsstore

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"connectorvault/shared/secret"
	"connectorvault/shared/store"
)

// Client is the part of *secretsmanager.Client that the driver calls.
type Client interface {
	GetSecretValue(context.Context, *secretsmanager.GetSecretValueInput, ...func(*secretsmanager.Options)) (*secretsmanager.GetSecretValueOutput, error)
	PutSecretValue(context.Context, *secretsmanager.PutSecretValueInput, ...func(*secretsmanager.Options)) (*secretsmanager.PutSecretValueOutput, error)
	CreateSecret(context.Context, *secretsmanager.CreateSecretInput, ...func(*secretsmanager.Options)) (*secretsmanager.CreateSecretOutput, error)
	DeleteSecret(context.Context, *secretsmanager.DeleteSecretInput, ...func(*secretsmanager.Options)) (*secretsmanager.DeleteSecretOutput, error)
	ListSecrets(context.Context, *secretsmanager.ListSecretsInput, ...func(*secretsmanager.Options)) (*secretsmanager.ListSecretsOutput, error)
}

// Store is a [store.Secrets] on Secrets Manager. Set its fields before its first use or not at all; it is then safe for
// concurrent use. Throttled calls that the SDK gave up on are [store.ErrBusy].
type Store struct {
	KeyID string                                           // KMS key of the secrets that are made; "" = the account's own for this service
	Rand  io.Reader                                        // for version ids and jitter; nil = crypto/rand
	Wait  func(ctx context.Context, d time.Duration) error // between tries; nil = a timer that ends with ctx

	client Client
	prefix string
}

var _ store.Secrets = (*Store)(nil)

// New returns a store whose secrets' names all begin with prefix, as in "connector-vault/production/". The prefix is
// not part of the names that callers use; it is what policies and the sweep of orphans go by.
func New(client Client, prefix string) *Store { return &Store{client: client, prefix: prefix} }

const (
	maxName  = 512        // bytes
	maxValue = 64 << 10   // bytes
	pageSize = int32(100) // names
)

// GetSecret implements [store.Secrets]. A secret that is being deleted is ErrNotFound and [ErrDeleting].
func (s *Store) GetSecret(ctx context.Context, name string) (secret.Text, error) {
	id, err := s.id(name)
	if err != nil {
		return secret.Text{}, err
	}
	out, err := s.client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: id})
	if err != nil {
		err = explain("reading", name, err, false)
		if errors.Is(err, ErrDeleting) {
			err = fmt.Errorf("%w: %w", store.ErrNotFound, err)
		}
		return secret.Text{}, err
	}
	if out.SecretString == nil {
		return secret.Text{}, fmt.Errorf("reading secret %q: it holds bytes, not text", name)
	}
	return secret.New(*out.SecretString), nil
}

// PutSecret implements [store.Secrets]. [ErrQuota] when Secrets Manager takes no further version for now, [ErrDeleting]
// when a secret of that name is being deleted.
func (s *Store) PutSecret(ctx context.Context, name string, value secret.Text) error {
	_, err := s.write(ctx, "writing", name, value, func(id, token *string) (bool, error) {
		_, err := s.client.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{
			SecretId: id, SecretString: aws.String(value.Reveal()), ClientRequestToken: token})
		if codeOf(err) != codeNotFound {
			return false, err
		}
		return false, s.create(ctx, id, value, token)
	})
	return err
}

// CreateSecret implements [store.Secrets]. [ErrDeleting] when a secret of that name is being deleted.
func (s *Store) CreateSecret(ctx context.Context, name string, value secret.Text) (exists bool, err error) {
	return s.write(ctx, "making", name, value, func(id, token *string) (bool, error) {
		err := s.create(ctx, id, value, token)
		if codeOf(err) == codeExists {
			return true, nil
		}
		return false, err
	})
}

func (s *Store) create(ctx context.Context, id *string, value secret.Text, token *string) error {
	in := &secretsmanager.CreateSecretInput{Name: id, SecretString: aws.String(value.Reveal()), ClientRequestToken: token}
	if s.KeyID != "" {
		in.KmsKeyId = &s.KeyID
	}
	_, err := s.client.CreateSecret(ctx, in)
	return err
}

// tries bounds how often a write is tried while the service is of two minds about whether the secret is there: for
// some time after it was deleted a name is taken, and one that was just made is not found by everybody.
const (
	tries      = 6
	firstPause = 100 * time.Millisecond
	longPause  = 2 * time.Second
)

// write tries under one version id, so that whatever was carried out twice, by the SDK or by this loop, counts once.
func (s *Store) write(ctx context.Context, doing, name string, value secret.Text, try func(id, token *string) (bool, error)) (exists bool, err error) {
	id, err := s.id(name)
	if err != nil {
		return false, err
	}
	if n := len(value.Reveal()); n == 0 || n > maxValue {
		return false, fmt.Errorf("%s secret %q: a value has 1 to %d bytes, this one %d", doing, name, maxValue, n)
	}
	token, err := s.token()
	if err != nil {
		return false, err
	}
	for n := 0; ; n++ {
		exists, err := try(id, token)
		if err == nil {
			return exists, nil
		}
		if !isUnsettled(err) || n+1 == tries {
			return false, explain(doing, name, err, true)
		}
		if waited := s.pause(ctx, n); waited != nil {
			return false, errors.Join(waited, explain(doing, name, err, true))
		}
	}
}

// DeleteSecret implements [store.Secrets]. There is no recovery window: what the vault deletes is meant to be gone.
func (s *Store) DeleteSecret(ctx context.Context, name string) error {
	id, err := s.id(name)
	if err != nil {
		return err
	}
	_, err = s.client.DeleteSecret(ctx, &secretsmanager.DeleteSecretInput{SecretId: id, ForceDeleteWithoutRecovery: aws.Bool(true)})
	if err != nil && codeOf(err) != codeNotFound {
		return explain("deleting", name, err, false)
	}
	return nil
}

// ListSecrets implements [store.Secrets]. The listing may be minutes behind. Secrets that are being deleted are not in it.
func (s *Store) ListSecrets(ctx context.Context, prefix, cursor string) (names []string, next string, err error) {
	in := &secretsmanager.ListSecretsInput{MaxResults: aws.Int32(pageSize)}
	full := s.prefix + prefix
	if full != "" {
		in.Filters = []types.Filter{{Key: types.FilterNameStringTypeName, Values: []string{full}}}
	}
	if cursor != "" {
		in.NextToken = &cursor
	}
	out, err := s.client.ListSecrets(ctx, in)
	if err != nil {
		return nil, "", explain("listing", prefix, err, false)
	}
	for _, entry := range out.SecretList {
		if name, ok := strings.CutPrefix(aws.ToString(entry.Name), s.prefix); ok && strings.HasPrefix(name, prefix) {
			names = append(names, name)
		}
	}
	return names, aws.ToString(out.NextToken), nil
}

// id is the secret's name in the service, which takes letters, digits and a few signs.
func (s *Store) id(name string) (*string, error) {
	id := s.prefix + name
	if name == "" || len(id) > maxName {
		return nil, fmt.Errorf("secret %q: a name has 1 to %d bytes", name, maxName-len(s.prefix))
	}
	for i := range len(id) {
		c := id[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune("/_+=.@-", rune(c)) {
			return nil, fmt.Errorf("secret %q: a name has letters, digits and /_+=.@- only", name)
		}
	}
	return &id, nil
}

func (s *Store) random() io.Reader {
	if s.Rand != nil {
		return s.Rand
	}
	return rand.Reader
}

// token draws a version's id. It must not follow from the value: it is shown where the value is not, and a value that
// comes back after another one is a new version.
func (s *Store) token() (*string, error) {
	var b [16]byte
	if _, err := io.ReadFull(s.random(), b[:]); err != nil {
		return nil, fmt.Errorf("drawing a version id: %w", err)
	}
	return aws.String(hex.EncodeToString(b[:])), nil
}

// pause waits after the n-th try, counted from 0: from half a bound that doubles to all of it.
func (s *Store) pause(ctx context.Context, n int) error {
	var b [8]byte
	if _, err := io.ReadFull(s.random(), b[:]); err != nil {
		return fmt.Errorf("drawing a pause: %w", err)
	}
	half := min(firstPause<<n, longPause) / 2
	d := half + time.Duration(binary.BigEndian.Uint64(b[:])%uint64(half))
	if s.Wait != nil {
		return s.Wait(ctx, d)
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
