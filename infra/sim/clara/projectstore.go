package clarasim

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"connectorvault/infra/sim/engine"
)

const selectProject = `SELECT client_id, name, origin, country, side, permissions, tax_identifiers, created_at, expires_at, generation FROM projects`

func scanProject(scan func(...any) error) (Project, error) {
	var p Project
	var permissions, taxIdentifiers string
	var created, expires int64
	if err := scan(&p.ClientID, &p.Name, &p.Origin, &p.Country, &p.Side, &permissions, &taxIdentifiers, &created, &expires, &p.Generation); err != nil {
		return Project{}, err
	}
	if err := errors.Join(json.Unmarshal([]byte(permissions), &p.Permissions), json.Unmarshal([]byte(taxIdentifiers), &p.TaxIdentifiers)); err != nil {
		return Project{}, fmt.Errorf("reading a project: %w", err)
	}
	p.CreatedAt, p.ExpiresAt = time.Unix(created, 0).UTC(), time.Unix(expires, 0).UTC()
	return p, nil
}

func putProject(ctx context.Context, tx *sql.Tx, p Project) error {
	permissions, err := json.Marshal(p.Permissions)
	if err != nil {
		return fmt.Errorf("encoding permissions: %w", err)
	}
	taxIdentifiers, err := json.Marshal(p.TaxIdentifiers)
	if err != nil {
		return fmt.Errorf("encoding tax identifiers: %w", err)
	}
	_, err = tx.ExecContext(ctx, `INSERT OR REPLACE INTO projects(client_id, name, origin, country, side, permissions, tax_identifiers, created_at, expires_at, generation)
		VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		p.ClientID, p.Name, p.Origin, p.Country, p.Side, string(permissions), string(taxIdentifiers), p.CreatedAt.Unix(), p.ExpiresAt.Unix(), p.Generation)
	if err != nil {
		return fmt.Errorf("storing a project: %w", err)
	}
	return nil
}

// projectByID finds a project and all its credentials.
func projectByID(ctx context.Context, q engine.Querier, clientID string) (Project, bool, error) {
	project, known, err := engine.Found(scanProject(q.QueryRowContext(ctx, selectProject+` WHERE client_id = ?`, clientID).Scan))
	if err != nil {
		return Project{}, false, fmt.Errorf("finding a project: %w", err)
	}
	if known {
		project.Credentials, err = credentialsOf(ctx, q, clientID)
	}
	return project, known, err
}

func credentialsOf(ctx context.Context, q engine.Querier, clientID string) ([]Credential, error) {
	rows, err := q.QueryContext(ctx, `SELECT n, secret, certificate, private_key, ca, fingerprint, not_before, not_after, created_at, deleted_at
		FROM credentials WHERE client_id = ? ORDER BY n`, clientID)
	list, err := engine.Collect(rows, err, func(scan func(...any) error) (Credential, error) {
		var c Credential
		var before, after, created, deleted int64
		err := scan(&c.N, &c.secret, &c.certificate, &c.key, &c.bundle, &c.Fingerprint, &before, &after, &created, &deleted)
		c.NotBefore, c.NotAfter, c.CreatedAt = time.Unix(before, 0).UTC(), time.Unix(after, 0).UTC(), time.Unix(created, 0).UTC()
		if deleted != 0 {
			at := time.Unix(deleted, 0).UTC()
			c.DeletedAt = &at
		}
		return c, err
	})
	if err != nil {
		return nil, fmt.Errorf("reading credentials: %w", err)
	}
	return list, nil
}

// expired reports whether a project's time is over.
func (p Project) expired(now time.Time) bool { return !now.Before(p.ExpiresAt) }

// bySecret finds the credential that a secret belongs to; it returns 0 for a wrong one.
func (p Project) bySecret(secret string) int {
	for _, c := range p.Credentials {
		if c.DeletedAt == nil && c.secret == secret {
			return c.N
		}
	}
	return 0
}

// has reports whether a credential is still good.
func (p Project) has(n int) bool {
	return slices.ContainsFunc(p.Credentials, func(c Credential) bool { return c.N == n && c.DeletedAt == nil })
}
