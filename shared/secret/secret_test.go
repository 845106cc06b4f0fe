package secret_test

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"connectorvault/shared/secret"
)

const canary = "canary-7f3a"

type exported struct{ Token secret.Text }

type unexported struct {
	token secret.Text
	list  []secret.Text
	named map[string]secret.Text
}

func TestNoVerbPrintsASecret(t *testing.T) {
	s := secret.New(canary)
	hidden := unexported{token: s, list: []secret.Text{s}, named: map[string]secret.Text{"a": s}}
	values := []any{s, &s, exported{s}, &exported{s}, hidden, &hidden, []secret.Text{s}, map[string]secret.Text{"k": s},
		fmt.Errorf("wrapping: %v", s), errors.Join(fmt.Errorf("%+v", exported{s}))}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%p", "%c", "%U", "%e", "%08b", "%T"} {
		for _, v := range values {
			out := fmt.Sprintf(verb, v)
			if strings.Contains(out, canary) || strings.Contains(out, fmt.Sprintf("%x", canary)) {
				t.Errorf("%s of %T printed the secret: %s", verb, v, out)
			}
		}
	}
}

func TestNoEncoderWritesASecret(t *testing.T) {
	s := secret.New(canary)
	j, err := json.Marshal(map[string]any{"a": s, "b": exported{s}, "c": []secret.Text{s}})
	if err != nil {
		t.Fatal(err)
	}
	x, err := xml.Marshal(exported{s})
	if err != nil {
		t.Fatal(err)
	}
	var g bytes.Buffer
	if err := gob.NewEncoder(&g).Encode(exported{s}); err == nil {
		t.Error("gob encoded a secret instead of refusing")
	}
	var l bytes.Buffer
	for _, h := range []slog.Handler{slog.NewJSONHandler(&l, nil), slog.NewTextHandler(&l, nil)} {
		slog.New(h).Info("m", "t", s, "e", exported{s}, "g", slog.GroupValue(slog.Any("x", s)), "u", unexported{token: s})
	}
	for name, out := range map[string][]byte{"json": j, "xml": x, "gob": g.Bytes(), "slog": l.Bytes()} {
		if bytes.Contains(out, []byte(canary)) {
			t.Errorf("%s wrote the secret: %s", name, out)
		}
	}
}

func TestRoundTrip(t *testing.T) {
	var in struct{ Token secret.Text }
	if err := json.Unmarshal([]byte(`{"Token":"`+canary+`"}`), &in); err != nil {
		t.Fatal(err)
	}
	if got := in.Token.Reveal(); got != canary {
		t.Fatalf("Reveal() = %q", got)
	}
	if !in.Token.Equal(secret.New(canary)) || in.Token.Equal(secret.New("other")) {
		t.Error("Equal is wrong")
	}
	if !(secret.Text{}).IsZero() || in.Token.IsZero() {
		t.Error("IsZero is wrong")
	}
}
