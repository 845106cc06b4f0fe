package bundletest

import (
	"net/url"
	"strings"

	"github.com/aws/aws-lambda-go/events"

	"connectorvault/shared/lambdahttp"
	"connectorvault/shared/record"
	"connectorvault/shared/route"
)

// Event is what the gateway sends for a request: target is a path with its query, headers are names and values. A
// zero principal is nobody, as on open routes.
func (b *Bench) Event(p record.Principal, method, target, body string, headers ...string) events.APIGatewayV2HTTPRequest {
	b.Helper()
	path, query, _ := strings.Cut(target, "?")
	decoded, err := url.PathUnescape(path)
	b.OK(err)
	found, parameters, ok := route.Match(method, decoded)
	if !ok {
		b.Fatalf("there is no route %s %s", method, decoded)
	}
	event := events.APIGatewayV2HTTPRequest{Version: "2.0", RouteKey: found.Key(), RawPath: decoded, RawQueryString: query, Body: body,
		PathParameters: parameters, Headers: map[string]string{}}
	event.RequestContext.RequestID = "req-1"
	for i := 0; i+1 < len(headers); i += 2 {
		if headers[i] == "cookie" {
			event.Cookies = append(event.Cookies, headers[i+1])
			continue
		}
		event.Headers[headers[i]] = headers[i+1]
	}
	if p.Tenant != "" {
		event.RequestContext.Authorizer = &events.APIGatewayV2HTTPRequestContextAuthorizerDescription{Lambda: lambdahttp.Context(p)}
	}
	return event
}
