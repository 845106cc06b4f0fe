package sage_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"connectorvault/shared/fault"
	"connectorvault/shared/provider/sage"
)

func body(code, message, source string) string {
	return fmt.Sprintf(`[{"$severity":"error","$dataCode":%q,"$message":%q,"$source":%q}]`, code, message, source)
}

func TestJudge(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		status   int
		header   http.Header
		body     string
		kind     fault.Kind
		code     string
		rejected bool
		wait     time.Duration
	}{
		"an expired token":           {401, nil, body("AuthorizationFailure", "Access denied.", ""), fault.Refused, "provider_refused", true, 0},
		"a bare 401":                 {401, nil, "", fault.Refused, "provider_refused", true, 0},
		"a lapsed subscription":      {401, nil, body("AuthorizationFailure", "No active subscription. (MSE)", ""), fault.Refused, "subscription_lapsed", false, 0},
		"said otherwise":             {401, nil, body("AuthorizationFailure", "The subscription has ended.", ""), fault.Refused, "subscription_lapsed", false, 0},
		"lapsed, forbidden":          {403, nil, body("AuthorizationFailure", "No active subscription. (MSE)", ""), fault.Refused, "subscription_lapsed", false, 0},
		"another code":               {401, nil, body("Other", "Not in your subscription.", ""), fault.Refused, "provider_refused", true, 0},
		"a user without the role":    {403, nil, body("MultiUserAccessDenied", "The current user is not allowed to access that resource with that method.", ""), fault.Refused, "provider_refused", false, 0},
		"a feature not subscribed":   {403, nil, body("MultiUserAccessDenied", "Your subscription has no such feature.", ""), fault.Refused, "provider_refused", false, 0},
		"a bare 403":                 {403, nil, "", fault.Refused, "provider_refused", false, 0},
		"no such item":               {404, nil, "", fault.NotFound, "provider_refused", false, 0},
		"a wrong verb":               {405, nil, "", fault.Refused, "provider_refused", false, 0},
		"a wrong type":               {415, nil, "", fault.Refused, "provider_refused", false, 0},
		"too large":                  {413, nil, "", fault.TooLarge, "provider_refused", false, 0},
		"a record that is invalid":   {422, nil, body("RecordInvalid", "can't be blank", "line_items.tax_rate_id"), fault.Invalid, "provider_refused", false, 0},
		"a parameter":                {400, nil, "", fault.Invalid, "provider_refused", false, 0},
		"something else":             {418, nil, "", fault.Refused, "provider_refused", false, 0},
		"too much":                   {429, nil, "", fault.RateLimited, "rate_limited", false, 5 * time.Second},
		"too much, for a time":       {429, http.Header{"Retry-After": {"17"}}, "", fault.RateLimited, "rate_limited", false, 17 * time.Second},
		"too much, at once":          {429, http.Header{"Retry-After": {"0"}}, "", fault.RateLimited, "rate_limited", false, 0},
		"too much, a date":           {429, http.Header{"Retry-After": {"Fri, 20 Nov 2026 12:00:00 GMT"}}, "", fault.RateLimited, "rate_limited", false, 5 * time.Second},
		"too much, nonsense":         {429, http.Header{"Retry-After": {"-1"}}, "", fault.RateLimited, "rate_limited", false, 5 * time.Second},
		"too much, for years":        {429, http.Header{"Retry-After": {"999999999"}}, "", fault.RateLimited, "rate_limited", false, time.Hour},
		"an error of theirs":         {500, nil, body("UnexpectedError", "An unexpected error occurred.", ""), fault.Unavailable, "provider_unavailable", false, 0},
		"no gateway":                 {502, nil, "<html>canary</html>", fault.Unavailable, "provider_unavailable", false, 0},
		"later":                      {503, http.Header{"Retry-After": {"30"}}, "", fault.Unavailable, "provider_unavailable", false, 30 * time.Second},
		"too slow":                   {504, nil, "", fault.Unavailable, "provider_unavailable", false, 0},
		"no handshake":               {525, nil, "", fault.Unavailable, "provider_unavailable", false, 0},
		"lapsed, and down":           {503, nil, body("AuthorizationFailure", "No active subscription.", ""), fault.Unavailable, "provider_unavailable", false, 0},
		"no header for the older":    {401, nil, `[{"$severity":"APIM error","$dataCode":"HeaderNotFound","$message":"Header X-Site was not found in the request. Access denied.","$source":"check-header[2]"}]`, fault.Refused, "provider_refused", false, 0},
		"a bad key for the older":    {401, nil, body("AuthorizationFailure", "Access denied. Cannot verify subscription. Please try again later. (MRF)", ""), fault.Misconfigured, "client_misconfigured", false, 0},
		"the same, forbidden":        {403, nil, body("AuthorizationFailure", "Access denied. Cannot verify subscription. Please try again later. (MRF)", ""), fault.Misconfigured, "client_misconfigured", false, 0},
		"a gateway's own words":      {401, nil, `{"statusCode":401,"message":"Access denied due to invalid subscription key."}`, fault.Misconfigured, "client_misconfigured", false, 0},
		"the API before the older":   {422, nil, `{"$diagnoses":[{"$severity":"error","$dataCode":"ValidationError","$message":"This field is required.","$source":"company"}]}`, fault.Invalid, "provider_refused", false, 0},
		"the OAuth form of a denial": {401, nil, `{"error":"invalid_token"}`, fault.Refused, "provider_refused", true, 0},
	}
	adapter := sage.New(sage.Options{})
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			header := test.header
			if header == nil {
				header = http.Header{}
			}
			header.Set("X-Request-Id", "R1")
			v := adapter.Judge(test.status, header, []byte(test.body))
			f := v.Fault
			if f.Kind != test.kind || f.Code != test.code || v.TokenRejected != test.rejected || f.RetryAfter != test.wait {
				t.Errorf("got %s %s, rejected %t, wait %s", f.Kind, f.Code, v.TokenRejected, f.RetryAfter)
			}
			if f.Action == "" || f.Provider == nil || f.Provider.Status != test.status || f.Provider.RequestID != "R1" {
				t.Errorf("got %+v %+v", *f, f.Provider)
			}
			if strings.Contains(fmt.Sprintf("%+v %+v", *f, *f.Provider), "canary") {
				t.Error("a page is kept")
			}
		})
	}
}

// What Sage said is kept by name, short and printable.
func TestSaying(t *testing.T) {
	t.Parallel()
	adapter := sage.New(sage.Options{})
	for given, want := range map[string][3]string{
		body("RecordInvalid", "can't be blank", "line_items.tax_rate_id"): {"RecordInvalid", "can't be blank", "line_items.tax_rate_id"},
		`[{"$dataCode":"First"},{"$dataCode":"Second"}]`:                  {"First", "", ""},
		`{"$dataCode":"Alone","$message":"m"}`:                            {"Alone", "m", ""},
		`{"$diagnoses":[{"$dataCode":"Wrapped","$source":"s"}]}`:          {"Wrapped", "", "s"},
		`[{"$dataCode":17,"$message":{"a":1},"$source":null}]`:            {"17", "", ""},
		`[]`: {}, `[[]]`: {}, `"text"`: {}, `null`: {}, `{`: {}, `<html>`: {},
		`[{"$dataCode":"Cut","$message":"off"}`: {},
		"[{\"$message\":\"a\\u0000b\\nc\"}]":    {"", "a b c", ""},
	} {
		said := adapter.Judge(422, http.Header{}, []byte(given)).Fault.Provider
		if got := [3]string{said.Code, said.Message, said.Details}; got != want {
			t.Errorf("%s is kept as %q", given, got)
		}
	}
	long := adapter.Judge(422, http.Header{}, []byte(body("x", strings.Repeat("é", 5000), ""))).Fault.Provider.Message
	if len([]rune(long)) != 501 {
		t.Errorf("%d characters are kept", len([]rune(long)))
	}
}

// A page that took too long says what to ask for less of.
func TestTooSlowSaysWhatHelps(t *testing.T) {
	t.Parallel()
	if f := sage.New(sage.Options{}).Judge(504, http.Header{}, nil).Fault; !strings.Contains(f.Action, "attributes") || !strings.Contains(f.Action, "limit") {
		t.Errorf("got %+v", *f)
	}
}

// Sage says what is wrong with several fields at once; each is kept, and the first one's code.
func TestEveryErrorOfARefusalIsKept(t *testing.T) {
	t.Parallel()
	body := `[{"$severity":"error","$dataCode":"RecordInvalid","$message":"Too long.","$source":"reference"},
		{"$severity":"error","$dataCode":"Other","$message":"Is missing.","$source":"line_items.tax_rate_id"},
		{"$severity":"error","$dataCode":"Other","$message":"Is missing.","$source":"line_items.tax_rate_id"}, 7]`
	said := sage.New(sage.Options{}).Judge(422, http.Header{}, []byte(body)).Fault.Provider
	if said.Code != "RecordInvalid" || said.Message != "Too long.; Is missing." || said.Details != "reference, line_items.tax_rate_id" || said.Status != 422 {
		t.Errorf("it said %+v", said)
	}
	many := "[" + strings.Repeat(`{"$message":"`+strings.Repeat("x", 400)+`"},`, 50) + `{"$message":"y"}]`
	if said := sage.New(sage.Options{}).Judge(422, http.Header{}, []byte(many)).Fault.Provider; len([]rune(said.Message)) > 501 {
		t.Errorf("%d characters are kept", len(said.Message))
	}
}
