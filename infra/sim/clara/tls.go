package clarasim

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"connectorvault/infra/sim/engine"
)

// How the front treats client certificates.
const (
	ModeStrict  = "strict"  // the handshake verifies them
	ModeRequest = "request" // the handshake asks; whoever shows none, or a bad one, is answered with MissingStatus
)

// Which certificate the front itself shows.
const (
	IdentityRight    = "right"
	IdentityStranger = "stranger" // of an authority that nobody knows
	IdentityExpired  = "expired"
	IdentityMisnamed = "misnamed" // for another host
)

// TLSSettings say how the front shakes hands. Empty members are the first value of each.
type TLSSettings struct {
	Mode          string `json:"mode"`           // ModeStrict or ModeRequest
	MinVersion    string `json:"min_version"`    // "1.2", or "1.0", "1.1", "1.3"
	MaxVersion    string `json:"max_version"`    // "1.3", or an older one
	MissingStatus int    `json:"missing_status"` // 511 or 401, in ModeRequest (Clara facts 4.7)
	Identity      string `json:"identity"`       // the front's own certificate
	HTTP2         bool   `json:"http2"`          // offered beside HTTP/1.1; whether Clara does is assumed to be no matter
}

func tlsVersions() map[string]uint16 {
	return map[string]uint16{"1.0": tls.VersionTLS10, "1.1": tls.VersionTLS11, "1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13}
}

func (t TLSSettings) withDefaults() (TLSSettings, error) {
	for _, member := range []struct {
		name  string
		value *string
		known []string
	}{
		{"mode", &t.Mode, []string{ModeStrict, ModeRequest}},
		{"min_version", &t.MinVersion, []string{"1.2", "1.0", "1.1", "1.3"}},
		{"max_version", &t.MaxVersion, []string{"1.3", "1.0", "1.1", "1.2"}},
		{"identity", &t.Identity, []string{IdentityRight, IdentityStranger, IdentityExpired, IdentityMisnamed}},
	} {
		if err := oneOf(member.name, member.value, member.known); err != nil {
			return t, err
		}
	}
	if t.MissingStatus == 0 {
		t.MissingStatus = http.StatusNetworkAuthenticationRequired
	}
	if t.MissingStatus != http.StatusNetworkAuthenticationRequired && t.MissingStatus != http.StatusUnauthorized {
		return t, errors.New("missing_status is 511 or 401")
	}
	if t.MinVersion > t.MaxVersion {
		return t, errors.New("min_version is above max_version")
	}
	return t, nil
}

const metaTLS = "tls settings"

// TLS returns the settings in force.
func (s *Simulator) TLS(ctx context.Context) (TLSSettings, error) {
	return readTLS(ctx, s.state)
}

func readTLS(ctx context.Context, q engine.Querier) (TLSSettings, error) {
	text, err := engine.Meta(ctx, q, metaTLS)
	if err != nil {
		return TLSSettings{}, err
	}
	var settings TLSSettings
	if text != "" {
		if err := json.Unmarshal([]byte(text), &settings); err != nil {
			return TLSSettings{}, fmt.Errorf("reading TLS settings: %w", err)
		}
	}
	return settings.withDefaults()
}

// SetTLS replaces the settings. Handshakes follow them from now on; connections that are open stay open.
func (s *Simulator) SetTLS(ctx context.Context, settings TLSSettings) (TLSSettings, error) {
	settings, err := settings.withDefaults()
	if err != nil {
		return TLSSettings{}, err
	}
	text, err := json.Marshal(settings)
	if err != nil {
		return TLSSettings{}, fmt.Errorf("encoding TLS settings: %w", err)
	}
	return settings, engine.SetMeta(ctx, s.state, metaTLS, string(text))
}

// TLSConfig is what the listener of Handler must be served with. It reads the settings anew at every handshake.
func (s *Simulator) TLSConfig() *tls.Config {
	return &tls.Config{
		Certificates:       []tls.Certificate{s.identity},
		MinVersion:         tls.VersionTLS12,
		NextProtos:         []string{"h2", "http/1.1"}, // so that a server prepares for both
		GetConfigForClient: s.configForClient,
	}
}

// configForClient is TLSConfig for one handshake.
func (s *Simulator) configForClient(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	ctx := context.WithoutCancel(hello.Context())
	s.countHandshake(ctx, handshakeBegun, "")
	_, refused, err := s.fire(ctx, FaultHandshake, scope{endpoint: endpointHandshake})
	if err != nil {
		return nil, err
	}
	if refused {
		return nil, errors.New("a switch refuses the handshake")
	}
	settings, err := s.TLS(ctx)
	if err != nil {
		return nil, err
	}
	identity, err := s.shown(settings.Identity)
	if err != nil {
		return nil, err
	}
	config := &tls.Config{
		Certificates: []tls.Certificate{identity},
		MinVersion:   tlsVersions()[settings.MinVersion],
		MaxVersion:   tlsVersions()[settings.MaxVersion],
		NextProtos:   []string{"http/1.1"},
		ClientCAs:    s.clients.pool(),
		ClientAuth:   tls.RequireAndVerifyClientCert,
		Time:         s.now,
		// Every connection shows its certificate, so that handshakes say which one is in use.
		SessionTicketsDisabled: true,
		VerifyConnection: func(c tls.ConnectionState) error {
			leaf := ""
			if len(c.PeerCertificates) > 0 {
				leaf = fingerprint(c.PeerCertificates[0].Raw)
			}
			s.countHandshake(ctx, leaf, tls.VersionName(c.Version))
			return nil
		},
	}
	if settings.Mode == ModeRequest {
		config.ClientAuth = tls.RequestClientCert
	}
	if settings.HTTP2 {
		config.NextProtos = []string{"h2", "http/1.1"}
	}
	return config, nil
}

// shown is the certificate that the front shows.
func (s *Simulator) shown(kind string) (tls.Certificate, error) {
	issuer := s.servers
	switch kind {
	case IdentityRight:
		return s.identity, nil
	case IdentityStranger:
		var err error
		if issuer, err = newAuthority(s.random, otherAuthorityName); err != nil {
			return tls.Certificate{}, err
		}
	}
	certificate, key, err := newIdentity(s.random, issuer, kind)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.X509KeyPair([]byte(certificate), []byte(key))
}

// handshakeBegun stands in the place of a fingerprint for handshakes that were begun, whatever became of them.
const handshakeBegun = "begun"

func (s *Simulator) countHandshake(ctx context.Context, leaf, version string) {
	_, err := s.state.ExecContext(ctx, `INSERT INTO handshakes(fingerprint, version, count) VALUES(?, ?, 1)
		ON CONFLICT(fingerprint, version) DO UPDATE SET count = count + 1`, leaf, version)
	if err != nil {
		s.log.ErrorContext(ctx, "counting a handshake", "error", err)
	}
}

// Handshake says how many connections showed a certificate.
type Handshake struct {
	Fingerprint string `json:"fingerprint"` // of the leaf; "" for connections that showed none
	ClientID    string `json:"client_id"`   // "" where no project has it
	Credential  int    `json:"credential"`
	Version     string `json:"version"` // "TLS 1.3"
	Count       int    `json:"count"`
}

// Handshakes are the connections of all processes that share the state.
type Handshakes struct {
	Items     []Handshake `json:"items"`
	Begun     int         `json:"begun"`
	Completed int         `json:"completed"` // the others were refused, by this side or the other
}

// Handshakes returns what was counted.
func (s *Simulator) Handshakes(ctx context.Context) (Handshakes, error) {
	rows, err := s.state.QueryContext(ctx, `SELECT h.fingerprint, h.version, h.count, COALESCE(c.client_id, ''), COALESCE(c.n, 0)
		FROM handshakes h LEFT JOIN credentials c ON c.fingerprint = h.fingerprint ORDER BY h.fingerprint, h.version`)
	list, err := engine.Collect(rows, err, func(scan func(...any) error) (Handshake, error) {
		var h Handshake
		err := scan(&h.Fingerprint, &h.Version, &h.Count, &h.ClientID, &h.Credential)
		return h, err
	})
	if err != nil {
		return Handshakes{}, fmt.Errorf("reading handshakes: %w", err)
	}
	counted := Handshakes{Items: []Handshake{}}
	for _, h := range list {
		if h.Fingerprint == handshakeBegun {
			counted.Begun = h.Count
			continue
		}
		counted.Completed += h.Count
		counted.Items = append(counted.Items, h)
	}
	return counted, nil
}

// ResetHandshakes sets the counts to nothing.
func (s *Simulator) ResetHandshakes(ctx context.Context) error {
	_, err := s.state.ExecContext(ctx, `DELETE FROM handshakes`)
	return err
}

// holder is whoever a request's certificate belongs to.
type holder struct {
	fingerprint string // "" without a certificate
	thumbprint  string // as tokens are bound to it (RFC 8705)
	project     Project
	credential  int
	known       bool   // a project has it, and has not given it up
	problem     string // why the certificate is as good as none
}

// presented finds out whose certificate a request came with.
func (s *Simulator) presented(ctx context.Context, c *tls.ConnectionState) (holder, error) {
	if c == nil || len(c.PeerCertificates) == 0 {
		return holder{problem: "no certificate"}, nil
	}
	leaf := c.PeerCertificates[0]
	sum := sha256.Sum256(leaf.Raw)
	h := holder{fingerprint: fingerprint(leaf.Raw), thumbprint: base64.RawURLEncoding.EncodeToString(sum[:])}
	if len(c.VerifiedChains) == 0 && !s.verifies(leaf) { // the handshake only asked
		h.problem = "bad certificate"
		return h, nil
	}
	var err error
	h.project, h.credential, h.known, err = projectByFingerprint(ctx, s.state, h.fingerprint)
	return h, err
}

// verifies judges a certificate as the strict mode's handshake does.
func (s *Simulator) verifies(leaf *x509.Certificate) bool {
	_, err := leaf.Verify(x509.VerifyOptions{
		Roots: s.clients.pool(), CurrentTime: s.now(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	return err == nil
}

func projectByFingerprint(ctx context.Context, q engine.Querier, leaf string) (Project, int, bool, error) {
	var clientID string
	var n int
	err := q.QueryRowContext(ctx, `SELECT client_id, n FROM credentials WHERE fingerprint = ? AND deleted_at = 0`, leaf).Scan(&clientID, &n)
	if errors.Is(err, sql.ErrNoRows) {
		return Project{}, 0, false, nil
	}
	if err != nil {
		return Project{}, 0, false, fmt.Errorf("finding a certificate: %w", err)
	}
	project, known, err := projectByID(ctx, q, clientID)
	return project, n, known, err
}
