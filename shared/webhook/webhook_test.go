package webhook_test

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"connectorvault/shared/record"
	"connectorvault/shared/secret"
	"connectorvault/shared/webhook"
)

func minted(t *testing.T) secret.Text {
	t.Helper()
	s, err := webhook.NewSecret(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSecretsHaveTheFormOfTheSpecification(t *testing.T) {
	t.Parallel()
	a, b := minted(t), minted(t)
	if a.Equal(b) {
		t.Error("two secrets are one")
	}
	encoded, ok := strings.CutPrefix(a.Reveal(), "whsec_")
	raw, err := base64.StdEncoding.DecodeString(encoded)
	if !ok || err != nil || len(raw) < 24 || len(raw) > 64 {
		t.Errorf("%d bytes, %v", len(raw), err)
	}
	if _, err := webhook.NewSecret(bytes.NewReader(nil)); err == nil {
		t.Error("without randomness there is a secret")
	}
}

// The receivers' library accepts what we sign, with each of the secrets, and nothing else.
func TestSignaturesAreAccepted(t *testing.T) {
	t.Parallel()
	now, before, stranger := minted(t), minted(t), minted(t)
	body := []byte(`{"type":"authorized"}`)
	header := http.Header{}
	at := time.Now()
	if err := webhook.Sign(header, "ev_1", at, body, now, before); err != nil {
		t.Fatal(err)
	}
	verify := func(s secret.Text, body []byte, header http.Header) error {
		v, err := standardwebhooks.NewWebhook(s.Reveal())
		if err != nil {
			t.Fatal(err)
		}
		return v.Verify(body, header)
	}
	for name, s := range map[string]secret.Text{"in force": now, "before": before} {
		if err := verify(s, body, header); err != nil {
			t.Errorf("the secret %s: %v", name, err)
		}
	}
	if verify(stranger, body, header) == nil {
		t.Error("a stranger's secret is accepted")
	}
	if verify(now, []byte(`{"type":"recovered"}`), header) == nil {
		t.Error("another body is accepted")
	}
	for name, value := range map[string]string{webhook.HeaderID: "ev_2", webhook.HeaderTimestamp: "1"} {
		changed := header.Clone()
		changed.Set(name, value)
		if verify(now, body, changed) == nil {
			t.Errorf("another %s is accepted", name)
		}
	}
}

// The bytes of a signature, worked out elsewhere: the specification's own example.
func TestSignatureIsThatOfTheSpecification(t *testing.T) {
	t.Parallel()
	header := http.Header{}
	err := webhook.Sign(header, "msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`), secret.New("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"))
	if got := header.Get("webhook-signature"); err != nil || got != "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=" {
		t.Errorf("%s, %v", got, err)
	}
	if header.Get("webhook-id") != "msg_p5jXN8AQM9LWM0D4loKWxJek" || header.Get("webhook-timestamp") != "1614265330" {
		t.Errorf("%v", header)
	}
}

func TestNothingIsSentUnsigned(t *testing.T) {
	t.Parallel()
	for _, secrets := range [][]secret.Text{nil, {secret.New("")}, {secret.New("whsec_")}, {secret.New("whsec_canary!")}, {secret.New("Y2FuYXJ5")}, {minted(t), secret.New("x")}} {
		header := http.Header{}
		err := webhook.Sign(header, "ev_1", time.Now(), nil, secrets...)
		if err == nil || len(header) != 0 || strings.Contains(err.Error(), "canary") {
			t.Errorf("%d secrets: %v, %v", len(secrets), header, err)
		}
	}
}

func TestMessagesComeBackAsTheyWere(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 21, 12, 0, 0, 1000000, time.UTC)
	m := webhook.Message{Tenant: "t_1000000000000000", Webhook: "wh_1000000000000000", Sent: at, Event: record.Event{Tenant: "t_1000000000000000", ID: "ev_1",
		Kind: record.EventExpiring, At: at, Provider: "amazon", Entry: "ve_1", Horizon: &record.Horizon{Name: "client_secret", At: at}, DaysBefore: 7}}
	body, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := webhook.Decode(body)
	if err != nil || *got.Event.Horizon != *m.Event.Horizon {
		t.Fatalf("%+v, %v", got, err)
	}
	got.Event.Horizon = m.Event.Horizon
	if got != m {
		t.Errorf("%+v\n%+v", got, m)
	}
	for _, bad := range []string{"", "{}", "canary", string(body[1:]), strings.Replace(string(body), "t_1", "t_#", 1), strings.Replace(string(body), "wh_1", "wh_", 1),
		strings.Replace(string(body), `"ev_1"`, `""`, 1), strings.Replace(string(body), `"sent"`, `"s"`, 1)} {
		if m, err := webhook.Decode([]byte(bad)); err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%q is taken as %+v: %v", bad, m, err)
		}
	}
}
