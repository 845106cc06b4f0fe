package sagesim

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
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
	mux.HandleFunc("GET /_sim/faults", control(func(r *http.Request) (any, error) { return listed(s.Faults(r.Context())) }))
	mux.HandleFunc("POST /_sim/faults", control(s.postFaults))
	mux.HandleFunc("DELETE /_sim/faults", control(s.deleteFaults))
	mux.HandleFunc("GET /_sim/apps", control(func(r *http.Request) (any, error) { return listed(s.Apps(r.Context())) }))
	mux.HandleFunc("POST /_sim/apps", control(s.postApp))
	mux.HandleFunc("GET /_sim/users", control(func(*http.Request) (any, error) { return listed(s.Users(), nil) }))
	mux.HandleFunc("GET /_sim/businesses", control(func(r *http.Request) (any, error) { return listed(s.Businesses(r.Context())) }))
	mux.HandleFunc("POST /_sim/businesses", control(s.postBusiness))
	mux.HandleFunc("POST /_sim/authorizations", control(s.postAuthorization))
	mux.HandleFunc("POST /_sim/grants", control(s.postGrant))
	mux.HandleFunc("GET /_sim/families", control(func(r *http.Request) (any, error) {
		return listed(s.Families(r.Context(), r.URL.Query().Get("label")))
	}))
	mux.HandleFunc("POST /_sim/revocations", control(s.postRevocation))
	mux.HandleFunc("GET /_sim/token-calls", control(s.getTokenCalls))
	mux.HandleFunc("DELETE /_sim/token-calls", control(func(r *http.Request) (any, error) { return nil, s.ResetTokenCalls(r.Context()) }))
	mux.HandleFunc("GET /_sim/calls", control(func(r *http.Request) (any, error) { return listed(s.Calls(r.Context())) }))
	mux.HandleFunc("DELETE /_sim/calls", control(func(r *http.Request) (any, error) { return nil, s.ResetCalls(r.Context()) }))
	mux.HandleFunc("GET /_sim/concurrency", control(func(*http.Request) (any, error) { return s.Concurrency(), nil }))
	mux.HandleFunc("DELETE /_sim/concurrency", control(func(*http.Request) (any, error) { s.ResetConcurrency(); return nil, nil }))
	return mux
}

// list is the wire form of every list here: {"items": […]}.
type list[T any] struct {
	Items []T `json:"items"`
}

func listed[T any](items []T, err error) (any, error) {
	if items == nil {
		items = []T{}
	}
	return list[T]{items}, err
}

// control turns a function into an endpoint: nil answers 204, an error 400 (404 where something is unknown).
func control(serve func(*http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		answer, err := serve(r)
		status := http.StatusOK
		switch {
		case errors.Is(err, errNotFound):
			status = http.StatusNotFound
		case err != nil:
			status = http.StatusBadRequest
		case answer == nil:
			w.WriteHeader(http.StatusNoContent)
			return
		}
		if err != nil {
			answer = map[string]string{"error": err.Error()}
		}
		body, err := json.Marshal(answer)
		if err != nil {
			http.Error(w, "encoding the answer failed", http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		writeBody(w, status, body)
	}
}

// readControl reads a body. Asking for JSON keeps a foreign page's form from steering the simulator.
func readControl(r *http.Request) ([]byte, error) {
	if mediaType, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); mediaType != "application/json" {
		return nil, errors.New("the content type must be application/json")
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxFormBody))
	if err != nil {
		return nil, fmt.Errorf("reading the body: %w", err)
	}
	return body, nil
}

func decodeControl[T any](r *http.Request) (T, error) {
	var into T
	body, err := readControl(r)
	if err != nil {
		return into, err
	}
	err = unmarshalControl(body, &into)
	return into, err
}

// unmarshalControl refuses unknown members: a switch that was misspelt would do nothing.
func unmarshalControl(body []byte, into any) error {
	decoder := json.NewDecoder(strings.NewReader(string(body)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return fmt.Errorf("decoding the body: %w", err)
	}
	return nil
}

// postFaults turns one switch on, or each of an array.
func (s *Simulator) postFaults(r *http.Request) (any, error) {
	body, err := readControl(r)
	if err != nil {
		return nil, err
	}
	many := make([]Fault, 1)
	if strings.HasPrefix(strings.TrimSpace(string(body)), "[") {
		err = unmarshalControl(body, &many)
	} else {
		err = unmarshalControl(body, &many[0])
	}
	if err != nil {
		return nil, err
	}
	set := make([]Fault, 0, len(many))
	for _, f := range many {
		f, err := s.SetFault(r.Context(), f)
		if err != nil {
			return nil, err
		}
		set = append(set, f)
	}
	return listed(set, nil)
}

// deleteFaults turns off the switches named by ?name=, or all.
func (s *Simulator) deleteFaults(r *http.Request) (any, error) {
	if name := r.URL.Query().Get("name"); name != "" {
		return nil, s.ClearFault(r.Context(), name)
	}
	return nil, s.ClearFaults(r.Context())
}

func (s *Simulator) postApp(r *http.Request) (any, error) {
	app, err := decodeControl[App](r)
	if err != nil {
		return nil, err
	}
	return s.RegisterApp(r.Context(), app)
}

func (s *Simulator) postBusiness(r *http.Request) (any, error) {
	change, err := decodeControl[BusinessChange](r)
	if err != nil {
		return nil, err
	}
	return s.ChangeBusiness(r.Context(), change)
}

func (s *Simulator) postRevocation(r *http.Request) (any, error) {
	which, err := decodeControl[Revocation](r)
	if err != nil {
		return nil, err
	}
	n, err := s.Revoke(r.Context(), which)
	return map[string]int{"revoked": n}, err
}

// postAuthorization does what a person does at the authorize page. What would go back as an error is an error here.
func (s *Simulator) postAuthorization(r *http.Request) (any, error) {
	a, err := decodeControl[authorization](r)
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
		return fmt.Errorf("user %q: %w", a.User, errNotFound)
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
		return GrantedTokens{}, fmt.Errorf("user %q: %w", want.User, errNotFound)
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

func (s *Simulator) postGrant(r *http.Request) (any, error) {
	want, err := decodeControl[GrantRequest](r)
	if err != nil {
		return nil, err
	}
	return s.Grant(r.Context(), want)
}

func (s *Simulator) getTokenCalls(r *http.Request) (any, error) {
	query := r.URL.Query()
	filter := TokenCallFilter{
		ClientID: query.Get("client_id"), User: query.Get("user"), Family: query.Get("family"), Label: query.Get("label"), Outcome: query.Get("outcome"),
	}
	var err error
	if text := query.Get("after"); text != "" {
		if filter.After, err = strconv.ParseInt(text, 10, 64); err != nil {
			return nil, errors.New("after is no number")
		}
	}
	if text := query.Get("limit"); text != "" {
		if filter.Limit, err = strconv.Atoi(text); err != nil {
			return nil, errors.New("limit is no number")
		}
	}
	items, err := s.TokenCalls(r.Context(), filter)
	if err != nil {
		return nil, err
	}
	if items == nil {
		items = []TokenCall{}
	}
	counters, err := s.TokenCounters(r.Context())
	return struct {
		Items    []TokenCall   `json:"items"`
		Counters TokenCounters `json:"counters"`
	}{items, counters}, err
}
