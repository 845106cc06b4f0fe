package oauthtest

import (
	"net/http"
	"strconv"
	"strings"
)

// waits are answers that ask to wait, and say how long in several ways. A 429 was stopped at the door, whatever it
// holds: nothing is spent.
func waits() []Case {
	cases := []Case{
		says("429 with nothing", 429, nil, "", limited("")),
		says("429 of a gateway", 429, kind(asJSON), `{"message":"Limit Exceeded"}`, limited("")),
		says("429 that is a page", 429, kind(asHTML), page("Too many requests"), limited("")),
		says("429 that is huge", 429, kind(asHTML), strings.Repeat(Canary, huge/len(Canary)), limited("")),
		json("429 that calls it slow_down", 429, `{"error":"slow_down"}`, limited("slow_down")),
		json("429 that calls it invalid_grant says first that it did not look", 429, invalidGrant, limited("invalid_grant")),
		json("429 that calls it invalid_client", 429, `{"error":"invalid_client"}`, limited("invalid_client")),
		json("slow_down in a 400", 400, `{"error":"slow_down"}`, limited("slow_down")),
		says("slow_down in a 400 with Retry-After", 400, headers(asJSON, "Retry-After", "5"), `{"error":"slow_down"}`, limited("slow_down").waiting(5)),
		{Name: "429 that breaks off", Status: 429, Header: headers(asJSON, "Retry-After", "7"), Body: `{"mess`, Breaks: true, Want: limited("").waiting(7)},
		says("503 with Retry-After", 503, headers(asHTML, "Retry-After", "120"), page("Maintenance"), perhaps("").waiting(120)),
		says("503 with Retry-After as a date: our clock may be stepped", 503, headers(asHTML, "Retry-After", "Wed, 21 Oct 2037 07:28:00 GMT"), page("Maintenance"), perhaps("")),
		says("500 with Retry-After", 500, headers(asJSON, "Retry-After", "1"), `{}`, perhaps("").waiting(1)),
		says("a redirect with Retry-After", 302, headers(asHTML, "Retry-After", "9", "Location", "/"+Canary), "", perhaps("").waiting(9)),
	}
	for said, seconds := range map[string]int{
		"7": 7, "3600": 3600, "99999999": 3600, "99999999999999999999999999": 3600,
		"0": 0, "-1": 0, "-99999999999999999999999999": 0, "1.5": 0, "7 s": 0, "soon": 0, "0x10": 0, "Wed, 21 Oct 2037 07:28:00 GMT": 0, Canary: 0,
	} {
		cases = append(cases, says("429 with Retry-After "+said, 429, headers(asPlain, "Retry-After", said), "Too many requests", limited("").waiting(seconds)))
	}
	return cases
}

// bare are statuses without an OAuth answer: of proxies, gateways, firewalls, load balancers, and of servers before their
// application has seen anything, or after.
func bare() []Case {
	var cases []Case
	for _, status := range []int{400, 401, 403, 404, 405, 407, 408, 409, 410, 413, 415, 418, 421, 425, 431, 451, 499, 500, 501, 502, 503, 504, 505, 511, 520, 530, 599, 600, 999} {
		name, title := strconv.Itoa(status), http.StatusText(status)
		cases = append(cases,
			says(name+" that is a page", status, kind(asHTML), page(title), perhaps("")),
			says(name+" with nothing", status, nil, "", perhaps("")))
	}
	for _, status := range []int{301, 302, 303, 307, 308} {
		name := strconv.Itoa(status)
		cases = append(cases,
			says(name+" that leads elsewhere", status, headers(asHTML, "Location", "https://elsewhere.example/"+Canary), page("Moved"), perhaps("")),
			says(name+" that leads back", status, headers(asHTML, "Location", "?again="+Canary), "", perhaps("")),
			says(name+" that leads nowhere", status, kind(asHTML), page("Moved"), perhaps("")),
			says(name+" that leads to no address", status, headers(asHTML, "Location", "http://[::"+Canary), "", perhaps("")))
	}
	return append(cases,
		says("300 with a choice", 300, kind(asHTML), page("Choose"), perhaps("")),
		says("304 of a cache that should not be there", 304, nil, "", perhaps("")),
		says("101 that switches to another protocol, without an end", 101, map[string]string{"Connection": "Upgrade", "Upgrade": "h2c"}, "", perhaps("")),
		json("403 of a gateway", 403, `{"message":"Forbidden","note":"`+Canary+`"}`, perhaps("")),
		json("400 of a gateway that has no route", 400, `{"statusCode":400,"message":"`+Canary+`"}`, perhaps("")),
		json("504 of a gateway after the application had its time", 504, `{"message":"Endpoint request timed out"}`, perhaps("")),
		json("400 with a problem document", 400, `{"type":"about:blank","title":"invalid_grant","status":400,"detail":"`+Canary+`"}`, perhaps("")),
		json("401 with nothing but braces", 401, `{}`, perhaps("")))
}

// broken are answers whose end, or beginning, never came.
func broken() []Case {
	breaks := func(name string, status int, body string) Case {
		return Case{Name: name, Status: status, Header: kind(asJSON), Body: body, Breaks: true, Want: perhaps("")}
	}
	short := func(name string, status int, body string) Case {
		return says(name, status, headers(asJSON, "Content-Length", strconv.Itoa(len(body)+1)), body, perhaps(""))
	}
	raw := func(name, text string) Case { return Case{Name: name, Body: text, Raw: true, Want: perhaps("")} }
	return []Case{
		breaks("a connection that breaks before the body", 200, ""),
		breaks("a connection that breaks within a token", 200, `{"access_token":"`+Access),
		breaks("a connection that breaks after the tokens", 200, pair(`,"expires_in":60`)),
		breaks("a connection that breaks after invalid_grant", 400, invalidGrant),
		breaks("a connection that breaks within invalid_grant", 400, invalidGrant[:12]),
		breaks("a connection that breaks after a 500", 500, ""),
		short("tokens that are a byte shorter than stated", 200, pair(`,"expires_in":60`)),
		short("invalid_grant that is a byte shorter than stated", 400, invalidGrant),
		short("invalid_client that is a byte shorter than stated", 401, `{"error":"invalid_client"}`),
		raw("a connection that ends without a word", ""),
		raw("a head that breaks off", "HTTP/1.1 400 Bad Request\r\nContent-Type: appl"),
		raw("a head without a status", "HTTP/1.1 abc\r\n\r\n"+invalidGrant),
		raw("a protocol that is not HTTP", "SSH-2.0-"+Canary+"\r\n"),
		raw("a body without a head", invalidGrant),
		raw("a length that is none", "HTTP/1.1 400 Bad Request\r\nContent-Length: "+Canary+"\r\n\r\n"+invalidGrant),
		raw("two lengths", "HTTP/1.1 400 Bad Request\r\nContent-Length: 25\r\nContent-Length: 26\r\n\r\n"+invalidGrant),
	}
}
