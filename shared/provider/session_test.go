package provider_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"connectorvault/shared/fault"
	"connectorvault/shared/provider"
	"connectorvault/shared/record"
	"connectorvault/shared/resource"
	"connectorvault/shared/secret"
)

func TestAnEntryUsesTheApplicationUnlessItHasAClientOfItsOwn(t *testing.T) {
	t.Parallel()
	fields := []provider.Field{{Name: "client_id"}}
	for name, want := range map[string]struct {
		d        provider.Descriptor
		settings map[string]string
		uses     bool
	}{
		"a provider without applications":       {provider.Descriptor{}, nil, false},
		"one without, and a flag all the same":  {provider.Descriptor{AppFlag: "shared"}, map[string]string{"shared": "true"}, false},
		"a provider where every entry uses it":  {provider.Descriptor{AppFields: fields}, nil, true},
		"the flag is set":                       {provider.Descriptor{AppFields: fields, AppFlag: "shared"}, map[string]string{"shared": "true"}, true},
		"the flag is not set":                   {provider.Descriptor{AppFields: fields, AppFlag: "shared"}, nil, false},
		"the flag is anything else":             {provider.Descriptor{AppFields: fields, AppFlag: "shared"}, map[string]string{"shared": "yes"}, false},
		"another flag is set":                   {provider.Descriptor{AppFields: fields, AppFlag: "shared"}, map[string]string{"other": "true"}, false},
		"a setting by chance, and there's none": {provider.Descriptor{AppFields: fields}, map[string]string{"": "false"}, true},
	} {
		if got := want.d.UsesApp(record.Entry{Settings: want.settings}); got != want.uses {
			t.Errorf("%s: %t", name, got)
		}
	}
}

func TestReadsNeedSecretsWhereAFieldSaysSo(t *testing.T) {
	t.Parallel()
	client, signature := provider.Field{Name: "client_secret", Secret: true}, provider.Field{Name: "signature", Secret: true, Reads: true}
	for name, want := range map[string]struct {
		d     provider.Descriptor
		needs bool
	}{
		"none at all":                  {provider.Descriptor{}, false},
		"the token service's alone":    {provider.Descriptor{Fields: []provider.Field{client}, AppFields: []provider.Field{client}}, false},
		"an entry's":                   {provider.Descriptor{Fields: []provider.Field{client, signature}}, true},
		"an application's":             {provider.Descriptor{AppFields: []provider.Field{client, signature}}, true},
		"what reads need is no secret": {provider.Descriptor{Fields: []provider.Field{{Name: "site", Reads: true}}}, false},
	} {
		if got := want.d.ReadsNeedSecrets(); got != want.needs {
			t.Errorf("%s: %t", name, got)
		}
	}
}

func TestAResourceIsFoundByEachOfItsNames(t *testing.T) {
	t.Parallel()
	d := provider.Descriptor{Resources: []resource.Resource{{Name: "orders", Aliases: []string{"sales_orders"}}, {Name: "items"}}}
	for name, want := range map[string]string{"orders": "orders", "sales_orders": "orders", "items": "items", "": "", "Orders": "", "sales": ""} {
		got, found := d.Resource(name)
		if got.Name != want || found != (want != "") {
			t.Errorf("%q is %q, found %t", name, got.Name, found)
		}
	}
}

// open is a body that says whether it was closed.
type open struct {
	io.ReadCloser
	closed *atomic.Int32
}

func (o open) Close() error {
	o.closed.Add(1)
	return o.ReadCloser.Close()
}

// bodies counts the bodies that were opened and closed.
type bodies struct {
	under          http.RoundTripper
	opened, closed atomic.Int32
}

func (b *bodies) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := b.under.RoundTrip(r)
	if err == nil {
		b.opened.Add(1)
		response.Body = open{response.Body, &b.closed}
	}
	return response, err
}

// counted makes a client count its bodies.
func counted(client provider.Client) (provider.Client, *bodies) {
	b := &bodies{under: client.HTTP.Transport}
	http := *client.HTTP
	http.Transport = b
	client.HTTP = &http
	return client, b
}

func TestAnAnswerThatIsOpenedIsReadByWhoAsked(t *testing.T) {
	t.Parallel()
	more := make(chan struct{})
	client, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Id", "R1")
		_, _ = io.WriteString(w, "first ")
		_ = http.NewResponseController(w).Flush()
		<-more
		_, _ = io.WriteString(w, "last")
	})
	client, seen := counted(client)
	answer, body, verdict, err := client.Open(t.Context(), session(secret.New(canary)), read())
	if err != nil || verdict.Fault != nil || answer.Body != nil || answer.RequestID != "R1" || seen.closed.Load() != 0 {
		t.Fatalf("%+v, %+v, %v, %d closed", answer, verdict, err, seen.closed.Load())
	}
	close(more) // it is here, and not read to its end
	answer, err = client.Collect(t.Context(), answer, body)
	if err != nil || string(answer.Body) != "first last" || seen.closed.Load() != 1 {
		t.Errorf("%q, %v, %d closed", answer.Body, err, seen.closed.Load())
	}
}

func TestNoBodyIsLeftOpen(t *testing.T) {
	t.Parallel()
	status, text := http.StatusOK, "{}"
	client, server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		if status == http.StatusFound {
			w.Header().Set("Location", "https://elsewhere.example/")
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, text)
	})
	client.MaxBody = 100
	for name, want := range map[string]struct {
		status int
		text   string
		reader provider.Reader
	}{
		"well":         {http.StatusOK, "{}", reader{server.URL}},
		"too long":     {http.StatusOK, strings.Repeat("x", 101), reader{server.URL}},
		"refused":      {http.StatusForbidden, "no", reader{server.URL}},
		"unavailable":  {http.StatusBadGateway, strings.Repeat("x", 100<<10), reader{server.URL}},
		"sent away":    {http.StatusFound, "", reader{server.URL}},
		"not for this": {http.StatusOK, "{}", confirming{reader{server.URL}, "another"}},
	} {
		status, text = want.status, want.text
		each, seen := counted(client)
		each.Reader = want.reader
		_, _, err := each.Do(t.Context(), session(secret.New(canary)), read())
		if (err == nil) != (name == "well") || seen.opened.Load() != 1 || seen.closed.Load() == 0 {
			t.Errorf("%s: %v, %d opened, %d closed", name, err, seen.opened.Load(), seen.closed.Load())
		}
	}
}

// confirming is a reader whose answers say for whom they were made.
type confirming struct {
	reader
	want string
}

func (c confirming) Confirm(on provider.Session, call provider.Call, header http.Header) error {
	if header.Get("X-For") == c.want && on.Entry.Alias == "shop" && call.Op.ID == "read" {
		return nil
	}
	return fault.New(fault.Refused, "business_mismatch", "This was made for another.").Do("Tell the operator.")
}

func TestAnAnswerForSomebodyElseGivesNothingAway(t *testing.T) {
	t.Parallel()
	status := http.StatusOK
	client, server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-For", "one")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, "theirs")
	})
	on := session(secret.New(canary))
	on.Entry.Alias = "shop"
	client.Reader = confirming{reader{server.URL}, "one"}
	if answer, _, err := client.Do(t.Context(), on, read()); err != nil || string(answer.Body) != "theirs" {
		t.Errorf("what was asked for is %q, %v", answer.Body, err)
	}
	client.Reader = confirming{reader{server.URL}, "two"}
	answer, verdict, err := client.Do(t.Context(), on, read())
	if fault.CodeOf(err) != "business_mismatch" || len(answer.Body) != 0 || verdict.TokenRejected || strings.Contains(fmt.Sprint(err), "theirs") {
		t.Errorf("%q, %+v, %v", answer.Body, verdict, err)
	}
	if _, body, _, err := client.Open(t.Context(), on, read()); body != nil || err == nil {
		t.Errorf("a body is open, %v", err)
	}
	status = http.StatusForbidden // a refusal says what it says, whoever it is for
	if _, verdict, err := client.Do(t.Context(), on, read()); fault.CodeOf(err) != "provider_refused" || !verdict.TokenRejected {
		t.Errorf("%+v, %v", verdict, err)
	}
}

// signing needs a secret.
type signing struct{ reader }

func (s signing) Sign(r *http.Request, on provider.Session, call provider.Call, now time.Time) error {
	value, ok := on.Secrets["signature"]
	if !ok {
		return fault.New(fault.Misconfigured, "client_misconfigured", "There is no signature.").Do("Set it.")
	}
	r.Header.Set("X-Signature", value.Reveal())
	return s.reader.Sign(r, on, call, now)
}

func TestACallIsSignedWithTheSessionsSecretsOrNotMade(t *testing.T) {
	t.Parallel()
	var seen []http.Header
	client, server := serve(t, func(_ http.ResponseWriter, r *http.Request) { seen = append(seen, r.Header.Clone()) })
	client.Reader = signing{reader{server.URL}}
	on := session(secret.New(canary))
	if _, _, err := client.Do(t.Context(), on, read()); fault.CodeOf(err) != "client_misconfigured" || len(seen) != 0 {
		t.Errorf("without one: %v, %d calls", err, len(seen))
	}
	on.Secrets = map[string]secret.Text{"signature": secret.New("canary-signature")}
	if _, _, err := client.Do(t.Context(), on, read()); err != nil || seen[0].Get("X-Signature") != "canary-signature" || seen[0].Get("X-Token") != canary {
		t.Errorf("%v, %v", seen, err)
	}
	call := read()
	call.Access, call.Accept = secret.New("canary-for-this-call"), "text/csv"
	if _, _, err := client.Do(t.Context(), on, call); err != nil || seen[1].Get("X-Token") != "canary-for-this-call" || seen[1].Get("Accept") != "text/csv" ||
		seen[1].Get("X-Signature") != "canary-signature" || !on.Access.Equal(secret.New(canary)) {
		t.Errorf("%v, %v", seen, err)
	}
}

// What a provider says back of our own secrets goes no further, in whatever it says it.
func TestARefusalThatSaysASecretBackIsRidOfIt(t *testing.T) {
	t.Parallel()
	secrets := map[string]secret.Text{"signature": secret.New("canary-sign"), "subscription": secret.New("canary-signature-of-more"), "empty": {}}
	texts := []string{canary, "canary-sign", "canary-signature-of-more"}
	client, server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Id", "id of "+strings.Join(texts, " "))
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, "no such "+strings.Join(texts, " and "))
	})
	client.Reader = reader{server.URL}
	on := session(secret.New(canary))
	on.Secrets = secrets
	for range 8 { // in whatever order a map is gone through
		_, verdict, err := client.Do(t.Context(), on, read())
		said := verdict.Fault.Provider
		for _, text := range []string{err.Error(), verdict.Fault.Detail, said.Code, said.Message, said.Details, said.RequestID} {
			if strings.Contains(text, "canary") || strings.Contains(text, "ature-of-more") || strings.Count(text, secret.Placeholder) != 3 {
				t.Fatalf("it says %q", text)
			}
		}
	}
	var problem *fault.Error
	on.Secrets = nil
	if _, _, err := client.Do(t.Context(), on, read()); !errors.As(err, &problem) || !slices.Contains(strings.Fields(problem.Detail), "canary-sign") {
		t.Errorf("what is no secret of the session is taken out: %v", err)
	}
}

func TestWhatCannotBeBuiltIsNotSent(t *testing.T) {
	t.Parallel()
	calls := 0
	client, _ := serve(t, func(http.ResponseWriter, *http.Request) { calls++ })
	call := read()
	call.Params = url.Values{"unknown": {"x"}}
	if _, body, _, err := client.Open(t.Context(), session(secret.New(canary)), call); err == nil || body != nil || calls != 0 {
		t.Errorf("%v, %d calls", err, calls)
	}
}
