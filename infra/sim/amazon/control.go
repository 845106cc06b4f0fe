package amazonsim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"time"
)

// controlPrefix is where a test steers the simulator. Nothing below it exists at Amazon.
const controlPrefix = "/_sim/"

// controlHandler serves the switches, the portal and the counters as JSON. Lists are {"items": […]}.
//
//	GET, POST, DELETE  faults                        switches: a [Fault] or an array; DELETE takes ?name=
//	POST               rates                         {"unlimited": true|false} and {"refill": true}
//	GET, POST          apps                          applications: an [App]; the answer alone shows its secret
//	POST               apps/{application}/secrets    a further client secret
//	POST               apps/{application}/expiry     the message that the client secret ends; {"ends": time} says when
//	POST               messages                      any message, as it is, to the queue of client secrets
//	POST               self-authorizations           a [SelfAuthorization]; the answer has the refresh token
//	GET                grants                        authorizations, without tokens
//	POST               revocations                   a [SelfAuthorization] as a filter
//	GET                sellers                       selling partners
//	GET, DELETE        calls                         counters: [CallCount]
func (s *Simulator) controlHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /_sim/faults", control(func(r *http.Request) (any, error) { return listed(s.Faults(r.Context())) }))
	mux.HandleFunc("POST /_sim/faults", control(s.postFaults))
	mux.HandleFunc("DELETE /_sim/faults", control(s.deleteFaults))
	mux.HandleFunc("POST /_sim/rates", control(s.postRates))
	mux.HandleFunc("GET /_sim/apps", control(func(r *http.Request) (any, error) { return listed(s.Apps(r.Context())) }))
	mux.HandleFunc("POST /_sim/apps", control(s.postApp))
	mux.HandleFunc("POST /_sim/apps/{application}/secrets", control(s.postSecret))
	mux.HandleFunc("POST /_sim/apps/{application}/expiry", control(s.postExpiry))
	mux.HandleFunc("POST /_sim/messages", control(s.postMessage))
	mux.HandleFunc("POST /_sim/self-authorizations", control(s.postSelfAuthorization))
	mux.HandleFunc("GET /_sim/grants", control(func(r *http.Request) (any, error) { return listed(s.Grants(r.Context())) }))
	mux.HandleFunc("POST /_sim/revocations", control(s.postRevocation))
	mux.HandleFunc("GET /_sim/sellers", control(func(*http.Request) (any, error) { return listed(s.Sellers(), nil) }))
	mux.HandleFunc("GET /_sim/calls", control(func(r *http.Request) (any, error) { return listed(s.Calls(r.Context())) }))
	mux.HandleFunc("DELETE /_sim/calls", control(func(r *http.Request) (any, error) { return nil, s.ResetCalls(r.Context()) }))
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

// readControl decodes a body. Asking for JSON keeps a foreign page's form from steering the simulator.
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
	if err := json.Unmarshal(body, &into); err != nil {
		return into, fmt.Errorf("decoding the body: %w", err)
	}
	return into, nil
}

// postFaults turns one switch on, or each of an array.
func (s *Simulator) postFaults(r *http.Request) (any, error) {
	body, err := readControl(r)
	if err != nil {
		return nil, err
	}
	var many []Fault
	if err := json.Unmarshal(body, &many); err != nil {
		var one Fault
		if err := json.Unmarshal(body, &one); err != nil {
			return nil, fmt.Errorf("decoding the body: %w", err)
		}
		many = []Fault{one}
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

// postRates takes {"unlimited": true|false}, which ignores the rate buckets or heeds them again, and
// {"refill": true}, which fills them.
func (s *Simulator) postRates(r *http.Request) (any, error) {
	want, err := decodeControl[struct {
		Unlimited *bool `json:"unlimited"`
		Refill    bool  `json:"refill"`
	}](r)
	if err != nil {
		return nil, err
	}
	if want.Refill {
		if err := s.ResetThrottles(r.Context()); err != nil {
			return nil, err
		}
	}
	if want.Unlimited == nil {
		return nil, nil
	}
	return nil, s.Unlimited(r.Context(), *want.Unlimited)
}

// Unlimited switches the rate buckets off or on.
func (s *Simulator) Unlimited(ctx context.Context, off bool) error {
	if !off {
		return s.ClearFault(ctx, FaultNoThrottling)
	}
	_, err := s.SetFault(ctx, Fault{Name: FaultNoThrottling})
	return err
}

func (s *Simulator) postApp(r *http.Request) (any, error) {
	app, err := decodeControl[App](r)
	if err != nil {
		return nil, err
	}
	return s.RegisterApp(r.Context(), app)
}

// postExpiry tells the queue that an application's client secret ends.
func (s *Simulator) postExpiry(r *http.Request) (any, error) {
	in, err := decodeControl[struct {
		Ends time.Time `json:"ends"`
	}](r)
	if err != nil {
		return nil, err
	}
	return nil, s.TellExpiry(r.Context(), r.PathValue("application"), in.Ends)
}

// postMessage puts a message into the queue, such as one that was there before.
func (s *Simulator) postMessage(r *http.Request) (any, error) {
	body, err := readControl(r)
	if err != nil {
		return nil, err
	}
	return nil, s.tell(r.Context(), body)
}

// postSecret rotates an application's secret.
func (s *Simulator) postSecret(r *http.Request) (any, error) {
	secret, err := s.RotateSecret(r.Context(), r.PathValue("application"))
	return map[string]string{"client_secret": secret}, err
}

func (s *Simulator) postSelfAuthorization(r *http.Request) (any, error) {
	want, err := decodeControl[SelfAuthorization](r)
	if err != nil {
		return nil, err
	}
	token, err := s.SelfAuthorize(r.Context(), want)
	return map[string]string{"refresh_token": token, "selling_partner_id": want.SellerID, "region": want.Region}, err
}

// postRevocation revokes every authorization that matches; absent members match anything.
func (s *Simulator) postRevocation(r *http.Request) (any, error) {
	which, err := decodeControl[SelfAuthorization](r)
	if err != nil {
		return nil, err
	}
	n, err := s.RevokeGrant(r.Context(), which.ApplicationID, which.SellerID, which.Region)
	return map[string]int{"revoked": n}, err
}
