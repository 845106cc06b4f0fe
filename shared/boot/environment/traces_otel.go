//go:build otel

package environment

import (
	"crypto/rand"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"connectorvault/shared/oteltrace"
	"connectorvault/shared/trace"
)

// collectorTime is how long a collector can hold an answer up.
const collectorTime = time.Second

// Tracer keeps spans for the collector that is named; none where none is.
func Tracer(v *Variables, log *slog.Logger) trace.Tracer {
	endpoint := strings.TrimSuffix(v.Get("CV_TRACES_ENDPOINT"), "/")
	if endpoint == "" {
		return nil
	}
	if !collector(endpoint) {
		v.Wrong("CV_TRACES_ENDPOINT is neither an https address nor one of this machine")
		return nil
	}
	client := &http.Client{Timeout: collectorTime, Transport: &http.Transport{IdleConnTimeout: 90 * time.Second, ForceAttemptHTTP2: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return oteltrace.New(oteltrace.Config{Endpoint: endpoint, Service: v.Get("AWS_LAMBDA_FUNCTION_NAME"), HTTP: client, Now: time.Now, Random: rand.Reader,
		Failed: func(err error) { log.Warn("spans were not sent", "error", err.Error()) }})
}

// collector reports whether spans may be sent there: over TLS, or to a layer beside the function.
func collector(endpoint string) bool {
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" || u.User != nil || strings.ContainsAny(endpoint, "?#") {
		return false
	}
	address := net.ParseIP(u.Hostname())
	return u.Scheme == "https" || u.Scheme == "http" && (u.Hostname() == "localhost" || address != nil && address.IsLoopback())
}
