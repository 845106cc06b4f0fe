package api

import "connectorvault/shared/fault"

// Preflight is what must be so before an account can be connected.
type Preflight struct {
	Provider string  `json:"provider"`
	Ready    bool    `json:"ready"` // every check passed
	Checks   []Check `json:"checks"`
}

// Check is one of those things. A check that did not pass has the members of a problem document.
type Check struct {
	Name   string `json:"check"`
	Passed bool   `json:"passed"`
	Code   string `json:"code,omitempty"`
	Field  string `json:"field,omitempty"`
	Detail string `json:"detail,omitempty"`
	Action string `json:"action,omitempty"`
}

// CheckOf shows a check. found is what was found; problem is nil when it passed.
func CheckOf(name, found string, problem *fault.Error) Check {
	c := Check{Name: name, Passed: problem == nil, Detail: found}
	if problem != nil {
		c.Code, c.Field, c.Detail, c.Action = problem.Code, problem.Field, problem.Detail, problem.Action
	}
	return c
}
