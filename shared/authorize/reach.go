package authorize

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"connectorvault/shared/fault"
	"connectorvault/shared/ident"
)

// paramProbe marks a request to our own callback that we sent ourselves. No provider's redirect has it.
const paramProbe = "preflight"

// probeTime bounds such a request: a person waits for it.
const probeTime = 5 * time.Second

// Reach finds out whether a browser that comes back from a provider reaches this deployment: it sends a request to our own
// callback at the address that is registered with the provider, and whoever answers must know of it.
func (s *Service) Reach(ctx context.Context, provider string) error {
	id, err := ident.New(s.Random, "probe_")
	if err != nil {
		return err
	}
	if err := s.Vault.NoteProbe(ctx, id); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, RedirectURI(s.PublicURL, provider)+"?"+url.Values{paramProbe: {id}}.Encode(), nil)
	if err != nil {
		return err
	}
	client := *s.HTTP
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse } // a callback behind a redirect loses browsers' cookies
	response, err := client.Do(request)
	if err != nil {
		return unreachable("Nobody answers at it.", err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusNoContent {
		return unreachable("Somebody else answers at it.", nil)
	}
	return nil
}

func unreachable(why string, cause error) *fault.Error {
	return fault.Wrap(cause, fault.Conflict, "callback_unreachable", "The callback address does not lead to this deployment. "+why).
		Do("Check the host name, its DNS record and its certificate.")
}

// Probed reports whether a request to our callback is one that we sent to ourselves.
func (s *Service) Probed(ctx context.Context, query url.Values) (bool, error) {
	id := query.Get(paramProbe)
	if len(query) != 1 || !ident.Valid(id, "probe_") {
		return false, nil
	}
	return s.Vault.Probed(ctx, id)
}
