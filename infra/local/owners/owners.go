// Package owners mints the owner key of a process of the local program, and revokes those of processes that are gone.
//
// The argument: whoever starts the program on their own machine owns what is in it, so each start makes a key and hands
// it over in a file that only its owner can read. A key must not outlive its process, and a process that is killed
// cannot revoke anything; so each holds a lock, which ends with it in every case, and the others watch the locks.
package owners

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"connectorvault/shared/fault"
	"connectorvault/shared/ident"
	"connectorvault/shared/record"
	"connectorvault/shared/secret"
	"connectorvault/shared/vault"
)

// subject is whom all these keys speak for: there is one owner of a machine, whichever process is asked, and after a
// restart too.
const subject = "owner"

// Owner is this process's key.
type Owner struct {
	Key    secret.Text
	keyID  string
	tenant string
	vault  *vault.Vault
	dir    string
	lock   *os.File
}

// Mint makes a key for this process and revokes those of processes that no longer run.
func Mint(ctx context.Context, v *vault.Vault, tenant, dir string) (*Owner, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	o := &Owner{tenant: tenant, vault: v, dir: dir}
	if err := o.Sweep(ctx); err != nil {
		return nil, err
	}
	key, text, err := v.CreateKey(ctx, record.APIKey{Tenant: tenant, Role: record.Owner, PersonalData: true, Subject: subject,
		Label: fmt.Sprintf("owner of the local program (process %d)", os.Getpid())})
	if err != nil {
		return nil, fmt.Errorf("minting the owner's key: %w", err)
	}
	o.Key, o.keyID = text, key.ID
	if o.lock, err = hold(filepath.Join(dir, key.ID)); err != nil {
		return nil, errors.Join(fmt.Errorf("marking the process as running: %w", err), v.RevokeKey(ctx, tenant, key.ID))
	}
	return o, nil
}

// Serving reports whether a process runs that holds a key in dir.
func Serving(dir string) (bool, error) {
	files, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	for _, file := range files {
		if ident.Valid(file.Name(), ident.Key) && held(filepath.Join(dir, file.Name())) {
			return true, nil
		}
	}
	return false, err
}

// Sweep revokes the keys of processes that no longer run.
func (o *Owner) Sweep(ctx context.Context) error {
	files, err := os.ReadDir(o.dir)
	if err != nil {
		return err
	}
	for _, file := range files {
		id := file.Name()
		path := filepath.Join(o.dir, id)
		if id == o.keyID || !ident.Valid(id, ident.Key) || held(path) {
			continue
		}
		err := o.vault.RevokeKey(ctx, o.tenant, id)
		if fault.IsNewer(err) {
			continue // a process of a newer version had it: while only this one runs it opens nothing, and the next of those revokes it
		}
		if err != nil {
			return fmt.Errorf("revoking the key of a process that is gone: %w", err)
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// Close revokes this process's key.
func (o *Owner) Close(ctx context.Context) error {
	err := o.vault.RevokeKey(ctx, o.tenant, o.keyID)
	return errors.Join(err, o.lock.Close(), os.Remove(filepath.Join(o.dir, o.keyID)))
}
