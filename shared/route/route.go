// Package route is the table of our HTTP routes: which function answers each, and who may call it.
//
// The argument: three places must agree on the routes (the template that configures API Gateway, the local program
// that stands in for it, and the functions), so they are written once, as data, and tests hold the others to it.
package route

import "strings"

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
	Open     bool // no key is asked for: browsers come here
}

// Key is the route as API Gateway names it in events.
func (r Route) Key() string { return r.Method + " " + r.Path }

// Table lists the routes.
func Table() []Route {
	return []Route{
		{Method: "GET", Path: "/v1/providers", Function: Admin},
		{Method: "GET", Path: "/v1/providers/{provider}", Function: Admin},
		{Method: "GET", Path: "/v1/provider-apps", Function: Admin},
		{Method: "PUT", Path: "/v1/provider-apps/{provider}", Function: Admin},
		{Method: "POST", Path: "/v1/provider-apps/{provider}/rotate-secret", Function: Admin},

		{Method: "POST", Path: "/v1/vault-entries", Function: Admin},
		{Method: "GET", Path: "/v1/vault-entries", Function: Admin},
		{Method: "GET", Path: "/v1/vault-entries/{id}", Function: Admin},
		{Method: "PATCH", Path: "/v1/vault-entries/{id}", Function: Admin},
		{Method: "DELETE", Path: "/v1/vault-entries/{id}", Function: Admin},
		{Method: "POST", Path: "/v1/vault-entries/{id}/authorize", Function: Admin},
		{Method: "POST", Path: "/v1/vault-entries/{id}/refresh", Function: Admin},
		{Method: "POST", Path: "/v1/vault-entries/{id}/validate", Function: Validate},
		{Method: "POST", Path: "/v1/vault-entries/{id}/check", Function: Read},
		{Method: "GET", Path: "/v1/vault-entries/{id}/credentials", Function: Admin},
		{Method: "POST", Path: "/v1/vault-entries/{id}/credentials", Function: Admin},
		{Method: "DELETE", Path: "/v1/vault-entries/{id}/credentials/{number}", Function: Admin},
		{Method: "POST", Path: "/v1/vault-entries/{id}/credentials/{number}/promote", Function: Admin},

		{Method: "POST", Path: "/v1/connectors", Function: Admin},
		{Method: "GET", Path: "/v1/connectors", Function: Admin},
		{Method: "GET", Path: "/v1/connectors/{id}", Function: Admin},
		{Method: "PATCH", Path: "/v1/connectors/{id}", Function: Admin},
		{Method: "DELETE", Path: "/v1/connectors/{id}", Function: Admin},

		{Method: "GET", Path: "/v1/events", Function: Admin},

		{Method: "GET", Path: "/v1/connectors/{id}/{resource}", Function: Read},
		{Method: "POST", Path: "/v1/connectors/{id}/{resource}", Function: Read},
		{Method: "GET", Path: "/v1/connectors/{id}/{resource}/{item}", Function: Read},
		{Method: "GET", Path: "/v1/connectors/{id}/{resource}/{item}/document", Function: Read},

		{Method: "GET", Path: "/oauth/start/{handle}", Function: Callback, Open: true},
		{Method: "POST", Path: "/oauth/start/{handle}", Function: Callback, Open: true},
		{Method: "GET", Path: "/oauth/{provider}/callback", Function: Callback, Open: true},
		{Method: "GET", Path: "/oauth/{provider}/login", Function: Callback, Open: true},
	}
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
