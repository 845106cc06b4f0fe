package clarasim

import (
	"context"
	"crypto/tls"
	"database/sql"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"

	"connectorvault/infra/sim/engine"
)

// The seeded projects. Their identifiers are fixed so that a bundle can be configured before it starts; the secrets
// guard nothing but this simulator. Their certificates are made at the first start: [Simulator.Download] gives them.
const (
	// Mexico, production: permitted to read everything of three companies. Its key is RSA.
	SeedClientID     = "5eedClaraProjectMx00000000000001"
	SeedClientSecret = "5eed-clara-client-secret-000000000000000000000000000000000000001" // #nosec G101 -- simulated

	// Brazil, sandbox: permitted to read transactions and cards of one company. Its key is ECDSA.
	SeedOtherClientID     = "5eedClaraProjectBr00000000000002"
	SeedOtherClientSecret = "5eed-clara-client-secret-000000000000000000000000000000000000002" // #nosec G101 -- simulated
)

// The tax identifiers of the seeded projects.
const (
	SeedTaxIdentifier       = "SIM010101AA1" // SeedClientID's, and meant when a request names none
	SeedTaxIdentifierSecond = "SIM020202BB2"
	SeedTaxIdentifierThird  = "SIM030303CC3"
	SeedOtherTaxIdentifier  = "00000000000191" // SeedOtherClientID's
)

// What the table meta holds.
const (
	metaSigningKey  = "signing key"
	metaClients     = "client authority"
	metaServers     = "server authority"
	metaCertificate = "server certificate"
	metaPrivateKey  = "server key"
)

// seed makes authorities, keys and projects, or reads those that another start made. All is one transaction, so that
// processes that start at once agree.
func (s *Simulator) seed(ctx context.Context) error {
	return s.state.Update(ctx, func(tx *sql.Tx) error {
		key, err := engine.Meta(ctx, tx, metaSigningKey)
		if err != nil {
			return err
		}
		if key == "" {
			if err := s.begin(ctx, tx); err != nil {
				return err
			}
			if key, err = engine.Meta(ctx, tx, metaSigningKey); err != nil {
				return err
			}
		}
		if s.key, err = base64.RawStdEncoding.DecodeString(key); err != nil {
			return fmt.Errorf("reading the signing key: %w", err)
		}
		if s.clients, err = storedAuthority(ctx, tx, metaClients); err != nil {
			return err
		}
		if s.servers, err = storedAuthority(ctx, tx, metaServers); err != nil {
			return err
		}
		certificate, err := engine.Meta(ctx, tx, metaCertificate)
		if err != nil {
			return err
		}
		private, err := engine.Meta(ctx, tx, metaPrivateKey)
		if err != nil {
			return err
		}
		s.identity, err = tls.X509KeyPair([]byte(certificate), []byte(private))
		return err
	})
}

func storedAuthority(ctx context.Context, tx *sql.Tx, name string) (*authority, error) {
	text, err := engine.Meta(ctx, tx, name)
	if err != nil {
		return nil, err
	}
	return decodeAuthority(text)
}

// begin fills a new state.
func (s *Simulator) begin(ctx context.Context, tx *sql.Tx) error {
	var err error
	if s.clients, err = newAuthority(s.random, clientAuthorityName); err != nil {
		return err
	}
	if s.servers, err = newAuthority(s.random, serverAuthorityName); err != nil {
		return err
	}
	certificate, private, err := newIdentity(s.random, s.servers, IdentityRight)
	if err != nil {
		return err
	}
	clients, err := s.clients.encode()
	if err != nil {
		return err
	}
	servers, err := s.servers.encode()
	if err != nil {
		return err
	}
	for _, entry := range [][2]string{
		{metaClients, clients}, {metaServers, servers}, {metaCertificate, certificate}, {metaPrivateKey, private},
		{metaSigningKey, base64.RawStdEncoding.EncodeToString(s.random.Bytes(32))},
	} {
		if err := engine.SetMeta(ctx, tx, entry[0], entry[1]); err != nil {
			return err
		}
	}
	now := s.now()
	for _, seeded := range []struct {
		project Project
		secret  string
		keyType string
	}{
		{Project{
			ClientID: SeedClientID, Name: "Connector Vault (simulated)", Country: CountryMexico, Side: SideProduction, Permissions: readAll(),
			TaxIdentifiers: []string{SeedTaxIdentifier, SeedTaxIdentifierSecond, SeedTaxIdentifierThird},
		}, SeedClientSecret, KeyRSA},
		{Project{
			ClientID: SeedOtherClientID, Name: "Second project (simulated)", Country: CountryBrazil, Side: SideSandbox,
			Permissions: []string{permitTransactions + ":read", permitCards + ":read"}, TaxIdentifiers: []string{SeedOtherTaxIdentifier},
		}, SeedOtherClientSecret, KeyECDSAPKCS8},
	} {
		p := seeded.project
		p.Origin, p.CreatedAt, p.ExpiresAt = originSeeded, now, now.Add(longestProject)
		want, err := CertificateRequest{KeyType: seeded.keyType}.withDefaults(now)
		if err != nil {
			return err
		}
		made, err := s.issue(p.ClientID, want)
		if err != nil {
			return err
		}
		if err := putProject(ctx, tx, p); err != nil {
			return err
		}
		if _, err := s.addCredential(ctx, tx, p.ClientID, seeded.secret, want, made); err != nil {
			return fmt.Errorf("seeding a project: %w", err)
		}
	}
	return nil
}

// taxIdentifier makes up an identifier of the country's form for a company: RFC, CNPJ or NIT.
func taxIdentifier(country, company string) string {
	d := roll("tax identifier", country, company)
	digits := func(n int, salt uint64) string {
		text := make([]byte, n)
		for i := range text {
			text[i] = byte('0' + d.below(10, salt+uint64(i)))
		}
		return string(text)
	}
	switch country {
	case CountryBrazil:
		return digits(14, 1)
	case CountryColombia:
		return "9" + digits(8, 1)
	}
	return "SIM" + digits(2, 1) + "0101" + strings.ToUpper(strconv.FormatInt(int64(36*36+d.below(36*36*35, 9)), 36))
}
