package clara_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"connectorvault/shared/fault"
	"connectorvault/shared/provider/clara"
	"connectorvault/shared/secret"
)

func fieldOf(err error) string { return fault.As(err).Field }

var today = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

func block(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func must[T any](t *testing.T) func(T, error) T {
	return func(value T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

// Everything that can be wrong is found when it is saved, and named. Nothing of a key is said.
func TestWrongMaterial(t *testing.T) {
	t.Parallel()
	authority, other := newIssuer(t, "authority"), newIssuer(t, "other")
	middle := authority.below(t, "middle")
	good, stranger, below := authority.client(t), other.client(t), middle.client(t)
	weakKey := must[*rsa.PrivateKey](t)(rsa.GenerateKey(rand.Reader, 1024))
	weak := authority.make(t, clientTemplate(long), weakKey)
	weakCurve := must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P224(), rand.Reader))
	weakEC := authority.make(t, clientTemplate(long), weakCurve)
	certificate, key := certificatePEM(good.certificate), keyPEM(t, good.key)
	public := must[[]byte](t)(x509.MarshalPKIXPublicKey(good.key.Public()))
	request := must[[]byte](t)(x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, good.key))
	locked := "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n"
	sealing := clientTemplate(long)
	sealing.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection}
	rows := []struct {
		what, certificate, key, authorities string
		code, field                         string
	}{
		{"no PEM", "hello", key, "", "certificate_unreadable", "client_certificate"},
		{"only base64", base64.StdEncoding.EncodeToString(good.certificate.Raw), key, "", "certificate_unreadable", "client_certificate"},
		{"no end", strings.Split(certificate, "-----END")[0], key, "", "certificate_unreadable", "client_certificate"},
		{"a damaged certificate", block("CERTIFICATE", good.certificate.Raw[:200]), key, "", "certificate_unreadable", "client_certificate"},
		{"bytes after the certificate", block("CERTIFICATE", append(slices.Clone(good.certificate.Raw), 1)), key, "", "certificate_unreadable", "client_certificate"},
		{"a public key", block("PUBLIC KEY", public), key, "", "certificate_unreadable", "client_certificate"},
		{"a request", block("CERTIFICATE REQUEST", request), key, "", "certificate_unreadable", "client_certificate"},
		{"a key among the certificates", certificate + key, key, "", "certificate_unreadable", "client_certificate"},
		{"a key for the certificate", key, key, "", "certificate_unreadable", "client_certificate"},
		{"something else", block("X509 CRL", []byte{1}), key, "", "certificate_unreadable", "client_certificate"},
		{"swapped", key, certificate, "", "certificate_and_key_swapped", "client_certificate"},
		{"trailing garbage", certificate + "garbage", key, "", "trailing_data", "client_certificate"},
		{"garbage after the key", certificate, key + "garbage", "", "trailing_data", "private_key"},
		{"no key in the key", certificate, "hello", "", "private_key_unreadable", "private_key"},
		{"a certificate for the key", certificate, certificate, "", "private_key_unreadable", "private_key"},
		{"two keys", certificate, key + key, "", "private_key_unreadable", "private_key"},
		{"a damaged key", certificate, block("PRIVATE KEY", []byte("canary-key")), "", "private_key_unreadable", "private_key"},
		{"a key of a strange kind", certificate, block("OPENSSH PRIVATE KEY", []byte("canary-key")), "", "private_key_unreadable", "private_key"},
		{"a locked key", certificate, block("ENCRYPTED PRIVATE KEY", []byte("canary-key")), "", "private_key_encrypted", "private_key"},
		{"a locked key of the old kind", certificate, locked, "", "private_key_encrypted", "private_key"},
		{"the key of another", certificate, keyPEM(t, stranger.key), "", "private_key_mismatch", "private_key"},
		{"a key of another type", certificate, keyPEM(t, weakKey), "", "private_key_type_mismatch", "private_key"},
		{"expired", certificatePEM(authority.make(t, clientTemplate(past), good.key).certificate), key, "", "certificate_expired", "client_certificate"},
		{"expired this instant", certificatePEM(authority.make(t, clientTemplate(span{long.from, today}), good.key).certificate), key, "", "certificate_expired", "client_certificate"},
		{"not yet valid", certificatePEM(authority.make(t, clientTemplate(to), good.key).certificate), key, "", "certificate_not_yet_valid", "client_certificate"},
		{"for servers", certificatePEM(authority.make(t, clientTemplate(long, x509.ExtKeyUsageServerAuth), good.key).certificate), key, "", "not_a_client_certificate", "client_certificate"},
		{"for mail", certificatePEM(authority.make(t, sealing, good.key).certificate), key, "", "not_a_client_certificate", "client_certificate"},
		{"an authority with its key", certificatePEM(authority.certificate), keyPEM(t, authority.key), "", "ca_certificate_given", "client_certificate"},
		{"an authority in the client's place", certificatePEM(authority.certificate), key, "", "ca_certificate_given", "client_certificate"},
		{"the authority first", certificatePEM(middle.certificate, below.certificate), keyPEM(t, below.key), "", "certificate_chain_order", "client_certificate"},
		{"the chain upside down", certificatePEM(below.certificate, authority.certificate, middle.certificate), keyPEM(t, below.key), "", "certificate_chain_order", "client_certificate"},
		{"a stranger in the chain", certificatePEM(below.certificate, other.certificate), keyPEM(t, below.key), "", "certificate_chain_order", "client_certificate"},
		{"a short RSA key", certificatePEM(weak.certificate), keyPEM(t, weak.key), "", "weak_key", "private_key"},
		{"a short curve", certificatePEM(weakEC.certificate), keyPEM(t, weakEC.key), "", "weak_key", "private_key"},
		{"authorities that are none", certificate, key, "hello", "certificate_unreadable", "ca_certificates"},
		{"a key among the authorities", certificate, key, certificatePEM(authority.certificate) + key, "certificate_unreadable", "ca_certificates"},
		{"garbage after the authorities", certificate, key, certificatePEM(authority.certificate) + "x", "trailing_data", "ca_certificates"},
		{"no certificate", " \n", key, "", "invalid_field", "client_certificate"},
		{"no key", certificate, "", "", "invalid_field", "private_key"},
		{"a library", strings.Repeat(certificate, 200), key, "", "invalid_field", "client_certificate"},
	}
	for _, row := range rows {
		t.Run(row.what, func(t *testing.T) {
			t.Parallel()
			a := clara.New(clara.Options{})
			secrets := texts("secret_key", secretKey, "client_certificate", row.certificate, "private_key", row.key, "ca_certificates", row.authorities)
			found, err := a.CheckSecrets(entry(), secrets, today)
			f := fault.As(err)
			if err == nil || f.Code != row.code || f.Field != row.field || f.Kind != fault.Invalid || f.Action == "" || found.Fingerprint != "" {
				t.Fatalf("got %v, %+v", err, found)
			}
			if text := fmt.Sprintf("%v %+v %#v", err, f, f); strings.Contains(text, "canary") || strings.Contains(text, "PRIVATE KEY-----") {
				t.Errorf("it says %s", text)
			}
			// What is stored and wrong in any year dials nobody, and is the operator's concern then.
			client, err := a.Dial(entry(), secrets)
			if timely := strings.HasPrefix(row.code, "certificate_expired") || row.code == "certificate_not_yet_valid"; timely != (err == nil) || timely != (client != nil) {
				t.Errorf("it is dialled with: %v", err)
			} else if !timely && (fault.CodeOf(err) != row.code || fault.KindOf(err) != fault.Misconfigured) {
				t.Errorf("dialling says %v", err)
			}
		})
	}
}

func TestSecretKey(t *testing.T) {
	t.Parallel()
	good := secretsOf(t, newIssuer(t, "authority").client(t))
	for _, bad := range []string{"", "canary with spaces", "canary\n", "canäry", strings.Repeat("x", 1025)} {
		good["secret_key"] = secret.New(bad)
		_, err := clara.New(clara.Options{}).CheckSecrets(entry(), good, today)
		if f := fault.As(err); err == nil || f.Field != "secret_key" || strings.Contains(err.Error(), "can") && strings.Contains(err.Error(), "canary") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// Every form in which good material comes is taken, and says what it is.
func TestGoodMaterial(t *testing.T) {
	t.Parallel()
	authority := newIssuer(t, "authority")
	middle := authority.below(t, "middle")
	good, below := authority.client(t), middle.client(t)
	rsaKey := must[*rsa.PrivateKey](t)(rsa.GenerateKey(rand.Reader, 2048))
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ecDER := must[[]byte](t)(x509.MarshalECPrivateKey(good.key.(*ecdsa.PrivateKey)))
	certificate, key := certificatePEM(good.certificate), keyPEM(t, good.key)
	crlf := func(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }
	escaped := func(s string) string { return strings.ReplaceAll(s, "\n", `\n`) }
	quiet := clientTemplate(long)
	quiet.ExtKeyUsage = nil
	for what, pair := range map[string][2]string{
		"as it is":               {certificate, key},
		"line ends of Windows":   {crlf(certificate), crlf(key)},
		"line ends escaped":      {escaped(certificate), escaped(key)},
		"both escaped":           {strings.ReplaceAll(certificate, "\n", `\r\n`), strings.ReplaceAll(key, "\n", `\r\n`)},
		"a byte order mark":      {"\ufeff" + certificate, "\ufeff" + key},
		"words before it":        {"Bag Attributes\n  friendlyName: x\n" + certificate, "Bag Attributes\n" + key},
		"space around it":        {"\n\n " + certificate + " \n\n", key + "\n\t\n"},
		"SEC 1":                  {certificate, block("EC PRIVATE KEY", ecDER)},
		"with curve parameters":  {certificate, block("EC PARAMETERS", []byte{6, 1, 1}) + block("EC PRIVATE KEY", ecDER)},
		"RSA, PKCS 1":            {certificatePEM(authority.make(t, clientTemplate(long), rsaKey).certificate), block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey))},
		"RSA, PKCS 8":            {certificatePEM(authority.make(t, clientTemplate(long), rsaKey).certificate), keyPEM(t, rsaKey)},
		"Ed25519":                {certificatePEM(authority.make(t, clientTemplate(long), edKey).certificate), keyPEM(t, edKey)},
		"the authority follows":  {certificatePEM(good.certificate, authority.certificate), key},
		"a whole chain":          {certificatePEM(below.certificate, middle.certificate, authority.certificate), keyPEM(t, below.key)},
		"signed by itself":       {certificatePEM(issuer{}.make(t, clientTemplate(long), good.key).certificate), key},
		"for nothing in general": {certificatePEM(authority.make(t, quiet, good.key).certificate), key},
		"for servers too":        {certificatePEM(authority.make(t, clientTemplate(long, x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth), good.key).certificate), key},
		"for anything":           {certificatePEM(authority.make(t, clientTemplate(long, x509.ExtKeyUsageAny), good.key).certificate), key},
	} {
		a := clara.New(clara.Options{})
		secrets := texts("secret_key", secretKey, "client_certificate", pair[0], "private_key", pair[1])
		found, err := a.CheckSecrets(entry(), secrets, today)
		if err != nil || len(found.Fingerprint) != 64 || found.Subject != "CN="+tokenKey || found.Issuer == "" || !found.NotAfter.Equal(long.until) ||
			!found.NotBefore.Equal(long.from) || len(found.Warnings) != 0 {
			t.Errorf("%s: %+v, %v", what, found, err)
		}
		if _, err := a.Dial(entry(), secrets); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestWarnings(t *testing.T) {
	t.Parallel()
	authority, other := newIssuer(t, "authority"), newIssuer(t, "other")
	middle := authority.below(t, "middle")
	old := issuer(issuer{}.make(t, func() x509.Certificate {
		c := authorityTemplate("old")
		c.NotBefore, c.NotAfter = past.from, past.until
		return c
	}(), newKey(t)))
	key := newKey(t)
	deaf := clientTemplate(long)
	deaf.KeyUsage = x509.KeyUsageKeyEncipherment
	year := span{long.from, today.AddDate(1, 0, 0)}
	for what, row := range map[string]struct {
		chain       []*x509.Certificate
		authorities []*x509.Certificate
		end         string
		want        []string
	}{
		"nothing":                     {[]*x509.Certificate{authority.make(t, clientTemplate(year), key).certificate}, nil, "", nil},
		"its own authority":           {[]*x509.Certificate{authority.make(t, clientTemplate(year), key).certificate}, []*x509.Certificate{authority.certificate}, "", nil},
		"its own through another":     {[]*x509.Certificate{middle.make(t, clientTemplate(year), key).certificate, middle.certificate}, []*x509.Certificate{authority.certificate}, "", nil},
		"another authority":           {[]*x509.Certificate{authority.make(t, clientTemplate(year), key).certificate}, []*x509.Certificate{other.certificate}, "", []string{"None of the given"}},
		"one of them":                 {[]*x509.Certificate{authority.make(t, clientTemplate(year), key).certificate}, []*x509.Certificate{other.certificate, authority.certificate}, "", nil},
		"an old one among them":       {[]*x509.Certificate{authority.make(t, clientTemplate(year), key).certificate}, []*x509.Certificate{old.certificate, authority.certificate}, "", []string{"not valid today"}},
		"one that is none among them": {[]*x509.Certificate{authority.make(t, clientTemplate(year), key).certificate}, []*x509.Certificate{authority.certificate, other.client(t).certificate}, "", []string{"is a certificate that is none"}},
		"a key that may not sign":     {[]*x509.Certificate{authority.make(t, deaf, key).certificate}, nil, "", []string{"may sign"}},
		"soon":                        {[]*x509.Certificate{authority.make(t, clientTemplate(span{long.from, today.Add(29 * 24 * time.Hour)}), key).certificate}, nil, "", []string{"certificate ends within 30 days, on 2026-12-19"}},
		"in thirty days":              {[]*x509.Certificate{authority.make(t, clientTemplate(span{long.from, today.Add(30 * 24 * time.Hour)}), key).certificate}, nil, "", nil},
		"the project ends before":     {[]*x509.Certificate{authority.make(t, clientTemplate(year), key).certificate}, nil, "2027-06-01", []string{"ends before its certificate does, on 2027-06-01"}},
		"the project ends soon":       {[]*x509.Certificate{authority.make(t, clientTemplate(year), key).certificate}, nil, "2026-12-01", []string{"ends before its certificate", "project ends within 30 days"}},
		"the project has ended":       {[]*x509.Certificate{authority.make(t, clientTemplate(year), key).certificate}, nil, "2026-11-20", []string{"project has ended"}},
		"the project ends after":      {[]*x509.Certificate{authority.make(t, clientTemplate(year), key).certificate}, nil, "2028-01-01", nil},
	} {
		secrets := texts("secret_key", secretKey, "client_certificate", certificatePEM(row.chain...), "private_key", keyPEM(t, key))
		if row.authorities != nil {
			secrets["ca_certificates"] = secret.New(certificatePEM(row.authorities...))
		}
		e := entry()
		if row.end != "" {
			e.Settings["project_expires_at"] = row.end
		}
		found, err := clara.New(clara.Options{}).CheckSecrets(e, secrets, today)
		if err != nil || len(found.Warnings) != len(row.want) {
			t.Errorf("%s: %v, %v", what, found.Warnings, err)
			continue
		}
		for i, want := range row.want {
			if !strings.Contains(found.Warnings[i], want) {
				t.Errorf("%s: %s", what, found.Warnings[i])
			}
		}
	}
}

// A project ends with the first instant of its last day.
func TestTheInstantOfTheEnd(t *testing.T) {
	t.Parallel()
	secrets := secretsOf(t, newIssuer(t, "authority").client(t))
	end := time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)
	for now, want := range map[time.Time]string{end: "has ended", end.Add(-time.Second): "ends before its certificate"} {
		found, err := clara.New(clara.Options{}).CheckSecrets(entry("project_expires_at", "2026-11-20"), secrets, now)
		if err != nil || len(found.Warnings) == 0 || !strings.Contains(found.Warnings[0], want) {
			t.Errorf("at %s: %v, %v", now, found.Warnings, err)
		}
	}
}

func TestImport(t *testing.T) {
	t.Parallel()
	authority := newIssuer(t, "authority")
	good := authority.client(t)
	certificate, key, ca := certificatePEM(good.certificate), keyPEM(t, good.key), certificatePEM(authority.certificate)
	quoted := func(v any) string { return string(must[[]byte](t)(json.Marshal(v))) }
	flat := map[string]any{"clientId": tokenKey, "clientSecret": secretKey, "publicKey": certificate, "privateKey": key}
	all := []string{"client_certificate", "private_key", "secret_key", "token_key"}
	twice := map[string]any{"clientId": " " + tokenKey + "\n", "clientSecret": secretKey, "publicKey": strings.ReplaceAll(certificate, "\n", `\n`),
		"privateKey": strings.ReplaceAll(key, "\n", "\r\n"), "caPublicKey": "\ufeff" + ca}
	for what, row := range map[string]struct {
		file string
		want []string
	}{
		"flat":                     {quoted(flat), all},
		"inside credentials":       {quoted(map[string]any{"projectName": "canary", "credentials": flat}), all},
		"a byte order mark":        {"\ufeff" + quoted(flat), all},
		"line ends of all kinds":   {quoted(map[string]any{"projectName": "x", "credentials": twice}), append([]string{"ca_certificates"}, all...)},
		"an empty member is none":  {quoted(map[string]any{"clientId": tokenKey, "clientSecret": "", "publicKey": nil, "privateKey": 5}), []string{"token_key"}},
		"token-data.json":          {quoted(map[string]any{"clientId": tokenKey, "clientSecret": secretKey}), []string{"secret_key", "token_key"}},
		"public-key.crt":           {certificate, []string{"client_certificate"}},
		"private-key.key":          {strings.ReplaceAll(key, "\n", "\r\n"), []string{"private_key"}},
		"ca-public-key.pem":        {ca, []string{"ca_certificates"}},
		"all in one, in any order": {ca + key + certificate, []string{"ca_certificates", "client_certificate", "private_key"}},
	} {
		a := clara.New(clara.Options{})
		fields, err := a.Import(secret.New(row.file))
		var names []string
		for name := range fields {
			names = append(names, name)
		}
		slices.Sort(names)
		if err != nil || !slices.Equal(names, row.want) {
			t.Errorf("%s: %v, %v", what, names, err)
			continue
		}
		for name, want := range map[string]string{"token_key": tokenKey, "secret_key": secretKey, "client_certificate": certificate, "private_key": key, "ca_certificates": ca} {
			if got, ok := fields[name]; ok && got.Reveal() != want {
				t.Errorf("%s: %s is another", what, name)
			}
		}
		if len(names) >= 4 {
			if _, err := a.CheckSecrets(entry(), fields, today); err != nil {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
	for _, bad := range []string{"", "canary", `{"clientId":"canary"`, `{"clientId":5}`, `["canary"]`, strings.Repeat("canary", 50000), `{"credentials":{"x":"canary"}}`} {
		if _, err := clara.New(clara.Options{}).Import(secret.New(bad)); fault.CodeOf(err) != "import_unreadable" || strings.Contains(err.Error(), "canary") {
			t.Errorf("%.20q: %v", bad, err)
		}
	}
}
