// Package restored readies a data folder that was put back from a copy.
//
// The argument: the folder's copy holds the refresh tokens of its day. One that is used once may have been used since, and the
// first refresh would offer it again, which can end everything that came of its consent. Nothing in the folder tells that it is
// a copy, so whoever puts it back says so, before a program serves it.
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
	"connectorvault/infra/local/program"
	"connectorvault/shared/keyring"
	"connectorvault/shared/store/sqlitestore"
	"connectorvault/shared/vault"
)

// Ready has every entry of a folder ask for a new authorization whose provider's tokens are used once, and prints how many do.
func Ready(ctx context.Context, data string, stdout io.Writer) (err error) {
	if _, err := os.Stat(filepath.Join(data, sqlitestore.StoreFile)); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no vault in %s", data)
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
