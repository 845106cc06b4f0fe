package clarasim

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"connectorvault/infra/sim/engine"
)

// Where a project came from.
const (
	originSeeded  = "seeded"
	originCreated = "created"
)

// The countries, each of which is a host at Clara and a first path segment here.
const (
	CountryMexico   = "mx"
	CountryBrazil   = "br"
	CountryColombia = "co"
)

// The sides of a country. Their credentials are separate (Clara facts 4.2).
const (
	SideProduction = "production"
	SideSandbox    = "sandbox"
)

// The resources that a project may be permitted, each followed by ":read" or ":write" (Clara facts 4.4).
const (
	permitTransactions = "transactions"
	permitUsers        = "users"
	permitCards        = "cards"
	permitGroups       = "groups"
	permitLocations    = "locations"
	permitStatements   = "billing-statements"
)

func permissionNames() []string {
	return []string{permitTransactions, permitUsers, permitCards, permitGroups, permitLocations, permitStatements}
}

// readAll permits to read everything.
func readAll() []string {
	all := permissionNames()
	for i := range all {
		all[i] += ":read"
	}
	return all
}

// Project is an API project of the dashboard, without its secrets.
type Project struct {
	ClientID       string       `json:"clientId"`
	Name           string       `json:"name"`
	Origin         string       `json:"origin"`
	Country        string       `json:"country"`
	Side           string       `json:"side"`
	Permissions    []string     `json:"permissions"`
	TaxIdentifiers []string     `json:"tax_identifiers"` // the first is the company that is meant when none is named
	CreatedAt      time.Time    `json:"created_at"`
	ExpiresAt      time.Time    `json:"expires_at"`
	Generation     int64        `json:"generation"` // of its tokens: those of an earlier one are refused
	Credentials    []Credential `json:"credentials"`
}

// Credential is one secret and one certificate of a project. A project has more than one while they are being replaced.
type Credential struct {
	N           int        `json:"n"`
	Fingerprint string     `json:"fingerprint"`
	NotBefore   time.Time  `json:"not_before"`
	NotAfter    time.Time  `json:"not_after"`
	CreatedAt   time.Time  `json:"created_at"`
	DeletedAt   *time.Time `json:"deleted_at,omitempty"`

	secret, certificate, key, bundle string
}

// ProjectRequest is what the dashboard's form asks, and what its first certificate is like. Empty members are: Mexico,
// production, all reads, 360 days, one tax identifier of its own.
type ProjectRequest struct {
	CertificateRequest

	Name           string    `json:"name,omitempty"`
	Country        string    `json:"country,omitempty"`
	Side           string    `json:"side,omitempty"`
	Permissions    []string  `json:"permissions,omitempty"`
	TaxIdentifiers []string  `json:"tax_identifiers,omitempty"`
	ExpiresAt      time.Time `json:"expires_at,omitzero"` // may lie in the past
}

// ProjectChange changes what is given.
type ProjectChange struct {
	Name           *string    `json:"name"`
	Permissions    []string   `json:"permissions"`
	TaxIdentifiers []string   `json:"tax_identifiers"`
	ExpiresAt      *time.Time `json:"expires_at"`
}

// Issued is a credential as it is downloaded, in every form that was seen of one (Clara facts 4.4).
type Issued struct {
	Project      Project           `json:"project"`
	N            int               `json:"n"`
	Fingerprint  string            `json:"fingerprint"`
	ClientID     string            `json:"clientId"`
	ClientSecret string            `json:"clientSecret"`
	PublicKey    string            `json:"publicKey"`
	PrivateKey   string            `json:"privateKey"`
	CA           string            `json:"ca"`
	Download     Download          `json:"download"` // the newer form: one JSON
	Files        map[string]string `json:"files"`    // the older one, and Download as a file: contents by name
}

// Download is the newer form of a download.
type Download struct {
	ProjectName string              `json:"projectName"`
	Credentials DownloadCredentials `json:"credentials"`
}

// DownloadCredentials are what the newer form holds.
type DownloadCredentials struct {
	ClientID     string `json:"clientId"`
	ClientSecret string `json:"clientSecret"`
	PublicKey    string `json:"publicKey"`
	PrivateKey   string `json:"privateKey"`
}

func (p Project) issued(c Credential) (Issued, error) {
	made := Issued{
		Project: p, N: c.N, Fingerprint: c.Fingerprint, ClientID: p.ClientID, ClientSecret: c.secret,
		PublicKey: c.certificate, PrivateKey: c.key, CA: c.bundle,
		Download: Download{p.Name, DownloadCredentials{p.ClientID, c.secret, c.certificate, c.key}},
	}
	download, err := json.Marshal(made.Download)
	if err != nil {
		return Issued{}, fmt.Errorf("encoding a download: %w", err)
	}
	token, err := json.Marshal(map[string]string{"clientId": p.ClientID, "clientSecret": c.secret})
	if err != nil {
		return Issued{}, fmt.Errorf("encoding a download: %w", err)
	}
	made.Files = map[string]string{
		"project.json": string(download), "token-data.json": string(token), "public-key.crt": c.certificate,
		"private-key.key": c.key, "ca-public-key.pem": c.bundle,
	}
	return made, nil
}

// check fills in what was left out, and refuses what the dashboard would.
func (p *ProjectRequest) check(now time.Time) error {
	if err := oneOf("country", &p.Country, []string{CountryMexico, CountryBrazil, CountryColombia}); err != nil {
		return err
	}
	if err := oneOf("side", &p.Side, []string{SideProduction, SideSandbox}); err != nil {
		return err
	}
	if p.Name == "" {
		p.Name = "ERP integration (simulated)"
	}
	if p.Permissions == nil {
		p.Permissions = readAll()
	}
	if p.ExpiresAt.IsZero() {
		p.ExpiresAt = now.Add(longestProject)
	}
	if err := checkExpiry(p.ExpiresAt, now); err != nil {
		return err
	}
	if err := checkTaxIdentifiers(p.TaxIdentifiers); err != nil {
		return err
	}
	var err error
	if p.CertificateRequest, err = p.CertificateRequest.withDefaults(now); err != nil {
		return err
	}
	return checkPermissions(p.Permissions)
}

func checkExpiry(at, now time.Time) error {
	if at.Sub(now) > longestProject {
		return errors.New("a project lasts 360 days at most")
	}
	return nil
}

func checkPermissions(permissions []string) error {
	for _, p := range permissions {
		resource, kind, _ := strings.Cut(p, ":")
		if !slices.Contains(permissionNames(), resource) || kind != "read" && kind != "write" {
			return fmt.Errorf("unknown permission %q; one is %s:read", p, permitTransactions)
		}
	}
	return nil
}

// checkTaxIdentifiers takes what an HTTP header can carry. The countries' own check digits are no matter here.
func checkTaxIdentifiers(list []string) error {
	for i, id := range list {
		if id == "" || len(id) > 32 || strings.TrimSpace(id) != id || slices.Contains(list[:i], id) {
			return errors.New("tax identifiers are different words of up to 32 characters")
		}
	}
	return nil
}

// CreateProject does what filling in the dashboard's form does, and downloads what comes of it.
func (s *Simulator) CreateProject(ctx context.Context, want ProjectRequest) (Issued, error) {
	if err := want.check(s.now()); err != nil {
		return Issued{}, err
	}
	project := Project{
		ClientID: s.randomText(32), Name: want.Name, Origin: originCreated, Country: want.Country, Side: want.Side,
		Permissions: want.Permissions, TaxIdentifiers: want.TaxIdentifiers, CreatedAt: s.now(), ExpiresAt: want.ExpiresAt,
	}
	if len(project.TaxIdentifiers) == 0 {
		project.TaxIdentifiers = []string{taxIdentifier(want.Country, project.ClientID)}
	}
	return s.addProject(ctx, project, want.CertificateRequest)
}

func (s *Simulator) addProject(ctx context.Context, project Project, want CertificateRequest) (Issued, error) {
	made, err := s.issue(project.ClientID, want)
	if err != nil {
		return Issued{}, err
	}
	secret := s.randomText(64)
	var issued Issued
	err = s.state.Update(ctx, func(tx *sql.Tx) error {
		if err := putProject(ctx, tx, project); err != nil {
			return err
		}
		issued, err = s.addCredential(ctx, tx, project.ClientID, secret, want, made)
		return err
	})
	return issued, err
}

// AddCredential gives a project a second secret and certificate beside those that it has.
func (s *Simulator) AddCredential(ctx context.Context, clientID string, want CertificateRequest) (Issued, error) {
	want, err := want.withDefaults(s.now())
	if err != nil {
		return Issued{}, err
	}
	made, err := s.issue(clientID, want)
	if err != nil {
		return Issued{}, err
	}
	secret := s.randomText(64)
	var issued Issued
	err = s.state.Update(ctx, func(tx *sql.Tx) error {
		issued, err = s.addCredential(ctx, tx, clientID, secret, want, made)
		return err
	})
	return issued, err
}

func (s *Simulator) addCredential(ctx context.Context, tx *sql.Tx, clientID, secret string, want CertificateRequest, made pair) (Issued, error) {
	project, known, err := projectByID(ctx, tx, clientID)
	if err != nil {
		return Issued{}, err
	}
	if !known {
		return Issued{}, fmt.Errorf("project: %w", engine.ErrNotFound)
	}
	n := 1
	for _, c := range project.Credentials {
		n = max(n, c.N+1)
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO credentials(client_id, n, secret, certificate, private_key, ca, fingerprint, not_before, not_after, created_at, deleted_at)
		VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0)`,
		clientID, n, secret, made.certificate, made.key, made.bundle, made.fingerprint, want.NotBefore.Unix(), want.NotAfter.Unix(), s.seconds())
	if err != nil {
		return Issued{}, fmt.Errorf("storing a credential: %w", err)
	}
	return downloadFrom(ctx, tx, clientID, n)
}

// DeleteCredential makes a secret and a certificate stop working, and the tokens that they led to. Connections that are open
// stay open, and what is asked on them is refused.
func (s *Simulator) DeleteCredential(ctx context.Context, clientID string, n int) error {
	return changed(s.state.ExecContext(ctx, `UPDATE credentials SET deleted_at = ? WHERE client_id = ? AND n = ? AND deleted_at = 0`,
		max(s.seconds(), 1), clientID, n))
}

// RevokeTokens makes every token of a project stop working, while its credentials go on.
func (s *Simulator) RevokeTokens(ctx context.Context, clientID string) error {
	return changed(s.state.ExecContext(ctx, `UPDATE projects SET generation = generation + 1 WHERE client_id = ?`, clientID))
}

func changed(result sql.Result, err error) error {
	if err != nil {
		return fmt.Errorf("changing a project: %w", err)
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		return errors.Join(engine.ErrNotFound, err)
	}
	return nil
}

// ChangeProject does what editing a project does, and what the dashboard does not allow.
func (s *Simulator) ChangeProject(ctx context.Context, clientID string, change ProjectChange) (Project, error) {
	var project Project
	err := s.state.Update(ctx, func(tx *sql.Tx) error {
		var known bool
		var err error
		if project, known, err = projectByID(ctx, tx, clientID); err != nil {
			return err
		}
		if !known {
			return fmt.Errorf("project: %w", engine.ErrNotFound)
		}
		if change.Name != nil {
			project.Name = *change.Name
		}
		if change.Permissions != nil {
			project.Permissions = change.Permissions
		}
		if len(change.TaxIdentifiers) > 0 {
			project.TaxIdentifiers = change.TaxIdentifiers
		}
		if change.ExpiresAt != nil {
			project.ExpiresAt = *change.ExpiresAt
		}
		if err := errors.Join(checkExpiry(project.ExpiresAt, s.now()), checkPermissions(project.Permissions), checkTaxIdentifiers(project.TaxIdentifiers)); err != nil {
			return err
		}
		return putProject(ctx, tx, project)
	})
	return project, err
}

// Projects lists every project, without secrets.
func (s *Simulator) Projects(ctx context.Context) ([]Project, error) {
	rows, err := s.state.QueryContext(ctx, selectProject+` ORDER BY created_at, client_id`)
	list, err := engine.Collect(rows, err, scanProject)
	if err != nil {
		return nil, fmt.Errorf("listing projects: %w", err)
	}
	for i := range list {
		if list[i].Credentials, err = credentialsOf(ctx, s.state, list[i].ClientID); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// Download gives a credential's download again, which Clara does not.
func (s *Simulator) Download(ctx context.Context, clientID string, n int) (Issued, error) {
	return downloadFrom(ctx, s.state, clientID, n)
}

func downloadFrom(ctx context.Context, q engine.Querier, clientID string, n int) (Issued, error) {
	project, known, err := projectByID(ctx, q, clientID)
	if err != nil {
		return Issued{}, err
	}
	i := slices.IndexFunc(project.Credentials, func(c Credential) bool { return c.N == n })
	if !known || i < 0 {
		return Issued{}, fmt.Errorf("credential: %w", engine.ErrNotFound)
	}
	return project.issued(project.Credentials[i])
}
