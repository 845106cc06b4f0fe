package transport_test

import (
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"connectorvault/shared/transport"
)

func TestTheClientTakesNoOldTLSAndGivesUpBeforeItsFunction(t *testing.T) {
	t.Parallel()
	client := transport.Client()
	if client.Timeout <= 0 || client.Timeout >= 25*time.Second {
		t.Errorf("it gives up after %s", client.Timeout)
	}
	for version, taken := range map[uint16]bool{tls.VersionTLS10: false, tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
		server := httptest.NewUnstartedServer(http.NotFoundHandler())
		server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
		server.TLS = &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: version} //nolint:gosec // some must be refused
		server.StartTLS()
		t.Cleanup(server.Close)
		known := x509.NewCertPool()
		known.AddCert(server.Certificate())
		client := transport.Client()
		client.Transport.(*http.Transport).TLSClientConfig.RootCAs = known
		response, err := client.Get(server.URL) //nolint:noctx // the client has a timeout
		if err == nil {
			_ = response.Body.Close()
		}
		if (err == nil) != taken {
			t.Errorf("%s is taken: %t, %v", tls.VersionName(version), err == nil, err)
		}
	}
}
