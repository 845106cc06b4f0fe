// Package transport makes the HTTP client for those whom the configuration names: providers, and issuers of tokens.
//
// The argument: a call without an end holds a lease, a person or a function for as long as somebody else likes. So there is
// one client, and it has patience that ends. Addresses that callers choose are package outbound's.
package transport

import (
	"crypto/tls"
	"net"
	"net/http"
	"time"
)

// Client gives up before a function does, keeps connections for the next call, and accepts no old TLS.
func Client() *http.Client {
	return &http.Client{
		Timeout: 20 * time.Second,
		Transport: &http.Transport{
			Proxy:                 http.ProxyFromEnvironment,
			DialContext:           (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
			TLSClientConfig:       &tls.Config{MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout:   5 * time.Second,
			ForceAttemptHTTP2:     true,
			MaxIdleConns:          200,
			MaxIdleConnsPerHost:   50,
			IdleConnTimeout:       90 * time.Second,
			ExpectContinueTimeout: time.Second,
		},
	}
}
