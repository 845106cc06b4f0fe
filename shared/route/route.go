// Package route is the table of our HTTP routes: which function answers each, and who may call it.
//
// The argument: three places must agree on the routes (the template that configures API Gateway, the local program
// that stands in for it, and the functions), so they are written once, as data, and tests hold the others to it.
package route

import (
	"strings"

	"connectorvault/shared/access"
)

// Function names a Lambda of ours, as its folder under functions/ is named.
type Function string

// The functions that HTTP reaches.
const (
	Admin    Function = "admin"
	Callback Function = "callback"
	Read     Function = "read"
	Validate Function = "validate"
)

// Route is one route of the HTTP API.
type Route struct {
	Method   string
	Path     string // with {parameters}, as API Gateway writes them
	Function Function
	Open     bool         // no key is asked for: browsers come here
	Right    access.Right // that the caller must have; "" on open routes alone
}

// Key is the route as API Gateway names it in events.
func (r Route) Key() string { return r.Method + " " + r.Path }

// Table lists the routes.
func Table() []Route {
	return []Route{
		{Method: "GET", Path: "/v1/providers", Function: Admin, Right: access.SeeProviders},
		{Method: "GET", Path: "/v1/providers/{provider}", Function: Admin, Right: access.SeeProviders},
		{Method: "GET", Path: "/v1/provider-apps", Function: Admin, Right: access.SeeApps},
		{Method: "PUT", Path: "/v1/provider-apps/{provider}", Function: Admin, Right: access.RegisterApps},
		{Method: "POST", Path: "/v1/provider-apps/{provider}/rotate-secret", Function: Admin, Right: access.RegisterApps},

		{Method: "POST", Path: "/v1/vault-entries", Function: Admin, Right: access.CreateEntries},
		{Method: "GET", Path: "/v1/vault-entries", Function: Admin, Right: access.SeeEntries},
		{Method: "GET", Path: "/v1/vault-entries/{id}", Function: Admin, Right: access.SeeEntry},
		{Method: "PATCH", Path: "/v1/vault-entries/{id}", Function: Admin, Right: access.ChangeEntries},
		{Method: "DELETE", Path: "/v1/vault-entries/{id}", Function: Admin, Right: access.DeleteEntries},
		{Method: "POST", Path: "/v1/vault-entries/{id}/authorize", Function: Admin, Right: access.Authorize},
		{Method: "POST", Path: "/v1/vault-entries/{id}/refresh", Function: Admin, Right: access.Refresh},
		{Method: "POST", Path: "/v1/vault-entries/{id}/validate", Function: Validate, Right: access.Validate},
		{Method: "POST", Path: "/v1/vault-entries/{id}/check", Function: Read, Right: access.Check},
		{Method: "GET", Path: "/v1/vault-entries/{id}/credentials", Function: Admin, Right: access.SeeEntries},
		{Method: "POST", Path: "/v1/vault-entries/{id}/credentials", Function: Admin, Right: access.ChangeEntries},
		{Method: "DELETE", Path: "/v1/vault-entries/{id}/credentials/{number}", Function: Admin, Right: access.ChangeEntries},
		{Method: "POST", Path: "/v1/vault-entries/{id}/credentials/{number}/promote", Function: Admin, Right: access.ChangeEntries},

		{Method: "POST", Path: "/v1/connectors", Function: Admin, Right: access.CreateConnectors},
		{Method: "GET", Path: "/v1/connectors", Function: Admin, Right: access.SeeConnectors},
		{Method: "GET", Path: "/v1/connectors/{id}", Function: Admin, Right: access.SeeConnectors},
		{Method: "PATCH", Path: "/v1/connectors/{id}", Function: Admin, Right: access.ChangeConnectors},
		{Method: "DELETE", Path: "/v1/connectors/{id}", Function: Admin, Right: access.ChangeConnectors},

		{Method: "POST", Path: "/v1/keys", Function: Admin, Right: access.ManageKeys},
		{Method: "GET", Path: "/v1/keys", Function: Admin, Right: access.SeeKeys},
		{Method: "GET", Path: "/v1/keys/{id}", Function: Admin, Right: access.SeeKeys},
		{Method: "DELETE", Path: "/v1/keys/{id}", Function: Admin, Right: access.ManageKeys},

		{Method: "POST", Path: "/v1/connector-tokens", Function: Admin, Right: access.ManageTokens},
		{Method: "GET", Path: "/v1/connector-tokens", Function: Admin, Right: access.SeeTokens},
		{Method: "GET", Path: "/v1/connector-tokens/{id}", Function: Admin, Right: access.SeeTokens},
		{Method: "DELETE", Path: "/v1/connector-tokens/{id}", Function: Admin, Right: access.ManageTokens},

		{Method: "POST", Path: "/v1/preflight", Function: Admin, Right: access.Preflight},

		{Method: "GET", Path: "/v1/events", Function: Admin, Right: access.SeeEvents},
		{Method: "GET", Path: "/v1/audit-events", Function: Admin, Right: access.SeeAudit},

		{Method: "POST", Path: "/v1/webhooks", Function: Admin, Right: access.ManageWebhooks},
		{Method: "GET", Path: "/v1/webhooks", Function: Admin, Right: access.SeeWebhooks},
		{Method: "GET", Path: "/v1/webhooks/{id}", Function: Admin, Right: access.SeeWebhooks},
		{Method: "PATCH", Path: "/v1/webhooks/{id}", Function: Admin, Right: access.ManageWebhooks},
		{Method: "DELETE", Path: "/v1/webhooks/{id}", Function: Admin, Right: access.ManageWebhooks},
		{Method: "POST", Path: "/v1/webhooks/{id}/rotate-secret", Function: Admin, Right: access.ManageWebhooks},
		{Method: "POST", Path: "/v1/webhooks/{id}/test", Function: Admin, Right: access.ManageWebhooks},

		{Method: "GET", Path: "/v1/connectors/{id}/{resource}", Function: Read, Right: access.ReadData},
		{Method: "POST", Path: "/v1/connectors/{id}/{resource}", Function: Read, Right: access.AskForData},
		{Method: "GET", Path: "/v1/connectors/{id}/{resource}/{item}", Function: Read, Right: access.ReadData},
		{Method: "GET", Path: "/v1/connectors/{id}/{resource}/{item}/document", Function: Read, Right: access.ReadData},

		{Method: "GET", Path: "/oauth/start/{handle}", Function: Callback, Open: true},
		{Method: "POST", Path: "/oauth/start/{handle}", Function: Callback, Open: true},
		{Method: "GET", Path: "/oauth/{provider}/callback", Function: Callback, Open: true},
		{Method: "GET", Path: "/oauth/{provider}/login", Function: Callback, Open: true},
		{Method: "GET", Path: "/openapi.yaml", Function: Callback, Open: true},
	}
}

// byKey are the routes by Key.
var byKey = func() map[string]Route {
	out := map[string]Route{}
	for _, r := range Table() {
		out[r.Key()] = r
	}
	return out
}()

// Find finds a route by its key.
func Find(key string) (Route, bool) {
	r, ok := byKey[key]
	return r, ok
}

// Match finds the route of a request the way API Gateway does: on the decoded path, and a fixed segment goes before a
// parameter. An escaped slash therefore parts segments like any other.
func Match(method, path string) (r Route, parameters map[string]string, ok bool) {
	segments := strings.Split(path, "/")
	best := -1
	for _, candidate := range Table() {
		if candidate.Method != method {
			continue
		}
		found, fixed, fits := fit(strings.Split(candidate.Path, "/"), segments)
		if fits && fixed > best {
			r, parameters, ok, best = candidate, found, true, fixed
		}
	}
	return r, parameters, ok
}

func fit(pattern, segments []string) (parameters map[string]string, fixed int, ok bool) {
	if len(pattern) != len(segments) {
		return nil, 0, false
	}
	parameters = map[string]string{}
	for i, part := range pattern {
		name, isParameter := strings.CutPrefix(part, "{")
		switch {
		case isParameter && segments[i] != "":
			parameters[strings.TrimSuffix(name, "}")] = segments[i]
		case part == segments[i]:
			fixed += len(pattern) - i // an earlier fixed segment decides
		default:
			return nil, 0, false
		}
	}
	return parameters, fixed, true
}
