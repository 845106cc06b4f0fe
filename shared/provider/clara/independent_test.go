package clara_test

import (
	"bufio"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"connectorvault/shared/fault"
	"connectorvault/shared/oauth"
	"connectorvault/shared/provider"
	"connectorvault/shared/secret"
)

// foreignServer says whether an OAuth server of others may be missing: where it is "1", it may not.
const foreignServer = "REQUIRE_OIDC"

// registered is a client as that server is told of it.
type registered struct {
	ID     string `json:"client_id"`
	Secret string `json:"client_secret,omitempty"`
	Method string `json:"token_endpoint_auth_method"`
	Name   string `json:"tls_client_auth_subject_dn,omitempty"`
}

// foreign starts the OAuth server of .ci/oidc and returns its address. It ends when its input does, so with this process at
// the latest.
func foreign(t *testing.T, server issued, clients issuer, all ...registered) string {
	t.Helper()
	folder := filepath.Join("..", "..", "..", ".ci", "oidc")
	if _, err := os.Stat(filepath.Join(folder, "node_modules", "oidc-provider")); err != nil {
		absent(t, "oidc-provider is missing; to get it: (cd .ci/oidc && npm ci)")
	}
	node, err := exec.LookPath("node")
	if err != nil {
		absent(t, "node is missing")
	}
	command := exec.CommandContext(t.Context(), node, "server.js")
	command.Dir = folder
	var said strings.Builder
	command.Stderr = &said
	in, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_ = command.Wait()
	})
	if err := json.NewEncoder(in).Encode(map[string]any{"certificate": certificatePEM(server.certificate), "key": keyPEM(t, server.key),
		"client_authority": certificatePEM(clients.certificate), "clients": all}); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		var ready struct{ Port int }
		if json.Unmarshal(lines.Bytes(), &ready) == nil && ready.Port != 0 {
			go func() { // what else it says stops nobody
				for lines.Scan() {
				}
			}()
			return "https://127.0.0.1:" + strconv.Itoa(ready.Port)
		}
	}
	_ = command.Wait()
	t.Fatalf("the server ended: %s", said.String())
	return ""
}

func absent(t *testing.T, what string) {
	t.Helper()
	if os.Getenv(foreignServer) == "1" {
		t.Fatal(what)
	}
	t.Skip(what)
}

// bound is the certificate that a token is for, as it says itself (RFC 8705, 3.1).
func bound(t *testing.T, access secret.Text) string {
	t.Helper()
	parts := strings.Split(access.Reveal(), ".")
	if len(parts) != 3 {
		t.Fatal("the token is no JWT")
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal("the token is no JWT")
	}
	var claims struct {
		Confirmation map[string]string `json:"cnf"`
	}
	if err := json.Unmarshal(text, &claims); err != nil {
		t.Fatal("the token is no JWT")
	}
	return claims.Confirmation["x5t#S256"]
}

func misconfigured(err error) bool {
	var failure *oauth.Failure
	return errors.As(err, &failure) && failure.Outcome == oauth.Misconfigured && !failure.Spent
}

func thumbprint(c issued) string {
	sum := sha256.Sum256(c.certificate.Raw)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// What others have made of RFC 8705 takes us as we are: a token comes by mutual TLS, opens what it is for with the
// certificate that it was issued to, and with no other; and whoever changes the certificate needs a new token, and gets
// one.
func TestAnIndependentServer(t *testing.T) {
	t.Parallel()
	root, clients := newIssuer(t, "root"), newIssuer(t, "clients")
	first, second, stranger := clients.client(t), clients.client(t), newIssuer(t, "stranger").client(t)
	byName := clientTemplate(long)
	byName.Subject.CommonName = "by-name"
	named := clients.make(t, byName, newKey(t))
	at := foreign(t, root.server(t), clients,
		registered{ID: tokenKey, Secret: secretKey, Method: "client_secret_basic"},
		registered{ID: "by-name", Method: "tls_client_auth", Name: "CN=by-name"})

	a := adapterFor(at, root)
	token := func(with issued) (oauth.Tokens, error) {
		return a.TokenClient(entry(), provider.AppCredentials{Secrets: secretsOf(t, with)}).ClientCredentials(t.Context(), "")
	}
	read := func(with issued, access secret.Text) (provider.Answer, provider.Verdict, error) {
		on := session(entry(), secretsOf(t, with))
		on.Access = access
		return provider.Client{Reader: a}.Do(t.Context(), on, reading(a))
	}
	issue := func(with issued) secret.Text {
		t.Helper()
		issued, err := token(with)
		if err != nil || issued.Access.IsZero() || !issued.Refresh.IsZero() || issued.Lifetime == 0 {
			t.Fatalf("a token that lives for %s: %v", issued.Lifetime, err)
		}
		if bound(t, issued.Access) != thumbprint(with) {
			t.Error("the token is bound to another certificate")
		}
		return issued.Access
	}
	opens := func(with issued, access secret.Text) {
		t.Helper()
		if answer, _, err := read(with, access); err != nil || !strings.Contains(string(answer.Body), "uuid") {
			t.Errorf("%q, %v", answer.Body, err)
		}
	}
	stays := func(with issued, access secret.Text) {
		t.Helper()
		answer, verdict, err := read(with, access)
		if f := fault.As(err); err == nil || f.Code != "provider_refused" || f.Provider == nil || f.Provider.Status != http.StatusUnauthorized ||
			!verdict.TokenRejected || answer.Body != nil {
			t.Errorf("%v, a token that was rejected: %t", err, verdict.TokenRejected)
		}
	}

	old := issue(first)
	opens(first, old)
	stays(second, old) // swapped
	fresh := issue(second)
	opens(second, fresh)
	stays(first, fresh)
	opens(first, old) // until it is told otherwise, the server keeps to what it said

	// Node ends the connection of a certificate that it does not take and says nothing, so nobody can tell why it ended.
	var failure *oauth.Failure
	if _, err := token(stranger); !errors.As(err, &failure) || failure.Outcome != oauth.Transient {
		t.Errorf("a certificate of strangers: %v", err)
	}
	if _, _, err := read(stranger, old); fault.CodeOf(err) != "provider_unavailable" {
		t.Errorf("a certificate of strangers reads: %v", err)
	}
	wrong := provider.AppCredentials{Secrets: secretsOf(t, first, "secret_key", "canary-wrong")}
	if _, err := a.TokenClient(entry(), wrong).ClientCredentials(t.Context(), ""); !misconfigured(err) {
		t.Errorf("another secret: %v", err)
	}

	// Our transport also serves a client whose certificate is all that it has (RFC 8705, 2.1).
	alone := func(with issued) (oauth.Tokens, error) {
		return oauth.Client{HTTP: dialled(t, a, entry(), secretsOf(t, with)), TokenURL: at + "/oauth/token", ID: "by-name"}.ClientCredentials(t.Context(), "")
	}
	tokens, err := alone(named)
	if err != nil || bound(t, tokens.Access) != thumbprint(named) {
		t.Errorf("by the certificate alone: %v", err)
	}
	if _, err := alone(first); !misconfigured(err) {
		t.Errorf("by the certificate of another: %v", err)
	}
}
