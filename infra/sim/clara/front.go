package clarasim

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"connectorvault/infra/sim/engine"
)

// The paths of the front, after the segment of the country.
const (
	tokenPath   = "oauth/token"
	apiPath     = "api/"
	sandboxPath = "api-test/"
)

// Handler is the front. It must be served over TLS with TLSConfig: whoever it is reached by without a certificate, it answers
// as though there were none.
func (s *Simulator) Handler() http.Handler {
	return s.observe(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// The path is taken apart here and not by a mux: that would clean "//" and redirect, which an API does not.
		path := strings.TrimPrefix(r.URL.EscapedPath(), "/")
		country, rest, _ := strings.Cut(path, "/")
		c := &call{where: scope{endpoint: endpointAPI, operation: opUnknown, country: country}}
		if strings.HasPrefix(path, filesPath) {
			s.serveFile(w, r)
			return
		}
		if country != CountryMexico && country != CountryBrazil && country != CountryColombia {
			c.where.country = ""
			s.finish(w, r, c, answer{}, errNoPath)
			return
		}
		if rest == tokenPath {
			c.where.endpoint, c.where.operation = endpointToken, tokenPath
			s.serveToken(w, r, c)
			return
		}
		if below, ok := strings.CutPrefix(rest, apiPath); ok {
			c.where.side = SideProduction
			s.serveAPI(w, r, c, below)
			return
		}
		if below, ok := strings.CutPrefix(rest, sandboxPath); ok {
			c.where.side = SideSandbox
			s.serveAPI(w, r, c, below)
			return
		}
		s.finish(w, r, c, answer{}, errNoPath)
	}))
}

// call is one request, with what is known of it so far.
type call struct {
	where  scope
	holder holder
	token  int64  // number of the token that was shown, in the ledger
	why    string // of a refusal, for whoever reads the log: Clara says less
}

// answer is what goes back, before it is written.
type answer struct {
	status      int    // 0 = 200
	contentType string // "" = application/json
	body        []byte
	fault       string // the switch that answered; nothing else may spoil it
}

// refusal is an answer that says no (Clara facts 4.7).
type refusal struct {
	status        int
	code, message string
	oauth         string // the code of RFC 6749, where the token endpoint refuses
	why           string // for the log of requests
}

func (e *refusal) Error() string { return strconv.Itoa(e.status) + " " + e.code }

// because is the same refusal with a word on why.
func (e *refusal) because(why string) *refusal {
	copied := *e
	copied.why = why
	return &copied
}

// The codes of refusals. Clara publishes all but the last three; those, and those that stand below alone, are assumed.
const (
	codeValidation   = "VALIDATION_ERROR"
	codeUnauthorized = "UNAUTHORIZED"
	codeForbidden    = "FORBIDDEN"
	codeNotFound     = "NOT_FOUND"
	codeTooMany      = "TOO_MANY_REQUESTS"
	codeInternal     = "INTERNAL_SERVER_ERROR"
	codeUnavailable  = "SERVICE_UNAVAILABLE"
)

var (
	errNoPath       = &refusal{status: http.StatusNotFound, code: codeNotFound, message: "No such path", why: "unknown path"}
	errMethod       = &refusal{status: http.StatusMethodNotAllowed, code: "METHOD_NOT_ALLOWED", message: "Method not allowed", why: "method"}
	errUnauthorized = &refusal{status: http.StatusUnauthorized, code: codeUnauthorized, message: "Unauthorized"}
	errForbidden    = &refusal{status: http.StatusForbidden, code: codeForbidden, message: "Access denied: insufficient permissions for this resource"}
	errTooMany      = &refusal{status: http.StatusTooManyRequests, code: codeTooMany, message: "Rate limit exceeded"}
	errInternal     = &refusal{status: http.StatusInternalServerError, code: codeInternal, message: "Internal server error"}
	errUnavailable  = &refusal{status: http.StatusServiceUnavailable, code: codeUnavailable, message: "Service unavailable"}
)

// errMissing is what a request without a certificate meets, where the handshake let it pass. The code of 511 is assumed.
func errMissing(status int) *refusal {
	if status == http.StatusUnauthorized {
		return errUnauthorized.because("client certificate")
	}
	return &refusal{status: status, code: "NETWORK_AUTHENTICATION_REQUIRED", message: "Client certificate is missing or not being sent", why: "client certificate"}
}

// badValue is the refusal of a parameter.
func badValue(message string) *refusal {
	return &refusal{status: http.StatusBadRequest, code: codeValidation, message: message, why: "parameter"}
}

// body writes a refusal as the API does, or as a token endpoint of OAuth does.
func (e *refusal) body(now time.Time, plain bool) []byte {
	if e.oauth != "" && plain {
		return []byte(`{"error":` + quote(e.oauth) + `,"error_description":` + quote(e.message) + `}`)
	}
	return []byte(`{"code":` + quote(e.code) + `,"message":` + quote(e.message) + `,"timestamp":` + quote(now.UTC().Format(time.RFC3339)) + `}`)
}

// quote encodes a JSON string. Marshalling a string cannot fail.
func quote(text string) string {
	b, _ := json.Marshal(text)
	return string(b)
}

// admitHolder refuses whoever came without a certificate, or with one that is as good as none. The handshake has done so
// already in the strict mode.
func admitHolder(ctx context.Context, q engine.Querier, h holder) error {
	if h.problem == "" {
		return nil
	}
	settings, err := readTLS(ctx, q)
	if err != nil {
		return err
	}
	return errMissing(settings.MissingStatus).because(h.problem)
}

// finish writes what a call came to, counts it and notes it.
func (s *Simulator) finish(w http.ResponseWriter, r *http.Request, c *call, a answer, err error) {
	ctx := context.WithoutCancel(r.Context())
	var refused *refusal
	if err != nil && !errors.As(err, &refused) {
		s.internal(w, r, "serving "+c.where.endpoint, err)
		return
	}
	if refused != nil {
		plain := true
		if refused.oauth != "" {
			_, clara, err := s.setting(ctx, s.state, FaultClaraErrors, c.where)
			if err != nil {
				s.internal(w, r, "reading switches", err)
				return
			}
			plain = !clara
		}
		c.why = refused.why
		a.status, a.body, a.contentType = refused.status, refused.body(s.now(), plain), ""
		if refused.status == http.StatusUnauthorized && c.where.endpoint == endpointAPI {
			challenge := "Bearer"
			if refused.code == codeInvalidToken {
				challenge = `Bearer error="invalid_token"`
			}
			w.Header().Set("WWW-Authenticate", challenge)
		}
	}
	if a.status == 0 {
		a.status = http.StatusOK
	}
	if a.contentType == "" {
		a.contentType = "application/json"
	}
	spoiling := a.fault
	if a.fault == "" {
		s.count(ctx, c.where, strconv.Itoa(a.status))
		if refused == nil {
			a, spoiling = s.spoil(ctx, c.where, a)
		}
	}
	if spoiling != "" {
		s.count(ctx, c.where, "fault "+spoiling)
	}
	if spoiling != "" && c.where.endpoint == endpointToken && a.fault == "" {
		s.enterFault(ctx, c.token, spoiling)
	}
	s.note(ctx, r, c, a.status, spoiling)
	s.write(w, a, spoiling)
}

// write sends an answer, or what a switch leaves of it.
func (s *Simulator) write(w http.ResponseWriter, a answer, fault string) {
	if fault == FaultReset || fault == FaultDrop {
		engine.HangUp()
	}
	w.Header().Set("Content-Type", a.contentType)
	w.Header().Set("Cache-Control", "no-store")
	if a.status != http.StatusNoContent {
		w.Header().Set("Content-Length", strconv.Itoa(len(a.body)))
	}
	w.WriteHeader(a.status)
	if fault == FaultCut {
		_, _ = w.Write(a.body[:len(a.body)/2]) // the rest never comes
		_ = http.NewResponseController(w).Flush()
		engine.HangUp()
	}
	if a.status != http.StatusNoContent {
		_, _ = w.Write(a.body) // the client may have gone; there is nobody left to tell
	}
}

// observe is what every request goes through. The log has the status 0 for a request that was never answered.
func (s *Simulator) observe(next http.Handler) http.Handler {
	return engine.Front{Log: s.log, Watch: s.switches.Watch, Internal: s.internal}.Observe(next)
}

// internal reports a failure of the simulator itself, as opposed to one that it simulates. Whoever left before the answer is
// no failure.
func (s *Simulator) internal(w http.ResponseWriter, r *http.Request, doing string, err error) {
	log := s.log
	if r.Context().Err() != nil {
		log = slog.New(slog.DiscardHandler)
	}
	engine.Failed(w, r, log, doing, err)
}
