package read_test

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"connectorvault/shared/bundle/bundletest"
	"connectorvault/shared/fault"
	"connectorvault/shared/read"
	"connectorvault/shared/record"
	"connectorvault/shared/secret"
	"connectorvault/shared/store"
	"connectorvault/shared/vault"
)

// echoing is a bench of a provider whose answers say for which business they are, with a connector for B1.
func echoing(t *testing.T) *bench {
	t.Helper()
	t.Parallel()
	b := benchOf(t, bundletest.Options{Echo: true, Describe: []describe{bundletest.Businesses}})
	b.connector = b.Bench.Connector(b.entry, map[string][]string{bundletest.SettingBusiness: {"B1"}})
	return b
}

// forBusiness answers for a business, whatever was asked; "" answers for nobody knows which, "=" for the one asked for.
func forBusiness(business, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		switch business {
		case "":
		case "=":
			w.Header().Set(bundletest.EchoHeader, r.Header.Get(bundletest.EchoHeader))
		default:
			w.Header().Set(bundletest.EchoHeader, business)
		}
		_, _ = io.WriteString(w, body)
	}
}

// hides fails the test when something shows what another business's answer held.
func (b *bench) hides(what string, shown any) {
	b.Helper()
	if text := fmt.Sprintf("%+v", shown); strings.Contains(text, "theirs") {
		b.Errorf("%s gives something of the answer away: %s", what, text)
	}
}

func TestAnAnswerForAnotherBusinessGivesNothingAway(t *testing.T) {
	b := echoing(t)
	for _, business := range []string{"", "B2", "b1", "B1 "} {
		b.Upstream.Handle("/orders", forBusiness(business, `{"orders":[{"id":"theirs"}],"next":"theirs"}`))
		page, err := b.Read.Read(b.Context(), b.Owner, b.query("orders"))
		if strings.TrimSpace(business) == "B1" { // what surrounds a header's value is not of it
			b.OK(err)
			continue
		}
		b.hides("an error", b.Fault(err, fault.Refused, "business_mismatch"))
		b.hides("a page", page)
		lines, err := b.Read.Run(b.Context(), b.Owner, b.query("orders"))
		b.hides("an error", b.Fault(err, fault.Refused, "business_mismatch"))
		b.hides("a run", string(lines))

		b.Upstream.Handle("/reports", forBusiness(business, `{"id":"theirs"}`))
		page, err = b.Read.Create(b.Context(), b.Owner, "", b.connector.ID, "reports", []byte(`{"kind":"all"}`))
		b.hides("an error", b.Fault(err, fault.Refused, "business_mismatch"))
		b.hides("what was made", page)

		b.Upstream.Handle("/reports/r-1/place", forBusiness("=", `{"behind":true}`))
		b.Upstream.Handle("/reports/r-1/bytes", forBusiness(business, "theirs"))
		part, err := b.document(read.Span{})
		b.hides("an error", b.Fault(err, fault.Refused, "business_mismatch"))
		if b.hides("a document", string(part.Bytes)); part.ContentType != "" || part.Total != 0 {
			t.Errorf("of a document: %+v", part)
		}
		b.Upstream.Handle("/reports/r-1/place", forBusiness(business, `{"behind":true,"url":"theirs"}`))
		_, err = b.document(read.Span{})
		b.hides("an error", b.Fault(err, fault.Refused, "business_mismatch"))
	}
	b.Upstream.Handle("/orders", forBusiness("=", `{"orders":[{"id":"ours"}]}`))
	if got := b.read(b.Owner, b.query("orders")); texts(got.Items) != `{"id":"ours"}` {
		t.Errorf("what is ours is %s", texts(got.Items))
	}
	b.Upstream.Handle("/orders", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set(bundletest.EchoHeader, "B2")
		bundletest.Refuse(w, http.StatusForbidden, "no_role")
	})
	b.fails(b.Owner, b.query("orders"), fault.Refused, "provider_refused") // a refusal says what it says
}

// What was answered for another business was made all the same: who repeats the request makes no second one.
func TestWhatWasMadeForAnotherBusinessIsNotMadeAgain(t *testing.T) {
	b := echoing(t)
	create := func() error {
		_, err := b.Read.Create(b.Context(), b.Owner, "key-1", b.connector.ID, "reports", []byte(`{"kind":"all"}`))
		return err
	}
	b.Upstream.Handle("/reports", func(w http.ResponseWriter, _ *http.Request) { bundletest.Refuse(w, http.StatusForbidden, "no_role") })
	b.Fault(create(), fault.Refused, "provider_refused") // nothing was made, and the key is free
	b.Upstream.Handle("/reports", forBusiness("B2", `{"id":"theirs"}`))
	b.Fault(create(), fault.Refused, "business_mismatch")
	b.Fault(create(), fault.Conflict, "request_in_progress")
	if n := len(b.Upstream.Seen("/reports")); n != 2 {
		t.Errorf("the provider was asked %d times", n)
	}
}

func TestARunEndsWhereAnAnswerIsForAnotherBusiness(t *testing.T) {
	b := echoing(t)
	wrong := true
	b.Upstream.Handle("/orders", func(w http.ResponseWriter, r *http.Request) {
		switch token := r.URL.Query().Get("page_token"); {
		case token == "":
			forBusiness("=", `{"orders":[{"id":"1"}],"next":"p2"}`)(w, r)
		case wrong:
			forBusiness("B2", `{"orders":[{"id":"theirs"}],"next":"theirs"}`)(w, r)
		default:
			forBusiness("=", `{"orders":[{"id":"2"}]}`)(w, r)
		}
	})
	items, end := b.run(b.Context(), b.query("orders"))
	if !slices.Equal(items, []string{`{"id":"1"}`}) || end.Stopped == nil || end.Stopped.Code != "business_mismatch" || end.Next == nil || end.Meta.Pages != 1 {
		t.Fatalf("the lines are %v, the end is %+v", items, end)
	}
	b.hides("the end", end)
	wrong = false
	if got := b.read(b.Owner, b.query("orders", cursor(*end.Next))); texts(got.Items) != `{"id":"2"}` {
		t.Errorf("from there it goes on with %s", texts(got.Items))
	}
}

func TestConnectorsOfOneEntryAskEachForTheirOwnBusiness(t *testing.T) {
	b := echoing(t)
	b.Upstream.Handle("/orders", func(w http.ResponseWriter, r *http.Request) {
		business := r.Header.Get(bundletest.EchoHeader)
		forBusiness("=", `{"orders":[{"id":"`+business+`"}]}`)(w, r)
	})
	var all sync.WaitGroup
	for i := range 8 {
		business := fmt.Sprintf("B%d", i%4)
		c := b.Bench.Connector(b.entry, map[string][]string{bundletest.SettingBusiness: {business}})
		all.Go(func() {
			page, err := b.Read.Read(b.Context(), b.Owner, read.Query{Connector: c.ID, Resource: "orders"})
			if err != nil || texts(page.Items) != `{"id":"`+business+`"}` {
				t.Errorf("%s: %s, %v", business, texts(page.Items), err)
			}
		})
	}
	all.Wait()
}

// signed is a bench of a provider whose reads are signed with a secret.
func signed(t *testing.T, o bundletest.Options) *bench {
	t.Helper()
	o.Describe = append(o.Describe, bundletest.OwnClients)
	b := benchOf(t, o, bundletest.OwnClient("client-7")...)
	b.Upstream.TakeSecret("client-7", bundletest.OwnSecret)
	b.Upstream.Body("/orders", `{"orders":[]}`)
	return b
}

// signature is what the last read was signed with.
func (b *bench) signature() string {
	b.Helper()
	seen := b.Upstream.Seen("/orders")
	if len(seen) == 0 {
		return ""
	}
	return seen[len(seen)-1].Header.Get("X-Signature")
}

func TestReadsAreSignedWithTheEntrysSecretsAndOpenNoOthers(t *testing.T) {
	t.Parallel()
	b := signed(t, bundletest.Options{})
	opened := len(b.Secrets.Read())
	b.read(b.Owner, b.query("orders"))
	if b.signature() != bundletest.Signature {
		t.Errorf("it was signed with %q", b.signature())
	}
	name := vault.GroupSecret(vault.EntrySecret(b.entry.Tenant, b.entry.ID, b.entry.Secrets[record.ReadSecrets].Version), record.ReadSecrets)
	b.Clock.Add(6 * time.Second)
	b.read(b.Owner, b.query("orders")) // the entry is looked at again, its secrets are not
	if got := b.Secrets.Read()[opened:]; !slices.Equal(got, []string{name}) {
		t.Errorf("opened were %v", got)
	}
	// A changed one is felt like every change of an entry.
	_, err := b.Admin.UpdateEntry(b.Context(), b.Owner, b.entry.ID, bundletest.Fields(bundletest.FieldSignature, "canary-second"))
	b.OK(err)
	b.Clock.Add(5 * time.Second)
	b.read(b.Owner, b.query("orders"))
	if b.signature() != "canary-second" {
		t.Errorf("after the change it was signed with %q", b.signature())
	}
	// Without one there is no call.
	_, err = b.Admin.UpdateEntry(b.Context(), b.Owner, b.entry.ID, bundletest.Fields(bundletest.FieldSignature, nil))
	b.OK(err)
	b.Clock.Add(5 * time.Second)
	calls := len(b.Upstream.Seen("/orders"))
	b.fails(b.Owner, b.query("orders"), fault.Misconfigured, "client_misconfigured")
	if n := len(b.Upstream.Seen("/orders")); n != calls {
		t.Errorf("the provider was called %d times", n-calls)
	}
	_, err = b.Admin.UpdateEntry(b.Context(), b.Owner, b.entry.ID, bundletest.Fields("disabled", true, bundletest.FieldSignature, "canary-third"))
	b.OK(err)
	b.Clock.Add(5 * time.Second)
	b.fails(b.Owner, b.query("orders"), fault.Conflict, "vault_entry_disabled")
	for _, name := range b.Secrets.Read()[opened:] {
		if !strings.HasPrefix(name, bundletest.Tenant+"/read/") {
			t.Errorf("opened was %s", name)
		}
	}
}

func TestReadsOfAnEntryThatUsesTheApplicationAreSignedWithItsSecrets(t *testing.T) {
	t.Parallel()
	b := signed(t, bundletest.Options{})
	e := b.Active("shared", bundletest.FieldShared, true)
	b.connector = b.Bench.Connector(e, nil)
	b.fails(b.Owner, b.query("orders"), fault.Misconfigured, "client_misconfigured") // there is none
	in := bundletest.AppFields()
	in[bundletest.FieldSignature] = bundletest.Fields("x", "canary-of-the-application")["x"]
	_, err := b.Admin.PutApp(b.Context(), b.Alien, bundletest.Name, in) // another tenant's
	b.OK(err)
	b.Clock.Add(5 * time.Second)
	b.fails(b.Owner, b.query("orders"), fault.Misconfigured, "client_misconfigured")
	_, err = b.Admin.PutApp(b.Context(), b.Owner, bundletest.Name, in)
	b.OK(err)
	b.Clock.Add(5 * time.Second)
	b.read(b.Owner, b.query("orders"))
	if b.signature() != "canary-of-the-application" {
		t.Errorf("it was signed with %q", b.signature())
	}
}

// Whoever changed the secret died before the record: the one that the record names serves.
func TestASecretWithoutItsRecordSignsNothing(t *testing.T) {
	t.Parallel()
	b := signed(t, bundletest.Options{})
	b.Store.Fail(func(op string, table store.Table) bool { return op == "apply" && table == store.Records })
	_, err := b.Admin.UpdateEntry(b.Context(), b.Owner, b.entry.ID, bundletest.Fields(bundletest.FieldSignature, "canary-newest"))
	b.Fault(err, fault.Unavailable, "store_unavailable")
	b.Store.Fail(nil)
	b.read(b.Owner, b.query("orders"))
	if b.signature() != bundletest.Signature {
		t.Errorf("it was signed with %q", b.signature())
	}
}

// An entry whose secret is changed between looking at the one and at the other is looked at again.
func TestAReadThatComesBetweenASecretAndItsSuccessorFindsOne(t *testing.T) {
	t.Parallel()
	b := signed(t, bundletest.Options{})
	var once sync.Once
	b.Secrets.Before(func(op, name string) error {
		if op == "get" && strings.Contains(name, "/read/") {
			once.Do(func() {
				_, err := b.Admin.UpdateEntry(b.Context(), b.Owner, b.entry.ID, bundletest.Fields(bundletest.FieldSignature, "canary-between"))
				b.OK(err)
			})
		}
		return nil
	})
	b.read(b.Owner, b.query("orders"))
	if b.signature() != "canary-between" {
		t.Errorf("it was signed with %q", b.signature())
	}
}

func TestASecretStoreThatIsDownIsFeltWhereNothingIsRemembered(t *testing.T) {
	t.Parallel()
	b := signed(t, bundletest.Options{})
	b.read(b.Owner, b.query("orders"))
	b.Secrets.Down(true)
	b.Clock.Add(9 * time.Minute)
	b.read(b.Owner, b.query("orders"))
	_, err := b.NewRead().Read(b.Context(), b.Owner, b.query("orders"))
	b.Fault(err, fault.Unavailable, "store_unavailable")
}

// A provider that says our secrets back, in a refusal or in a page, is not passed on with them.
func TestARefusalIsRidOfTheSecretsItWasSignedWith(t *testing.T) {
	t.Parallel()
	b := signed(t, bundletest.Options{})
	b.Upstream.Handle("/orders", func(w http.ResponseWriter, r *http.Request) {
		bundletest.Refuse(w, http.StatusBadRequest, "bad "+r.Header.Get("X-Signature")+" "+r.Header.Get("Authorization"))
	})
	f := b.fails(b.Owner, b.query("orders"), fault.Refused, "provider_refused")
	if text := fmt.Sprintf("%+v %+v", *f, *f.Provider); strings.Contains(text, "canary") || !strings.Contains(text, "[secret]") {
		t.Errorf("it says %s", text)
	}
	check, err := b.Read.Check(b.Context(), b.Owner, b.entry.ID)
	b.OK(err)
	if text := fmt.Sprintf("%+v", check); strings.Contains(text, "canary") || len(b.Upstream.Seen("/orders")) != 2 {
		t.Errorf("a check says %s", text)
	}
}

// Another client is put in force between looking at an entry and looking at its token: what is one's never goes with what is
// the other's.
func TestAReadThatComesBetweenAClientAndItsSuccessorUsesOne(t *testing.T) {
	t.Parallel()
	b := signed(t, bundletest.Options{})
	entry, err := b.Vault.Entry(b.Context(), b.entry.Tenant, b.entry.ID)
	b.OK(err)
	before, _, err := b.Vault.Credential(b.Context(), entry.Tenant, entry.ID)
	b.OK(err)
	before.ClientNumber = 1
	after, next := entry, before
	after.Client, after.Clients, after.Secrets = 2, 2, record.SecretGroups{record.ReadSecrets: {Version: "v_next", Fields: []string{bundletest.FieldSignature}}}
	next.ClientNumber, next.Generation, next.Commit = 2, before.Generation+1, "commit_next"
	set, err := b.Vault.OpenTokens(b.Context(), before)
	b.OK(err)
	next.Sealed, err = b.Vault.SealTokens(b.Context(), next, next.Generation, set)
	b.OK(err)
	text, err := vault.Secrets{Version: "v_next", Fields: map[string]secret.Text{bundletest.FieldSignature: secret.New("canary-next")}}.Encode()
	b.OK(err)
	b.OK(b.Secrets.PutSecret(b.Context(), vault.GroupSecret(vault.EntrySecret(entry.Tenant, entry.ID, "v_next"), record.ReadSecrets), text))
	var once sync.Once
	b.Store.Fail(func(op string, table store.Table) bool {
		if op == "get" && table == store.Credentials {
			once.Do(func() { b.OK(b.Vault.Promote(b.Context(), entry, after, &before, next)) })
		}
		return false
	})
	b.read(b.Owner, b.query("orders"))
	if b.signature() != "canary-next" {
		t.Errorf("a token of the new client went with %q", b.signature())
	}
}
