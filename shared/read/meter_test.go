package read_test

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"connectorvault/shared/bundle/bundletest"
	"connectorvault/shared/fault"
	"connectorvault/shared/metric"
	"connectorvault/shared/metric/metrictest"
	"connectorvault/shared/read"
	"connectorvault/shared/store"
)

// A read is counted once, as what became of it, with the provider's time apart from ours.
func TestAReadIsCounted(t *testing.T) {
	b := newBench(t)
	var out bytes.Buffer
	b.Read.Metrics = metric.New(metric.Config{Out: &out, Namespace: "read", Providers: []string{bundletest.Name}, Now: b.Clock.Now})
	counted := func(what, kind, outcome string, provider, own time.Duration) {
		t.Helper()
		got := ""
		for _, p := range metrictest.Points(t, out.String()) {
			got += fmt.Sprintf("%s %g\n", p.Series(), p.Value)
		}
		out.Reset()
		who := bundletest.Name
		if outcome == "unknown" {
			who, outcome = "other", "rejected"
		}
		want := fmt.Sprintf("Reads Outcome=%s Provider=%s 1\nReads Operation=%s 1\nReadProviderTime Provider=%s %d\nReadOwnTime %d\n",
			outcome, who, kind, who, provider.Milliseconds(), own.Milliseconds())
		if got != want {
			t.Errorf("%s is counted as\n%swant\n%s", what, got, want)
		}
	}
	slow := func(d time.Duration, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			b.Clock.Add(d)
			_, _ = w.Write([]byte(body))
		}
	}
	b.Upstream.Handle("/orders", slow(80*time.Millisecond, `{"orders": []}`))
	b.Upstream.Handle("/orders/1", slow(5*time.Millisecond, `{"order": {}}`))
	b.read(b.Owner, b.query("orders"))
	counted("a list", "list", "success", 80*time.Millisecond, 0)
	b.read(b.Owner, b.query("orders", item("1")))
	counted("an item", "item", "success", 5*time.Millisecond, 0)
	if _, err := b.Read.Run(b.Context(), b.Owner, b.query("orders")); err != nil {
		t.Fatal(err)
	}
	counted("a run", "run", "success", 80*time.Millisecond, 0)
	b.fails(b.Owner, b.query("poems"), fault.NotFound, "unknown_resource")
	counted("what is not there", "list", "rejected", 0, 0)
	b.fails(b.Owner, read.Query{Connector: "con_0000000000000000", Resource: "orders"}, fault.NotFound, "not_found")
	counted("a connector that nobody has", "list", "unknown", 0, 0)
	b.Upstream.Handle("/orders", func(w http.ResponseWriter, _ *http.Request) {
		b.Clock.Add(time.Second)
		bundletest.Refuse(w, http.StatusServiceUnavailable, "busy")
	})
	if _, err := b.Read.Read(b.Context(), b.Owner, b.query("orders")); err == nil {
		t.Error("a provider that is busy answers")
	}
	counted("a provider that is busy", "list", "unavailable", time.Second, 0)
	if _, err := b.Read.Check(b.Context(), b.Owner, b.entry.ID); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), `"Operation":"check"`) || strings.Count(out.String(), "\n") != 1 {
		t.Errorf("a check is counted as %s", out.String())
	}
}

// Our own time is what is not the provider's: here the store's.
func TestOurOwnTime(t *testing.T) {
	b := newBench(t)
	var out bytes.Buffer
	b.Read.Metrics = metric.New(metric.Config{Out: &out, Namespace: "read", Providers: []string{bundletest.Name}, Now: b.Clock.Now})
	b.Upstream.Handle("/scarce", func(w http.ResponseWriter, _ *http.Request) {
		b.Clock.Add(40 * time.Millisecond)
		_, _ = w.Write([]byte(`{"things": []}`))
	})
	b.Store.Fail(func(string, store.Table) bool { b.Clock.Add(3 * time.Millisecond); return false })
	b.read(b.Owner, b.query("scarce"))
	for _, p := range metrictest.Points(t, out.String()) {
		if p.Name == "ReadProviderTime" && p.Value != 40 || p.Name == "ReadOwnTime" && (p.Value < 3 || p.Value > 100) {
			t.Errorf("%s is %g ms", p.Series(), p.Value)
		}
	}
	if out.Len() == 0 {
		t.Error("nothing is counted")
	}
}
