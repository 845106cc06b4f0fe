package amazon_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"connectorvault/shared/provider/amazon"
	"connectorvault/shared/record"
	"connectorvault/shared/secret"
)

const (
	rotatingClient = "amzn1.application-oa2-client.0123456789abcdef"
	rotatedSecret  = "amzn1.oa2-cs.v1.canary-5f2d"
	expiryMessage  = `{"notificationVersion":"1.0","notificationType":"APPLICATION_OAUTH_CLIENT_SECRET_EXPIRY","payloadVersion":"1.0","payload":
		{"applicationOAuthClientSecretExpiry":{"clientId":"` + rotatingClient + `","clientSecretExpiryTime":"2027-01-02T03:04:05.678Z","clientSecretExpiryReason":"PERIODIC_ROTATION"}}}`
	secretMessage = `{"notificationType":"APPLICATION_OAUTH_CLIENT_NEW_SECRET","payload":{"applicationOAuthClientNewSecret":{"clientId":"` + rotatingClient + `",
		"newClientSecret":"` + rotatedSecret + `","newClientSecretExpiryTime":"2027-07-01T00:00:00.000Z","oldClientSecretExpiryTime":"2027-01-09T02:00:00+02:00"}}}`
)

func TestAMessageSaysWhatBecomesOfAClientSecret(t *testing.T) {
	t.Parallel()
	a := amazon.New(amazon.Options{})
	got, err := a.ParseNotice(secret.New(expiryMessage))
	if err != nil || got.Client != rotatingClient || got.Secrets != nil || got.Ends.Format(time.RFC3339Nano) != "2027-01-02T03:04:05.678Z" {
		t.Errorf("%+v, %v", got, err)
	}
	got, err = a.ParseNotice(secret.New(secretMessage))
	if err != nil || got.Client != rotatingClient || len(got.Secrets) != 1 || got.Secrets["client_secret"].Reveal() != rotatedSecret ||
		got.Ends.Format(time.RFC3339) != "2027-07-01T00:00:00Z" || got.BeforeEnds.Format(time.RFC3339) != "2027-01-09T00:00:00Z" {
		t.Errorf("%+v, %v", got, err)
	}
	without := strings.Replace(secretMessage, "oldClientSecretExpiryTime", "somethingElse", 1)
	if got, err := a.ParseNotice(secret.New(without)); err != nil || !got.BeforeEnds.IsZero() {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestAMessageThatIsNotWhatItShouldBeIsRefusedUnquoted(t *testing.T) {
	t.Parallel()
	a := amazon.New(amazon.Options{})
	for name, text := range map[string]string{
		"nothing": "", "no JSON": "canary", "a list": "[]", "null": "null", "an empty object": "{}",
		"another type":    strings.Replace(secretMessage, "NEW_SECRET", "CANARY", 1),
		"no client":       strings.Replace(secretMessage, rotatingClient, "", 1),
		"a strange one":   strings.Replace(secretMessage, rotatingClient, "canary#client", 1),
		"no secret":       strings.Replace(secretMessage, rotatedSecret, "", 1),
		"a short one":     strings.Replace(secretMessage, rotatedSecret, "canary", 1),
		"with a line":     strings.Replace(secretMessage, rotatedSecret, `canary\nHeader: x`, 1),
		"no end":          strings.Replace(secretMessage, "newClientSecretExpiryTime", "x", 1),
		"a strange end":   strings.Replace(secretMessage, "2027-07-01T00:00:00.000Z", "canary", 1),
		"the other's":     strings.Replace(expiryMessage, "SECRET_EXPIRY", "NEW_SECRET", 1),
		"an end of what?": strings.Replace(expiryMessage, "clientSecretExpiryTime", "x", 1),
	} {
		got, err := a.ParseNotice(secret.New(text))
		if err == nil || got.Secrets != nil && name != "no end" && got.Client != "" {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
		if err != nil && strings.Contains(strings.ToLower(err.Error()), "canary") {
			t.Errorf("%s: the error quotes it: %v", name, err)
		}
	}
}

// The operation is as the model has it, where the model is at hand.
func TestTheRotationIsTheModels(t *testing.T) {
	t.Parallel()
	call, pause := amazon.New(amazon.Options{}).Rotation(record.App{APIEnvironment: record.Production})
	if call.Base != "https://sellingpartnerapi-na.amazon.com" || pause < time.Minute || call.Op.Grantless != "sellingpartnerapi::client_credential:rotation" {
		t.Errorf("the call is %+v, again after %s", call, pause)
	}
	body, err := os.ReadFile(filepath.Join(modelsDir(t), "application_2023-11-30.json"))
	if err != nil {
		t.Fatal(err)
	}
	var model struct {
		Paths map[string]map[string]struct {
			OperationID string `json:"operationId"`
		} `json:"paths"`
	}
	if err := json.Unmarshal(body, &model); err != nil {
		t.Fatal(err)
	}
	if got := model.Paths[call.Op.Path][strings.ToLower(call.Op.Method)].OperationID; got != call.Op.ID {
		t.Errorf("the model calls %s %s %q", call.Op.Method, call.Op.Path, got)
	}
}

func FuzzParseNotice(f *testing.F) {
	for _, seed := range []string{expiryMessage, secretMessage, "", "{}", "null", `{"payload":[]}`} {
		f.Add(seed)
	}
	a := amazon.New(amazon.Options{})
	f.Fuzz(func(t *testing.T, text string) {
		got, err := a.ParseNotice(secret.New(text))
		switch {
		case err != nil && len(text) > 20 && strings.Contains(err.Error(), text):
			t.Errorf("the error quotes its input: %v", err)
		case err == nil && (got.Client == "" || got.Ends.IsZero()):
			t.Errorf("something is missing: %+v", got)
		case err == nil && got.Secrets != nil && len(got.Secrets["client_secret"].Reveal()) < 8:
			t.Error("the secret is too short")
		}
	})
}
