package sagesim

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"

	"connectorvault/infra/sim/engine"
)

// Where an application came from. Seeded applications and those taken on first use are a convenience of the simulator:
// a local bundle can be pointed at it without first registering anything.
const (
	originSeeded     = "seeded"
	originRegistered = "registered"
	originFirstUse   = "first use"
)

// callbackPath is where seeded applications may be called back, on any port of 127.0.0.1.
const callbackPath = "/oauth/sage/callback"

// maxClientID bounds what is taken for a client id.
const maxClientID = 200

// App is an application as the developer's pages at Sage know it. Its client id has the shape guid/guid (Sage facts 1.2).
type App struct {
	ClientID        string   `json:"client_id"`
	Name            string   `json:"name"`
	Origin          string   `json:"origin"`
	RedirectURIs    []string `json:"redirect_uris"`
	ClientSecret    string   `json:"client_secret,omitempty"`    // shown once, in the answer to a registration
	SubscriptionKey string   `json:"subscription_key,omitempty"` // API v3 only; as above
	SignatureSecret string   `json:"signature_secret,omitempty"` // API v3 only; as above

	secretHash, keyHash string // "" until the first use of an application that nobody registered
}

// RegisterApp does what filling in the developer's form does. Empty identifiers and secrets are made up. Registering a known
// client id again replaces everything but its authorizations.
func (s *Simulator) RegisterApp(ctx context.Context, app App) (App, error) {
	if app.ClientID == "" {
		app.ClientID = s.uuid() + "/" + s.uuid()
	}
	if len(app.ClientID) > maxClientID {
		return App{}, errors.New("the client id is too long")
	}
	if app.Name == "" {
		app.Name = "Registered application"
	}
	for _, secret := range []*string{&app.ClientSecret, &app.SubscriptionKey, &app.SignatureSecret} {
		if *secret == "" {
			*secret = s.randomHex(16)
		}
	}
	app.Origin, app.secretHash, app.keyHash = originRegistered, engine.Digest(app.ClientSecret), engine.Digest(app.SubscriptionKey)
	err := s.state.Update(ctx, func(tx *sql.Tx) error { return s.putApp(ctx, tx, app) })
	return app, err
}

// Apps lists the applications known so far, without their secrets.
func (s *Simulator) Apps(ctx context.Context) ([]App, error) {
	rows, err := s.state.QueryContext(ctx, selectApp+` ORDER BY created_at, client_id`)
	list, err := engine.Collect(rows, err, scanApp)
	if err != nil {
		return nil, fmt.Errorf("listing applications: %w", err)
	}
	for i := range list {
		list[i].SignatureSecret = ""
	}
	return list, nil
}

const selectApp = `SELECT client_id, name, origin, secret_hash, redirect_uris, subscription_key_hash, signature_secret FROM apps`

func scanApp(scan func(...any) error) (App, error) {
	var app App
	var uris string
	err := scan(&app.ClientID, &app.Name, &app.Origin, &app.secretHash, &uris, &app.keyHash, &app.SignatureSecret)
	if err != nil {
		return App{}, fmt.Errorf("reading application: %w", err)
	}
	if err := json.Unmarshal([]byte(uris), &app.RedirectURIs); err != nil {
		return App{}, fmt.Errorf("reading redirect URIs: %w", err)
	}
	return app, nil
}

func appByClient(ctx context.Context, q engine.Querier, clientID string) (App, bool, error) {
	return engine.Found(scanApp(q.QueryRowContext(ctx, selectApp+` WHERE client_id = ?`, clientID).Scan))
}

func (s *Simulator) putApp(ctx context.Context, tx *sql.Tx, app App) error {
	if app.RedirectURIs == nil {
		app.RedirectURIs = []string{}
	}
	uris, err := json.Marshal(app.RedirectURIs)
	if err != nil {
		return fmt.Errorf("encoding redirect URIs: %w", err)
	}
	_, err = tx.ExecContext(ctx, `INSERT OR REPLACE INTO apps(client_id, name, origin, secret_hash, redirect_uris, subscription_key_hash, signature_secret, created_at)
		VALUES(?, ?, ?, ?, ?, ?, ?, ?)`,
		app.ClientID, app.Name, app.Origin, app.secretHash, string(uris), app.keyHash, app.SignatureSecret, s.seconds(0))
	if err != nil {
		return fmt.Errorf("storing application: %w", err)
	}
	return nil
}

// findApp finds an application, or takes a client id that was never seen as though it had just been registered. Its
// secret, its redirect URI and its subscription key are then those of the first use.
func (s *Simulator) findApp(ctx context.Context, tx *sql.Tx, clientID string) (App, bool, error) {
	app, known, err := appByClient(ctx, tx, clientID)
	if err != nil || known {
		return app, known, err
	}
	_, strict, err := s.setting(ctx, tx, FaultStrictApps, scope{client: clientID})
	if err != nil || strict || clientID == "" || len(clientID) > maxClientID {
		return App{}, false, err
	}
	app = App{ClientID: clientID, Name: "Your application", Origin: originFirstUse}
	return app, true, s.putApp(ctx, tx, app)
}

// authenticate checks client id and secret. It returns false for a pair that is wrong.
func (s *Simulator) authenticate(ctx context.Context, tx *sql.Tx, clientID, secret string) (bool, error) {
	app, known, err := s.findApp(ctx, tx, clientID)
	if err != nil || !known {
		return false, err
	}
	if app.secretHash == "" {
		app.secretHash = engine.Digest(secret)
		return true, s.putApp(ctx, tx, app)
	}
	return app.secretHash == engine.Digest(secret), nil
}

// allowRedirect compares a redirect URI with the registered ones, character for character (Sage facts 1.2). An application
// that nobody registered takes its first one; that one may come back with another port if it is a loopback address,
// since a local program takes a free port at every start.
func (s *Simulator) allowRedirect(ctx context.Context, tx *sql.Tx, app App, uri string) (bool, error) {
	if uri == "" {
		return false, nil
	}
	if slices.Contains(app.RedirectURIs, uri) {
		return true, nil
	}
	loopback, isLoopback := withoutLoopbackPort(uri)
	switch {
	case app.Origin == originSeeded:
		return isLoopback && loopback == "http://127.0.0.1"+callbackPath, nil
	case app.Origin == originFirstUse && len(app.RedirectURIs) == 0:
		u, err := url.Parse(uri)
		if err != nil || u.Host == "" || u.Fragment != "" {
			return false, nil //nolint:nilerr // what cannot be parsed is no address to redirect to
		}
		app.RedirectURIs = []string{uri}
		return true, s.putApp(ctx, tx, app)
	case app.Origin == originFirstUse:
		return isLoopback && slices.ContainsFunc(app.RedirectURIs, func(known string) bool {
			k, ok := withoutLoopbackPort(known)
			return ok && k == loopback
		}), nil
	}
	return false, nil
}

// withoutLoopbackPort returns the URI with its port removed, and whether it is a loopback URI at all.
func withoutLoopbackPort(uri string) (string, bool) {
	u, err := url.Parse(uri)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") {
		return "", false
	}
	ip := net.ParseIP(u.Hostname())
	if u.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return "", false
	}
	u.Host = u.Hostname()
	return u.String(), true
}
