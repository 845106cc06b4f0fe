// Package trail checks the audit trail of a data folder: that every event is as it was written, and where it was written.
package trail

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"connectorvault/shared/ident"
	"connectorvault/shared/keyring"
	"connectorvault/shared/store/sqlitestore"
	"connectorvault/shared/vault"
)

// reports are what verification came to, by tenant. The file that --against takes is one of these.
type reports map[string]vault.AuditReport

// ErrFindings is the end of a verification that found something: what it was stands in the output.
var ErrFindings = errors.New("the audit trail is not as it was written; see the findings")

// Verify verifies every tenant of a folder, and prints what it came to. against is a file with what an earlier run printed;
// "" = none.
func Verify(ctx context.Context, data, against string, stdout io.Writer) error {
	earlier := reports{}
	if against != "" {
		text, err := os.ReadFile(against) //nolint:gosec // the operator's own file
		if err != nil {
			return err
		}
		if err := json.Unmarshal(text, &earlier); err != nil {
			return fmt.Errorf("%s is not what audit verify prints: %w", against, err)
		}
	}
	if _, err := os.Stat(filepath.Join(data, sqlitestore.StoreFile)); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no vault in %s", data)
	}
	store, queue, err := sqlitestore.OpenFolder(ctx, sqlitestore.FolderConfig{Path: data, Now: time.Now, Random: rand.Reader})
	if err != nil {
		return err
	}
	defer func() { _ = store.Close(); _ = queue.Close() }()
	v := vault.New(vault.Config{Items: store, Now: time.Now, Random: rand.Reader,
		Sealer: keyring.New(keyring.Config{Secrets: store, Now: time.Now, Random: rand.Reader})})
	out, err := verifyAll(ctx, v, store, earlier)
	if err != nil {
		return err
	}
	found := 0
	for _, report := range out {
		found += len(report.Findings)
	}
	encoder := json.NewEncoder(stdout)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(out); err != nil {
		return err
	}
	if found > 0 {
		return ErrFindings
	}
	return nil
}

// verifyAll verifies every tenant that has a keyring, or had one at the earlier verification.
func verifyAll(ctx context.Context, v *vault.Vault, secrets *sqlitestore.Store, earlier reports) (reports, error) {
	out := reports{}
	for cursor := ""; ; {
		names, next, err := secrets.ListSecrets(ctx, ident.Tenant, cursor)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			tenant, _, _ := strings.Cut(name, "/")
			if name != keyring.Name(tenant) {
				continue
			}
			report, err := v.VerifyAudit(ctx, tenant, earlier[tenant].Heads)
			if err != nil {
				return nil, fmt.Errorf("the tenant %s: %w", tenant, err)
			}
			out[tenant] = report
		}
		if cursor = next; cursor == "" {
			return out, nil
		}
	}
}
