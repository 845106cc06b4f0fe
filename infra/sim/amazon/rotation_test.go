package amazonsim_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"path/filepath"
	"testing"
	"time"

	amazonsim "connectorvault/infra/sim/amazon"
	"connectorvault/infra/sim/engine/enginetest"
)

type told struct {
	Type    string `json:"notificationType"`
	Payload struct {
		New struct {
			ClientID   string    `json:"clientId"`
			Secret     string    `json:"newClientSecret"`
			Ends       time.Time `json:"newClientSecretExpiryTime"`
			BeforeEnds time.Time `json:"oldClientSecretExpiryTime"`
		} `json:"applicationOAuthClientNewSecret"`
		Expiry struct {
			ClientID string    `json:"clientId"`
			Ends     time.Time `json:"clientSecretExpiryTime"`
			Reason   string    `json:"clientSecretExpiryReason"`
		} `json:"applicationOAuthClientSecretExpiry"`
	} `json:"payload"`
}

// own is a token of the seeded application's own.
func (f *front) own(secret, scope string) answer {
	f.t.Helper()
	return f.post("/auth/o2/token", url.Values{"grant_type": {"client_credentials"}, "scope": {scope},
		"client_id": {amazonsim.SeededClientID}, "client_secret": {secret}})
}

func (f *front) rotate(token string) answer {
	f.t.Helper()
	return f.send(http.MethodPost, f.base+"/na/applications/2023-11-30/clientSecret", http.Header{"X-Amz-Access-Token": {token}}, "")
}

const rotation = "sellingpartnerapi::client_credential:rotation"

// A new secret goes to the queue and not into the answer; both work for seven days, and then the new one alone (Amazon
// facts 3.4).
func TestASecretIsRotatedThroughTheQueue(t *testing.T) {
	t.Parallel()
	var messages []string
	f := openNotified(t, filepath.Join(t.TempDir(), "sim.db"), enginetest.NewClock(), "", func(_ context.Context, message []byte) error {
		messages = append(messages, string(message))
		return nil
	})
	token := decode[tokens](t, f.own(amazonsim.SeededClientSecret, rotation)).Access
	notifications := decode[tokens](t, f.own(amazonsim.SeededClientSecret, "sellingpartnerapi::notifications")).Access
	wantFailure(t, f.rotate(notifications), http.StatusForbidden, "Unauthorized", "")
	wantFailure(t, f.rotate(f.access(amazonsim.SellerEurope, "eu")), http.StatusForbidden, "Unauthorized", "")
	a := f.rotate(token)
	if a.status != http.StatusNoContent || a.body != "" || len(messages) != 1 {
		t.Fatalf("%d %q, %d messages", a.status, a.body, len(messages))
	}
	said := decode[told](t, answer{body: messages[0]})
	now := f.clock.Now()
	if said.Type != "APPLICATION_OAUTH_CLIENT_NEW_SECRET" || said.Payload.New.ClientID != amazonsim.SeededClientID ||
		!said.Payload.New.Ends.Equal(now.Add(180*24*time.Hour)) || !said.Payload.New.BeforeEnds.Equal(now.Add(7*24*time.Hour)) {
		t.Errorf("it says %+v", said)
	}
	if again := f.rotate(token); again.status != http.StatusTooManyRequests || len(messages) != 1 {
		t.Errorf("at once again: %d", again.status)
	}
	f.clock.Step(7*24*time.Hour - time.Second)
	for _, secret := range []string{amazonsim.SeededClientSecret, said.Payload.New.Secret} {
		wantStatus(t, f.own(secret, rotation), http.StatusOK)
	}
	old := decode[tokens](t, f.own(amazonsim.SeededClientSecret, rotation)).Access
	f.clock.Step(time.Second)
	wantTokenError(t, f.own(amazonsim.SeededClientSecret, rotation), http.StatusUnauthorized, "invalid_client")
	wantFailure(t, f.rotate(old), http.StatusForbidden, "Unauthorized", "The LWA secret token you provided has expired.")
	wantStatus(t, f.own(said.Payload.New.Secret, rotation), http.StatusOK)
	f.clock.Step(173 * 24 * time.Hour)
	wantTokenError(t, f.own(said.Payload.New.Secret, rotation), http.StatusUnauthorized, "invalid_client")
}

func TestAnApplicationThatIsNotEnrolledIsNotRotated(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	token := decode[tokens](t, f.own(amazonsim.SeededClientSecret, rotation)).Access
	a := f.rotate(token)
	wantFailure(t, a, http.StatusBadRequest, "InvalidInput", "")
	if f.sim.TellExpiry(t.Context(), amazonsim.SeededApplicationID, f.clock.Now()) == nil {
		t.Error("a message goes to no queue")
	}
}

func TestAMessageThatASecretEnds(t *testing.T) {
	t.Parallel()
	var messages []string
	fails := false
	f := openNotified(t, filepath.Join(t.TempDir(), "sim.db"), enginetest.NewClock(), "", func(_ context.Context, message []byte) error {
		if fails {
			return errors.New("no")
		}
		messages = append(messages, string(message))
		return nil
	})
	wantStatus(t, f.control(http.MethodPost, "/_sim/apps/"+amazonsim.SeededApplicationID+"/expiry", `{"ends":"2026-12-01T00:00:00Z"}`), http.StatusNoContent)
	wantStatus(t, f.control(http.MethodPost, "/_sim/apps/amzn1.sp.solution.nobody/expiry", `{}`), http.StatusNotFound)
	wantStatus(t, f.control(http.MethodPost, "/_sim/messages", `{"any":"thing"}`), http.StatusNoContent)
	fails = true
	wantStatus(t, f.control(http.MethodPost, "/_sim/messages", `{"any":"thing"}`), http.StatusBadRequest)
	if len(messages) != 2 || messages[1] != `{"any":"thing"}` {
		t.Fatalf("there are %v", messages)
	}
	said := decode[told](t, answer{body: messages[0]})
	if e := said.Payload.Expiry; said.Type != "APPLICATION_OAUTH_CLIENT_SECRET_EXPIRY" || e.ClientID != amazonsim.SeededClientID ||
		e.Reason != "PERIODIC_ROTATION" || e.Ends.Format(time.DateOnly) != "2026-12-01" {
		t.Errorf("it says %+v", said)
	}
}
