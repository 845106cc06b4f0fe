package sagesim

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"connectorvault/infra/sim/engine"
)

// controlPrefix is where a test steers the simulator. Nothing below it exists at Sage.
const controlPrefix = "/_sim/"

// controlHandler serves the switches, the world's other doings and the counters as JSON. Lists are {"items": […]}.
//
//	GET, POST, DELETE  faults          switches: a [Fault] or an array; DELETE takes ?name=
//	GET, POST          apps            applications: an [App]; the answer alone shows its secrets
//	GET                users           who can sign in
//	GET, POST          businesses      theirs: a [BusinessChange]
//	POST               authorizations  what the authorize page does: its parameters, user and label; gives code and location
//	POST               grants          a whole authorization: a [GrantRequest]; gives the tokens
//	GET                families        what authorizations led to: [Family]; ?label=
//	POST               revocations     a [Revocation]
//	GET, DELETE        token-calls     the ledger: [TokenCall] and [TokenCounters]; ?client_id= user= family= label= outcome= after= limit=
//	GET, DELETE        calls           counters: [CallCount]
//	GET, DELETE        concurrency     calls of this process in flight: [Concurrency]
func (s *Simulator) controlHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /_sim/faults", engine.Items(s.Faults))
	mux.HandleFunc("POST /_sim/faults", engine.Endpoint(s.postFaults))
	mux.HandleFunc("DELETE /_sim/faults", s.switches.Clearing())
	mux.HandleFunc("GET /_sim/apps", engine.Items(s.Apps))
	mux.HandleFunc("POST /_sim/apps", engine.Decoded(s.RegisterApp))
	mux.HandleFunc("GET /_sim/users", engine.Endpoint(func(*http.Request) (any, error) { return engine.Listed(s.Users(), nil) }))
	mux.HandleFunc("GET /_sim/businesses", engine.Items(s.Businesses))
	mux.HandleFunc("POST /_sim/businesses", engine.Decoded(s.ChangeBusiness))
	mux.HandleFunc("POST /_sim/authorizations", engine.Endpoint(s.postAuthorization))
	mux.HandleFunc("POST /_sim/grants", engine.Decoded(s.Grant))
	mux.HandleFunc("GET /_sim/families", engine.Endpoint(func(r *http.Request) (any, error) {
		return engine.Listed(s.Families(r.Context(), r.URL.Query().Get("label")))
	}))
	mux.HandleFunc("POST /_sim/revocations", engine.Endpoint(s.postRevocation))
	mux.HandleFunc("GET /_sim/token-calls", engine.Endpoint(s.getTokenCalls))
	mux.HandleFunc("DELETE /_sim/token-calls", engine.Act(s.ResetTokenCalls))
	mux.HandleFunc("GET /_sim/calls", engine.Items(s.Calls))
	mux.HandleFunc("DELETE /_sim/calls", engine.Act(s.ResetCalls))
	mux.HandleFunc("GET /_sim/concurrency", engine.Endpoint(func(*http.Request) (any, error) { return s.Concurrency(), nil }))
	mux.HandleFunc("DELETE /_sim/concurrency", engine.Endpoint(func(*http.Request) (any, error) { s.ResetConcurrency(); return nil, nil }))
	return mux
}

// postFaults turns one switch on, or each of an array.
func (s *Simulator) postFaults(r *http.Request) (any, error) {
	many, err := engine.DecodeMany[Fault](r)
	if err != nil {
		return nil, err
	}
	return engine.Each(r.Context(), many, s.SetFault)
}

func (s *Simulator) postRevocation(r *http.Request) (any, error) {
	which, err := engine.Decode[Revocation](r)
	if err != nil {
		return nil, err
	}
	n, err := s.Revoke(r.Context(), which)
	return map[string]int{"revoked": n}, err
}

// postAuthorization does what a person does at the authorize page. What would go back as an error is an error here.
func (s *Simulator) postAuthorization(r *http.Request) (any, error) {
	a, err := engine.Decode[authorization](r)
	if err != nil {
		return nil, err
	}
	if a.ResponseType == "" {
		a.ResponseType = "code"
	}
	if a.Method == "" && a.Challenge != "" {
		a.Method = methodS256
	}
	if err := s.chooseUser(&a); err != nil {
		return nil, err
	}
	if err := s.checkClient(r.Context(), &a); err != nil {
		return nil, err
	}
	if err := a.check(); err != nil {
		return nil, err
	}
	code, target, err := s.consent(r.Context(), &a)
	return map[string]string{"code": code, "location": target}, err
}

// chooseUser fills in user and country from each other; the first user where neither is given.
func (s *Simulator) chooseUser(a *authorization) error {
	if a.User == "" {
		for _, u := range s.Users() {
			if a.Country == "" || strings.EqualFold(u.Country, a.Country) {
				a.User = u.ID
				break
			}
		}
	}
	owner, known := s.user(a.User)
	if !known {
		return fmt.Errorf("user %q: %w", a.User, engine.ErrNotFound)
	}
	if a.Country == "" {
		a.Country = owner.Country
	}
	return nil
}

// GrantRequest asks for a whole authorization without pages and codes. Empty members are those of the first seeded
// application and user, and full access.
type GrantRequest struct {
	ClientID     string `json:"client_id"`
	ClientSecret string `json:"client_secret"`
	User         string `json:"user"`
	Scope        string `json:"scope"`
	Label        string `json:"label"`
	Legacy       bool   `json:"legacy"` // of the old token endpoint
}

// GrantedTokens are what an authorization gave.
type GrantedTokens struct {
	RefreshToken    string `json:"refresh_token"`
	AccessToken     string `json:"access_token"`
	ExpiresIn       int64  `json:"expires_in"`
	User            string `json:"user"`
	Family          string `json:"family"`
	ResourceOwnerID string `json:"resource_owner_id,omitempty"`
}

// Grant makes an authorization and gives its tokens. The ledger has no line of it.
func (s *Simulator) Grant(ctx context.Context, want GrantRequest) (GrantedTokens, error) {
	if want.ClientID == "" {
		want.ClientID, want.ClientSecret = SeedClientID, SeedClientSecret
	}
	if want.User == "" {
		want.User = UserGB
	}
	if want.Scope == "" {
		want.Scope = scopeFullAccess
	}
	owner, known := s.user(want.User)
	if !known {
		return GrantedTokens{}, fmt.Errorf("user %q: %w", want.User, engine.ErrNotFound)
	}
	if want.Scope != scopeFullAccess && want.Scope != scopeReadOnly {
		return GrantedTokens{}, errors.New("scope is readonly or full_access")
	}
	var granted GrantedTokens
	err := s.state.Update(ctx, func(tx *sql.Tx) error {
		right, err := s.authenticate(ctx, tx, want.ClientID, want.ClientSecret)
		if err != nil {
			return err
		}
		if !right {
			return errors.New("the client secret is not that of the application")
		}
		f, set, err := s.openFamily(ctx, tx, Family{ClientID: want.ClientID, User: owner.ID, Scope: want.Scope, Label: want.Label, Legacy: want.Legacy})
		granted = GrantedTokens{set.RefreshToken, set.AccessToken, set.ExpiresIn, owner.ID, f.ID, set.ResourceOwnerID}
		return err
	})
	return granted, err
}

func (s *Simulator) getTokenCalls(r *http.Request) (any, error) {
	query := r.URL.Query()
	filter := TokenCallFilter{
		ClientID: query.Get("client_id"), User: query.Get("user"), Family: query.Get("family"), Label: query.Get("label"), Outcome: query.Get("outcome"),
	}
	var err error
	if filter.After, filter.Limit, err = engine.Window(r); err != nil {
		return nil, err
	}
	items, err := s.TokenCalls(r.Context(), filter)
	if err != nil {
		return nil, err
	}
	return engine.Summed(r.Context(), items, s.TokenCounters)
}
