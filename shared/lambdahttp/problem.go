package lambdahttp

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"connectorvault/shared/fault"
)

// document is a problem document (RFC 9457) with our members.
type document struct {
	Type      string          `json:"type"`
	Title     string          `json:"title"`
	Status    int             `json:"status"`
	Detail    string          `json:"detail"`
	Code      string          `json:"code"`
	Field     string          `json:"field,omitempty"`
	Action    string          `json:"action,omitempty"`
	Provider  *fault.Provider `json:"provider,omitempty"`
	RequestID string          `json:"request_id,omitempty"`
}

// Problem answers with an error's problem document. An error that is none of ours says nothing of itself.
func Problem(err error, requestID string) Response {
	f := fault.As(err)
	status := Status(f)
	header := http.Header{"Content-Type": {"application/problem+json"}}
	if status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable {
		header.Set("Retry-After", "5") // where nobody knows better
	}
	if f.RetryAfter > 0 {
		header.Set("Retry-After", strconv.FormatInt(int64((f.RetryAfter+time.Second-1)/time.Second), 10))
	}
	// Type is "about:blank" as long as there is no page to point at; code is what programs look at.
	body, encodeErr := json.Marshal(document{Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: f.Detail,
		Code: f.Code, Field: f.Field, Action: f.Action, Provider: f.Provider, RequestID: requestID})
	if encodeErr != nil {
		body = []byte(`{"type":"about:blank","title":"Internal Server Error","status":500,"code":"internal_error"}`)
	}
	return Response{Status: status, Header: header, Body: body}
}

// Status is the HTTP status of an error.
func Status(f *fault.Error) int {
	switch f.Kind {
	case fault.Invalid:
		return http.StatusBadRequest
	case fault.Forbidden:
		return http.StatusForbidden
	case fault.NotFound:
		return http.StatusNotFound
	case fault.Conflict, fault.ReauthRequired:
		return http.StatusConflict
	case fault.Gone:
		return http.StatusGone
	case fault.Misconfigured:
		if f.Provider != nil {
			return http.StatusBadGateway // a provider said so
		}
		return http.StatusConflict
	case fault.RateLimited:
		return http.StatusTooManyRequests
	case fault.Unavailable:
		return http.StatusServiceUnavailable
	case fault.Refused:
		return refused(f)
	case fault.TooLarge:
		return http.StatusRequestEntityTooLarge
	default:
		return http.StatusInternalServerError
	}
}

// refused passes a provider's word on a request to the one who made it, where it can be about the request. Its 401s
// and the rest are between the provider and us.
func refused(f *fault.Error) int {
	if f.Provider == nil {
		return http.StatusBadGateway
	}
	switch f.Provider.Status {
	case http.StatusBadRequest, http.StatusForbidden, http.StatusNotFound, http.StatusConflict, http.StatusUnprocessableEntity:
		return f.Provider.Status
	default:
		return http.StatusBadGateway
	}
}
