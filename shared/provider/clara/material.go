package clara

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"
	"time"

	"connectorvault/shared/fault"
	"connectorvault/shared/record"
	"connectorvault/shared/secret"
)

const (
	maxPEM    = 64 << 10 // of one field; chains are a tenth of it
	leastRSA  = 2048     // bits
	leastEC   = 256
	soon      = 30 * 24 * time.Hour
	keyBlock  = "PRIVATE KEY" // the end of every such block's type
	certBlock = "CERTIFICATE"
)

// material is what an entry's secrets are, once they have been understood.
type material struct {
	chain       []*x509.Certificate // the client's own first
	key         crypto.Signer
	authorities []*x509.Certificate // that may vouch for Clara's hosts; none = the system's alone
}

// pair is the form that crypto/tls takes.
func (m material) pair() *tls.Certificate {
	out := &tls.Certificate{PrivateKey: m.key, Leaf: m.chain[0]}
	for _, c := range m.chain {
		out.Certificate = append(out.Certificate, c.Raw)
	}
	return out
}

// CheckSecrets implements provider.Checker. What cannot work is an error; what is odd and may be right is a warning. The
// secrets of an entry that is new must all be there. Codes: invalid_field, and those of understand.
func (a *Adapter) CheckSecrets(entry record.Entry, secrets map[string]secret.Text, now time.Time) (record.Material, error) {
	if err := checkSecretKey(secrets[fieldSecretKey]); err != nil {
		return record.Material{}, err
	}
	m, problem := understand(secrets)
	if problem != nil {
		return record.Material{}, problem
	}
	leaf := m.chain[0]
	switch {
	case now.Before(leaf.NotBefore):
		return record.Material{}, fault.New(fault.Invalid, "certificate_not_yet_valid", "The certificate is not valid before "+day(leaf.NotBefore)+".").
			On(fieldCertificate).Do("Wait for that day, or check that this machine's clock is right.")
	case !now.Before(leaf.NotAfter):
		return record.Material{}, fault.New(fault.Invalid, "certificate_expired", "The certificate ended on "+day(leaf.NotAfter)+".").
			On(fieldCertificate).Do("Make a new API project at Clara and use its certificate.")
	}
	sum := sha256.Sum256(leaf.Raw)
	return record.Material{
		Subject: leaf.Subject.String(), Issuer: leaf.Issuer.String(), Fingerprint: hex.EncodeToString(sum[:]),
		NotBefore: leaf.NotBefore.UTC(), NotAfter: leaf.NotAfter.UTC(), Warnings: warnings(m, entry, now),
	}, nil
}

func checkSecretKey(key secret.Text) error {
	switch text := key.Reveal(); {
	case text == "":
		return invalid(fieldSecretKey, "The secret key is missing.").Do("Copy clientSecret from the download of the API project.")
	case len(text) > 1024 || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }):
		return invalid(fieldSecretKey, "The secret key is longer than any, or has spaces or line ends in it.").
			Do("Copy clientSecret from the download of the API project, without what is around it.")
	}
	return nil
}

func warnings(m material, entry record.Entry, now time.Time) []string {
	var found []string
	leaf := m.chain[0]
	if len(m.authorities) > 0 && !issuedBy(m, now) {
		// It may be right: nobody says whether these authorities are the client's, the server's or both (Clara facts 5.1).
		found = append(found, "None of the given authorities issued the client certificate.")
	}
	for _, c := range m.authorities {
		if !c.IsCA {
			found = append(found, fmt.Sprintf("Among the given authorities is a certificate that is none: %s.", clip(c.Subject.String())))
		} else if !now.Before(c.NotAfter) || now.Before(c.NotBefore) {
			found = append(found, fmt.Sprintf("One of the given authorities is not valid today: %s.", clip(c.Subject.String())))
		}
	}
	if leaf.KeyUsage != 0 && leaf.KeyUsage&x509.KeyUsageDigitalSignature == 0 {
		found = append(found, "The client certificate does not say that its key may sign, which TLS needs.")
	}
	if leaf.NotAfter.Sub(now) < soon {
		found = append(found, "The client certificate ends within 30 days, on "+day(leaf.NotAfter)+".")
	}
	if end, known := projectEnd(entry); known {
		switch {
		case !now.Before(end):
			found = append(found, "The API project has ended, on "+day(end)+".")
		case end.Before(leaf.NotAfter):
			found = append(found, "The API project ends before its certificate does, on "+day(end)+".")
		}
		if now.Before(end) && end.Sub(now) < soon {
			found = append(found, "The API project ends within 30 days, on "+day(end)+".")
		}
	}
	return found
}

// issuedBy reports whether the leaf leads to one of the authorities.
func issuedBy(m material, now time.Time) bool {
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	for _, c := range m.authorities {
		roots.AddCert(c)
	}
	for _, c := range m.chain[1:] {
		between.AddCert(c)
	}
	_, err := m.chain[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	return err == nil
}

// understand reads certificate, key and authorities, and finds everything that can be wrong with them on any day. Codes:
// invalid_field, certificate_and_key_swapped, certificate_unreadable, ca_certificate_given, certificate_chain_order,
// not_a_client_certificate, private_key_unreadable, private_key_encrypted, private_key_mismatch, private_key_type_mismatch, weak_key,
// trailing_data. None quotes what it read.
func understand(secrets map[string]secret.Text) (material, *fault.Error) {
	for _, f := range entryFields() {
		value := secrets[f.Name]
		if f.Reads && f.Required && strings.TrimSpace(value.Reveal()) == "" {
			return material{}, missing(f)
		}
		if f.Reads && len(value.Reveal()) > maxPEM {
			return material{}, invalid(f.Name, f.Label+" is longer than any.").Do(f.Help)
		}
	}
	certificate, key := clean(secrets[fieldCertificate].Reveal()), clean(secrets[fieldPrivateKey].Reveal())
	if holds(certificate, keyBlock) && !holds(certificate, certBlock) && holds(key, certBlock) {
		return material{}, fault.New(fault.Invalid, "certificate_and_key_swapped", "Where the certificate belongs is a private key, and where the key belongs a certificate.").
			On(fieldCertificate).Do("Exchange client_certificate and private_key.")
	}
	chain, problem := certificates(certificate, fieldCertificate)
	if problem != nil {
		return material{}, problem
	}
	signer, problem := privateKey(key)
	if problem != nil {
		return material{}, problem
	}
	m := material{chain: chain, key: signer}
	if text := secrets[fieldAuthorities].Reveal(); strings.TrimSpace(text) != "" {
		if m.authorities, problem = authorities(text); problem != nil {
			return material{}, problem
		}
	}
	return m, cmpFault(m.inOrder(), m.strong(), m.forClients())
}

// cmpFault is the first that there is.
func cmpFault(all ...*fault.Error) *fault.Error {
	for _, f := range all {
		if f != nil {
			return f
		}
	}
	return nil
}

// inOrder holds the certificates against the key and against each other.
func (m material) inOrder() *fault.Error {
	leaf := m.chain[0]
	belongs := func(c *x509.Certificate) bool {
		public, ok := m.key.Public().(interface{ Equal(crypto.PublicKey) bool })
		return ok && public.Equal(c.PublicKey)
	}
	switch {
	case !belongs(leaf) && slices.ContainsFunc(m.chain[1:], belongs):
		return chainOrder()
	case leaf.IsCA:
		return fault.New(fault.Invalid, "ca_certificate_given", "The certificate is that of a certificate authority, not a client's.").
			On(fieldCertificate).Do("Use public-key.crt of the API project; ca-public-key.pem goes into ca_certificates.")
	case !belongs(leaf) && kindOf(leaf.PublicKey) != kindOf(m.key.Public()):
		return fault.New(fault.Invalid, "private_key_type_mismatch", fmt.Sprintf("The private key is of type %s, and the certificate's is %s.", kindOf(m.key.Public()), kindOf(leaf.PublicKey))).
			On(fieldPrivateKey).Do("Use the private key that was downloaded together with the certificate.")
	case !belongs(leaf):
		return fault.New(fault.Invalid, "private_key_mismatch", "The private key does not belong to the certificate.").
			On(fieldPrivateKey).Do("Use the private key that was downloaded together with the certificate.")
	}
	for i, c := range m.chain[1:] {
		if m.chain[i].CheckSignatureFrom(c) != nil {
			return chainOrder()
		}
	}
	return nil
}

func chainOrder() *fault.Error {
	return fault.New(fault.Invalid, "certificate_chain_order", "The certificates are not in their order: the client's own first, and after each the one that issued it.").
		On(fieldCertificate).Do("Put the client's own certificate first, or leave the others out.")
}

// strong refuses keys that no side of today takes.
func (m material) strong() *fault.Error {
	bits, least := 0, 0
	switch public := m.key.Public().(type) {
	case *rsa.PublicKey:
		bits, least = public.N.BitLen(), leastRSA
	case *ecdsa.PublicKey:
		bits, least = public.Curve.Params().BitSize, leastEC
	}
	if bits < least {
		return fault.New(fault.Invalid, "weak_key", fmt.Sprintf("The private key has %d bits, and fewer than %d are not safe.", bits, least)).
			On(fieldPrivateKey).Do("Make a new API project at Clara and use its certificate and key.")
	}
	return nil
}

// forClients refuses a certificate that says what it is for, and names something else.
func (m material) forClients() *fault.Error {
	leaf := m.chain[0]
	stated := len(leaf.ExtKeyUsage)+len(leaf.UnknownExtKeyUsage) > 0
	if stated && !slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageClientAuth) && !slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageAny) {
		return fault.New(fault.Invalid, "not_a_client_certificate", "The certificate is not for clients: it says what it is for, and that is something else.").
			On(fieldCertificate).Do("Use public-key.crt of the API project.")
	}
	return nil
}

// clean takes the traces of copying out of PEM: a byte order mark, the line ends of other systems, and those that a JSON
// text was left with.
func clean(text string) string {
	text = strings.NewReplacer("\\r\\n", "\n", "\\n", "\n", "\\r", "", "\r\n", "\n", "\r", "\n").Replace(strings.TrimPrefix(text, "\ufeff"))
	return strings.TrimSpace(text)
}

// holds reports whether there is a block whose type ends in kind.
func holds(text, kind string) bool {
	blocks, _ := blocksOf(text)
	return slices.ContainsFunc(blocks, func(b *pem.Block) bool { return strings.HasSuffix(b.Type, kind) })
}

// blocksOf takes PEM apart. What stands before a block, as openssl writes it, is passed over; what is left after the last
// one is returned.
func blocksOf(text string) (blocks []*pem.Block, rest string) {
	left := []byte(text)
	for {
		block, after := pem.Decode(left)
		if block == nil {
			return blocks, strings.TrimSpace(string(left))
		}
		blocks, left = append(blocks, block), after
	}
}

// authorities reads what may vouch for Clara's hosts.
func authorities(text string) ([]*x509.Certificate, *fault.Error) {
	return certificates(clean(text), fieldAuthorities)
}

func certificates(text, field string) ([]*x509.Certificate, *fault.Error) {
	blocks, rest := blocksOf(text)
	if len(blocks) == 0 {
		return nil, unreadable(field, "There is no PEM in it: no line that says BEGIN CERTIFICATE with its END.")
	}
	var found []*x509.Certificate
	for _, b := range blocks {
		switch {
		case b.Type == certBlock:
			c, err := x509.ParseCertificate(b.Bytes)
			if err != nil { // its text is of the certificate's inside, and helps nobody who pasted one
				return nil, unreadable(field, "A certificate in it is damaged, or of a kind that is not known.")
			}
			found = append(found, c)
		case strings.HasSuffix(b.Type, keyBlock):
			return nil, unreadable(field, "There is a private key in it, which belongs into private_key alone.")
		case strings.HasSuffix(b.Type, "PUBLIC KEY"):
			return nil, unreadable(field, "There is a bare public key in it. What Clara calls the public key is a certificate.")
		case b.Type == "CERTIFICATE REQUEST" || b.Type == "NEW CERTIFICATE REQUEST":
			return nil, unreadable(field, "There is the request for a certificate in it, and not the certificate.")
		default:
			return nil, unreadable(field, "There is something in it that is no certificate.")
		}
	}
	if rest != "" {
		return nil, trailing(field)
	}
	return found, nil
}

func unreadable(field, detail string) *fault.Error {
	return fault.New(fault.Invalid, "certificate_unreadable", detail).
		On(field).Do("Paste the whole file, from BEGIN CERTIFICATE to END CERTIFICATE with both lines.")
}

func trailing(field string) *fault.Error {
	return fault.New(fault.Invalid, "trailing_data", "After the last END line there is more, which may be what was cut off or is something else.").
		On(field).Do("Paste the file as it is, and nothing after it.")
}

func privateKey(text string) (crypto.Signer, *fault.Error) {
	blocks, rest := blocksOf(text)
	blocks = slices.DeleteFunc(blocks, func(b *pem.Block) bool { return b.Type == "EC PARAMETERS" }) // openssl writes them before the key
	switch {
	case len(blocks) == 0:
		return nil, badKey("There is no PEM in it: no line that says BEGIN PRIVATE KEY with its END.")
	case blocks[0].Type == "ENCRYPTED PRIVATE KEY" || strings.Contains(blocks[0].Headers["Proc-Type"], "ENCRYPTED"):
		return nil, fault.New(fault.Invalid, "private_key_encrypted", "The private key is locked with a password.").
			On(fieldPrivateKey).Do("Unlock it first, for instance with: openssl pkey -in private-key.key. The vault seals what it keeps.")
	case !strings.HasSuffix(blocks[0].Type, keyBlock):
		return nil, badKey("What is in it is no private key.")
	case len(blocks) > 1:
		return nil, badKey("There is more than one thing in it.")
	case rest != "":
		return nil, trailing(fieldPrivateKey)
	}
	signer := parseKey(blocks[0])
	if signer == nil {
		return nil, badKey("The key in it is damaged, or of a kind that TLS does not take.")
	}
	return signer, nil
}

func badKey(detail string) *fault.Error {
	return fault.New(fault.Invalid, "private_key_unreadable", detail).
		On(fieldPrivateKey).Do("Paste the whole of private-key.key, from its BEGIN line to its END line.")
}

// parseKey reads a key in each of the forms that there are. The errors say nothing that a person could use, and might
// quote what they read.
func parseKey(b *pem.Block) crypto.Signer {
	var key any
	var err error
	switch b.Type {
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(b.Bytes)
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(b.Bytes)
	case keyBlock:
		key, err = x509.ParsePKCS8PrivateKey(b.Bytes)
	}
	if err != nil {
		return nil
	}
	switch key.(type) {
	case *rsa.PrivateKey, *ecdsa.PrivateKey, ed25519.PrivateKey:
		signer, _ := key.(crypto.Signer)
		return signer
	default:
		return nil
	}
}

func kindOf(public crypto.PublicKey) string {
	switch public.(type) {
	case *rsa.PublicKey:
		return "RSA"
	case *ecdsa.PublicKey:
		return "EC"
	case ed25519.PublicKey:
		return "Ed25519"
	default:
		return "another"
	}
}

func day(at time.Time) string { return at.UTC().Format(time.DateOnly) }
