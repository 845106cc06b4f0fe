package amazonsim

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"connectorvault/infra/sim/engine"
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
	mux.HandleFunc("GET /_sim/faults", engine.Items(s.Faults))
	mux.HandleFunc("POST /_sim/faults", engine.Endpoint(s.postFaults))
	mux.HandleFunc("DELETE /_sim/faults", s.switches.Clearing())
	mux.HandleFunc("POST /_sim/rates", engine.Endpoint(s.postRates))
	mux.HandleFunc("GET /_sim/apps", engine.Items(s.Apps))
	mux.HandleFunc("POST /_sim/apps", engine.Endpoint(s.postApp))
	mux.HandleFunc("POST /_sim/apps/{application}/secrets", engine.Endpoint(s.postSecret))
	mux.HandleFunc("POST /_sim/apps/{application}/expiry", engine.Endpoint(s.postExpiry))
	mux.HandleFunc("POST /_sim/messages", engine.Endpoint(s.postMessage))
	mux.HandleFunc("POST /_sim/self-authorizations", engine.Endpoint(s.postSelfAuthorization))
	mux.HandleFunc("GET /_sim/grants", engine.Items(s.Grants))
	mux.HandleFunc("POST /_sim/revocations", engine.Endpoint(s.postRevocation))
	mux.HandleFunc("GET /_sim/sellers", engine.Endpoint(func(*http.Request) (any, error) { return engine.Listed(s.Sellers(), nil) }))
	mux.HandleFunc("GET /_sim/calls", engine.Items(s.Calls))
	mux.HandleFunc("DELETE /_sim/calls", engine.Act(s.ResetCalls))
	return mux
}

// postFaults turns one switch on, or each of an array.
func (s *Simulator) postFaults(r *http.Request) (any, error) {
	body, err := engine.ReadBody(r)
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
	return engine.Each(r.Context(), many, s.SetFault)
}

// postRates takes {"unlimited": true|false}, which ignores the rate buckets or heeds them again, and
// {"refill": true}, which fills them.
func (s *Simulator) postRates(r *http.Request) (any, error) {
	want, err := engine.DecodeLoosely[struct {
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
	app, err := engine.DecodeLoosely[App](r)
	if err != nil {
		return nil, err
	}
	return s.RegisterApp(r.Context(), app)
}

// postExpiry tells the queue that an application's client secret ends.
func (s *Simulator) postExpiry(r *http.Request) (any, error) {
	in, err := engine.DecodeLoosely[struct {
		Ends time.Time `json:"ends"`
	}](r)
	if err != nil {
		return nil, err
	}
	return nil, s.TellExpiry(r.Context(), r.PathValue("application"), in.Ends)
}

// postMessage puts a message into the queue, such as one that was there before.
func (s *Simulator) postMessage(r *http.Request) (any, error) {
	body, err := engine.ReadBody(r)
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
	want, err := engine.DecodeLoosely[SelfAuthorization](r)
	if err != nil {
		return nil, err
	}
	token, err := s.SelfAuthorize(r.Context(), want)
	return map[string]string{"refresh_token": token, "selling_partner_id": want.SellerID, "region": want.Region}, err
}

// postRevocation revokes every authorization that matches; absent members match anything.
func (s *Simulator) postRevocation(r *http.Request) (any, error) {
	which, err := engine.DecodeLoosely[SelfAuthorization](r)
	if err != nil {
		return nil, err
	}
	n, err := s.RevokeGrant(r.Context(), which.ApplicationID, which.SellerID, which.Region)
	return map[string]int{"revoked": n}, err
}
