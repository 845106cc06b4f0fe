package clarasim

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// maxFormBody bounds what a token request may carry.
const maxFormBody = 64 << 10

// grantClientCredentials is the one grant there is. Clara's own sample sends no body at all (Clara facts 4.3).
const grantClientCredentials = "client_credentials"

// The refusals of the token endpoint. What Clara answers here is unknown; this is RFC 6749 5.2, and FaultClaraErrors makes it the
// API's manner.
var (
	errClient = &refusal{status: http.StatusUnauthorized, code: codeUnauthorized, message: "Unauthorized", oauth: "invalid_client"}
	errGrant  = &refusal{
		status: http.StatusBadRequest, code: codeValidation, message: "grant_type must be client_credentials", oauth: "unsupported_grant_type", why: "grant type",
	}
)

func badTokenRequest(message string) *refusal {
	return &refusal{status: http.StatusBadRequest, code: codeValidation, message: message, oauth: "invalid_request", why: "request"}
}

// tokenRequest is one call of the token endpoint.
type tokenRequest struct {
	*call

	id, secret string
	basic      bool
	form       url.Values
	refused    *refusal // what is wrong with the request itself
}

// tokenAnswer is what a token is handed out with. There is no refresh token (Clara facts 4.3).
type tokenAnswer struct {
	AccessToken string `json:"access_token"`
	TokenType   string `json:"token_type,omitempty"`
	ExpiresIn   int64  `json:"expires_in,omitempty"`
}

// serveToken is the token endpoint. What it decides is decided whether the client is still there or not.
func (s *Simulator) serveToken(w http.ResponseWriter, r *http.Request, c *call) {
	req := &tokenRequest{call: c}
	req.read(w, r)
	r = r.WithContext(context.WithoutCancel(r.Context()))
	ctx := r.Context()
	var err error
	if c.holder, err = s.presented(ctx, r.TLS); err != nil {
		s.internal(w, r, "looking a certificate up", err)
		return
	}
	c.where.client, c.where.fingerprint = req.id, c.holder.fingerprint
	line := TokenCall{Country: c.where.country, ClientID: req.id, Fingerprint: c.holder.fingerprint, GrantType: knownGrantType(req.form)}
	a, err := s.tokenFaults(w, r, c.where)
	if err != nil {
		s.internal(w, r, "reading switches", err)
		return
	}
	if a.fault != "" {
		line.Outcome = "fault:" + a.fault
		if c.token, err = s.enter(ctx, s.state, line); err != nil {
			s.internal(w, r, "writing the ledger", err)
			return
		}
		s.finish(w, r, c, a, nil)
		return
	}
	var token tokenAnswer
	err = s.state.Update(ctx, func(tx *sql.Tx) error {
		var refused *refusal
		credential, err := s.decide(ctx, tx, req)
		if err != nil && !errors.As(err, &refused) {
			return err
		}
		if refused != nil {
			line.Outcome, line.Why = refused.oauth, refused.why
			if line.Outcome == "" {
				line.Outcome = refused.code
			}
			c.token, err = s.enter(ctx, tx, line)
			req.refused = refused
			return err
		}
		token, err = s.issueToken(ctx, tx, req, credential, line)
		return err
	})
	if err == nil && req.refused != nil {
		err = req.refused
	}
	if err == nil {
		a, err = s.tokenAnswered(ctx, c, token)
	}
	s.finish(w, r, c, a, err)
}

// read takes a request apart. Whether it may be answered is judged afterwards.
func (req *tokenRequest) read(w http.ResponseWriter, r *http.Request) {
	req.id, req.secret, req.basic = r.BasicAuth()
	if len(req.id) > 200 {
		req.id = "" // no client id is that long, and none is noted that is
	}
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		req.refused = errMethod
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxFormBody))
	if err != nil {
		req.refused = badTokenRequest("The body could not be read")
		return
	}
	if len(body) == 0 {
		return
	}
	if mediaType, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); mediaType != "application/x-www-form-urlencoded" {
		req.refused = badTokenRequest("The body must be application/x-www-form-urlencoded")
		return
	}
	if req.form, err = url.ParseQuery(string(body)); err != nil {
		req.refused = badTokenRequest("The body is not a form")
	}
}

// knownGrantType keeps whatever a client sends out of the ledger.
func knownGrantType(form url.Values) string {
	switch form.Get("grant_type") {
	case grantClientCredentials, "":
		return form.Get("grant_type")
	}
	return "other"
}

// tokenFaults applies the switches that answer before anything is done.
func (s *Simulator) tokenFaults(w http.ResponseWriter, r *http.Request, where scope) (answer, error) {
	a, err := s.injectBefore(w, r, where)
	if err != nil || a.fault != "" {
		return a, err
	}
	f, on, err := s.fire(r.Context(), FaultInvalidClient, where)
	refused := errClient
	if err == nil && !on {
		f, on, err = s.fire(r.Context(), FaultOAuthError, where)
		refused = &refusal{status: cmp.Or(f.Status, http.StatusBadRequest), code: f.Error, oauth: f.Error, message: "A switch says so"}
	}
	if err != nil || !on {
		return answer{}, err
	}
	_, clara, err := s.setting(r.Context(), s.state, FaultClaraErrors, where)
	return answer{status: refused.status, body: refused.body(s.now(), !clara), fault: f.Name}, err
}

// decide judges a request and returns the number of the credential whose secret it showed.
func (s *Simulator) decide(ctx context.Context, tx *sql.Tx, req *tokenRequest) (int, error) {
	if err := admitHolder(ctx, tx, req.holder); err != nil {
		return 0, err
	}
	if req.refused != nil {
		return 0, req.refused
	}
	if !req.basic {
		return 0, errClient.because("no Basic authorization")
	}
	if req.form.Has("grant_type") && req.form.Get("grant_type") != grantClientCredentials {
		return 0, errGrant
	}
	project, known, err := projectByID(ctx, tx, req.id)
	if err != nil {
		return 0, err
	}
	credential := project.bySecret(req.secret)
	switch {
	case !known:
		return 0, errClient.because("unknown client")
	case credential == 0:
		return 0, errClient.because("wrong secret")
	case project.Country != req.where.country:
		return 0, errClient.because("another country's project")
	case !req.holder.known || req.holder.project.ClientID != project.ClientID:
		return 0, errClient.because("certificate of another project")
	case project.expired(s.now()):
		return 0, errClient.because("project expired")
	}
	return credential, nil
}

// issueToken enters a token into the ledger and signs it. Its number is that of the line.
func (s *Simulator) issueToken(ctx context.Context, tx *sql.Tx, req *tokenRequest, credential int, line TokenCall) (tokenAnswer, error) {
	project, _, err := projectByID(ctx, tx, req.id)
	if err != nil {
		return tokenAnswer{}, err
	}
	life := tokenLife
	f, on, err := s.setting(ctx, tx, FaultTokenLifetime, req.where)
	if err != nil {
		return tokenAnswer{}, err
	}
	if on {
		life = time.Duration(f.Seconds) * time.Second
	}
	_, bound, err := s.setting(ctx, tx, FaultBoundTokens, req.where)
	if err != nil {
		return tokenAnswer{}, err
	}
	now := s.now()
	line.Credential, line.Outcome, line.ExpiresAt = credential, outcomeIssued, now.Add(life).Unix()
	if req.token, err = s.enter(ctx, tx, line); err != nil {
		return tokenAnswer{}, err
	}
	c := claims{
		Issuer: "https://clara-" + project.Country + ".auth0.example/", Subject: project.ClientID + "@clients", Audience: "https://public-api." + project.Country + ".clara.com",
		IssuedAt: now.Unix(), Expires: line.ExpiresAt, Party: project.ClientID, Scope: strings.Join(project.Permissions, " "), GrantType: "client-credentials",
		Number: req.token, Credential: credential, Generation: project.Generation,
	}
	if bound {
		c.Confirmation = &confirmation{req.holder.thumbprint}
	}
	text, err := s.signToken(c)
	return tokenAnswer{AccessToken: text, TokenType: "Bearer", ExpiresIn: int64(life / time.Second)}, err
}

// tokenAnswered applies the switches that leave something out.
func (s *Simulator) tokenAnswered(ctx context.Context, c *call, token tokenAnswer) (answer, error) {
	for _, leaves := range []struct {
		name string
		out  func()
	}{
		{FaultNoExpiresIn, func() { token.ExpiresIn = 0 }},
		{FaultNoTokenType, func() { token.TokenType = "" }},
	} {
		_, on, err := s.fire(ctx, leaves.name, c.where)
		if err != nil {
			return answer{}, err
		}
		if on {
			leaves.out()
			s.enterFault(ctx, c.token, leaves.name)
			s.count(ctx, c.where, "fault "+leaves.name)
		}
	}
	body, err := json.Marshal(token)
	if err != nil {
		return answer{}, fmt.Errorf("encoding a token: %w", err)
	}
	return answer{body: body}, nil
}
