package clarasim

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// The names of the authorities. The first is Clara's own (Clara facts 4.2).
const (
	clientAuthorityName = "Clara API Certificate Authority"
	serverAuthorityName = "Clara Simulator Server Authority"
	otherAuthorityName  = "Some Other Certificate Authority"
)

// What is not meant to run out has a life that no stepped clock leaves.
func longAgo() time.Time  { return time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) }
func farAhead() time.Time { return time.Date(2199, 12, 31, 0, 0, 0, 0, time.UTC) }

// authority issues certificates.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	pem         string
}

func newAuthority(random io.Reader, name string) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), random)
	if err != nil {
		return nil, fmt.Errorf("making the key of %s: %w", name, err)
	}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, NotBefore: longAgo(), NotAfter: farAhead(),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	return selfSigned(random, template, key)
}

func selfSigned(random io.Reader, template *x509.Certificate, key *ecdsa.PrivateKey) (*authority, error) {
	der, err := sign(random, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("reading a new authority: %w", err)
	}
	return &authority{certificate: certificate, key: key, pem: certificatePEM(der)}, nil
}

// sign gives a template its serial number and signs it.
func sign(random io.Reader, template, parent *x509.Certificate, public crypto.PublicKey, key crypto.Signer) ([]byte, error) {
	serial := make([]byte, 16)
	if _, err := io.ReadFull(random, serial); err != nil {
		return nil, fmt.Errorf("drawing a serial number: %w", err)
	}
	serial[0] = serial[0]&0x3f | 0x40 // positive, and always as long
	template.SerialNumber = new(big.Int).SetBytes(serial)
	der, err := x509.CreateCertificate(random, template, parent, public, key)
	if err != nil {
		return nil, fmt.Errorf("issuing a certificate: %w", err)
	}
	return der, nil
}

// encode is how an authority is kept, and decodeAuthority the way back.
func (a *authority) encode() (string, error) {
	key, err := keyPEM(a.key, KeyECDSA)
	return a.pem + key, err
}

func decodeAuthority(text string) (*authority, error) {
	first, rest := pem.Decode([]byte(text))
	if first == nil {
		return nil, errors.New("the state holds no authority")
	}
	second, _ := pem.Decode(rest)
	if second == nil {
		return nil, errors.New("the state holds an authority without its key")
	}
	certificate, err := x509.ParseCertificate(first.Bytes)
	if err != nil {
		return nil, fmt.Errorf("reading an authority: %w", err)
	}
	key, err := x509.ParseECPrivateKey(second.Bytes)
	if err != nil {
		return nil, errors.New("the key of an authority cannot be read")
	}
	return &authority{certificate: certificate, key: key, pem: certificatePEM(first.Bytes)}, nil
}

func (a *authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.certificate)
	return pool
}

// authorityPath is where the file of CAFile lies.
func authorityPath(state string) string {
	return strings.TrimSuffix(state, filepath.Ext(state)) + "-ca.pem"
}

// writeAuthority writes by renaming: another process may be reading the same file.
func writeAuthority(path, text string) error {
	if known, err := os.ReadFile(path); err == nil && bytes.Equal(known, []byte(text)) {
		return nil
	}
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("writing the authority: %w", err)
	}
	_, err = file.WriteString(text)
	if err = errors.Join(err, file.Close()); err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("writing the authority: %w", err), os.Remove(file.Name()))
	}
	return nil
}

// The kinds of keys that a project may be given, and how their PEM is written.
const (
	KeyRSA        = "rsa"         // RSA 2048, PKCS#1: what Clara's clients were seen to hold (Clara facts 4.4)
	KeyRSAPKCS8   = "rsa-pkcs8"   // RSA 2048, PKCS#8
	KeyECDSA      = "ecdsa"       // P-256, SEC 1
	KeyECDSAPKCS8 = "ecdsa-pkcs8" // P-256, PKCS#8
)

// Who may have issued a client's certificate.
const (
	IssuerClara    = "clara"    // the right one
	IssuerOther    = "other"    // an authority that nobody knows, under a name of its own: a client in Go sends nothing (Clara facts 5.3)
	IssuerImpostor = "impostor" // the right name over another key: the certificate is sent, and refused
	IssuerServer   = "server"   // the authority of the front's own certificate
	IssuerSelf     = "self"     // the certificate itself
)

// What a client's certificate may be good for.
const (
	UsageClient = "client"
	UsageServer = "server"
	UsageBoth   = "both"
	UsageNone   = "none" // no word about it, which verifiers take
)

// Which certificates a download's public key holds.
const (
	ChainLeaf   = "leaf"
	ChainAfter  = "after"  // the issuer follows
	ChainBefore = "before" // the issuer comes first, which no TLS library takes
)

// The authorities that a download's ca-public-key.pem may hold. Clara does not say which it is (Clara facts 5.1).
const (
	BundleServer = "server"
	BundleClient = "client"
	BundleBoth   = "both"
)

// CertificateRequest says what a certificate is like. Empty members make one that works: RSA, issued by Clara, for a client, good
// for 365 days, which is assumed.
type CertificateRequest struct {
	KeyType   string    `json:"key_type,omitempty"`
	NotBefore time.Time `json:"not_before,omitzero"`
	NotAfter  time.Time `json:"not_after,omitzero"`
	EKU       string    `json:"eku,omitempty"`
	Issuer    string    `json:"issuer,omitempty"`
	IsCA      bool      `json:"is_ca,omitempty"` // an authority's own certificate in a leaf's place
	Chain     string    `json:"chain,omitempty"`
	Bundle    string    `json:"ca,omitempty"` // which authorities the download brings along
}

// Lives of what the dashboard gives out.
const (
	longestProject  = 360 * 24 * time.Hour // Clara facts 4.4
	certificateLife = 365 * 24 * time.Hour // assumed
)

// withDefaults fills in what was left out, and refuses what means nothing.
func (c CertificateRequest) withDefaults(now time.Time) (CertificateRequest, error) {
	for _, member := range []struct {
		name  string
		value *string
		known []string
	}{
		{"key_type", &c.KeyType, []string{KeyRSA, KeyRSAPKCS8, KeyECDSA, KeyECDSAPKCS8}},
		{"eku", &c.EKU, []string{UsageClient, UsageServer, UsageBoth, UsageNone}},
		{"issuer", &c.Issuer, []string{IssuerClara, IssuerOther, IssuerImpostor, IssuerServer, IssuerSelf}},
		{"chain", &c.Chain, []string{ChainLeaf, ChainAfter, ChainBefore}},
		{"ca", &c.Bundle, []string{BundleServer, BundleClient, BundleBoth}},
	} {
		if err := oneOf(member.name, member.value, member.known); err != nil {
			return c, err
		}
	}
	if c.NotBefore.IsZero() {
		c.NotBefore = now.Add(-time.Minute) // clocks differ
	}
	if c.NotAfter.IsZero() {
		c.NotAfter = now.Add(certificateLife)
	}
	if !c.NotAfter.After(c.NotBefore) {
		return c, errors.New("not_after must come after not_before")
	}
	return c, nil
}

// oneOf takes the first known value where none is given, and none that is unknown.
func oneOf(name string, value *string, known []string) error {
	if *value == "" {
		*value = known[0]
	}
	for _, k := range known {
		if *value == k {
			return nil
		}
	}
	return fmt.Errorf("%s is one of %s", name, strings.Join(known, ", "))
}

// pair is a certificate and what goes with it, as PEM.
type pair struct {
	certificate, key, bundle, fingerprint string
}

// issue makes a key and a certificate for a client.
func (s *Simulator) issue(clientID string, want CertificateRequest) (pair, error) {
	key, err := newKey(s.random, want.KeyType)
	if err != nil {
		return pair{}, err
	}
	template := &x509.Certificate{
		Subject:   pkix.Name{CommonName: clientID, Organization: []string{"Clara"}},
		NotBefore: want.NotBefore, NotAfter: want.NotAfter, BasicConstraintsValid: true, IsCA: want.IsCA,
		KeyUsage: x509.KeyUsageDigitalSignature,
	}
	if want.IsCA {
		template.KeyUsage |= x509.KeyUsageCertSign
	}
	if want.EKU == UsageClient || want.EKU == UsageBoth {
		template.ExtKeyUsage = append(template.ExtKeyUsage, x509.ExtKeyUsageClientAuth)
	}
	if want.EKU == UsageServer || want.EKU == UsageBoth {
		template.ExtKeyUsage = append(template.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
	}
	issuer, err := s.issuer(want.Issuer)
	if err != nil {
		return pair{}, err
	}
	var der []byte
	if issuer == nil {
		der, err = sign(s.random, template, template, key.Public(), key)
	} else {
		der, err = sign(s.random, template, issuer.certificate, key.Public(), issuer.key)
	}
	if err != nil {
		return pair{}, err
	}
	text, err := keyPEM(key, want.KeyType)
	if err != nil {
		return pair{}, err
	}
	made := pair{certificate: certificatePEM(der), key: text, fingerprint: fingerprint(der)}
	if issuer != nil {
		switch want.Chain {
		case ChainAfter:
			made.certificate += issuer.pem
		case ChainBefore:
			made.certificate = issuer.pem + made.certificate
		}
	}
	if want.Bundle != BundleClient {
		made.bundle += s.servers.pem
	}
	if want.Bundle != BundleServer {
		made.bundle += s.clients.pem
	}
	return made, nil
}

// issuer returns nil for a certificate that signs itself.
func (s *Simulator) issuer(name string) (*authority, error) {
	switch name {
	case IssuerOther:
		return newAuthority(s.random, otherAuthorityName)
	case IssuerImpostor:
		return newAuthority(s.random, clientAuthorityName)
	case IssuerServer:
		return s.servers, nil
	case IssuerSelf:
		return nil, nil
	}
	return s.clients, nil
}

func newKey(random io.Reader, kind string) (crypto.Signer, error) {
	if kind == KeyRSA || kind == KeyRSAPKCS8 {
		key, err := rsa.GenerateKey(random, 2048)
		if err != nil {
			return nil, fmt.Errorf("making a key: %w", err)
		}
		return key, nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), random)
	if err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	return key, nil
}

func keyPEM(key crypto.Signer, kind string) (string, error) {
	var block pem.Block
	var err error
	rsaKey, isRSA := key.(*rsa.PrivateKey)
	ecKey, isEC := key.(*ecdsa.PrivateKey)
	switch {
	case isRSA && kind == KeyRSA:
		block = pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(rsaKey)}
	case isEC && kind == KeyECDSA:
		block.Type = "EC PRIVATE KEY"
		block.Bytes, err = x509.MarshalECPrivateKey(ecKey)
	default:
		block.Type = "PRIVATE KEY"
		block.Bytes, err = x509.MarshalPKCS8PrivateKey(key)
	}
	if err != nil {
		return "", errors.New("a key cannot be written")
	}
	return string(pem.EncodeToMemory(&block)), nil
}

func certificatePEM(der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// fingerprint names a certificate: SHA-256 over its DER form.
func fingerprint(der []byte) string {
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}

// newIdentity makes a certificate of the front's own.
func newIdentity(random io.Reader, issuer *authority, kind string) (certificate, key string, err error) {
	private, err := newKey(random, KeyECDSA)
	if err != nil {
		return "", "", err
	}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: "Clara simulator"}, NotBefore: longAgo(), NotAfter: farAhead(), BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	switch kind {
	case IdentityExpired:
		template.NotAfter = longAgo().AddDate(1, 0, 0)
	case IdentityMisnamed:
		template.DNSNames, template.IPAddresses = []string{"clara.example"}, nil
	}
	der, err := sign(random, template, issuer.certificate, private.Public(), issuer.key)
	if err != nil {
		return "", "", err
	}
	key, err = keyPEM(private, KeyECDSA)
	return certificatePEM(der), key, err
}
