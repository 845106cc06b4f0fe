package tokens_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"connectorvault/shared/audit"
	"connectorvault/shared/fault"
	"connectorvault/shared/secret"
	"connectorvault/shared/tokens"
)

const canary = "canary-90ab"

func full() tokens.Call {
	return tokens.Call{
		Op: tokens.Complete, Tenant: "t_1", Entry: "ve_1", Force: true, FailedGeneration: 1<<53 + 1, Request: "ar_1",
		Code: secret.New(canary + "-code\n\"<&"), Claims: map[string]string{"selling_partner_id": "A1", "empty": ""},
		RefreshToken: secret.New(canary + "-refresh"), Principal: "key_1", Scope: "scope::a", Provider: "acme", APIEnvironment: "sandbox", Client: 2, Rescued: json.RawMessage(`{"sealed":"AAE=","n":1}`),
		NotBefore: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Reason: "consent_denied", Pending: true,
		By: audit.Actor{Kind: audit.Principal, ID: "key_1", Role: "owner", RequestID: "R1"},
	}
}

func TestCallTravels(t *testing.T) {
	t.Parallel()
	for name, call := range map[string]tokens.Call{
		"full": full(), "least": {Op: tokens.Refresh, Tenant: "t_1"}, "without tenant": {Op: tokens.Due},
	} {
		b, err := tokens.Encode(call)
		if err != nil {
			t.Fatal(err)
		}
		back, err := tokens.Decode(b)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if !back.Code.Equal(call.Code) || !back.RefreshToken.Equal(call.RefreshToken) {
			t.Errorf("%s: a secret changed on its way", name)
		}
		back.Code, back.RefreshToken = call.Code, call.RefreshToken // pointers differ, contents were compared
		if !reflect.DeepEqual(back, call) {
			t.Errorf("%s: it arrives as %+v; want %+v", name, back, call)
		}
	}
}

// A field that Encode forgets would silently be dropped between two functions.
func TestEveryFieldIsTested(t *testing.T) {
	t.Parallel()
	v := reflect.ValueOf(full())
	for i := range v.NumField() {
		if v.Field(i).IsZero() {
			t.Errorf("the full call has no %s", v.Type().Field(i).Name)
		}
	}
}

func TestPrintedCallShowsNoSecret(t *testing.T) {
	t.Parallel()
	call := full()
	plain, err := json.Marshal(call)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{fmt.Sprintf("%v %+v %#v %v", call, call, call, &call), string(plain)} {
		if strings.Contains(text, canary) {
			t.Errorf("a secret is shown: %s", text)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "{", "[]", `{}`, `{"op":""}`, `{"op":"refresh","force":"` + canary + `"}`, canary, `{"op":1}`} {
		_, err := tokens.Decode([]byte(text))
		if err == nil {
			t.Errorf("%s was accepted", text)
		} else if strings.Contains(err.Error(), canary) {
			t.Errorf("the error quotes its input: %v", err)
		}
	}
}

func TestAnswerTravels(t *testing.T) {
	t.Parallel()
	answer := tokens.Answer{
		Outcome: tokens.RateLimited, Generation: 7, Expires: time.Date(2026, 1, 2, 3, 4, 5, 6e6, time.UTC), Took: 1500 * time.Millisecond,
		Fault: fault.New(fault.RateLimited, "rate_limited", "Wait.").After(time.Minute),
	}
	b, err := json.Marshal(answer)
	if err != nil {
		t.Fatal(err)
	}
	var back tokens.Answer
	if err := json.Unmarshal(b, &back); err != nil || !reflect.DeepEqual(back, answer) {
		t.Errorf("it arrives as %+v, %v", back, err)
	}
	b, err = json.Marshal(tokens.Answer{Outcome: tokens.Success})
	if err != nil || string(b) != `{"outcome":"success"}` {
		t.Errorf("the least answer is %s, %v", b, err)
	}
}

func TestAnswerErr(t *testing.T) {
	t.Parallel()
	if err := (tokens.Answer{}).Err(); err != nil {
		t.Errorf("an answer without a fault is the error %v", err)
	}
	var e *fault.Error
	if err := (tokens.Answer{Fault: fault.New(fault.Gone, "c", "d")}).Err(); !errors.As(err, &e) || e.Code != "c" {
		t.Errorf("an answer's fault is %v", err)
	}
}
