package sagesim

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // the algorithm of the old API's signatures
	"encoding/base64"
	"maps"
	"net/url"
	"slices"
	"strings"
)

// signedRequest is what a signature of API v3 covers (Sage facts 3.3).
type signedRequest struct {
	method, scheme, host, path, query string
	body                              []byte
	form                              url.Values // of v1 and v2, which sign a form's parameters in place of the body
	nonce, site                       string     // site "" for v1 and v2
}

// matches compares in constant time. Ruby's encoder leaves a line feed behind, which no header carries.
func (r signedRequest) matches(secret, token, signature string) bool {
	want, ok := r.sign(secret, token)
	return ok && hmac.Equal([]byte(want), []byte(signature))
}

func (r signedRequest) sign(secret, token string) (string, bool) {
	text, ok := r.baseString()
	if !ok {
		return "", false
	}
	mac := hmac.New(sha1.New, []byte(percent(secret)+"&"+percent(token)))
	_, _ = mac.Write([]byte(text)) // a hash never fails
	return base64.StdEncoding.EncodeToString(mac.Sum(nil)), true
}

func (r signedRequest) baseString() (string, bool) {
	params, err := url.ParseQuery(r.query)
	if err != nil {
		return "", false
	}
	for name, values := range r.form {
		params[name] = append(params[name], values...)
	}
	if r.site != "" {
		params.Set("body", base64.StdEncoding.EncodeToString(r.body))
	}
	var pairs []string
	for _, name := range slices.SortedFunc(maps.Keys(params), func(a, b string) int { return strings.Compare(percent(a), percent(b)) }) {
		for _, value := range slices.Sorted(slices.Values(params[name])) {
			pairs = append(pairs, percent(name)+"="+percent(value))
		}
	}
	parts := []string{strings.ToUpper(r.method), percent(r.scheme + "://" + r.hostWithPort() + r.path), percent(strings.Join(pairs, "&")), percent(r.nonce)}
	if r.site != "" {
		parts = append(parts, percent(r.site))
	}
	return strings.Join(parts, "&"), true
}

// hostWithPort leaves the scheme's own port out.
func (r signedRequest) hostWithPort() string {
	own := map[string]string{"http": ":80", "https": ":443"}[r.scheme]
	return strings.TrimSuffix(r.host, own)
}

// percent escapes as RFC 3986 says: only letters, digits and - . _ ~ stay, and a space is %20.
func percent(text string) string {
	const digits = "0123456789ABCDEF"
	var out strings.Builder
	for i := range len(text) {
		switch c := text[i]; {
		case 'A' <= c && c <= 'Z', 'a' <= c && c <= 'z', '0' <= c && c <= '9', strings.IndexByte("-._~", c) >= 0:
			out.WriteByte(c)
		default:
			out.WriteByte('%')
			out.WriteByte(digits[c>>4])
			out.WriteByte(digits[c&15])
		}
	}
	return out.String()
}
