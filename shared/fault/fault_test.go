package fault_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"

	"connectorvault/shared/fault"
)

var kinds = []fault.Kind{
	fault.Internal, fault.Invalid, fault.Forbidden, fault.NotFound, fault.Conflict, fault.Gone, fault.ReauthRequired,
	fault.Misconfigured, fault.RateLimited, fault.Unavailable, fault.Refused, fault.TooLarge,
}

func TestKindsTravel(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, kind := range kinds {
		text, err := kind.MarshalText()
		if err != nil || seen[string(text)] || string(text) != kind.String() {
			t.Errorf("kind %d is written %q, %v", kind, text, err)
		}
		seen[string(text)] = true
		back := fault.TooLarge
		if err := back.UnmarshalText(text); err != nil || back != kind {
			t.Errorf("%q is read as %v, %v", text, back, err)
		}
	}
}

func TestUnknownKindsAreInternal(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "a_kind_of_tomorrow", "Invalid"} {
		kind := fault.Invalid
		if err := kind.UnmarshalText([]byte(text)); err != nil || kind != fault.Internal {
			t.Errorf("%q is read as %v, %v", text, kind, err)
		}
	}
	for _, kind := range []fault.Kind{-1, 99} {
		if kind.String() != "internal" {
			t.Errorf("kind %d is called %s", int(kind), kind)
		}
	}
	var zero fault.Error
	if zero.Kind != fault.Internal {
		t.Errorf("an error nobody classified is %v", zero.Kind)
	}
}

func full() *fault.Error {
	return fault.Wrap(io.ErrUnexpectedEOF, fault.RateLimited, "rate_limited", "Too many requests.").
		On("alias").Do("Wait.").After(3 * time.Second).
		Said(fault.Provider{Status: 429, Code: "QuotaExceeded", Message: "m", Details: "d", RequestID: "r"})
}

// The cause is for logs: it is found by errors.Is, it is in the log's text, and it does not travel.
func TestCauseStaysInside(t *testing.T) {
	t.Parallel()
	e := full()
	if !errors.Is(e, io.ErrUnexpectedEOF) || !strings.Contains(e.Error(), "unexpected EOF") {
		t.Errorf("the cause is lost in %v", e)
	}
	data, err := json.Marshal(e)
	if err != nil || strings.Contains(string(data), "EOF") {
		t.Fatalf("the JSON form is %s, %v", data, err)
	}
	var back fault.Error
	if err := json.Unmarshal(data, &back); err != nil {
		t.Fatal(err)
	}
	want := full().Because(nil)
	if !reflect.DeepEqual(&back, want) {
		t.Errorf("it arrives as %+v; want %+v", &back, want)
	}
	if errors.Unwrap(&back) != nil {
		t.Error("a cause came with it")
	}
}

func TestErrorText(t *testing.T) {
	t.Parallel()
	for want, e := range map[string]*fault.Error{
		"code: Detail.":                                 fault.New(fault.Invalid, "code", "Detail."),
		"code: Detail. (field f)":                       fault.New(fault.Invalid, "code", "Detail.").On("f"),
		"code: Detail. (field f): unexpected EOF":       fault.New(fault.Invalid, "code", "Detail.").On("f").Because(io.ErrUnexpectedEOF),
		"code: Detail.: unexpected EOF":                 fault.Wrap(io.ErrUnexpectedEOF, fault.Invalid, "code", "Detail."),
		"internal_error: Something failed on our side.": fault.As(nil),
	} {
		if e.Error() != want {
			t.Errorf("the text is %q; want %q", e, want)
		}
	}
}

func TestAs(t *testing.T) {
	t.Parallel()
	e := full()
	if got := fault.As(fmt.Errorf("reading: %w", e)); got != e {
		t.Errorf("a wrapped one is found as %v", got)
	}
	inner := errors.New("password is hunter2")
	unknown := fault.As(inner)
	if unknown.Kind != fault.Internal || unknown.Code != "internal_error" || !errors.Is(unknown, inner) {
		t.Errorf("an unknown error is %+v", unknown)
	}
	data, err := json.Marshal(unknown)
	if err != nil || strings.Contains(string(data), "hunter2") {
		t.Errorf("an unknown error shows its text: %s, %v", data, err)
	}
	if fault.KindOf(fmt.Errorf("reading: %w", e)) != fault.RateLimited || fault.KindOf(inner) != fault.Internal {
		t.Error("KindOf finds another kind")
	}
	if fault.CodeOf(fmt.Errorf("reading: %w", e)) != "rate_limited" || fault.CodeOf(inner) != "internal_error" || fault.CodeOf(nil) != "" {
		t.Error("CodeOf finds another code")
	}
}
