package clarasim

import (
	"context"
	"crypto/tls"
	"database/sql"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"connectorvault/infra/sim/engine"
)

// The endpoints that calls are counted and switches are limited under.
const (
	endpointHandshake = "handshake"
	endpointToken     = "token"
	endpointAPI       = "api"
	endpointFiles     = "files"
)

// CallCount says how often something was asked and how it ended. The operation is the path with {uuid} for an id, the
// outcome the HTTP status, "held", or "fault" and the name of a switch.
type CallCount = engine.CallCount

// Calls returns the counters of all processes that share the state.
func (s *Simulator) Calls(ctx context.Context) ([]CallCount, error) { return s.state.Calls(ctx) }

// ResetCalls sets every counter to nothing.
func (s *Simulator) ResetCalls(ctx context.Context) error { return s.state.ResetCalls(ctx) }

func (s *Simulator) count(ctx context.Context, where scope, outcome string) {
	s.state.Count(ctx, where.endpoint, where.operation, outcome)
}

// keptRequests is how many lines the log of requests keeps.
const keptRequests = 5000

// Request is one line of the log of requests. It holds what a client sent, but for whatever might be a secret.
type Request struct {
	Seq           int64             `json:"seq"`
	At            int64             `json:"at"` // simulated time, Unix seconds
	Method        string            `json:"method"`
	Path          string            `json:"path"`
	Query         string            `json:"query,omitempty"`
	Endpoint      string            `json:"endpoint"`
	Operation     string            `json:"operation"`
	Country       string            `json:"country,omitempty"`
	Side          string            `json:"side,omitempty"`
	Status        int               `json:"status"`
	Why           string            `json:"why,omitempty"`   // of a refusal; Clara says less
	Fault         string            `json:"fault,omitempty"` // the switch that answered, or lost or damaged the answer
	ClientID      string            `json:"client_id,omitempty"`
	Fingerprint   string            `json:"fingerprint,omitempty"`    // of the certificate
	Credential    int               `json:"credential,omitempty"`     // that the certificate belongs to
	Token         int64             `json:"token,omitempty"`          // number of the ledger's line that issued the token that was shown, or this one
	TaxIdentifier string            `json:"tax_identifier,omitempty"` // that the request named
	Protocol      string            `json:"protocol"`
	TLS           string            `json:"tls,omitempty"`
	Headers       map[string]string `json:"headers"` // the values of those that hold no secrets; of Authorization the scheme
}

// note writes a line. It is there before the client has its answer.
func (s *Simulator) note(ctx context.Context, r *http.Request, c *call, status int, fault string) {
	if fault == FaultReset || fault == FaultDrop {
		status = 0
	}
	line := Request{
		At: s.seconds(), Method: r.Method, Path: r.URL.Path, Query: withoutSecrets(r.URL.RawQuery), Endpoint: c.where.endpoint, Operation: c.where.operation,
		Country: c.where.country, Side: c.where.side, Status: status, Why: c.why, Fault: fault, ClientID: c.where.client,
		Fingerprint: c.holder.fingerprint, Credential: c.holder.credential, Token: c.token, TaxIdentifier: r.Header.Get(taxHeader),
		Protocol: r.Proto, Headers: shownHeaders(r.Header),
	}
	if r.TLS != nil {
		line.TLS = tls.VersionName(r.TLS.Version)
	}
	text, err := json.Marshal(line)
	if err == nil {
		err = s.state.Update(ctx, func(tx *sql.Tx) error {
			result, err := tx.ExecContext(ctx, `INSERT INTO requests(line) VALUES(?)`, string(text))
			if err != nil {
				return err
			}
			seq, err := result.LastInsertId()
			if err != nil {
				return err
			}
			_, err = tx.ExecContext(ctx, `DELETE FROM requests WHERE seq <= ?`, seq-keptRequests)
			return err
		})
	}
	if err != nil {
		s.log.ErrorContext(ctx, "noting a request", "error", err)
	}
}

// shownHeaders keeps the values of headers that are known to hold no secret, and the names of all.
func shownHeaders(header http.Header) map[string]string {
	shown := make(map[string]string, len(header))
	for name := range header {
		value := "…"
		switch name {
		case "Accept", "Accept-Encoding", "Content-Length", "Content-Type", "User-Agent", taxHeader:
			value = header.Get(name)
		case "Authorization":
			value, _, _ = strings.Cut(header.Get(name), " ")
			if value != "Basic" && value != "Bearer" {
				value = "…"
			}
		}
		shown[name] = value
	}
	return shown
}

// withoutSecrets keeps the query but for values whose names say that they may not be kept.
func withoutSecrets(raw string) string {
	parts := strings.Split(raw, "&")
	for i, part := range parts {
		name, _, _ := strings.Cut(part, "=")
		name, err := url.QueryUnescape(name)
		secret := func(word string) bool { return strings.Contains(strings.ToLower(name), word) }
		if err != nil || slices.ContainsFunc([]string{"token", "secret", "key", "code", "auth", "sig", "assertion"}, secret) {
			parts[i] = url.QueryEscape(name) + "=…"
		}
	}
	return strings.Join(parts, "&")
}

// Requests reads the log of all processes that share the state, oldest first: the lines after a number.
func (s *Simulator) Requests(ctx context.Context, after int64) ([]Request, error) {
	list, err := engine.Lines(ctx, s.state, `SELECT seq, line FROM requests`, nil, after, 0, func(scan func(...any) error) (Request, error) {
		var seq int64
		var text string
		if err := scan(&seq, &text); err != nil {
			return Request{}, err
		}
		var line Request
		err := json.Unmarshal([]byte(text), &line)
		line.Seq = seq
		return line, err
	})
	if err != nil {
		return nil, fmt.Errorf("reading the log of requests: %w", err)
	}
	return list, nil
}

// ResetRequests empties the log.
func (s *Simulator) ResetRequests(ctx context.Context) error {
	_, err := s.state.ExecContext(ctx, `DELETE FROM requests`)
	return err
}
