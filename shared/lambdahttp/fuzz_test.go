package lambdahttp_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"

	"connectorvault/shared/lambdahttp"
)

// Whatever an event says, who it comes from is what the authorizer said, and the answer is one that the gateway can pass on.
func FuzzEvent(f *testing.F) {
	seed := func(e events.APIGatewayV2HTTPRequest) {
		body, err := json.Marshal(e)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(body))
	}
	seed(event())
	seed(event(func(e *events.APIGatewayV2HTTPRequest) {
		e.RawQueryString, e.IsBase64Encoded, e.Body = "a=%zz&a=1;b", true, "not base64!"
		e.Headers = map[string]string{"authorization": "Bearer x", "x-tenant": "t_1", "content-length": "-1"}
	}))
	seed(event(func(e *events.APIGatewayV2HTTPRequest) { e.RequestContext.Authorizer = nil }))
	f.Add(`{"routeKey":"GET /v1/things/{id}","requestContext":{"authorizer":{"lambda":{"tenant":5,"role":["owner"],"key":null}}}}`)
	f.Add(`{"pathParameters":null,"cookies":["a"],"body":"\u0000"}`)
	f.Fuzz(func(t *testing.T, text string) {
		var e events.APIGatewayV2HTTPRequest
		if json.Unmarshal([]byte(text), &e) != nil {
			return
		}
		var seen lambdahttp.Request
		reached := false
		m, _ := mux(func(_ context.Context, r *lambdahttp.Request) (lambdahttp.Response, error) {
			seen, reached = *r, true
			return lambdahttp.Response{Status: 204}, nil
		})
		out, err := m.Handle(t.Context(), e)
		if err != nil || out.StatusCode < 200 || out.StatusCode > 599 {
			t.Fatalf("%d, %v", out.StatusCode, err)
		}
		if out.StatusCode == 500 {
			t.Fatalf("it is our fault: %s", out.Body)
		}
		if !reached {
			return
		}
		said := map[string]any{}
		if a := e.RequestContext.Authorizer; a != nil {
			said = a.Lambda
		}
		if tenant, _ := said["tenant"].(string); strings.Contains(seen.Route, "/v1/") && (tenant == "" || seen.Principal.Tenant != tenant) {
			t.Fatalf("the tenant is %q, and the authorizer said %v", seen.Principal.Tenant, said)
		}
	})
}
