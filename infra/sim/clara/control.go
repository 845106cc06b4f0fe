package clarasim

import (
	"fmt"
	"io"
	"net/http"
	"strconv"

	"connectorvault/infra/sim/engine"
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
	mux.HandleFunc("GET /_sim/faults", engine.Items(s.Faults))
	mux.HandleFunc("POST /_sim/faults", engine.Endpoint(s.postFaults))
	mux.HandleFunc("DELETE /_sim/faults", s.switches.Clearing())
	mux.HandleFunc("GET /_sim/projects", engine.Items(s.Projects))
	mux.HandleFunc("POST /_sim/projects", engine.Decoded(s.CreateProject))
	mux.HandleFunc("GET /_sim/projects/{id}", engine.Endpoint(s.getProject))
	mux.HandleFunc("PATCH /_sim/projects/{id}", engine.Endpoint(s.patchProject))
	mux.HandleFunc("DELETE /_sim/projects/{id}/tokens", engine.Endpoint(func(r *http.Request) (any, error) { return nil, s.RevokeTokens(r.Context(), r.PathValue("id")) }))
	mux.HandleFunc("POST /_sim/projects/{id}/credentials", engine.Endpoint(s.postCredential))
	mux.HandleFunc("GET /_sim/projects/{id}/credentials/{n}", engine.Endpoint(s.getCredential))
	mux.HandleFunc("DELETE /_sim/projects/{id}/credentials/{n}", engine.Endpoint(s.deleteCredential))
	mux.HandleFunc("GET /_sim/projects/{id}/credentials/{n}/{file}", s.getCredentialFile)
	mux.HandleFunc("GET /_sim/tls", engine.Endpoint(func(r *http.Request) (any, error) { return s.TLS(r.Context()) }))
	mux.HandleFunc("PUT /_sim/tls", engine.Decoded(s.SetTLS))
	mux.HandleFunc("GET /_sim/handshakes", engine.Endpoint(func(r *http.Request) (any, error) { return s.Handshakes(r.Context()) }))
	mux.HandleFunc("DELETE /_sim/handshakes", engine.Act(s.ResetHandshakes))
	mux.HandleFunc("GET /_sim/token-calls", engine.Endpoint(s.getTokenCalls))
	mux.HandleFunc("DELETE /_sim/token-calls", engine.Act(s.ResetTokenCalls))
	mux.HandleFunc("GET /_sim/calls", engine.Items(s.Calls))
	mux.HandleFunc("DELETE /_sim/calls", engine.Act(s.ResetCalls))
	mux.HandleFunc("GET /_sim/requests", engine.Endpoint(s.getRequests))
	mux.HandleFunc("DELETE /_sim/requests", engine.Act(s.ResetRequests))
	mux.HandleFunc("/"+filesPath, s.serveFile)
	return s.observe(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.TLS == nil {
			s.noteFilesAt("http://" + r.Host)
		}
		mux.ServeHTTP(w, r)
	}))
}

// postFaults turns one switch on, or each of an array.
func (s *Simulator) postFaults(r *http.Request) (any, error) {
	many, err := engine.DecodeMany[Fault](r)
	if err != nil {
		return nil, err
	}
	for _, f := range many { // all or none
		if err := f.check(); err != nil {
			return nil, err
		}
	}
	return engine.Each(r.Context(), many, s.SetFault)
}

func (s *Simulator) getProject(r *http.Request) (any, error) {
	project, known, err := projectByID(r.Context(), s.state, r.PathValue("id"))
	if err == nil && !known {
		err = fmt.Errorf("project: %w", engine.ErrNotFound)
	}
	return project, err
}

func (s *Simulator) patchProject(r *http.Request) (any, error) {
	change, err := engine.Decode[ProjectChange](r)
	if err != nil {
		return nil, err
	}
	return s.ChangeProject(r.Context(), r.PathValue("id"), change)
}

func (s *Simulator) postCredential(r *http.Request) (any, error) {
	want, err := engine.Decode[CertificateRequest](r)
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
		err = fmt.Errorf("file: %w", engine.ErrNotFound)
	}
	if err != nil {
		engine.Endpoint(func(*http.Request) (any, error) { return nil, err })(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = io.WriteString(w, text) // the client may have gone; there is nobody left to tell
}

func (s *Simulator) getTokenCalls(r *http.Request) (any, error) {
	after, limit, err := engine.Window(r)
	if err != nil {
		return nil, err
	}
	items, err := s.TokenCalls(r.Context(), TokenCallFilter{
		ClientID: r.URL.Query().Get("client_id"), Outcome: r.URL.Query().Get("outcome"), After: after, Limit: limit,
	})
	if err != nil {
		return nil, err
	}
	return engine.Summed(r.Context(), items, s.TokenCounters)
}

func (s *Simulator) getRequests(r *http.Request) (any, error) {
	after, err := engine.Number(r, "after")
	if err != nil {
		return nil, err
	}
	return engine.Listed(s.Requests(r.Context(), after))
}
