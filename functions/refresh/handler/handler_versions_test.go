package handler_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"

	"connectorvault/shared/fault"
	"connectorvault/shared/tokens"
)

// A newer function's call is answered in words, and a newer message of a queue comes again, to a worker that knows it. What
// lies beside it in the batch is carried out.
func TestNewerMessages(t *testing.T) {
	r := newRig(t)
	ours, err := tokens.Encode(tokens.Call{Op: tokens.Refresh, Tenant: tenant, Entry: r.entry.ID})
	r.ok(err)
	newer := strings.Replace(string(ours), "{", `{"schema":2,`, 1)
	got, err := r.handler.Handle(t.Context(), json.RawMessage(newer))
	r.ok(err)
	if _, err := tokens.DecodeReply(got.(json.RawMessage)); !fault.IsNewer(err) {
		t.Errorf("the caller hears %v", err)
	}
	got, err = r.handler.Handle(t.Context(), json.RawMessage(`{"op":"tomorrow","tenant":"`+tenant+`"}`))
	r.ok(err)
	if _, err := tokens.DecodeReply(got.(json.RawMessage)); !fault.IsNewer(err) {
		t.Errorf("whoever asks for what this version does not know hears %v", err)
	}
	batch := events.SQSEvent{}
	for i, body := range []string{newer, string(ours), `{"op":"tomorrow"}`} {
		batch.Records = append(batch.Records, events.SQSMessage{MessageId: fmt.Sprint("m", i), Body: body})
	}
	payload, err := json.Marshal(batch)
	r.ok(err)
	got, err = r.handler.Handle(t.Context(), payload)
	r.ok(err)
	failed := got.(events.SQSEventResponse).BatchItemFailures
	if len(failed) != 2 || failed[0].ItemIdentifier != "m0" || failed[1].ItemIdentifier != "m2" {
		t.Errorf("to come again: %v", failed)
	}
}
