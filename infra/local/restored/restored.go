// Package restored readies a data folder that was put back from a copy.
//
// The argument: the folder's copy holds the refresh tokens of its day. One that is used once may have been used since, and the
// first refresh would offer it again, which can end everything that came of its consent. Nothing in the folder tells that it is
// a copy, so whoever puts it back says so, before a program serves it. Tokens lie in three places: in force, in authorizations that were
// under way, and in the queue of what was rescued; what was bought then may have been used since, wherever it lies.
package restored

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"connectorvault/infra/backup"
	"connectorvault/infra/local/clock"
	"connectorvault/infra/local/owners"
	"connectorvault/infra/local/program"
	"connectorvault/infra/local/worker"
	"connectorvault/shared/keyring"
	"connectorvault/shared/store/sqlitestore"
	"connectorvault/shared/vault"
)

// ErrServed is the refusal of a folder that a program serves: it may have offered what it found there already.
var ErrServed = errors.New("a program serves this folder: stop it first")

// Ready has every entry of a folder ask for a new authorization whose provider's tokens are used once, and prints how many do.
func Ready(ctx context.Context, data string, stdout io.Writer) (err error) {
	if _, err := os.Stat(filepath.Join(data, sqlitestore.StoreFile)); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no vault in %s", data)
	}
	switch served, err := owners.Serving(filepath.Join(data, program.Processes)); {
	case err != nil:
		return err
	case served:
		return ErrServed
	}
	steps, err := clock.Open(filepath.Join(data, "clock"))
	if err != nil {
		return err
	}
	items, queue, err := sqlitestore.OpenFolder(ctx, sqlitestore.FolderConfig{Path: data, Now: steps.Now, Random: rand.Reader})
	if err != nil {
		return fmt.Errorf("the data folder %s cannot be used: %w", data, err)
	}
	defer func() { err = errors.Join(err, items.Close(), queue.Close()) }()
	if err := queue.Purge(ctx, worker.Rescue); err != nil {
		return err
	}
	v := vault.New(vault.Config{Items: items, Now: steps.Now, Random: rand.Reader,
		Sealer: keyring.New(keyring.Config{Secrets: items, Now: steps.Now, Random: rand.Reader})})
	tenants, err := v.AuditedTenants(ctx)
	if err != nil {
		return err
	}
	if !slices.Contains(tenants, program.Tenant) {
		tenants = append(tenants, program.Tenant)
	}
	n, err := backup.Distrust(ctx, v, tenants)
	_, printErr := fmt.Fprintf(stdout, "%d entries ask for a new authorization\n", n)
	return errors.Join(err, printErr)
}
