package secretsstore_test

import (
	"testing"
	"time"

	"connectorvault/shared/store"
	"connectorvault/shared/store/secretsstore"
	"connectorvault/shared/store/secretstest"
	"connectorvault/shared/store/storetest"
)

const prefix = "connector-vault/test/"

func TestSecrets(t *testing.T) {
	tick := 40 * time.Millisecond // stays within the quota of writes a second
	for name, opts := range map[string]secretstest.Options{
		"fake":         {Tick: tick},
		"lagging fake": {Tick: tick, Lag: 10 * tick, Deleting: 5 * tick},
	} {
		t.Run(name, func(t *testing.T) {
			storetest.RunSecrets(t, func(t *testing.T) store.Secrets {
				fake := secretstest.New(t, opts)
				s := secretsstore.New(fake.Client(), prefix)
				s.Wait = fake.Wait
				return s
			}, storetest.SecretsOptions{Lags: opts.Lag > 0})
		})
	}
	t.Run("moto", func(t *testing.T) {
		storetest.RunSecrets(t, func(t *testing.T) store.Secrets {
			return secretsstore.New(secretstest.Moto(t), prefix)
		}, storetest.SecretsOptions{})
	})
}
