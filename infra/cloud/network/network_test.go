package network_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"connectorvault/infra/cloud/network"
)

func start(t *testing.T) *network.Network {
	t.Helper()
	n, err := network.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() })
	said := func(what string) network.Host {
		return network.Host{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = fmt.Fprintf(w, "%s at %s for %s", what, r.URL.Path, network.Caller(r))
		})}
	}
	n.Serve("api.example.com", said("one"))
	n.Serve("other.example.com", said("two"))
	n.Serve("locked.example.com", network.Host{Handler: said("three").Handler, TLS: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		return &tls.Config{MinVersion: tls.VersionTLS12, ClientAuth: tls.RequireAnyClientCert}, nil
	}})
	return n
}

// get asks for an address, by way of a transport, and returns the answer's status and text.
func get(t *testing.T, transport *http.Transport, address string) (status int, text string, err error) {
	t.Helper()
	t.Cleanup(transport.CloseIdleConnections)
	return ask(t, transport, address, "")
}

func ask(t *testing.T, transport *http.Transport, address, host string) (status int, text string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return 0, "", err
	}
	request.Host = host
	response, err := transport.RoundTrip(request)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	return response.StatusCode, string(body), err
}

func TestHostsAnswerUnderTheirNames(t *testing.T) {
	t.Parallel()
	n := start(t)
	for address, want := range map[string]string{"https://api.example.com/a": "one at /a for me", "https://other.example.com/b": "two at /b for me"} {
		if _, got, err := get(t, n.Transport("me"), address); got != want || err != nil {
			t.Errorf("%s: %q %v", address, got, err)
		}
	}
	if _, got, err := get(t, n.Transport("you"), "https://api.example.com/"); got != "one at / for you" {
		t.Errorf("%q %v", got, err)
	}
	want := []network.Visit{{Caller: "me", Host: "api.example.com"}, {Caller: "you", Host: "api.example.com"}, {Caller: "me", Host: "other.example.com"}}
	if got := n.Visits(); !reflect.DeepEqual(got, want) {
		t.Errorf("visits: %v", got)
	}
	if got := n.Strangers(); len(got) != 0 {
		t.Errorf("strangers: %v", got)
	}
}

func TestNothingElseIsReached(t *testing.T) {
	t.Parallel()
	n := start(t)
	for _, address := range []string{"https://unknown.example.com/", "https://api.example.com:8443/", "https://127.0.0.1/"} {
		if status, got, err := get(t, n.Transport("me"), address); err == nil {
			t.Errorf("%s: %d %q", address, status, got)
		}
	}
	if status, got, err := get(t, n.Transport("me"), "http://api.example.com/"); err != nil || status != http.StatusMethodNotAllowed {
		t.Errorf("without TLS: %d %q %v", status, got, err)
	}
	var got []string
	for _, v := range n.Strangers() {
		got = append(got, v.Caller+" "+v.Host)
	}
	if want := "me 127.0.0.1:443, me api.example.com:8443, me http://api.example.com, me unknown.example.com:443"; strings.Join(got, ", ") != want {
		t.Errorf("strangers: %v", got)
	}
}

func TestATunnelLeadsToOneHost(t *testing.T) {
	t.Parallel()
	n := start(t)
	transport := n.Transport("me")
	t.Cleanup(transport.CloseIdleConnections)
	if status, got, err := ask(t, transport, "https://api.example.com/", "other.example.com"); status != http.StatusMisdirectedRequest || err != nil {
		t.Errorf("another host's name in a tunnel: %d %q %v", status, got, err)
	}
	named := n.Transport("me")
	named.TLSClientConfig.ServerName = "other.example.com"
	if status, got, err := get(t, named, "https://api.example.com/"); err == nil {
		t.Errorf("a handshake for another host: %d %q", status, got)
	}
}

func TestCertificatesAreVerified(t *testing.T) {
	t.Parallel()
	n, stranger := start(t), start(t)
	transport := n.Transport("me")
	transport.TLSClientConfig = stranger.Transport("me").TLSClientConfig
	var unknown *tls.CertificateVerificationError
	if _, _, err := get(t, transport, "https://api.example.com/"); !errors.As(err, &unknown) {
		t.Errorf("an authority that is not this network's is trusted: %v", err)
	}
	if status, got, err := get(t, n.Transport("me"), "https://locked.example.com/"); err == nil {
		t.Errorf("without a certificate: %d %q", status, got)
	}
}
