// Package secrets gives a function the bundle's secrets: keyrings, and what the clients of providers need.
//
// The argument: two of the functions that browsers and programs come to carry on an authorization without a secret. Their roles
// allow them none, so they have no client for it either, and whatever asks there for a secret fails by that name.
package secrets

import (
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"connectorvault/shared/boot/environment"
	"connectorvault/shared/store/secretsstore"
)

// Manager is the secrets in AWS Secrets Manager, below the stack's prefix. Those that a function makes lie under the stack's own key;
// a function that makes none is not told of it.
func Manager(v *environment.Variables, config aws.Config, found *environment.Found) {
	secrets := secretsstore.New(secretsmanager.NewFromConfig(config), v.Get(environment.SecretPrefix))
	secrets.KeyID = v.Get("CV_SECRET_KEY")
	found.Secrets = secrets
}
