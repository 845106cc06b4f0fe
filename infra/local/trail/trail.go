// Package trail checks the audit trail of a data folder: that every event is as it was written, and where it was written.
package trail

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"connectorvault/shared/ident"
	"connectorvault/shared/keyring"
	"connectorvault/shared/store"
	"connectorvault/shared/store/sqlitestore"
	"connectorvault/shared/vault"
)

// reports are what verification came to, by tenant. The file that --against takes is one of these.
type reports map[string]vault.AuditReport

// ErrFindings is the end of a verification that found something: what it was stands in the output.
var ErrFindings = errors.New("the audit trail is not as it was written; see the findings")

// Verify verifies every tenant of a folder, and prints what it came to. against is a file with what an earlier run printed;
// "" = none. What can be verified is printed even if something cannot.
func Verify(ctx context.Context, data, against string, stdout io.Writer) error {
	earlier := reports{}
	if against != "" {
		var err error
		if earlier, err = readReports(against); err != nil {
			return err
		}
	}
	if _, err := os.Stat(filepath.Join(data, sqlitestore.StoreFile)); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no vault in %s", data)
	}
	items, queue, err := sqlitestore.OpenFolder(ctx, sqlitestore.FolderConfig{Path: data, Now: time.Now, Random: rand.Reader})
	if err != nil {
		return err
	}
	defer func() { _ = items.Close(); _ = queue.Close() }()
	v := vault.New(vault.Config{Items: items, Now: time.Now, Random: rand.Reader,
		Sealer: keyring.New(keyring.Config{Secrets: items, Now: time.Now, Random: rand.Reader})})
	tenants, err := tenantsOf(ctx, v, items, earlier)
	if err != nil {
		return err
	}
	out, problem := verifyAll(ctx, v, items, tenants, earlier)
	encoder := json.NewEncoder(stdout)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(out); err != nil {
		return err
	}
	for _, report := range out {
		if len(report.Findings) > 0 {
			return errors.Join(ErrFindings, problem)
		}
	}
	return problem
}

// readReports reads what an earlier run printed. A file that says of no chain where it ended would be held against nothing,
// and one that is something else might pass for that; both are refused.
func readReports(path string) (reports, error) {
	text, err := os.ReadFile(path) //nolint:gosec // the operator's own file
	if err != nil {
		return nil, err
	}
	refused := fmt.Errorf("%s is not what audit verify prints", path)
	var out reports
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if decoder.Decode(&out) != nil {
		return nil, refused
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, refused
	}
	heads := 0
	for tenant, report := range out {
		if !ident.Valid(tenant, ident.Tenant) || report.Chains != len(report.Heads) {
			return nil, refused
		}
		for _, head := range report.Heads {
			if !head.WellFormed() {
				return nil, refused
			}
		}
		heads += len(report.Heads)
	}
	if heads == 0 {
		return nil, fmt.Errorf("%s says of no chain where it ended, so nothing can be held against it", path)
	}
	return out, nil
}

// tenantsOf are the tenants that anything speaks of: a keyring, the list of tenants, the earlier verification.
func tenantsOf(ctx context.Context, v *vault.Vault, secrets *sqlitestore.Store, earlier reports) ([]string, error) {
	all := map[string]bool{}
	for tenant := range earlier {
		all[tenant] = true
	}
	listed, err := v.AuditedTenants(ctx)
	if err != nil {
		return nil, err
	}
	for _, tenant := range listed {
		all[tenant] = true
	}
	for cursor := ""; ; {
		names, next, err := secrets.ListSecrets(ctx, ident.Tenant, cursor)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			if tenant, _, _ := strings.Cut(name, "/"); name == keyring.Name(tenant) {
				all[tenant] = true
			}
		}
		if cursor = next; cursor == "" {
			return slices.Sorted(maps.Keys(all)), nil
		}
	}
}

// verifyAll verifies tenants. One that cannot be verified keeps no other from being.
func verifyAll(ctx context.Context, v *vault.Vault, secrets *sqlitestore.Store, tenants []string, earlier reports) (reports, error) {
	out := reports{}
	var problems []error
	for _, tenant := range tenants {
		report, err := v.VerifyAudit(ctx, tenant, earlier[tenant].Heads)
		if (err != nil || len(report.Findings) > 0) && deleted(ctx, v, secrets, tenant) {
			continue
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("the tenant %s could not be verified: %w", tenant, err))
			continue
		}
		out[tenant] = report
	}
	return out, errors.Join(problems...)
}

// deleted reports whether a tenant is deleted, or is being deleted and its keyring is destroyed: its record says so for good,
// and its keyring is gone. Of one alone the other would be a finding.
func deleted(ctx context.Context, v *vault.Vault, secrets *sqlitestore.Store, tenant string) bool {
	closed, err := v.Closed(ctx, tenant)
	if err != nil || !closed {
		return false
	}
	_, err = secrets.GetSecret(ctx, keyring.Name(tenant))
	return errors.Is(err, store.ErrNotFound)
}
