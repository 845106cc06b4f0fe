package handler_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"connectorvault/functions/planner/handler"
	"connectorvault/shared/planner"
	"connectorvault/shared/store"
	"connectorvault/shared/tokens"
	"connectorvault/shared/vault"
)

// one is an index with one entry in each shard.
type one struct{ err error }

func (o one) Due(_ context.Context, shard string, until int64, _ int, _ string) ([]store.Due, string, error) {
	return []store.Due{{Key: store.Key{Partition: "t_1#" + shard, Sort: "credential"}, At: until - 90}}, "", o.err
}

func newHandler(o one, sent *atomic.Int64) *handler.Handler {
	return handler.New(planner.New(planner.Config{Vault: vault.New(vault.Config{Due: o, Now: time.Now}), Providers: []string{"sage"}, Workers: func(string) int { return 2 },
		Waiting: func(context.Context, string) (int, error) { return 7, nil }, Now: time.Now, Logger: slog.New(slog.DiscardHandler),
		Send: func(_ context.Context, _ string, calls []tokens.Call) error { sent.Add(int64(len(calls))); return nil }}))
}

func TestTheScheduleIsToldWhatWasPlanned(t *testing.T) {
	t.Parallel()
	var sent atomic.Int64 // shards are sent side by side
	plan, err := newHandler(one{}, &sent).Handle(t.Context(), json.RawMessage(`{"operation": "plan"}`))
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(plan)
	if want := `{"providers":{"sage":{"planned":16,"pages":16,"waiting":7,"due_lag_seconds":30}}}`; err != nil || string(text) != want || sent.Load() != 16 {
		t.Errorf("it is %s, %v; %d were sent", text, err, sent.Load())
	}
}

func TestWhatWentWrongIsAnError(t *testing.T) {
	t.Parallel()
	var sent atomic.Int64
	if _, err := newHandler(one{err: errors.New("down")}, &sent).Handle(t.Context(), json.RawMessage(`{"operation": "plan"}`)); err == nil || sent.Load() != 0 {
		t.Errorf("%d sent, %v", sent.Load(), err)
	}
	for _, payload := range []string{"", "null", "[]", "{}", `{"operation": "sweep_orphans"}`, `{"op": "due", "tenant": "t", "entry": "e"}`, `{"source": "aws.events"}`} {
		if _, err := newHandler(one{}, &sent).Handle(t.Context(), json.RawMessage(payload)); err == nil || sent.Load() != 0 {
			t.Errorf("the event %s is carried out", payload)
		}
	}
}
