package handler

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"connectorvault/shared/authorize"
	"connectorvault/shared/fault"
	"connectorvault/shared/lambdahttp"
	"connectorvault/shared/record"
)

// hostile is text that means something in HTML.
const hostile = `</title></style><script>alert("it's")</script><img src=x onerror='y'>&amp; {{.}} ` + "\x00 \u2028 Größe"

type made struct {
	response lambdahttp.Response
	err      error
}

// shown are the pages, made of plain text and of hostile text in every place.
func shown() map[string]made {
	out := map[string]made{}
	add := func(name string, r lambdahttp.Response, err error) { out[name] = made{r, err} }
	denied := func(said *fault.Provider) *fault.Error {
		err := fault.New(fault.NotFound, "not_found", "There is no such page.")
		err.Provider = said
		return err
	}
	for kind, text := range map[string]string{"": "", "-hostile": hostile} {
		of := func(name string, r lambdahttp.Response, err error) { add(name+kind, r, err) }
		entry := record.Entry{Alias: "German store " + text, Environment: "production" + text}
		r, err := page(http.StatusOK, beginning(authorize.Journey{Tenant: "Example Trading " + text, Entry: entry, Principal: "a key's label " + text,
			Title: "Amazon" + text, ConsentHost: "https://sellercentral.amazon.com" + text}), "'none'")
		of("start", r, err)
		r, err = page(http.StatusOK, connected(entry), "'none'")
		of("connected", r, err)
		r, err = page(http.StatusOK, toCopy(entry), "'none'")
		of("copy", r, err)
		r, err = page(http.StatusOK, arrived("Amazon"+text, "handle-"+text), "'none'")
		of("login", r, err)
		refused := fault.New(fault.Conflict, "consent_denied"+text, "Consent was not given."+text).Do("Begin anew." + text)
		refused.Provider = &fault.Provider{Code: "access_denied" + text, Message: "no" + text, RequestID: "1-2" + text}
		r, err = problemPage(&lambdahttp.Request{ID: "r_1" + text}, refused)
		of("problem", r, err)
	}
	for name, said := range map[string]*fault.Provider{"no-provider": nil, "provider-says-nothing": {}, "provider-code": {Code: "x"}, "provider-message": {Message: "m"}, "provider-request": {RequestID: "r"}} {
		r, err := problemPage(&lambdahttp.Request{}, denied(said))
		add("problem-"+name, r, err)
	}
	return out
}

// The pages that are kept were made by html/template, which knows of each place what text can do there. What makes them now
// knows one place, so each page is compared with what html/template made of the same text, byte by byte.
func TestThePagesAreThoseThatHTMLTemplateMade(t *testing.T) {
	t.Parallel()
	pages := shown()
	kept, err := filepath.Glob("testdata/pages/*.html")
	if err != nil || len(kept) != len(pages) {
		t.Fatalf("%d pages are kept, %d are made: %v", len(kept), len(pages), err)
	}
	for name, made := range pages {
		want, err := os.ReadFile(filepath.Join("testdata/pages", name+".html"))
		if err != nil || made.err != nil {
			t.Fatal(err, made.err)
		}
		body, n := string(made.response.Body), strings.Count(string(made.response.Body), style)
		if diff := cmp.Diff(string(want), strings.Replace(body, style, "", 1)); n != 1 || diff != "" {
			t.Errorf("%s, with %d styles:\n%s", name, n, diff)
		}
	}
}

// What is not escaped is compiled in: three places of the frame, and none of the pages.
func TestNothingOfAnybodysIsRaw(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]int{"frame.go": 3, "pages.go": 0} {
		source, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Count(string(source), "g.Raw"); got != want {
			t.Errorf("%s has %d raw places; %d are known", name, got, want)
		}
	}
}
