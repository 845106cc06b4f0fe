// Package webhook is the form of what leaves for a tenant's endpoint: the secret, the signature, and the message of the
// queue that leads there.
//
// The argument: a receiver must be able to know our messages from everybody else's, with a library that exists for its
// language. So they are signed as Standard Webhooks 1.0.0 says (HMAC-SHA256 over id, time and body), whose few lines are written
// here rather than brought in. A message of the queue names the webhook and holds the event; no secret travels in it.
package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"connectorvault/shared/fault"
	"connectorvault/shared/ident"
	"connectorvault/shared/record"
	"connectorvault/shared/schema"
	"connectorvault/shared/secret"
)

// secretMark begins every signing secret, so that its holder knows what it is, and a scanner of source code a leaked one.
const secretMark = "whsec_"

// secretBytes is how much randomness a secret has; the specification wants 24 to 64.
const secretBytes = 32

// NewSecret mints a signing secret.
func NewSecret(random io.Reader) (secret.Text, error) {
	raw := make([]byte, secretBytes)
	if _, err := io.ReadFull(random, raw); err != nil {
		return secret.Text{}, fmt.Errorf("reading randomness for a signing secret: %w", err)
	}
	return secret.New(secretMark + base64.StdEncoding.EncodeToString(raw)), nil
}

// The headers of a signed message.
const (
	HeaderID        = "Webhook-Id"
	HeaderTimestamp = "Webhook-Timestamp"
	HeaderSignature = "Webhook-Signature"
)

// Sign sets the headers that prove a body to be ours: one signature for each secret, so that a receiver may know the one in force
// or the one before it.
func Sign(header http.Header, id string, at time.Time, body []byte, secrets ...secret.Text) error {
	stamp := strconv.FormatInt(at.Unix(), 10)
	signatures := make([]string, len(secrets))
	for i, s := range secrets {
		encoded, marked := strings.CutPrefix(s.Reveal(), secretMark)
		key, err := base64.StdEncoding.DecodeString(encoded)
		if !marked || err != nil || len(key) == 0 {
			return errors.New("a signing secret is in no form of ours") // without the decoder's words, which quote it
		}
		mac := hmac.New(sha256.New, key)
		_, _ = fmt.Fprintf(mac, "%s.%s.", id, stamp)
		_, _ = mac.Write(body)
		signatures[i] = "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	}
	if len(signatures) == 0 {
		return errors.New("there is no secret to sign with")
	}
	header.Set(HeaderID, id)
	header.Set(HeaderTimestamp, stamp)
	header.Set(HeaderSignature, strings.Join(signatures, " "))
	return nil
}

// Message asks for one event to be delivered to one webhook. It is everything that a delivery is begun and gone on with: how
// often it was tried is nowhere, since the next try follows from the time that has passed.
type Message struct {
	Tenant  string
	Webhook string
	Event   record.Event
	Sent    time.Time // when it was queued first
}

type messageJSON struct {
	Tenant  string       `json:"tenant"`
	Webhook string       `json:"webhook"`
	Event   record.Event `json:"event"`
	Sent    time.Time    `json:"sent"`
	Schema  int64        `json:"schema,omitempty"`
}

// Encode puts a message into the form of the queue.
func (m Message) Encode() ([]byte, error) {
	return json.Marshal(messageJSON{Tenant: m.Tenant, Webhook: m.Webhook, Event: m.Event, Sent: m.Sent, Schema: schema.Delivery.Carried()})
}

// Decode reads what Encode made. Its error quotes nothing; it is fault.Newer for a message of a newer version.
func Decode(body []byte) (Message, error) {
	var numbered struct {
		Schema int64 `json:"schema"`
	}
	if err := json.Unmarshal(body, &numbered); err == nil && schema.Delivery.Newer(numbered.Schema) {
		return Message{}, fault.Newer(string(schema.Delivery), numbered.Schema, schema.Of(schema.Delivery).Reads)
	}
	var in messageJSON
	if err := json.Unmarshal(body, &in); err != nil || !ident.Valid(in.Tenant, ident.Tenant) || !ident.Valid(in.Webhook, ident.Webhook) ||
		in.Event.ID == "" || in.Sent.IsZero() {
		return Message{}, errors.New("the message is none of a webhook's")
	}
	m := Message{Tenant: in.Tenant, Webhook: in.Webhook, Event: in.Event, Sent: in.Sent}
	m.Event.Tenant = m.Tenant
	return m, nil
}
