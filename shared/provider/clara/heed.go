package clara

import (
	"bytes"
	"io"
	"net/http"
	"slices"

	"connectorvault/shared/fault"
)

// heeding is the transport to the token endpoint. OAuth knows no refusal of a certificate: of a 511 it makes trouble that
// passes, and of a 401 a wrong secret. Here such an answer becomes the error that an alert of TLS is, and one that sends us
// elsewhere the error that a read makes of it.
type heeding struct{ next http.RoundTripper }

// mostOfRefusal is how much of a refusal is looked at.
const mostOfRefusal = 4 << 10

// RoundTrip implements http.RoundTripper.
func (h heeding) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := h.next.RoundTrip(r)
	if err == nil && response.StatusCode/100 == 3 {
		_ = response.Body.Close()
		return nil, fault.New(fault.Refused, "provider_redirected", "Clara's token endpoint sent us to another address, where we take no secret.").
			Do("Check the vault entry's country; if that is right, tell the operator that Clara's address has moved.")
	}
	if err != nil || !slices.Contains(certificateStatuses(), response.StatusCode) {
		return response, err
	}
	begin, _ := io.ReadAll(io.LimitReader(response.Body, mostOfRefusal)) // an error is met again by whoever reads on
	if aboutCertificate(response.StatusCode, begin) {
		_ = response.Body.Close()
		return nil, certificateRejected("Clara says that it saw no client certificate, or does not take it.")
	}
	response.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(begin), response.Body), response.Body}
	return response, nil
}
