package provider_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"testing"

	"connectorvault/shared/fault"
	"connectorvault/shared/provider"
	"connectorvault/shared/record"
	"connectorvault/shared/secret"
)

// dialing is a reader whose entries have a way of their own.
type dialing struct {
	reader
	client  *http.Client
	refused *fault.Error
	known   *fault.Error
	dialled *[]string
}

func (d dialing) Dial(entry record.Entry, secrets map[string]secret.Text) (*http.Client, error) {
	*d.dialled = append(*d.dialled, entry.ID+" "+secrets["key"].Reveal())
	if d.refused != nil {
		return nil, d.refused
	}
	return d.client, nil
}

func (d dialing) Explain(error) *fault.Error { return d.known }

type broken struct{}

func (broken) RoundTrip(*http.Request) (*http.Response, error) { return nil, errors.New("canary") }

func TestAnEntryWithAWayOfItsOwn(t *testing.T) {
	t.Parallel()
	known := fault.New(fault.Unavailable, "known", "It is known.")
	plain, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("q") == "redirect" {
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
			return
		}
		_, _ = io.WriteString(w, r.URL.Path)
	})
	on := session(secret.New(canary))
	on.Entry.ID, on.Secrets = "ve_1", map[string]secret.Text{"key": secret.New("k")}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for what, row := range map[string]struct {
		client  *http.Client
		refused *fault.Error
		known   *fault.Error
		ctx     context.Context
		q, code string
	}{
		"it is taken":                 {plain.HTTP, nil, known, t.Context(), "a", ""},
		"redirects stay refused":      {plain.HTTP, nil, known, t.Context(), "redirect", "provider_redirected"},
		"there is none":               {nil, fault.New(fault.Misconfigured, "refused", "x"), nil, t.Context(), "a", "refused"},
		"no answer, and it knows why": {&http.Client{Transport: broken{}}, nil, known, t.Context(), "a", "known"},
		"no answer, and nobody knows": {&http.Client{Transport: broken{}}, nil, nil, t.Context(), "a", "provider_unavailable"},
		"nobody waits":                {&http.Client{Transport: broken{}}, nil, known, ended, "a", "provider_unavailable"},
	} {
		var dialled []string
		client := provider.Client{HTTP: &http.Client{Transport: broken{}}, Reader: dialing{plain.Reader.(reader), row.client, row.refused, row.known, &dialled}}
		call := read()
		call.Params.Set("q", row.q)
		_, _, err := client.Do(row.ctx, on, call)
		if fault.CodeOf(err) != row.code || len(dialled) != 1 || dialled[0] != "ve_1 k" {
			t.Errorf("%s: %v after %v", what, err, dialled)
		}
	}
}
