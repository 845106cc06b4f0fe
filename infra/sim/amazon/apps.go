package amazonsim

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"connectorvault/infra/sim/engine"
)

// Where an application came from. Seeded and adopted applications are a convenience of the simulator: a local
// bundle can be pointed at it without first registering anything.
const (
	originSeeded     = "seeded"
	originRegistered = "registered"
	originAdopted    = "first use"
)

const (
	secretLife     = 180 * 24 * time.Hour // Amazon facts 3.4
	oldSecretGrace = 7 * 24 * time.Hour   // Amazon facts 3.4
)

// App is an application as the Solution Provider Portal knows it.
type App struct {
	ApplicationID string   `json:"application_id"`
	Name          string   `json:"name"`
	ClientID      string   `json:"client_id"`
	Draft         bool     `json:"draft"`
	RedirectURIs  []string `json:"redirect_uris"`
	LoginURI      string   `json:"login_uri"`
	Origin        string   `json:"origin"`
}

// RegisteredApp is the answer to a registration: the only moment at which a secret is shown.
type RegisteredApp struct {
	App
	ClientSecret string `json:"client_secret"`
}

var applicationIDPattern = regexp.MustCompile(`^amzn1\.(sp\.solution|sellerapps\.app)\.[0-9A-Za-z][0-9A-Za-z-]{3,63}$`)

// RegisterApp does what filling in the portal's form does. Empty identifiers are made up. Registering a known
// application id again replaces its name, URIs and state and gives it a further secret; grants stay.
func (s *Simulator) RegisterApp(ctx context.Context, app App) (RegisteredApp, error) {
	if app.ApplicationID == "" {
		app.ApplicationID = "amzn1.sp.solution." + s.uuid()
	}
	if !applicationIDPattern.MatchString(app.ApplicationID) {
		return RegisteredApp{}, fmt.Errorf("application id %q is malformed", app.ApplicationID)
	}
	if app.Name == "" {
		app.Name = "Registered application"
	}
	app.Origin = originRegistered
	secret := s.opaque("amzn1.oa2-cs.v1.", 36)
	err := s.state.Update(ctx, func(tx *sql.Tx) error {
		known, found, err := appByID(ctx, tx, app.ApplicationID)
		if err != nil {
			return err
		}
		if app.ClientID == "" {
			app.ClientID = known.ClientID
		}
		if app.ClientID == "" {
			app.ClientID = "amzn1.application-oa2-client." + strings.ReplaceAll(s.uuid(), "-", "")
		}
		if found {
			_, err = tx.ExecContext(ctx, `DELETE FROM apps WHERE application_id = ?`, app.ApplicationID)
			if err != nil {
				return fmt.Errorf("replacing application: %w", err)
			}
		}
		if err := s.insertApp(ctx, tx, app); err != nil {
			return err
		}
		return s.insertSecret(ctx, tx, app.ClientID, secret, s.millis(secretLife))
	})
	return RegisteredApp{App: app, ClientSecret: secret}, err
}

// RotateSecret issues a new client secret. The old ones work for seven more days (Amazon facts 3.4).
func (s *Simulator) RotateSecret(ctx context.Context, applicationID string) (string, error) {
	secret := s.opaque("amzn1.oa2-cs.v1.", 36)
	err := s.state.Update(ctx, func(tx *sql.Tx) error {
		app, found, err := appByID(ctx, tx, applicationID)
		if err != nil {
			return err
		}
		if !found || app.ClientID == "" {
			return fmt.Errorf("application %q has no client: %w", applicationID, engine.ErrNotFound)
		}
		grace := s.millis(oldSecretGrace)
		_, err = tx.ExecContext(ctx, `UPDATE secrets SET expires_at = ? WHERE client_id = ? AND (expires_at = 0 OR expires_at > ?)`,
			grace, app.ClientID, grace)
		if err != nil {
			return fmt.Errorf("ending the old secrets: %w", err)
		}
		return s.insertSecret(ctx, tx, app.ClientID, secret, s.millis(secretLife))
	})
	return secret, err
}

// Apps lists the applications known so far.
func (s *Simulator) Apps(ctx context.Context) ([]App, error) {
	rows, err := s.state.QueryContext(ctx, selectApp+` ORDER BY created_at, application_id`)
	list, err := engine.Collect(rows, err, scanApp)
	if err != nil {
		return nil, fmt.Errorf("listing applications: %w", err)
	}
	return list, nil
}

// adopt takes an application id that was never seen as though it had just been registered in the portal, with
// the redirect URI of this first use. The client that first spends one of its codes or refresh tokens is bound to it.
func (s *Simulator) adopt(ctx context.Context, tx *sql.Tx, applicationID, redirectURI string) (App, error) {
	app := App{ApplicationID: applicationID, Name: "Your application", Origin: originAdopted}
	if redirectURI != "" {
		app.RedirectURIs = []string{redirectURI}
	}
	return app, s.insertApp(ctx, tx, app)
}

const selectApp = `SELECT application_id, name, client_id, draft, redirect_uris, login_uri, origin FROM apps`

func scanApp(scan func(...any) error) (App, error) {
	var app App
	var client sql.NullString
	var uris string
	err := scan(&app.ApplicationID, &app.Name, &client, &app.Draft, &uris, &app.LoginURI, &app.Origin)
	if err != nil {
		return App{}, fmt.Errorf("reading application: %w", err)
	}
	app.ClientID = client.String
	if err := json.Unmarshal([]byte(uris), &app.RedirectURIs); err != nil {
		return App{}, fmt.Errorf("reading redirect URIs: %w", err)
	}
	return app, nil
}

func appByID(ctx context.Context, q engine.Querier, id string) (App, bool, error) {
	return foundApp(scanApp(q.QueryRowContext(ctx, selectApp+` WHERE application_id = ?`, id).Scan))
}

func appByClient(ctx context.Context, q engine.Querier, clientID string) (App, bool, error) {
	return foundApp(scanApp(q.QueryRowContext(ctx, selectApp+` WHERE client_id = ?`, clientID).Scan))
}

func foundApp(app App, err error) (App, bool, error) {
	if errors.Is(err, sql.ErrNoRows) {
		return App{}, false, nil
	}
	return app, err == nil, err
}

func (s *Simulator) insertApp(ctx context.Context, tx *sql.Tx, app App) error {
	uris, err := json.Marshal(app.RedirectURIs)
	if err != nil {
		return fmt.Errorf("encoding redirect URIs: %w", err)
	}
	client := sql.NullString{String: app.ClientID, Valid: app.ClientID != ""}
	_, err = tx.ExecContext(ctx, `INSERT INTO apps(application_id, name, client_id, draft, origin, redirect_uris, login_uri, created_at)
		VALUES(?, ?, ?, ?, ?, ?, ?, ?)`,
		app.ApplicationID, app.Name, client, app.Draft, app.Origin, string(uris), app.LoginURI, s.millis(0))
	if err != nil {
		return fmt.Errorf("storing application: %w", err)
	}
	return nil
}

// insertSecret stores a client secret; expires 0 means never, which only the simulator's own conveniences use.
func (s *Simulator) insertSecret(ctx context.Context, tx *sql.Tx, clientID, secret string, expires int64) error {
	_, err := tx.ExecContext(ctx, `INSERT OR REPLACE INTO secrets(client_id, hash, created_at, expires_at) VALUES(?, ?, ?, ?)`,
		clientID, engine.Digest(secret), s.millis(0), expires)
	if err != nil {
		return fmt.Errorf("storing client secret: %w", err)
	}
	return nil
}

// secretValid says whether a secret with this hash still works for the client.
func (s *Simulator) secretValid(ctx context.Context, q engine.Querier, clientID, hash string) (bool, error) {
	var expires int64
	err := q.QueryRowContext(ctx, `SELECT expires_at FROM secrets WHERE client_id = ? AND hash = ?`, clientID, hash).Scan(&expires)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("reading client secret: %w", err)
	}
	return expires == 0 || s.millis(0) < expires, nil
}

// redirectAllowed compares a redirect URI with the registered ones. Amazon compares exactly. For seeded and
// adopted applications a loopback URI matches whatever its port: the local program that uses them takes a free
// port at every start, which is why RFC 8252 7.3 asks for the same of native applications.
func (app App) redirectAllowed(uri string) bool {
	if slices.Contains(app.RedirectURIs, uri) {
		return true
	}
	if app.Origin == originRegistered {
		return false
	}
	loopback, ok := withoutLoopbackPort(uri)
	if !ok {
		return false
	}
	if app.Origin == originSeeded {
		return true
	}
	return slices.ContainsFunc(app.RedirectURIs, func(known string) bool {
		k, ok := withoutLoopbackPort(known)
		return ok && k == loopback
	})
}

// loginAllowed is the same question for the login URI of the Appstore flow.
func (app App) loginAllowed(uri string) bool {
	if uri == app.LoginURI {
		return uri != ""
	}
	_, loopback := withoutLoopbackPort(uri)
	return loopback && app.Origin != originRegistered
}

// withoutLoopbackPort returns the URI with its port removed, and whether it is a loopback URI at all.
func withoutLoopbackPort(uri string) (string, bool) {
	u, err := url.Parse(uri)
	if err != nil || u.User != nil || (u.Scheme != "http" && u.Scheme != "https") || !loopbackHost(u.Hostname()) {
		return "", false
	}
	u.Host = u.Hostname()
	return u.String(), true
}

func loopbackHost(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// millis is the simulated time after d, as it is stored.
func (s *Simulator) millis(d time.Duration) int64 { return s.now().Add(d).UnixMilli() }
