package sage

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // the algorithm is the provider's
	"encoding/base64"
	"net/url"
	"slices"
	"strings"

	"connectorvault/shared/fault"
	"connectorvault/shared/secret"
)

// sign returns the signature that the older API's requests carry (Sage facts 3.3): of method, address, parameters, body,
// nonce and site, under the signing secret and the access token together.
func sign(method string, address *url.URL, body []byte, nonce, site string, key, access secret.Text) (string, error) {
	extra := url.Values{"body": {base64.StdEncoding.EncodeToString(body)}}
	base, err := baseString(method, address, extra, nonce, site)
	if err != nil {
		return "", fault.New(fault.Internal, "internal_error", "The query of a request cannot be signed.")
	}
	return digest(base, key, access), nil
}

// baseString is what is signed. Parameters are those of the query and extra ones: the body here, the form in the API
// before this one, which had no site. Values that are in the parameters are encoded twice, as everything in them is.
func baseString(method string, address *url.URL, extra url.Values, rest ...string) (string, error) {
	query, err := url.ParseQuery(address.RawQuery)
	if err != nil {
		return "", err
	}
	type pair struct{ name, value string }
	var pairs []pair
	for _, params := range []url.Values{query, extra} {
		for name, values := range params {
			for _, value := range values {
				pairs = append(pairs, pair{percent(name), percent(value)})
			}
		}
	}
	slices.SortFunc(pairs, func(a, b pair) int {
		return cmp.Or(strings.Compare(a.name, b.name), strings.Compare(a.value, b.value))
	})
	texts := make([]string, len(pairs))
	for i, p := range pairs {
		texts[i] = p.name + "=" + p.value
	}
	parts := append([]string{strings.ToUpper(method), baseAddress(address), strings.Join(texts, "&")}, rest...)
	for i := range parts {
		parts[i] = percent(parts[i])
	}
	return strings.Join(parts, "&"), nil
}

// baseAddress is the address without its query, in lower case: one of Sage's own samples says that the server looks at
// it so.
func baseAddress(u *url.URL) string {
	scheme, host := strings.ToLower(u.Scheme), strings.ToLower(u.Host)
	if port := u.Port(); scheme == "https" && port == "443" || scheme == "http" && port == "80" {
		host = strings.TrimSuffix(host, ":"+port)
	}
	return scheme + "://" + host + strings.ToLower(u.EscapedPath())
}

func digest(base string, key, access secret.Text) string {
	mac := hmac.New(sha1.New, []byte(percent(key.Reveal())+"&"+percent(access.Reveal())))
	_, _ = mac.Write([]byte(base))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// percent encodes as RFC 3986 has it: what is unreserved stays, a space is %20. url.QueryEscape makes it a plus.
func percent(text string) string {
	const digits = "0123456789ABCDEF"
	var out strings.Builder
	for i := range len(text) {
		c := text[i]
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-._~", c) >= 0 {
			out.WriteByte(c)
			continue
		}
		out.WriteByte('%')
		out.WriteByte(digits[c>>4])
		out.WriteByte(digits[c&15])
	}
	return out.String()
}
