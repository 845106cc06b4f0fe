package amazon

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

// What asks for a new client secret (Amazon facts 3.4).
const (
	rotationScope = "sellingpartnerapi::client_credential:rotation"
	rotationRate  = 0.0167 // requests a second: one a minute
)

// The messages about client secrets (Amazon facts 3.4).
const (
	noticeExpiry    = "APPLICATION_OAUTH_CLIENT_SECRET_EXPIRY"
	noticeNewSecret = "APPLICATION_OAUTH_CLIENT_NEW_SECRET" //nolint:gosec // a message's name
)

// ClientOf implements provider.Rotator.
func (a *Adapter) ClientOf(app record.App) string { return app.Fields[appClientID] }

// Rotation implements provider.Rotator. The model names the American host, and the operation concerns no region.
func (a *Adapter) Rotation(app record.App) (provider.Call, time.Duration) {
	return provider.Call{
		Op: resource.Operation{ID: "rotateApplicationClientSecret", Method: http.MethodPost, Path: "/applications/2023-11-30/clientSecret",
			Grantless: rotationScope, Rate: rotationRate, Burst: 1},
		Base: a.endpoints.api("na", app.APIEnvironment),
	}, time.Minute
}

// notice is as much of a message as is looked at.
type notice struct {
	Type    string `json:"notificationType"`
	Payload struct {
		Expiry struct {
			ClientID string    `json:"clientId"`
			Ends     time.Time `json:"clientSecretExpiryTime"`
		} `json:"applicationOAuthClientSecretExpiry"`
		New struct {
			ClientID   string    `json:"clientId"`
			Secret     string    `json:"newClientSecret"`
			Ends       time.Time `json:"newClientSecretExpiryTime"`
			BeforeEnds time.Time `json:"oldClientSecretExpiryTime"`
		} `json:"applicationOAuthClientNewSecret"`
	} `json:"payload"`
}

// ParseNotice implements provider.Rotator.
func (a *Adapter) ParseNotice(message secret.Text) (provider.SecretNotice, error) {
	var in notice
	if err := json.Unmarshal([]byte(message.Reveal()), &in); err != nil {
		return provider.SecretNotice{}, errors.New("a message of Amazon's cannot be read") // the JSON error can quote it
	}
	var out provider.SecretNotice
	switch in.Type {
	case noticeExpiry:
		out = provider.SecretNotice{Client: in.Payload.Expiry.ClientID, Ends: in.Payload.Expiry.Ends.UTC()}
	case noticeNewSecret:
		made := in.Payload.New
		if !clientSecretShape.MatchString(made.Secret) {
			return out, errors.New("a message of Amazon's brings something that is no client secret")
		}
		out = provider.SecretNotice{Client: made.ClientID, Ends: made.Ends.UTC(), BeforeEnds: made.BeforeEnds.UTC(),
			Secrets: map[string]secret.Text{appClientSecret: secret.New(made.Secret)}}
	default:
		return out, errors.New("a message of Amazon's is about something else than client secrets")
	}
	switch {
	case !clientIDShape.MatchString(out.Client):
		return provider.SecretNotice{}, errors.New("a message of Amazon's names no client")
	case out.Ends.IsZero():
		return provider.SecretNotice{}, errors.New("a message of Amazon's does not say when the client secret ends")
	default:
		return out, nil
	}
}
