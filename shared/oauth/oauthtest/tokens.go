package oauthtest

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf16"
)

// given are answers with tokens as providers and the RFC write them.
func given() []Case {
	return []Case{
		says("tokens of Amazon (Amazon facts 3.2)", 200,
			headers("application/json;charset=UTF-8", "Cache-Control", "no-cache, no-store, must-revalidate", "Pragma", "no-cache", "x-amz-rid", "ABCDEF",
				"Vary", "User-Agent,Accept-Encoding"),
			`{"access_token":"`+Access+`","refresh_token":"`+Refresh+`","token_type":"bearer","expires_in":3600}`, tokens(3600)),
		json("tokens of Sage (Sage facts 1.4)", 200, pair(`,"scope":"full_access","token_type":"bearer","expires_in":300,
			"refresh_token_expires_in":2678400,"requested_by_id":"c3c32d1c-41ba-483f-a3ff-49fdb57b9c38"`), tokens(300)),
		json("a token of Clara, which has no refresh tokens (Sage facts 4.3)", 200, `{"access_token":"`+Access+`","expires_in":86400,"token_type":"Bearer"}`, unrotated(86400)),
		json("the least that is an answer", 200, `{"access_token":"`+Access+`"}`, unrotated(0)),
		json("a refresh token that is null stays as it was", 200, `{"access_token":"`+Access+`","refresh_token":null,"expires_in":60}`, unrotated(60)),
		json("a refresh token that is empty stays as it was", 200, `{"access_token":"`+Access+`","refresh_token":"","expires_in":60}`, unrotated(60)),
		json("members that nobody asked for", 200, pair(`,"expires_in":60,"scope":["a","b"],"user":{"id":1},"token_type":null,"error":null,"error_description":""`), tokens(60)),
		json("an error that is empty is none", 200, pair(`,"expires_in":60,"error":""`), tokens(60)),
		json("blanks wherever they may stand", 200, "\r\n\t { \"access_token\" :\n\""+Access+"\" , \"refresh_token\"\t: \""+Refresh+"\" ,\"expires_in\": 60 }\r\n\r\n", tokens(60)),
		json("escapes that mean plain letters", 200, `{"\u0061ccess_token":"\u0063`+Access[1:]+`","refresh_token":"`+strings.ReplaceAll(Refresh, "-", `\u002d`)+`","expires_in":60}`, tokens(60)),
		json("a long answer", 200, pair(`,"expires_in":60,"id_token":"`+strings.Repeat("x", 1<<19)+`"`), tokens(60)),
		json("tokens in a 201", 201, pair(`,"expires_in":60`), tokens(60)),
		says("tokens with Retry-After, which is about nothing here", 200, headers(asJSON, "Retry-After", "60"), pair(`,"expires_in":60`), tokens(60)),
		says("tokens with a cookie", 200, headers(asJSON, "Set-Cookie", "session="+Canary), pair(`,"expires_in":60`), tokens(60)),
		says("tokens, compressed as was offered", 200, headers(asJSON, "Content-Encoding", "gzip"), gzipped(pair(`,"expires_in":60`)), tokens(60)),
	}
}

// odd are answers with tokens in a form that is against the RFC, and leaves no doubt.
func odd() []Case {
	form := url.Values{"access_token": {Access}, "refresh_token": {Refresh}, "expires_in": {"60"}}.Encode()
	cases := []Case{
		says("tokens, said to be plain text", 200, kind(asPlain), pair(`,"expires_in":60`), tokens(60)),
		says("tokens, said to be HTML", 200, kind(asHTML), pair(`,"expires_in":60`), tokens(60)),
		says("tokens, said to be a form", 200, kind(asForm), pair(`,"expires_in":60`), tokens(60)),
		says("tokens, said to be of no kind", 200, nil, pair(`,"expires_in":60`), tokens(60)),
		says("tokens of a kind that cannot be read", 200, kind(";;;="), pair(`,"expires_in":60`), tokens(60)),
		says("tokens in UTF-16 by label alone", 200, kind("application/json; charset=utf-16"), pair(`,"expires_in":60`), tokens(60)),
		says("tokens as a form", 200, kind(asForm), form, tokens(60)),
		says("tokens as a form that is said to be plain text", 200, kind(asPlain), form, tokens(60)),
		json("tokens after a byte order mark", 200, "\xef\xbb\xbf"+pair(`,"expires_in":60`), tokens(60)),
		says("tokens after a byte order mark in plain text", 200, kind(asPlain), "\xef\xbb\xbf"+pair(`,"expires_in":60`), tokens(60)),
	}
	for said, lifetime := range map[string]int{
		`"300"`: 300, `299.9`: 299, `"299.9"`: 299, `3e2`: 300, `0`: 0, `-5`: 0, `"-5"`: 0, `null`: 0, `""`: 0, `"soon"`: 0, `"1h"`: 0, `true`: 0,
		`{"seconds":300}`: 0, `[300]`: 0, `99999999999`: 100 * 365 * 24 * 3600, `99999999999999999999999`: 100 * 365 * 24 * 3600, `1e300`: 100 * 365 * 24 * 3600, `1e999`: 0,
	} {
		cases = append(cases, json("tokens that live for "+said+" are tokens all the same", 200, pair(`,"expires_in":`+said), tokens(lifetime)))
	}
	return cases
}

// lacking are successes without a token that could be used. What was bought with the old one is then lost on the way.
func lacking() []Case {
	access := func(value string) string {
		return `{"access_token":` + value + `,"refresh_token":"` + Refresh + `","expires_in":60}`
	}
	cases := []Case{
		json("200 without an access token", 200, `{"refresh_token":"`+Refresh+`","expires_in":60}`, perhaps("")),
		json("200 with tokens a level down", 200, `{"data":`+pair("")+`}`, perhaps("")),
		json("200 with tokens in a list", 200, `[`+pair("")+`]`, perhaps("")),
		json("200 with tokens in a string", 200, strconv.Quote(pair("")), perhaps("")),
		json("200 with tokens and an error says both", 200, pair(`,"error":"invalid_grant"`), perhaps("invalid_grant")),
		json("200 with a refresh token that is a number", 200, `{"access_token":"`+Access+`","refresh_token":12345,"note":"`+Canary+`"}`, perhaps("")),
		json("200 with null", 200, `null`, perhaps("")),
		json("200 with an empty object", 200, `{}`, perhaps("")),
		json("200 with an empty list", 200, `[]`, perhaps("")),
		json("200 with nothing", 200, ``, perhaps("")),
		json("200 with blanks", 200, " \n ", perhaps("")),
		json("200 with half a token", 200, `{"access_token":"`+Access, perhaps("")),
		json("200 that ends before its last brace", 200, strings.TrimSuffix(pair(`,"expires_in":60`), "}"), perhaps("")),
		json("200 with two objects", 200, pair("")+"\n"+pair(""), perhaps("")),
		json("200 with something after the tokens", 200, pair("")+"<!-- "+Canary+" -->", perhaps("")),
		json("200 with a guard before the tokens", 200, ")]}',\n"+pair(""), perhaps("")),
		json("200 that calls a function", 200, "callback("+pair("")+")", perhaps("")),
		json("200 with single quotes", 200, strings.ReplaceAll(pair(""), `"`, `'`), perhaps("")),
		json("200 in UTF-16", 200, utf16le(pair(`,"expires_in":60`)), perhaps("")),
		says("200 in XML", 200, kind("application/xml"), `<token><access_token>`+Access+`</access_token></token>`, perhaps("")),
		says("200 that is a page", 200, kind(asHTML), page("Welcome"), perhaps("")),
		says("200 that is a page, said to be plain text", 200, kind(asPlain), page("Welcome"), perhaps("")),
		says("200 as a form without a token", 200, kind(asForm), "refresh_token="+Refresh, perhaps("")),
		says("200 as a form with an error", 200, kind(asForm), "error=invalid_grant", perhaps("invalid_grant")),
		says("200 as a form that is none", 200, kind(asForm), "%zz="+Canary, perhaps("")),
		says("200 that is said to be compressed and is not", 200, headers(asJSON, "Content-Encoding", "gzip"), pair(""), perhaps("")),
		says("200 that is compressed and does not say so", 200, kind(asJSON), gzipped(pair("")), perhaps("")),
		says("200 that is compressed as nobody offered", 200, headers(asJSON, "Content-Encoding", "br"), "\x0b\x02\x80"+Canary, perhaps("")),
		says("200 whose compressed answer breaks off", 200, headers(asJSON, "Content-Encoding", "gzip"), gzipped(pair(""))[:40], perhaps("")),
		json("200 that is huge", 200, pair(`,"padding":"`+strings.Repeat("x", huge)+`"`), perhaps("")),
		json("200 that is huge after its end", 200, pair("")+strings.Repeat(" ", huge), perhaps("")),
		says("200 that is huge once it is unpacked", 200, headers(asJSON, "Content-Encoding", "gzip"), gzipped(pair(`,"padding":"`+strings.Repeat("x", huge)+`"`)), perhaps("")),
		says("200 as a huge form", 200, kind(asForm), "access_token="+Access+"&padding="+strings.Repeat("x", huge), perhaps("")),
		says("204, which has nothing to say", 204, nil, "", perhaps("")),
		says("205, which has nothing to say", 205, nil, "", perhaps("")),
		json("202 that only begins", 202, `{"status":"pending","note":"`+Canary+`"}`, perhaps("")),
	}
	for name, value := range map[string]string{
		"empty": `""`, "null": `null`, "a number": `12345`, "true": `true`, "a list": `["` + Access + `"]`, "an object": `{"value":"` + Access + `"}`,
		"of two lines": `"` + Access + `\r\nX-Injected: 1"`, "with a null byte": `"` + Access + `\u0000"`, "not of ASCII": `"` + Access + `é"`,
		"with a DEL": `"` + Access + "\x7f" + `"`, "of broken UTF-8": `"` + Access + "\xff" + `"`,
	} {
		cases = append(cases, json("200 with an access token that is "+name, 200, access(value), perhaps("")))
	}
	return cases
}

// huge is beyond what anybody should keep in memory for a token.
const huge = 10 << 20

func page(title string) string {
	return "<!DOCTYPE html><html><head><title>" + title + "</title></head><body><h1>" + title + "</h1><p>" + Canary + "</p></body></html>"
}

func gzipped(text string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write([]byte(text))
	_ = w.Close()
	return b.String()
}

// utf16le writes a text as some frameworks of Windows do, its mark first.
func utf16le(text string) string {
	b := []byte{0xff, 0xfe}
	for _, unit := range utf16.Encode([]rune(text)) {
		b = binary.LittleEndian.AppendUint16(b, unit)
	}
	return string(b)
}
