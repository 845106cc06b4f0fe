package environment

import (
	"context"
	"errors"

	"connectorvault/shared/secret"
)

// NoSecrets is the store of a function that may reach no secret.
type NoSecrets struct{}

var errNoSecrets = errors.New("this function has no way to secrets")

// GetSecret implements store.Secrets.
func (NoSecrets) GetSecret(context.Context, string) (secret.Text, error) {
	return secret.Text{}, errNoSecrets
}

// PutSecret implements store.Secrets.
func (NoSecrets) PutSecret(context.Context, string, secret.Text) error { return errNoSecrets }

// CreateSecret implements store.Secrets.
func (NoSecrets) CreateSecret(context.Context, string, secret.Text) (bool, error) {
	return false, errNoSecrets
}

// DeleteSecret implements store.Secrets.
func (NoSecrets) DeleteSecret(context.Context, string) error { return errNoSecrets }

// ListSecrets implements store.Secrets.
func (NoSecrets) ListSecrets(context.Context, string, string) ([]string, string, error) {
	return nil, "", errNoSecrets
}
