package handler_test

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"

	"connectorvault/functions/callback/handler"
	"connectorvault/shared/bundle/bundletest"
	"connectorvault/shared/record"
)

// Whatever a redirect brings: the answer is a page, it repeats nothing of what came, and nobody's code is exchanged.
func FuzzCallback(f *testing.F) {
	for _, seed := range []string{"", "code=a&state=b", "code=a&code=b&state=c", "error=access_denied&error_description=<script>", "state=%00&code=%zz", "spapi_oauth_code=x&state=y&selling_partner_id=z",
		"state=" + strings.Repeat("a", 5000), ";;;&&&===", "amazon_callback_uri=https://evil.example&amazon_state=x&selling_partner_id=A"} {
		f.Add(seed, "__Host-vault-oauth=x")
	}
	b := bundletest.New(f, bundletest.Options{})
	b.App()
	h := handler.New(handler.Config{Authorize: b.Authorize, PublicURL: bundletest.PublicURL, Logger: slog.New(slog.DiscardHandler), Now: b.Clock.Now})
	doors := map[string]events.APIGatewayV2HTTPRequest{}
	for _, path := range []string{"/oauth/" + bundletest.Name + "/callback", "/oauth/" + bundletest.Name + "/login"} {
		doors[path] = b.Event(record.Principal{}, "GET", path, "")
	}
	f.Fuzz(func(t *testing.T, query, cookie string) {
		for path, event := range doors {
			event.RawQueryString, event.Cookies = query, []string{cookie}
			out, err := h.Handle(t.Context(), event)
			if err != nil || out.StatusCode >= 500 || out.StatusCode < 200 {
				t.Fatalf("%s?%q: %d %s, %v", path, query, out.StatusCode, out.Body, err)
			}
			for _, part := range strings.FieldsFunc(query, func(r rune) bool { return strings.ContainsRune("&=;%+", r) }) {
				if len(part) > 12 && out.StatusCode >= 400 && strings.Contains(out.Body, part) && !strings.Contains("access_denied selling_partner_id", part) {
					t.Fatalf("%s?%q: the page repeats %q", path, query, part)
				}
			}
			if at := out.Headers["Location"]; at != "" && !strings.HasPrefix(at, bundletest.PublicURL) && !strings.HasPrefix(at, "/") {
				t.Fatalf("%s?%q leads to %q", path, query, at)
			}
		}
		if n := len(b.Upstream.Forms()); n != 0 {
			t.Fatalf("the token endpoint was called %d times", n)
		}
	})
}
