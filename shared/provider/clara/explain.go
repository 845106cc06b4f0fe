package clara

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"reflect"
	"strings"

	"connectorvault/shared/fault"
)

// Explain implements provider.Dialer. Codes: server_certificate_untrusted, server_certificate_self_signed,
// server_certificate_expired, server_certificate_not_yet_valid, server_certificate_unsuitable, server_name_mismatch, server_without_tls,
// tls_version, tls_downgraded, tls_handshake_failed, client_certificate_missing_or_rejected, client_certificate_not_asked.
func (a *Adapter) Explain(err error) *fault.Error { return explain(err) }

// explain reads a transport's error. What the transport has explained already is found again. Nothing of the error's text
// goes on: it may quote the address.
func explain(err error) *fault.Error {
	var known *fault.Error
	var header tls.RecordHeaderError
	var op *net.OpError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &known):
		return known
	case errors.As(err, &header), errors.Is(err, http.ErrSchemeMismatch):
		return fault.New(fault.Unavailable, "server_without_tls", "The host does not speak TLS where it should, so nothing was said to it.").
			Do("Check with the operator that the address is Clara's, and that nothing stands between.")
	case errors.As(err, &op) && op.Op == "remote error":
		return alerted(alertOf(op.Err))
	case errors.As(err, &op) && op.Op == "local error":
		return handshakeFailed()
	}
	if problem := untrusted(err); problem != nil {
		return problem
	}
	return ofText(err)
}

// untrusted is why the other side's certificate is not believed.
func untrusted(err error) *fault.Error {
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	var other *tls.CertificateVerificationError
	switch {
	case errors.As(err, &name):
		return fault.New(fault.Unavailable, "server_name_mismatch", "The host's certificate is for another name, so nothing was said to it.").
			Do("Check with the operator that the address is Clara's; if it is, somebody else answers there.")
	case errors.As(err, &invalid):
		return invalidCertificate(invalid)
	case errors.As(err, &other) && vouchesForItself(other.UnverifiedCertificates):
		return fault.New(fault.Unavailable, "server_certificate_self_signed", "The host vouches for its certificate itself and nobody else does, so nothing was said to it.").
			Do("Check with the operator that the address is Clara's; Clara's own hosts have an authority, so somebody else answers there.")
	case errors.As(err, &other):
		return untrustedChain()
	default:
		return nil
	}
}

// vouchesForItself reports whether a host's certificate is signed with its own key.
func vouchesForItself(shown []*x509.Certificate) bool {
	return len(shown) > 0 && shown[0].CheckSignature(shown[0].SignatureAlgorithm, shown[0].RawTBSCertificate, shown[0].Signature) == nil
}

func invalidCertificate(err x509.CertificateInvalidError) *fault.Error {
	switch {
	case err.Reason == x509.Expired && strings.Contains(err.Detail, "is before"):
		return fault.New(fault.Unavailable, "server_certificate_not_yet_valid", "The host's certificate is not valid yet, so nothing was said to it.").
			Do("Check that this machine's clock is right.")
	case err.Reason == x509.Expired:
		return fault.New(fault.Unavailable, "server_certificate_expired", "The host's certificate, or one that vouches for it, has expired, so nothing was said to it.").
			Do("Check that this machine's clock is right; if it is, Clara must renew the certificate.")
	case err.Reason == x509.IncompatibleUsage:
		return fault.New(fault.Unavailable, "server_certificate_unsuitable", "The host's certificate is not for hosts, so nothing was said to it.").
			Do("Check with the operator that the address is Clara's; if it is, somebody else answers there.")
	default:
		return untrustedChain()
	}
}

func untrustedChain() *fault.Error {
	return fault.New(fault.Unavailable, "server_certificate_untrusted", "Nobody who is trusted vouches for the host's certificate, so nothing was said to it.").
		Do("If Clara gave you a file of its certificate authorities, set it as ca_certificates; if it is set, somebody else answers there.")
}

// Alerts of TLS, by their numbers (RFC 8446, 6).
const (
	alertHandshakeFailure      = 40
	alertBadCertificate        = 42
	alertUnsupported           = 43
	alertRevoked               = 44
	alertExpired               = 45
	alertCertificateUnknown    = 46
	alertUnknownAuthority      = 48
	alertAccessDenied          = 49
	alertDecryptError          = 51
	alertProtocolVersion       = 70
	alertInsufficientSecurity  = 71
	alertInappropriateFallback = 86
	alertUnrecognizedName      = 112
	alertCertificateRequired   = 116
)

// alertOf is an alert's number. crypto/tls does not export the type of those that come from the other side.
func alertOf(err error) uint64 {
	if v := reflect.ValueOf(err); v.IsValid() && v.Kind() == reflect.Uint8 {
		return v.Uint()
	}
	return 0
}

// alerted is what the other side's alert means. A failed handshake is what servers of TLS 1.2 say of a certificate that
// they do not take (Clara facts 5.3).
func alerted(alert uint64) *fault.Error {
	switch alert {
	case alertHandshakeFailure, alertCertificateRequired, alertBadCertificate, alertUnsupported, alertCertificateUnknown, alertAccessDenied, alertDecryptError:
		return certificateRejected("Clara does not take the client certificate.")
	case alertExpired:
		return certificateRejected("Clara does not take the client certificate: it has expired, or is not valid yet.")
	case alertRevoked:
		return certificateRejected("Clara does not take the client certificate: it was revoked.")
	case alertUnknownAuthority:
		return certificateRejected("Clara does not take the client certificate: an authority that Clara does not know has issued it.")
	case alertProtocolVersion, alertInsufficientSecurity, alertInappropriateFallback:
		return oldTLS()
	case alertUnrecognizedName:
		return fault.New(fault.Unavailable, "server_name_mismatch", "The host says that it does not have the name by which it was called.").
			Do("Check with the operator that the address is Clara's.")
	default:
		return handshakeFailed()
	}
}

// certificateRejected is one error however it shows: an alert, or one of several statuses (Clara facts 4.7).
func certificateRejected(detail string) *fault.Error {
	return fault.New(fault.Misconfigured, "client_certificate_missing_or_rejected", detail).
		Do("Check that the API project has not ended, and that certificate and key are those of the project and of the same side, production or sandbox; if in doubt make a new project.")
}

func oldTLS() *fault.Error {
	return fault.New(fault.Unavailable, "tls_version", "The host offers no version of TLS that is safe; nothing was said to it.").
		Do("Check with the operator that the address is Clara's, and that nothing stands between.")
}

func handshakeFailed() *fault.Error {
	return fault.New(fault.Unavailable, "tls_handshake_failed", "Our side and the host could not agree on TLS.").
		Do("Try again in a minute; if it stays, tell the operator.")
}

// ofText is for the errors of crypto/tls that have no type. They begin with its name.
func ofText(err error) *fault.Error {
	for ; err != nil; err = errors.Unwrap(err) {
		text, ours := strings.CutPrefix(err.Error(), "tls: ")
		switch {
		case !ours:
		case strings.Contains(text, "downgrade"):
			return fault.New(fault.Unavailable, "tls_downgraded", "Somebody between took the safe versions of TLS away, as the host itself shows; nothing was said.").
				Do("Find out what stands between this machine and Clara; until then do not go round it.")
		case strings.Contains(text, "protocol version"):
			return oldTLS()
		default:
			return handshakeFailed()
		}
	}
	return nil
}
