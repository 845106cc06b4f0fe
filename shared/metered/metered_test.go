package metered_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"connectorvault/shared/metered"
	"connectorvault/shared/metric"
	"connectorvault/shared/metric/metrictest"
	"connectorvault/shared/seal"
	"connectorvault/shared/secret"
	"connectorvault/shared/store"
)

// engine answers everything with one error.
type engine struct{ err error }

func (e engine) GetSecret(context.Context, string) (secret.Text, error) {
	return secret.New("canary-value"), e.err
}
func (e engine) PutSecret(context.Context, string, secret.Text) error { return e.err }
func (e engine) CreateSecret(context.Context, string, secret.Text) (bool, error) {
	return true, e.err
}
func (e engine) DeleteSecret(context.Context, string) error { return e.err }
func (e engine) ListSecrets(context.Context, string, string) ([]string, string, error) {
	return []string{"canary-name"}, "next", e.err
}

func (e engine) Seal(context.Context, seal.Binding, []byte) ([]byte, error) {
	return []byte("sealed"), e.err
}
func (e engine) Open(context.Context, seal.Binding, []byte) ([]byte, error) {
	return []byte("canary-plain"), e.err
}
func (e engine) MAC(context.Context, string, string, []byte) (string, []byte, error) {
	return "k", []byte("code"), e.err
}

func recorder(b *bytes.Buffer) *metric.Recorder {
	return metric.New(metric.Config{Out: b, Namespace: "test", Now: func() time.Time { return time.Unix(1, 0) }})
}

func counted(t *testing.T, b *bytes.Buffer) string {
	t.Helper()
	if bytes.Contains(b.Bytes(), []byte("canary")) {
		t.Errorf("a line has more than it should: %s", b)
	}
	seen := metrictest.Seen(t, b.String())
	b.Reset()
	out := ""
	for _, name := range slices.Sorted(maps.Keys(seen)) {
		out += fmt.Sprintf("%s×%d", name, seen[name])
	}
	return out
}

// Each call counts when it fails, as what it fails for, and its answer is the store's own.
func TestSecrets(t *testing.T) {
	t.Parallel()
	for want, errs := range map[string][]error{
		"":                       {nil, store.ErrNotFound, fmt.Errorf("reading: %w", store.ErrNotFound), context.Canceled},
		"SecretStoreBusy []×1":   {store.ErrBusy, fmt.Errorf("reading: %w (Throttling)", store.ErrBusy)},
		"SecretStoreErrors []×1": {errors.New("canary"), context.DeadlineExceeded},
	} {
		for _, err := range errs {
			var b bytes.Buffer
			s, ctx := metered.Secrets(engine{err}, recorder(&b)), t.Context()
			value, got := s.GetSecret(ctx, "canary-name")
			if n := counted(t, &b); !errors.Is(got, err) || value.Reveal() != "canary-value" || n != want {
				t.Errorf("%v: %v, %q", err, got, n)
			}
			got = s.PutSecret(ctx, "canary-name", value)
			if n := counted(t, &b); !errors.Is(got, err) || n != want {
				t.Errorf("put: %v: %v, %q", err, got, n)
			}
			exists, got := s.CreateSecret(ctx, "canary-name", value)
			if n := counted(t, &b); !errors.Is(got, err) || !exists || n != want {
				t.Errorf("create: %v: %v, %q", err, got, n)
			}
			got = s.DeleteSecret(ctx, "canary-name")
			if n := counted(t, &b); !errors.Is(got, err) || n != want {
				t.Errorf("delete: %v: %v, %q", err, got, n)
			}
			names, next, got := s.ListSecrets(ctx, "canary", "")
			if n := counted(t, &b); !errors.Is(got, err) || next != "next" || len(names) != 1 || n != want {
				t.Errorf("list: %v: %v, %q", err, got, n)
			}
		}
	}
}

func TestSealing(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		purpose string
		err     error
		want    string
	}{
		{"tokens", nil, ""}, {"tokens", seal.ErrSealed, "SealErrors []×1"}, {"tokens", fmt.Errorf("opening: %w", seal.ErrUnknownKey), "SealErrors []×1"},
		{"tokens", store.ErrBusy, ""}, {"webhook", seal.ErrSealed, "SealErrors []×1"}, {"cursor", seal.ErrSealed, ""}, {"cursor", seal.ErrUnknownKey, ""},
	} {
		var b bytes.Buffer
		k := metered.Sealer(engine{c.err}, recorder(&b), "cursor")
		_, err := k.Open(t.Context(), seal.Binding{Purpose: c.purpose, Tenant: "t_1", Record: "ve_1"}, nil)
		if about := bytes.Contains(b.Bytes(), []byte(`"entry":"ve_1"`)); about != (c.want != "" && c.purpose == "tokens") {
			t.Errorf("%+v: %s", c, b.String())
		}
		if n := counted(t, &b); !errors.Is(err, c.err) || n != c.want {
			t.Errorf("%+v: %v, %q", c, err, n)
		}
		if used, _, err := k.MAC(t.Context(), "t_1", "", nil); used != "k" || !errors.Is(err, c.err) { // audit chains need it
			t.Errorf("no code is had: %q %v", used, err)
		}
	}
}

func TestNobodyCounts(t *testing.T) {
	t.Parallel()
	if e := (engine{}); metered.Secrets(e, nil) != store.Secrets(e) || metered.Sealer(e, nil) != metered.Keeper(e) {
		t.Error("something stands in between for nobody")
	}
	if metered.Secrets(nil, recorder(&bytes.Buffer{})) != nil {
		t.Error("there are secrets where there were none")
	}
}
