package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	clarasim "connectorvault/infra/sim/clara"
)

// connectClara brings the file that Clara's dashboard lets a person download, once, for an API project. There is no consent:
// saving it acquires a token over mutual TLS and finds out what the project may read.
func (d *demo) connectClara(ctx context.Context) error {
	download, err := d.download(ctx)
	if err != nil {
		return err
	}
	var e struct {
		entry
		Certificate struct {
			Subject  string `json:"subject"`
			NotAfter string `json:"not_after"`
		} `json:"certificate"`
		Account struct {
			Reads []struct {
				Resource string `json:"resource"`
				Allowed  *bool  `json:"allowed"`
			} `json:"reads"`
		} `json:"account"`
	}
	err = d.server.call(ctx, "POST", "/v1/vault-entries", object{"provider": "clara", "alias": "Cards", "environment": "production", "country": "mx", "download": download}, &e)
	if err != nil {
		return err
	}
	if e.Status != "active" {
		return fmt.Errorf("the vault entry is %s instead of active", e.Status)
	}
	var may []string
	for _, r := range e.Account.Reads {
		if r.Allowed != nil && *r.Allowed {
			may = append(may, r.Resource)
		}
	}
	d.say("   POST /v1/vault-entries with the download: %q is %s; its certificate is good until %s.", e.Alias, e.Status, e.Certificate.NotAfter)
	d.say("   It may read %s.", strings.Join(may, ", "))
	var connector struct {
		ID string `json:"id"`
	}
	if err := d.server.call(ctx, "POST", "/v1/connectors", object{"name": "Cards", "vault_entry": e.ID}, &connector); err != nil {
		return err
	}
	for _, what := range []string{"transactions", "users", "cards", "groups", "locations"} {
		var p page
		if err := d.readOf(ctx, connector.ID, what, &p); err != nil {
			return err
		}
		if len(p.Items) == 0 {
			return fmt.Errorf("there are no %s", what)
		}
		d.say("   GET …/%s: %d, the first is %s.", what, len(p.Items), text(p.Items[0], "uuid"))
	}
	return nil
}

// download is what Clara's dashboard gives out for the simulated project.
func (d *demo) download(ctx context.Context) (json.RawMessage, error) {
	base := d.server.ready.Controls["clara"]
	if base == "" {
		return nil, errors.New("the simulated Clara has no dashboard")
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/_sim/projects/"+clarasim.SeedClientID+"/credentials/1", nil)
	if err != nil {
		return nil, err
	}
	response, err := d.server.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("the simulated Clara answers %d", response.StatusCode)
	}
	return body, err
}
