package tokens_test

import (
	"encoding/json"
	"strings"
	"testing"

	"connectorvault/shared/fault"
	"connectorvault/shared/secret"
	"connectorvault/shared/tokens"
)

// numbered is a message as a version that writes that form would send it.
func numbered(t *testing.T, message []byte, number int, more map[string]any) []byte {
	t.Helper()
	members := map[string]any{}
	if err := json.Unmarshal(message, &members); err != nil {
		t.Fatal(err)
	}
	members["schema"] = number
	for name, value := range more {
		members[name] = value
	}
	out, err := json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func ok[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// Callers and callees of three versions: one from before there were numbers, this one, and one whose form is the next.
func TestVersionsTalkToEachOther(t *testing.T) {
	t.Parallel()
	const canary = "canary-51ce"
	call := tokens.Call{Op: tokens.Complete, Tenant: "t_1", Entry: "ve_1", Code: secret.New(canary), RefreshToken: secret.New(canary)}
	ours := ok[[]byte](t)(tokens.Encode(call))
	reply := ok[[]byte](t)(tokens.EncodeReply(tokens.Answer{Outcome: tokens.Success, Generation: 3}, nil))
	refusal := ok[[]byte](t)(tokens.EncodeReply(tokens.Answer{}, fault.New(fault.Unavailable, "x", "y")))
	for _, m := range []string{string(ours), string(reply)} {
		if strings.Contains(m, "schema") {
			t.Errorf("a message of the first form says so, and did not before: %s", m)
		}
	}
	tomorrow := map[string]any{"tomorrow": map[string]any{"a": 1}, "tenant": 7} // even a member of ours may be another
	for _, test := range []struct {
		name    string
		message []byte
		newer   bool
	}{
		{"a caller from before", ours, false},
		{"this one", numbered(t, ours, 1, nil), false},
		{"this one, with a member that may be left alone", numbered(t, ours, 1, map[string]any{"hint": true}), false},
		{"the next", numbered(t, ours, 2, tomorrow), true},
		{"one far ahead", numbered(t, ours, 99, tomorrow), true},
	} {
		got, err := tokens.Decode(test.message)
		if fault.IsNewer(err) != test.newer || !test.newer && (err != nil || got.Code.Reveal() != canary) || test.newer && !got.Code.IsZero() {
			t.Errorf("a call of %s: %v", test.name, err)
		}
		if err != nil && strings.Contains(err.Error(), canary) {
			t.Errorf("a call of %s: the error shows a secret", test.name)
		}
	}
	for _, test := range []struct {
		name    string
		message []byte
		newer   bool
	}{
		{"a callee from before", reply, false},
		{"this one", numbered(t, reply, 1, nil), false},
		{"the next", numbered(t, reply, 2, map[string]any{"answer": []int{1}}), true},
	} {
		got, err := tokens.DecodeReply(test.message)
		if fault.IsNewer(err) != test.newer || !test.newer && (err != nil || got.Generation != 3) {
			t.Errorf("a reply of %s: %+v, %v", test.name, got, err)
		}
	}
	if _, err := tokens.DecodeReply(refusal); fault.CodeOf(err) != "x" {
		t.Errorf("a refusal came as %v", err)
	}
	// What a callee says of a newer call reaches the caller as it was meant.
	_, newer := tokens.Decode(numbered(t, ours, 2, nil))
	_, err := tokens.DecodeReply(ok[[]byte](t)(tokens.EncodeReply(tokens.Answer{}, newer)))
	if f := fault.As(err); f.Code != "newer_version" || f.Kind != fault.Unavailable || f.RetryAfter <= 0 || !fault.IsNewer(err) {
		t.Errorf("the caller hears %v", err)
	}
}
