package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"connectorvault/infra/local/program"
	"connectorvault/shared/record"
	"connectorvault/shared/store"
)

// What is read of each provider: a list that its limits count.
var listed = map[string]string{"amazon": "orders?limit=10", "sage": "contacts?limit=10", "clara": "transactions?limit=10"}

// unseen are the calls that no meter stands before: Clara's, which go over connections of their own, with a certificate.
var unseen = map[string]int{"clara": 1}

func TestTheFiguresAreMeasured(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	connected := w.connected()
	names := []string{"amazon", "sage", "clara"}
	for _, provider := range names {
		entry, connector := connected[provider][0], connected[provider][1]
		w.read(connector, listed[provider]) // refreshed where that is needed, and the keyring is at hand
		w.Pass(90 * time.Second)
		got := w.measured(reading, func() {
			w.within("letting in", letIn, w.measured(authorizer, func() { w.read(connector, listed[provider]) }))
		})
		got.ProviderCalls += unseen[provider]
		w.within("a read of "+provider, reads[provider], got)

		w.until(entry)
		generation := w.credential(entry).Generation
		got = w.measured(tokens, func() { w.due(entry) })
		got.ProviderCalls += unseen[provider]
		if c := w.credential(entry); c.Generation != generation+1 || c.Lifetime != lifetimes[provider] {
			t.Fatalf("%s: no refresh, or another one: %+v", provider, c)
		}
		w.within("a refresh of "+provider, refreshes[provider], got)

		w.until(entry)
		got = w.measured(tokens, func() { w.due(entry) })
		if c := w.credential(entry); c.Generation != generation+1 || !c.DueAt.After(w.Clock.Now()) {
			t.Fatalf("%s was refreshed, or does not sleep: %+v", provider, c)
		}
		w.within("a look at "+provider, looks[provider], got)
	}
	w.events(connected["amazon"][0])
	w.sweeps()
	w.within("finish", finish, w.measured(tenancy, func() {
		_, err := w.functions[tenancy](t.Context(), []byte(`{"operation": "finish"}`))
		w.OK(err)
	}))
	w.kept(connected)
}

// within holds a figure against what was counted.
func (w *world) within(what string, said operation, got part) {
	w.Helper()
	for _, c := range []struct {
		of        string
		said, got float64
	}{
		{"invocations", float64(said.Invocations), float64(got.Invocations)},
		{"calls of the store", float64(said.StoreCalls), float64(got.StoreCalls)},
		{"calls of the provider", float64(said.ProviderCalls), float64(got.ProviderCalls)},
		{"calls for secrets", float64(said.SecretCalls), float64(got.SecretCalls)},
		{"messages", float64(said.Sends), float64(got.Sends)},
		{"read units", said.Reads, got.Reads},
		{"write units", said.Writes, got.Writes},
		{"bytes of log", float64(said.LogBytes) / 50, float64(got.LogBytes) / 50},
	} {
		if c.got > c.said {
			w.Errorf("%s takes %g %s; operations.go says %g", what, c.got, c.of, c.said)
		}
		if c.said > 1.25*c.got+2 {
			w.Errorf("%s takes %g %s; %g in operations.go is far too many", what, c.got, c.of, c.said)
		}
	}
}

// events lets the end of the application's secret come near, with a webhook to be told.
func (w *world) events(entry string) {
	w.Helper()
	hits := 0
	endpoint := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hits++ }))
	w.Cleanup(endpoint.Close)
	w.Ask("POST", "/v1/webhooks", map[string]any{"url": endpoint.URL}, nil)
	w.Pass(151 * 24 * time.Hour)
	w.within("an event", event, w.measured(tokens, func() { w.due(entry) }))
	if len(w.told) != 1 {
		w.Fatalf("%d messages", len(w.told))
	}
	body, err := w.told[0].Encode()
	w.OK(err)
	w.within("a delivery", delivery, w.measured(delivering, func() { w.message(delivering, string(body)) }))
	if hits != 1 {
		w.Errorf("the endpoint heard %d times", hits)
	}
}

// sweeps measures the schedule's minute, without and with the day's search.
func (w *world) sweeps() {
	w.Helper()
	secrets := 0
	for cursor := ""; ; {
		names, next, err := w.Store.ListSecrets(w.Context(), program.Tenant, cursor)
		w.OK(err)
		secrets += len(names)
		if cursor = next; cursor == "" {
			break
		}
	}
	page, err := w.bundle.Vault.Entries(w.Context(), program.Tenant, "", 100, func(record.Entry) bool { return true })
	w.OK(err)
	var look part
	for range 20 { // what is due is done, until a look finds nothing
		for _, entry := range page.Items {
			w.due(entry.ID)
		}
		w.Pass(2 * time.Minute)
		w.enqueued = nil
		if look = w.measured(planning, w.scheduled(planning, "plan")); len(w.enqueued) == 0 {
			break
		}
	}
	w.within("a look of the planner", plan, look)
	if len(w.enqueued) > 0 {
		w.Fatalf("the planner found %d", len(w.enqueued))
	}
	searched := w.measured(tokens, w.scheduled(tokens, "sweep_orphans"))
	got := w.measured(tokens, w.scheduled(tokens, "sweep_orphans"))
	w.within("a turn of the search", sweep, got)
	n := float64(secrets)
	each := operation{tokens, part{StoreCalls: int(n) * search.StoreCalls, SecretCalls: int(n) * search.SecretCalls, Reads: n * search.Reads, Writes: n * search.Writes}}
	if took := searched.StoreCalls - got.StoreCalls; took <= 0 || took > each.StoreCalls || searched.Reads-got.Reads > each.Reads ||
		searched.Writes-got.Writes > each.Writes || searched.SecretCalls > each.SecretCalls {
		w.Errorf("the search for %d secrets takes %+v more than %+v; operations.go says %+v", secrets, searched, got, each)
	}
}

// kept holds what is kept of an entry against what is said.
func (w *world) kept(connected map[string][2]string) {
	w.Helper()
	const overhead = 100 // of an item, as DynamoDB counts what is stored
	for provider, c := range connected {
		size := 0
		add := func(item store.Item) { size += sizeOf(item.Key, item.Attrs) + overhead }
		credential, err := w.Store.Get(w.Context(), store.Credentials, store.Key{Partition: program.Tenant + "#" + c[0], Sort: "credential"})
		w.OK(err)
		add(credential)
		for after, more := "", true; more; {
			var items []store.Item
			items, more, err = w.Store.Query(w.Context(), store.Query{Table: store.Records, Partition: program.Tenant, After: after, Limit: 100})
			w.OK(err)
			for _, item := range items {
				after = item.Key.Sort
				text := fmt.Sprint(item.Key, item.Attrs)
				if strings.Contains(text, c[0]) || strings.Contains(text, c[1]) {
					add(item)
				}
			}
		}
		if said := int(storedBytes[provider]); size > said || said > size*3/2 {
			w.Errorf("%d bytes are kept of an entry of %s; operations.go says %d", size, provider, said)
		}
		names, _, err := w.Store.ListSecrets(w.Context(), program.Tenant+"/entry/"+c[0], "")
		w.OK(err)
		if len(names) != int(ownSecrets[provider]) {
			w.Errorf("an entry of %s has the secrets %v; operations.go says %g", provider, names, ownSecrets[provider])
		}
	}
	every, err := w.bundle.Vault.Apps(w.Context(), program.Tenant)
	w.OK(err)
	if len(every) != 1 || every[0].Provider != "amazon" || every[0].APIEnvironment != record.Production {
		w.Errorf("the applications are %+v", every)
	}
}
