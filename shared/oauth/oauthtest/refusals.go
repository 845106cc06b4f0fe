package oauthtest

import (
	"net/url"
	"strconv"
	"strings"
)

// refused are the refusals that the providers are known to give, and those of the RFC in unusual dress.
func refused() []Case {
	amazon := func(kind string) map[string]string {
		return headers("application/json;charset=UTF-8", "x-amzn-errortype", kind+":http://internal.amazon.com/coral/com.amazon.panda/")
	}
	return []Case{
		says("Amazon: refresh token unknown, revoked or expired (Amazon facts 3.3)", 400, amazon("OA2InvalidRequestException"),
			`{"error_index":"`+Canary+`","error_description":"The request has an invalid grant parameter : refresh_token. User may have revoked or didn't grant the permission.",
			"error":"invalid_grant","request_id":"0f4e2f3c-9a6b-4e0e-8a52-4a8a52cb5b0b"}`, revoked()),
		says("Amazon: code expired, used or somebody else's (Amazon facts 3.3)", 400, amazon("OA2InvalidRequestException"),
			`{"error_index":"`+Canary+`","error_description":"The request has an invalid grant parameter : code","error":"invalid_grant","request_id":"1"}`, revoked()),
		says("Amazon: wrong or expired client secret (Amazon facts 3.3)", 401, amazon("OA2InvalidClientException"),
			`{"error_description":"Client authentication failed","error":"invalid_client"}`, misconfigured("invalid_client")),
		json("Amazon: a field is missing (Amazon facts 3.3)", 400,
			`{"error":"invalid_request","error_description":"The request is missing a required parameter : refresh_token"}`, misconfigured("invalid_request")),
		json("Amazon: bad grant_type (Amazon facts 3.3)", 400,
			`{"error":"unsupported_grant_type","error_description":"The authorization grant type is not supported by the authorization server"}`, misconfigured("unsupported_grant_type")),
		json("Amazon: access_denied (Amazon facts 3.3)", 400, `{"error":"access_denied"}`, misconfigured("access_denied")),
		json("Amazon: ServerError, as its page spells it (Amazon facts 3.3)", 500, `{"error":"ServerError","error_description":"`+Canary+`"}`, perhaps("ServerError")),
		json("Amazon: ServerError in a 400 is the server's fault all the same", 400, `{"error":"ServerError"}`, perhaps("ServerError")),
		json("Amazon: server_error (Amazon facts 3.3)", 400, `{"error":"server_error"}`, perhaps("server_error")),
		json("Amazon: temporarily_unavailable (Amazon facts 3.3)", 503, `{"error":"temporarily_unavailable"}`, perhaps("temporarily_unavailable")),
		json("Amazon: an error of the API, not of the token endpoint (Amazon facts 5.3)", 403,
			`{"errors":[{"code":"Unauthorized","message":"Access to requested resource is denied.","details":"`+Canary+`"}]}`, perhaps("")),
		json("Sage: the least that is published (Sage facts 1.6)", 400, invalidGrant, revoked()),
		json("Sage: invalid_client in a 400 (Sage facts 1.6)", 400, `{"error":"invalid_client","error_description":"`+Canary+`"}`, misconfigured("invalid_client")),
		json("Sage: DataParsingError, seen for stray blanks around the token (Sage facts 1.6)", 400, `{"error":"DataParsingError"}`, perhaps("DataParsingError")),
		json("Sage: an error of the API (Sage facts 2.5)", 401,
			`[{"$severity":"error","$dataCode":"AuthorizationFailure","$message":"No active subscription. (MSE)","$source":""}]`, perhaps("")),
		json("Sage: an error of the API that is called as the grant's would be", 400, `[{"$severity":"error","$dataCode":"invalid_grant","error":"invalid_grant","$message":"`+Canary+`"}]`, perhaps("")),
		json("Sage: an error of the old API (Sage facts 2.5)", 422,
			`{"$diagnoses":[{"$severity":"error","$dataCode":"ValidationError","$message":"This field is required.","$source":"company"}]}`, perhaps("")),
		json("Clara: VALIDATION_ERROR (Sage facts 4.7)", 400, `{"code":"VALIDATION_ERROR","message":"`+Canary+`","timestamp":"2026-01-01T00:00:00Z"}`, perhaps("")),
		json("Clara: UNAUTHORIZED, which may be the certificate's fault (Sage facts 4.7)", 401, `{"code":"UNAUTHORIZED","message":"`+Canary+`","error":"Unauthorized"}`, perhaps("Unauthorized")),
		json("Clara: FORBIDDEN (Sage facts 4.7)", 403, `{"code":"FORBIDDEN","message":"`+Canary+`","details":[]}`, perhaps("")),
		json("Clara: NOT_FOUND (Sage facts 4.7)", 404, `{"code":"NOT_FOUND","message":"`+Canary+`"}`, perhaps("")),
		json("Clara: a business code (Sage facts 4.7)", 422, `{"code":"B013","message":"Threshold exceeds company limit"}`, perhaps("")),
		json("Clara: its own fault (Sage facts 4.7)", 500, `{"message":"`+Canary+`"}`, perhaps("")),
		says("Clara: no client certificate (Sage facts 4.7)", 511, kind(asHTML), page("Network Authentication Required"), perhaps("")),

		json("invalid_grant among blanks", 400, "\r\n\t{ \"error\"\n:\t\"invalid_grant\" }\n\n", revoked()),
		json("invalid_grant with members that nobody knows", 400, `{"timestamp":1,"path":"/token","error":"invalid_grant","errors":[{"error":"x"}],"status":400}`, revoked()),
		json("invalid_grant with a description that is no text", 400, `{"error":"invalid_grant","error_description":{"en":"`+Canary+`"},"error_uri":null}`, revoked()),
		json("invalid_grant in escapes that mean the same", 400, `{"\u0065rror":"invalid\u005fgrant"}`, revoked()),
		json("invalid_grant after a byte order mark", 400, "\xef\xbb\xbf"+invalidGrant, revoked()),
		says("invalid_grant, compressed as was offered", 400, headers(asJSON, "Content-Encoding", "gzip"), gzipped(invalidGrant), revoked()),
		says("invalid_grant as the RFC writes it, said to be plain text", 400, kind(asPlain), invalidGrant, revoked()),
		says("invalid_grant as the RFC writes it, said to be HTML", 400, kind(asHTML), invalidGrant, revoked()),
		says("invalid_grant as the RFC writes it, said to be of no kind", 400, nil, invalidGrant, revoked()),
		says("invalid_grant with Retry-After", 400, headers(asJSON, "Retry-After", "60"), invalidGrant, revoked().waiting(60)),
		says("invalid_client with a challenge, as RFC 6749 asks", 401, headers(asJSON, "WWW-Authenticate", `Basic realm="`+Canary+`"`), `{"error":"invalid_client"}`, misconfigured("invalid_client")),
	}
}

// doubtful are answers that speak of a refused grant, and not as RFC 6749 does. None is revoked.
func doubtful() []Case {
	form := url.Values{"error": {"invalid_grant"}, "error_description": {Canary}}.Encode()
	broken := func(name, body string, want Want) Case { return json("invalid_grant "+name, 400, body, want) }
	return []Case{
		says("invalid_grant as a form", 400, kind(asForm), form, perhaps("invalid_grant")),
		says("invalid_grant as a form that is said to be plain text", 400, kind(asPlain), form, perhaps("invalid_grant")),
		says("invalid_client as a form", 401, kind(asForm), "error=invalid_client", perhaps("invalid_client")),
		says("invalid_grant as two words of plain text", 400, kind(asPlain), "invalid_grant "+Canary, perhaps("")),
		says("a page that says invalid_grant", 400, kind(asHTML), page("invalid_grant"), perhaps("")),
		says("a page that holds the RFC's very words", 400, kind(asHTML), "<html><pre>"+invalidGrant+"</pre>"+Canary+"</html>", perhaps("")),
		says("a page said to be JSON", 400, kind(asJSON), page("invalid_grant"), perhaps("")),
		says("invalid_grant in XML", 400, kind("application/xml"), "<error>invalid_grant</error>", perhaps("")),
		broken("a level down, as a code", `{"error":{"code":"invalid_grant","message":"`+Canary+`"}}`, perhaps("")),
		broken("a level down, whole", `{"fault":`+invalidGrant+`}`, perhaps("")),
		broken("in a list", `[`+invalidGrant+`]`, perhaps("")),
		broken("in a list of errors", `{"errors":["invalid_grant"]}`, perhaps("")),
		broken("as a list", `{"error":["invalid_grant"]}`, perhaps("")),
		broken("in a string", strconv.Quote(invalidGrant), perhaps("")),
		broken("as nothing but a string", `"invalid_grant"`, perhaps("")),
		broken("under the name code", `{"code":"invalid_grant","message":"`+Canary+`"}`, perhaps("")),
		broken("under the name error_code", `{"error_code":"invalid_grant"}`, perhaps("")),
		broken("in the description alone", `{"error":"server_error","error_description":"upstream said invalid_grant"}`, perhaps("server_error")),
		broken("in a description without an error", `{"error_description":"invalid_grant"}`, perhaps("")),
		broken("under a name in capitals: names are case-sensitive", `{"ERROR":"invalid_grant"}`, perhaps("invalid_grant")),
		broken("in capitals: values are case-sensitive", `{"error":"INVALID_GRANT"}`, perhaps("INVALID_GRANT")),
		broken("with a hyphen", `{"error":"invalid-grant"}`, perhaps("invalid-grant")),
		broken("with a letter too many", `{"error":"invalid_grants"}`, perhaps("invalid_grants")),
		broken("between blanks", `{"error":" invalid_grant "}`, perhaps("")),
		broken("with a null byte", `{"error":"invalid_grant\u0000"}`, perhaps("")),
		broken("beside another error: which counts?", `{"error":"temporarily_unavailable","error":"invalid_grant"}`, perhaps("invalid_grant")),
		broken("before another error: which counts?", `{"error":"invalid_grant","error":"temporarily_unavailable"}`, perhaps("temporarily_unavailable")),
		broken("that breaks off", `{"error":"invalid_grant"`, perhaps("")),
		broken("with something after it", invalidGrant+"<!-- "+Canary+" -->", perhaps("")),
		broken("twice, a line each", invalidGrant+"\n"+invalidGrant, perhaps("")),
		broken("with single quotes", `{'error':'invalid_grant'}`, perhaps("")),
		broken("with a comma too many", `{"error":"invalid_grant",}`, perhaps("")),
		broken("with a comment", `{"error":"invalid_grant" /* `+Canary+` */}`, perhaps("")),
		broken("after a guard", ")]}',\n"+invalidGrant, perhaps("")),
		broken("in UTF-16", utf16le(invalidGrant), perhaps("")),
		broken("before 10 MB of something", `{"error":"invalid_grant","stack":"`+strings.Repeat("x", huge)+`"}`, perhaps("")),
		broken("before 10 MB of blanks, after which there may be anything", invalidGrant+strings.Repeat(" ", huge)+Canary, perhaps("")),
		says("invalid_grant as a huge form", 400, kind(asForm), "error=invalid_grant&padding="+strings.Repeat("x", huge), perhaps("")),
		says("invalid_grant that is said to be compressed and is not", 400, headers(asJSON, "Content-Encoding", "gzip"), invalidGrant, perhaps("")),
		says("invalid_grant in a header alone", 400, headers(asJSON, "WWW-Authenticate", `Bearer error="invalid_grant"`), `{}`, perhaps("")),
		json("invalid_token, which is about access tokens", 401, `{"error":"invalid_token","error_description":"`+Canary+`"}`, perhaps("invalid_token")),
		json("expired_token, which is about device codes", 400, `{"error":"expired_token"}`, perhaps("expired_token")),
		json("authorization_pending, which is about device codes", 400, `{"error":"authorization_pending"}`, perhaps("authorization_pending")),
		json("unsupported_token_type, which is about revocation", 400, `{"error":"unsupported_token_type"}`, perhaps("unsupported_token_type")),
		json("a code that nobody knows", 400, `{"error":"something_new"}`, perhaps("something_new")),
		json("a code that is a sentence", 400, `{"error":"the token `+Canary+` is not known"}`, perhaps("")),
		json("a code that is as long as a token", 400, `{"error":"`+strings.Repeat("a", 65)+`"}`, perhaps("")),
		json("a code that is empty", 400, `{"error":""}`, perhaps("")),
		json("a code that is null", 400, `{"error":null}`, perhaps("")),
		json("a code that is a number", 400, `{"error":400}`, perhaps("")),
		json("tokens in a 400", 400, pair(""), perhaps("")),
		json("tokens in a 500", 500, pair(""), perhaps("")),
	}
}
