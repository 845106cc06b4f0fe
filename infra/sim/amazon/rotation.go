package amazonsim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"connectorvault/infra/sim/engine"
)

// What Amazon says of client secrets goes to a queue that was registered in the portal (Amazon facts 3.4).

// rotateApplicationClientSecret makes a new client secret and sends it to the queue; the answer has no body. An application
// that is not enrolled is refused, and one of the sandbox is as well.
func (s *Simulator) rotateApplicationClientSecret(ctx context.Context, c *call) (reply, error) {
	if s.notify == nil || c.sandbox {
		return reply{}, invalidInput("Application is not enrolled for rotation notification. Please update application notification preference in Developer console.")
	}
	app, found, err := appByClient(ctx, s.state, c.token.clientID)
	if err != nil {
		return reply{}, err
	}
	if !found {
		return reply{}, errDenied
	}
	secret, err := s.RotateSecret(ctx, app.ApplicationID)
	if err != nil {
		return reply{}, err
	}
	err = s.tellOf(ctx, "APPLICATION_OAUTH_CLIENT_NEW_SECRET", "applicationOAuthClientNewSecret", map[string]string{
		"clientId": app.ClientID, "newClientSecret": secret,
		"newClientSecretExpiryTime": amazonTime(s.now().Add(secretLife)), "oldClientSecretExpiryTime": amazonTime(s.now().Add(oldSecretGrace))})
	return reply{status: http.StatusNoContent, noBody: true}, err
}

// TellExpiry sends the message that an application's client secret ends.
func (s *Simulator) TellExpiry(ctx context.Context, applicationID string, ends time.Time) error {
	app, found, err := appByID(ctx, s.state, applicationID)
	if err != nil {
		return err
	}
	if !found {
		return fmt.Errorf("application %q: %w", applicationID, engine.ErrNotFound)
	}
	return s.tellOf(ctx, "APPLICATION_OAUTH_CLIENT_SECRET_EXPIRY", "applicationOAuthClientSecretExpiry", map[string]string{
		"clientId": app.ClientID, "clientSecretExpiryTime": amazonTime(ends), "clientSecretExpiryReason": "PERIODIC_ROTATION"})
}

// tellOf sends a message in the form of Amazon facts 3.4.
func (s *Simulator) tellOf(ctx context.Context, kind, member string, payload map[string]string) error {
	message, err := json.Marshal(map[string]any{
		"notificationVersion": "1.0", "notificationType": kind, "payloadVersion": "1.0", "eventTime": amazonTime(s.now()),
		"payload":              map[string]any{member: payload},
		"notificationMetadata": map[string]string{"publishTime": amazonTime(s.now()), "notificationId": s.uuid()},
	})
	if err != nil {
		return errors.New("encoding a message failed")
	}
	return s.tell(ctx, message)
}

func (s *Simulator) tell(ctx context.Context, message []byte) error {
	if s.notify == nil {
		return errors.New("no queue is registered")
	}
	return s.notify(ctx, message)
}

func amazonTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
