package lambdahttp_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"connectorvault/shared/access"
	"connectorvault/shared/lambdahttp"
	"connectorvault/shared/record"
	"connectorvault/shared/route"
)

// Whoever lacks a route's right is refused before anything of the request is looked at.
func TestEveryRouteAsksForItsRight(t *testing.T) {
	t.Parallel()
	asked := 0
	m := &lambdahttp.Mux{Routes: map[string]lambdahttp.Handler{}, Logger: slog.New(slog.NewJSONHandler(io.Discard, nil)), Now: time.Now}
	answer := func(context.Context, *lambdahttp.Request) (lambdahttp.Response, error) {
		asked++
		return lambdahttp.Response{Status: http.StatusNoContent}, nil
	}
	keys := []string{"GET /v1/of-no-table"}
	for _, r := range route.Table() {
		keys = append(keys, r.Key())
	}
	for _, key := range keys {
		m.Routes[key] = answer
	}
	for _, key := range keys {
		known, _ := route.Find(key)
		for _, role := range []record.Role{record.Owner, record.Admin, record.Operator, record.Reader, "connector_token", "visitor", ""} {
			p := owner()
			p.Role = role
			e := events.APIGatewayV2HTTPRequest{RouteKey: key}
			e.RequestContext.Authorizer = &events.APIGatewayV2HTTPRequestContextAuthorizerDescription{Lambda: lambdahttp.Context(p)}
			before := asked
			out := handle(t, m, e)
			want := known.Open || access.May(role, known.Right)
			if (asked > before) != want || (out.StatusCode == http.StatusNoContent) != want {
				t.Errorf("%q at %s: %d, asked %t", role, key, out.StatusCode, asked > before)
			}
			if !want && (out.StatusCode != http.StatusForbidden || !strings.Contains(out.Body, `"code":"forbidden"`) || !strings.Contains(out.Body, `"action":`)) {
				t.Errorf("%q at %s is told %s", role, key, out.Body)
			}
		}
	}
}

// What the authorizer says of a principal is what the functions hear.
func TestAPrincipalTravels(t *testing.T) {
	t.Parallel()
	for name, p := range map[string]record.Principal{
		"an owner":           owner(),
		"a reader of all":    {Tenant: "t_1", ID: "key_2", Role: record.Reader},
		"a reader of one":    {Tenant: "t_1", ID: "key_3", Role: record.Reader, Connectors: []string{"con_1"}},
		"a reader of two":    {Tenant: "t_1", ID: "oidc_4", Role: record.Reader, PersonalData: true, Connectors: []string{"con_1", "con_2"}},
		"a reader of no one": {Tenant: "t_1", ID: "key_5", Role: record.Reader, Connectors: []string{""}},
	} {
		got := travelled(t, lambdahttp.Context(p))
		if got.Tenant != p.Tenant || got.ID != p.ID || got.Role != p.Role || got.PersonalData != p.PersonalData || !slices.Equal(got.Connectors, p.Connectors) {
			t.Errorf("%s arrives as %+v", name, got)
		}
		for member, value := range lambdahttp.Context(p) {
			if _, text := value.(string); !text {
				t.Errorf("%s: %s is a %T, which the gateway may not pass on", name, member, value)
			}
		}
	}
	// A list that is not understood is not all.
	for _, odd := range []any{"", nil, 7, []any{"con_1"}} {
		said := lambdahttp.Context(owner())
		said["connectors"] = odd
		if got := travelled(t, said); got.MayRead("con_1") {
			t.Errorf("%v lets read everything", odd)
		}
	}
}

func travelled(t *testing.T, said map[string]any) (got record.Principal) {
	t.Helper()
	m, _ := mux(func(_ context.Context, r *lambdahttp.Request) (lambdahttp.Response, error) {
		got = r.Principal
		return lambdahttp.Response{Status: http.StatusNoContent}, nil
	})
	e := events.APIGatewayV2HTTPRequest{RouteKey: openRoute} // open, so that nobody is refused
	e.RequestContext.Authorizer = &events.APIGatewayV2HTTPRequestContextAuthorizerDescription{Lambda: said}
	handle(t, m, e)
	return got
}
