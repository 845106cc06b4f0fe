package bundletest

import (
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"connectorvault/shared/provider"
	"connectorvault/shared/record"
	"connectorvault/shared/resource"
	"connectorvault/shared/secret"
)

// NoticesARN is the queue that the provider writes to about client secrets.
const NoticesARN = "arn:aws:sqs:bench:000000000000:acme"

// RotatePath is where the provider is asked for a new client secret.
const RotatePath = "/rotate"

// NotEnrolled is what the provider says where it has no queue to write to.
const NotEnrolled = "not_enrolled"

// Notice is the provider's message about a client secret.
type Notice struct {
	Client     string    `json:"client"`
	Secret     string    `json:"secret,omitempty"`
	Ends       time.Time `json:"ends"`
	BeforeEnds time.Time `json:"before_ends,omitzero"`
}

// Text is the message as it comes from the queue.
func (n Notice) Text() secret.Text {
	body, err := json.Marshal(n)
	if err != nil {
		panic(err)
	}
	return secret.New(string(body))
}

// ClientOf implements provider.Rotator.
func (a *Adapter) ClientOf(app record.App) string { return app.Fields["client_id"] }

// Rotation implements provider.Rotator.
func (a *Adapter) Rotation(record.App) (provider.Call, time.Duration) {
	return provider.Call{Op: resource.Operation{ID: "rotate", Method: http.MethodPost, Path: RotatePath, Grantless: "secrets:rotate"},
		Base: a.upstream.URL + "/eu"}, time.Minute
}

// ParseNotice implements provider.Rotator.
func (a *Adapter) ParseNotice(message secret.Text) (provider.SecretNotice, error) {
	var n Notice
	if err := json.Unmarshal([]byte(message.Reveal()), &n); err != nil || n.Client == "" {
		return provider.SecretNotice{}, errors.New("a message of Acme's cannot be read")
	}
	out := provider.SecretNotice{Client: n.Client, Ends: n.Ends, BeforeEnds: n.BeforeEnds}
	if n.Secret != "" {
		out.Secrets = map[string]secret.Text{FieldSecret: secret.New(n.Secret)}
	}
	return out, nil
}
