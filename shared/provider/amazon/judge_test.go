package amazon_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"connectorvault/shared/fault"
	"connectorvault/shared/provider/amazon"
)

// deniedBody is a 403 as Amazon sends it (Amazon facts 5.3).
func deniedBody(details string) string {
	return `{"errors":[{"code":"Unauthorized","message":"Access to requested resource is denied.","details":"` + details + `"}]}`
}

func TestJudge(t *testing.T) {
	t.Parallel()
	quota := `{"errors":[{"code":"QuotaExceeded","message":"You exceeded your quota for the requested resource.","details":""}]}`
	tests := map[string]struct {
		status   int
		body     string
		kind     fault.Kind
		code     string
		rejected bool
		words    string // of detail and action
	}{
		"token missing":       {403, deniedBody("Access token is missing in the request header."), fault.Refused, "provider_refused", true, "no access token"},
		"token revoked":       {403, deniedBody("The access token you provided is revoked, malformed or invalid."), fault.Refused, "provider_refused", true, "revoked, malformed"},
		"token expired":       {403, deniedBody("The access token you provided has expired."), fault.Refused, "provider_refused", true, "has expired"},
		"secret expired":      {403, deniedBody("The LWA secret token you provided has expired."), fault.Misconfigured, "client_misconfigured", true, "new client secret"},
		"foreign marketplace": {403, deniedBody("The marketplaces you provided are not valid for region."), fault.Invalid, "region_mismatch", false, "another region"},
		"no reason":           {403, deniedBody(""), fault.Refused, "provider_refused", false, "role"},
		"no details at all":   {403, `{"errors":[{"code":"Unauthorized","message":"Access to requested resource is denied."}]}`, fault.Refused, "provider_refused", false, "region"},
		"unknown reason":      {403, deniedBody("Something new."), fault.Refused, "provider_refused", false, "details"},
		"outside the API":     {403, `{"errors":[{"code":"MissingAuthenticationToken","message":"Access to requested resource is denied."}]}`, fault.Refused, "provider_refused", false, "not part of"},
		"restricted elements": {403, `{"errors":[{"code":"Unauthorized","message":"Application does not have access to one or more requested data elements: [buyerInfo, shippingAddress]","details":""}]}`, fault.Refused, "provider_refused", false, "restricted role"},
		"the same as a 400":   {400, `{"errors":[{"code":"InvalidInput","message":"Application does not have access to one or more requested data elements: [buyerInfo]"}]}`, fault.Refused, "provider_refused", false, "restricted role"},
		"in an envelope":      {403, `{"payload":null,` + deniedBody("The access token you provided has expired.")[1:], fault.Refused, "provider_refused", true, "expired"},
		"401":                 {401, `{"errors":[{"code":"Unauthorized","message":"Token?"}]}`, fault.Refused, "provider_refused", true, "access token"},
		"bad input":           {400, `{"errors":[{"code":"InvalidInput","message":"Could not match input arguments","details":""}]}`, fault.Invalid, "provider_refused", false, "parameters"},
		"code 400":            {400, `{"errors":[{"code":"400","message":"Invalid input","details":"Invalid input"}]}`, fault.Invalid, "provider_refused", false, "parameters"},
		"HTML":                {400, `<html><body>400 Bad Request</body></html>`, fault.Invalid, "provider_refused", false, "parameters"},
		"not found":           {404, `{"errors":[{"code":"NOT_FOUND","message":"Resource not found."}]}`, fault.NotFound, "provider_refused", false, "no such item"},
		"too large":           {413, ``, fault.TooLarge, "provider_refused", false, "smaller"},
		"wrong format":        {415, ``, fault.Refused, "provider_refused", false, "refused"},
		"throttled":           {429, quota, fault.RateLimited, "rate_limited", false, "limit"},
		"internal":            {500, `{"errors":[{"code":"InternalFailure","message":"We encountered an internal error. Please try again.","details":""}]}`, fault.Unavailable, "provider_unavailable", false, "minute"},
		"overloaded":          {503, `{}`, fault.Unavailable, "provider_unavailable", false, "minute"},
		"null":                {403, `null`, fault.Refused, "provider_refused", false, "role"},
		"another shape":       {400, `{"errors":"none"}`, fault.Invalid, "provider_refused", false, "parameters"},
	}
	adapter := amazon.New(amazon.Options{})
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			header := http.Header{"X-Amzn-Requestid": {"8e7c5b2a-0000-4000-8000-000000000001"}}
			verdict := adapter.Judge(test.status, header, []byte(test.body))
			if verdict.TokenRejected != test.rejected {
				t.Errorf("token rejected: %t", verdict.TokenRejected)
			}
			f := verdict.Fault
			if f.Kind != test.kind || f.Code != test.code {
				t.Errorf("got %s %s, want %s %s", f.Kind, f.Code, test.kind, test.code)
			}
			if text := f.Detail + " " + f.Action; !strings.Contains(text, test.words) || f.Action == "" {
				t.Errorf("%q does not say %q", text, test.words)
			}
			if f.Provider == nil || f.Provider.Status != test.status || f.Provider.RequestID != "8e7c5b2a-0000-4000-8000-000000000001" {
				t.Errorf("got %+v", f.Provider)
			}
		})
	}
}

func TestJudgeKeepsWhatAmazonSaid(t *testing.T) {
	t.Parallel()
	adapter := amazon.New(amazon.Options{})
	said := adapter.Judge(403, nil, []byte(deniedBody("The access token you provided has expired."))).Fault.Provider
	if said.Code != "Unauthorized" || said.Message != "Access to requested resource is denied." || said.Details != "The access token you provided has expired." {
		t.Errorf("got %+v", *said)
	}
	html := adapter.Judge(400, nil, []byte("<html>anything</html>")).Fault.Provider
	if html.Code != "" || html.Message != "" || html.Details != "" {
		t.Errorf("kept %+v", *html)
	}
	long := adapter.Judge(400, nil, []byte(`{"errors":[{"code":400,"message":"`+strings.Repeat("ä", 2000)+`","details":"a\u0000\nb"}]}`)).Fault.Provider
	if len([]rune(long.Message)) > 501 || long.Details != "a  b" || long.Code != "400" {
		t.Errorf("kept %d runes, %q, %q", len([]rune(long.Message)), long.Details, long.Code)
	}
}

func TestJudgeHearsRetryAfter(t *testing.T) {
	t.Parallel()
	adapter := amazon.New(amazon.Options{})
	for given, want := range map[string]time.Duration{"7": 7 * time.Second, "": 0, "-1": 0, "soon": 0, "99999999": time.Hour} {
		if got := adapter.Judge(429, http.Header{"Retry-After": {given}}, nil).Fault.RetryAfter; got != want {
			t.Errorf("%q: waits %s, want %s", given, got, want)
		}
	}
}

// Any bytes are judged, and nothing of a body that is not JSON is kept.
func FuzzJudge(f *testing.F) {
	f.Add(403, deniedBody(""))
	f.Add(500, "<html>")
	f.Add(400, `{"errors":[[[`)
	adapter := amazon.New(amazon.Options{})
	f.Fuzz(func(t *testing.T, status int, body string) {
		verdict := adapter.Judge(status, nil, []byte(body))
		if verdict.Fault == nil || verdict.Fault.Code == "" || verdict.Fault.Provider == nil || verdict.Fault.Provider.Status != status {
			t.Fatalf("judged %+v", verdict)
		}
	})
}
