package clarasim

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
)

// Control is where a test steers the simulator, and where files are fetched. It is served on a plain listener of its own, since
// whoever steers has no certificate. Nothing below /_sim/ exists at Clara. Lists are {"items": […]}.
//
//	GET, POST, DELETE  faults           switches: a [Fault] or an array; DELETE takes ?name=
//	GET, POST          projects         a [ProjectRequest]; gives what is downloaded, an [Issued]
//	GET, PATCH         projects/{id}    a [Project]; a [ProjectChange]
//	DELETE             projects/{id}/tokens               what it was issued so far works no more
//	POST               projects/{id}/credentials          one more beside those: a [CertificateRequest]; gives an [Issued]
//	GET, DELETE        projects/{id}/credentials/{n}      the same [Issued] again; it works no more
//	GET                projects/{id}/credentials/{n}/{f}  one of its files: public-key.crt
//	GET, PUT           tls              [TLSSettings]
//	GET, DELETE        handshakes       [Handshakes]
//	GET, DELETE        token-calls      the ledger: [TokenCall] and [TokenCounters]; ?client_id= outcome= after= limit=
//	GET, DELETE        calls            counters: [CallCount]
//	GET, DELETE        requests         the log: [Request]; ?after=
func (s *Simulator) Control() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /_sim/faults", control(func(r *http.Request) (any, error) { return listed(s.Faults(r.Context())) }))
	mux.HandleFunc("POST /_sim/faults", control(s.postFaults))
	mux.HandleFunc("DELETE /_sim/faults", control(s.deleteFaults))
	mux.HandleFunc("GET /_sim/projects", control(func(r *http.Request) (any, error) { return listed(s.Projects(r.Context())) }))
	mux.HandleFunc("POST /_sim/projects", control(s.postProject))
	mux.HandleFunc("GET /_sim/projects/{id}", control(s.getProject))
	mux.HandleFunc("PATCH /_sim/projects/{id}", control(s.patchProject))
	mux.HandleFunc("DELETE /_sim/projects/{id}/tokens", control(func(r *http.Request) (any, error) { return nil, s.RevokeTokens(r.Context(), r.PathValue("id")) }))
	mux.HandleFunc("POST /_sim/projects/{id}/credentials", control(s.postCredential))
	mux.HandleFunc("GET /_sim/projects/{id}/credentials/{n}", control(s.getCredential))
	mux.HandleFunc("DELETE /_sim/projects/{id}/credentials/{n}", control(s.deleteCredential))
	mux.HandleFunc("GET /_sim/projects/{id}/credentials/{n}/{file}", s.getCredentialFile)
	mux.HandleFunc("GET /_sim/tls", control(func(r *http.Request) (any, error) { return s.TLS(r.Context()) }))
	mux.HandleFunc("PUT /_sim/tls", control(s.putTLS))
	mux.HandleFunc("GET /_sim/handshakes", control(func(r *http.Request) (any, error) { return s.Handshakes(r.Context()) }))
	mux.HandleFunc("DELETE /_sim/handshakes", control(func(r *http.Request) (any, error) { return nil, s.ResetHandshakes(r.Context()) }))
	mux.HandleFunc("GET /_sim/token-calls", control(s.getTokenCalls))
	mux.HandleFunc("DELETE /_sim/token-calls", control(func(r *http.Request) (any, error) { return nil, s.ResetTokenCalls(r.Context()) }))
	mux.HandleFunc("GET /_sim/calls", control(func(r *http.Request) (any, error) { return listed(s.Calls(r.Context())) }))
	mux.HandleFunc("DELETE /_sim/calls", control(func(r *http.Request) (any, error) { return nil, s.ResetCalls(r.Context()) }))
	mux.HandleFunc("GET /_sim/requests", control(s.getRequests))
	mux.HandleFunc("DELETE /_sim/requests", control(func(r *http.Request) (any, error) { return nil, s.ResetRequests(r.Context()) }))
	mux.HandleFunc("/"+filesPath, s.serveFile)
	return s.observe(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.TLS == nil {
			s.noteFilesAt("http://" + r.Host)
		}
		mux.ServeHTTP(w, r)
	}))
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
		w.WriteHeader(status)
		_, _ = w.Write(body) // the client may have gone; there is nobody left to tell
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
	for _, f := range many { // all or none
		if err := f.check(); err != nil {
			return nil, err
		}
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

func (s *Simulator) postProject(r *http.Request) (any, error) {
	want, err := decodeControl[ProjectRequest](r)
	if err != nil {
		return nil, err
	}
	return s.CreateProject(r.Context(), want)
}

func (s *Simulator) getProject(r *http.Request) (any, error) {
	project, known, err := projectByID(r.Context(), s.state, r.PathValue("id"))
	if err == nil && !known {
		err = fmt.Errorf("project: %w", errNotFound)
	}
	return project, err
}

func (s *Simulator) patchProject(r *http.Request) (any, error) {
	change, err := decodeControl[ProjectChange](r)
	if err != nil {
		return nil, err
	}
	return s.ChangeProject(r.Context(), r.PathValue("id"), change)
}

func (s *Simulator) postCredential(r *http.Request) (any, error) {
	want, err := decodeControl[CertificateRequest](r)
	if err != nil {
		return nil, err
	}
	return s.AddCredential(r.Context(), r.PathValue("id"), want)
}

// credentialNumber reads {n}; no credential has the number 0.
func credentialNumber(r *http.Request) int {
	n, err := strconv.Atoi(r.PathValue("n"))
	if err != nil {
		return 0
	}
	return n
}

func (s *Simulator) getCredential(r *http.Request) (any, error) {
	return s.Download(r.Context(), r.PathValue("id"), credentialNumber(r))
}

func (s *Simulator) deleteCredential(r *http.Request) (any, error) {
	return nil, s.DeleteCredential(r.Context(), r.PathValue("id"), credentialNumber(r))
}

// getCredentialFile gives a file as it is, so that a tool can be pointed at it.
func (s *Simulator) getCredentialFile(w http.ResponseWriter, r *http.Request) {
	issued, err := s.Download(r.Context(), r.PathValue("id"), credentialNumber(r))
	text, known := issued.Files[r.PathValue("file")]
	if err == nil && !known {
		err = fmt.Errorf("file: %w", errNotFound)
	}
	if err != nil {
		control(func(*http.Request) (any, error) { return nil, err })(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = io.WriteString(w, text) // the client may have gone; there is nobody left to tell
}

func (s *Simulator) putTLS(r *http.Request) (any, error) {
	settings, err := decodeControl[TLSSettings](r)
	if err != nil {
		return nil, err
	}
	return s.SetTLS(r.Context(), settings)
}

// number reads a parameter that counts.
func number(r *http.Request, name string) (int64, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, errors.New(name + " is no number")
	}
	return n, nil
}

func (s *Simulator) getTokenCalls(r *http.Request) (any, error) {
	after, err := number(r, "after")
	if err != nil {
		return nil, err
	}
	limit, err := number(r, "limit")
	if err != nil {
		return nil, err
	}
	items, err := s.TokenCalls(r.Context(), TokenCallFilter{
		ClientID: r.URL.Query().Get("client_id"), Outcome: r.URL.Query().Get("outcome"), After: after, Limit: int(limit),
	})
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

func (s *Simulator) getRequests(r *http.Request) (any, error) {
	after, err := number(r, "after")
	if err != nil {
		return nil, err
	}
	return listed(s.Requests(r.Context(), after))
}
