package sagesim

import (
	"net/http"
	"strconv"
)

// apiError is a refusal of an API: an array of one object with four members (Sage facts 2.5).
type apiError struct {
	status                          int
	severity, code, message, source string
}

func (e *apiError) Error() string { return strconv.Itoa(e.status) + " " + e.code }

func apiRefusal(status int, code, message string) *apiError {
	return &apiError{status: status, severity: "error", code: code, message: message}
}

// The refusals. Sage publishes the codes and messages of the first ones; the others are assumed.
var (
	errLapsed       = apiRefusal(http.StatusUnauthorized, "AuthorizationFailure", "No active subscription. (MSE)")
	errAccessDenied = apiRefusal(http.StatusForbidden, "MultiUserAccessDenied", "The current user is not allowed to access that resource with that method.")
	errUnexpected   = apiRefusal(http.StatusInternalServerError, "UnexpectedError", "An unexpected error occurred.")
	errNoKey        = apiRefusal(http.StatusUnauthorized, "AuthorizationFailure", "Access denied. Cannot verify subscription. Please try again later. (MRF)")
	errNoSite       = &apiError{http.StatusUnauthorized, "APIM error", "HeaderNotFound", "Header X-Site was not found in the request. Access denied.", "check-header[2]"}

	errToken       = apiRefusal(http.StatusUnauthorized, "AuthorizationFailure", "The access token is missing, malformed or expired.")
	errSignature   = apiRefusal(http.StatusUnauthorized, "AuthorizationFailure", "The request signature could not be verified.")
	errNonce       = apiRefusal(http.StatusUnauthorized, "AuthorizationFailure", "The nonce has been used before.")
	errNotThere    = apiRefusal(http.StatusNotFound, "RecordNotFound", "The record or path does not exist.")
	errMethod      = apiRefusal(http.StatusMethodNotAllowed, "MethodNotAllowed", "This path does not take that method.")
	errMediaType   = apiRefusal(http.StatusUnsupportedMediaType, "UnsupportedMediaType", "The body must be application/json.")
	errTooMany     = apiRefusal(http.StatusTooManyRequests, "TooManyRequests", "Too many requests. Wait and repeat.")
	errUnavailable = apiRefusal(http.StatusServiceUnavailable, "ServiceUnavailable", "The service is temporarily unavailable.")
	errReadsOnly   = apiRefusal(http.StatusUnprocessableEntity, "RecordInvalid", "The simulator keeps no records that are sent to it.")
)

// badField is the refusal of a value (Sage facts 2.5).
func badField(name string) *apiError {
	return &apiError{http.StatusUnprocessableEntity, "error", "RecordInvalid", "The value of " + name + " is not valid.", name}
}

func (e *apiError) body() []byte {
	return []byte(`[{"$severity":` + quote(e.severity) + `,"$dataCode":` + quote(e.code) + `,"$message":` + quote(e.message) + `,"$source":` + quote(e.source) + `}]`)
}
