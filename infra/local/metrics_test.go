package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"connectorvault/infra/local/clock"
	"connectorvault/infra/local/program"
	sagesim "connectorvault/infra/sim/sage"
	"connectorvault/shared/metric/metrictest"
	"connectorvault/shared/secret"
	"connectorvault/shared/store"
	"connectorvault/shared/tokens"
)

// trouble is what a test can make go wrong between the parts of a program.
type trouble struct {
	noSets, noRescue, spoilt atomic.Bool
	secrets                  atomic.Pointer[error]
	held                     atomic.Pointer[chan struct{}] // the next call of a token endpoint waits here, and gets a 503
}

var errTrouble = errors.New("the test makes it fail")

type troubledItems struct {
	store.Items
	of *trouble
}

// Get spoils what is sealed in a credential.
func (i troubledItems) Get(ctx context.Context, table store.Table, key store.Key) (store.Item, error) {
	item, err := i.Items.Get(ctx, table, key)
	if sealed := item.Attrs.Bytes("sealed"); err == nil && table == store.Credentials && i.of.spoilt.Load() && len(sealed) > 0 {
		item.Attrs["sealed"] = append(slices.Clone(sealed[:len(sealed)-1]), sealed[len(sealed)-1]^1)
	}
	return item, err
}

// Apply takes no fresh token set.
func (i troubledItems) Apply(ctx context.Context, ops ...store.Op) error {
	if ops[0].Table == store.Credentials && ops[0].Set["sealed"] != nil && i.of.noSets.Load() {
		return errTrouble
	}
	return i.Items.Apply(ctx, ops...)
}

type troubledSecrets struct {
	store.Secrets
	of *trouble
}

func (s troubledSecrets) GetSecret(ctx context.Context, name string) (secret.Text, error) {
	if err := s.of.secrets.Load(); err != nil {
		return secret.Text{}, *err
	}
	return s.Secrets.GetSecret(ctx, name)
}

type troubledTrips struct {
	http.RoundTripper
	of *trouble
}

func (t troubledTrips) RoundTrip(r *http.Request) (*http.Response, error) {
	if strings.HasSuffix(r.URL.Path, "/token") {
		if held := t.of.held.Swap(nil); held != nil {
			<-*held
			return &http.Response{StatusCode: http.StatusServiceUnavailable, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(nil)), Request: r}, nil
		}
	}
	return t.RoundTripper.RoundTrip(r)
}

// startTroubled runs the program within the test, with trouble between its parts.
func startTroubled(t *testing.T, dir, metrics string) (*vault, *trouble) {
	t.Helper()
	v, of := newVault(t, dir), &trouble{}
	v.url = filepath.Join(dir, "ready-troubled.json") // until it is read
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	options := program.Options{Listen: "127.0.0.1:0", Data: dir, Simulators: true, Clock: true, ByHand: true, ReadyFile: v.url, Metrics: metrics, Verbose: true, LoopbackWebhooks: true,
		StoreBudget: time.Second, RescueInterval: 50 * time.Millisecond, Tick: 50 * time.Millisecond,
		Hooks: program.Hooks{
			Items:     func(next store.Items) store.Items { return troubledItems{next, of} },
			Secrets:   func(next store.Secrets) store.Secrets { return troubledSecrets{next, of} },
			Transport: func(next http.RoundTripper) http.RoundTripper { return troubledTrips{next, of} },
			Rescue: func(next program.Rescue) program.Rescue {
				return func(ctx context.Context, call tokens.Call) error {
					if of.noRescue.Load() {
						return errTrouble
					}
					return next(ctx, call)
				}
			},
		}}
	go func() { done <- program.Run(ctx, options, v.log, v.log) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	v.awaitReady(func() bool { return len(done) > 0 })
	return v, of
}

// Everything that can be counted is, in a run in which all of it happens: an alarm that stands on a metric that nobody writes
// would be silent for ever. What is counted is what happened, as often as it did.
func TestMetricsOfARun(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "metrics")
	v, of := startTroubled(t, dir, file)
	lines := func() string {
		t.Helper()
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return string(text[:bytes.LastIndexByte(text, '\n')+1]) // whole lines
	}
	count := func(series string) (n int) {
		t.Helper()
		for _, p := range metrictest.Points(t, lines()) {
			if p.Series() == series {
				n++
			}
		}
		return n
	}
	await := func(series string) {
		t.Helper()
		v.eventually(series+" is counted", func() bool { return count(series) > 0 })
	}
	hook := newReceiver(t, http.StatusInternalServerError)
	v.webhook(hook)

	// Both doors, with somebody who pastes what is none, and a browser that is not the one.
	v.app()
	amazon := v.entry("counted")
	v.validate(amazon, "https://example.com/?state=x")
	if a := v.validate(amazon, v.consent(amazon)); a.status != http.StatusOK {
		t.Fatalf("%s", a.body)
	}
	byBrowser := v.entry("counted by browser")
	b := newBrowser(t)
	b.open(v.must(200, "POST", "/v1/vault-entries/"+byBrowser+"/authorize", object{"mode": "browser"}).text(t, "start_url"))
	b.open(b.submit(""))
	back := b.submit("")
	newBrowser(t).open(back)
	b.open(back)
	for series, want := range map[string]int{"Authorizations Operation=validate Outcome=rejected": 1, "Authorizations Operation=validate Outcome=success": 1,
		"Authorizations Operation=start Outcome=success": 1, "Authorizations Operation=callback Outcome=rejected": 1, "Authorizations Operation=callback Outcome=success": 1,
		"TokenRequests Operation=exchange Outcome=success Provider=amazon": 2} {
		if got := count(series); got != want {
			t.Errorf("%s is counted %d times, want %d", series, got, want)
		}
	}

	// Reads of each kind, and a key that is none.
	base := "/v1/connectors/" + v.connector(amazon)
	order := v.list(base + "/orders?limit=1").Items[0]["orderId"]
	id, _ := order.(string)
	v.do("GET", base+"/orders/"+id, nil)
	v.do("GET", base+"/poems", nil)
	v.with(map[string]string{"Authorization": "Bearer " + v.key, "Accept": "application/x-ndjson"}, "GET", base+"/orders?limit=20", nil)
	v.do("POST", base+"/reports", object{"reportType": "GET_FLAT_FILE_ORDER_REPORT_DATA_SHIPPING"})
	v.do("GET", base+"/reports/x/document", nil)
	v.do("POST", "/v1/vault-entries/"+amazon+"/check", nil)
	v.with(map[string]string{"Authorization": "Bearer cvk_none"}, "GET", "/v1/connectors", nil)
	v.with(map[string]string{"Authorization": "Bearer canary-none-of-ours"}, "GET", "/v1/connectors", nil)
	for _, operation := range []string{"item", "run", "create", "document", "check"} {
		if got := count("Reads Operation=" + operation); got != 1 {
			t.Errorf("reads of the kind %s are counted %d times", operation, got)
		}
	}
	if n := count("Reads Outcome=rejected Provider=amazon"); n == 0 || count("Reads Outcome=success Provider=amazon") < 4 || count("Reads Operation=list") != 2 {
		t.Errorf("of the reads %d were refused, in %s", n, lines())
	}
	if count("Authentications Operation=key Outcome=success") == 0 || count("Authentications Outcome=rejected") != 2 || count("Authentications Operation=unknown Outcome=rejected") == 0 {
		t.Error("the authorizer's work is not counted")
	}

	// A token that two want at once; its owner stands still, and hears too late.
	v.sageApp()
	v.sageFault(object{"name": sagesim.FaultFamilyRevocation})
	entry := v.sageEntry(sageShared("counted books", nil))
	v.sageConnect(entry, sagesim.UserGB)
	sage := v.sageConnector(entry, sagesim.BusinessGB)
	refresh := "/v1/vault-entries/" + entry + "/refresh"
	v.must(200, "GET", sage+"/contacts?limit=1", nil)
	v.advance(301 * time.Second)
	held := make(chan struct{})
	of.held.Store(&held)
	answered := make(chan answer, 2)
	owner := map[string]string{"Authorization": "Bearer " + v.key}
	go func() { a, _ := v.try(owner, "POST", v.url+refresh, nil); answered <- a }()
	v.eventually("the owner posts", func() bool { return of.held.Load() == nil })
	go func() { a, _ := v.try(owner, "GET", v.url+sage+"/contacts?limit=1", nil); answered <- a }()
	await("LeaseConflict")
	steps, err := clock.Open(filepath.Join(dir, "clock")) // past the program, which lets what is under way end before it steps
	if err != nil {
		t.Fatal(err)
	}
	if _, err := steps.Advance(10 * time.Minute); err != nil {
		t.Fatal(err)
	}
	if a := <-answered; a.status != http.StatusOK {
		t.Errorf("who waited for a dead owner: %d %s", a.status, a.body)
	}
	close(held)
	<-answered
	await("FenceRejected")

	// A client that is refused, a set that goes to rescue, one that is lost, and what comes of that.
	v.sageFault(object{"name": sagesim.FaultInvalidClient, "endpoint": "token", "times": 1})
	v.do("POST", refresh, nil)
	await("ClientMisconfigured")
	v.advance(time.Minute)
	of.noSets.Store(true)
	v.do("POST", refresh, nil)
	await("TokenRescued")
	of.noSets.Store(false)
	v.schedule()
	if !strings.Contains(v.log.String(), "a rescued token set is in force") {
		t.Error("the rescued set is not in force")
	}
	v.advance(time.Minute)
	of.noSets.Store(true)
	of.noRescue.Store(true)
	v.do("POST", refresh, nil)
	await("TokenLost")
	of.noSets.Store(false)
	of.noRescue.Store(false)
	v.advance(10 * time.Minute)
	v.do("GET", sage+"/contacts?limit=1", nil)
	await("RotationUnknown")
	v.sageConnect(entry, sagesim.UserGB)
	v.sageSim("POST", "/_sim/revocations", object{"user": sagesim.UserGB})
	v.advance(6 * time.Minute)
	v.do("GET", sage+"/contacts?limit=1", nil)
	await("Revoked")

	// What the vault stands on.
	for want, err := range map[string]error{"SecretStoreBusy": store.ErrBusy, "SecretStoreErrors": errTrouble} {
		of.secrets.Store(&err)      // first: the schedule may be who looks
		v.advance(11 * time.Minute) // keys are looked at again
		v.do("POST", "/v1/vault-entries/"+amazon+"/check", nil)
		await(want)
		of.secrets.Store(nil)
		v.do("POST", "/v1/vault-entries/"+amazon+"/check", nil)
	}
	of.spoilt.Store(true)
	v.do("POST", "/v1/vault-entries/"+amazon+"/check", nil)
	of.spoilt.Store(false)
	await("SealErrors")
	v.schedule()
	v.advance(time.Hour) // until the first message is tried again
	v.schedule()
	hook.await(3)
	await("WebhookDeliveries Outcome=postponed")
	await("WebhookDeliveries Outcome=success")
	await("DueLagSeconds")

	for series, most := range map[string]int{"TokenLost": 1, "TokenRescued": 1, "RotationUnknown": 1, "Revoked": 1, "FenceRejected": 1, "ClientMisconfigured": 1} {
		if got := count(series); got != most {
			t.Errorf("%s is counted %d times for one thing that happened", series, got)
		}
	}
	seen := metrictest.Seen(t, lines())
	for _, set := range metrictest.Sets() {
		if seen[set] == 0 {
			t.Errorf("%s was not counted", set)
		}
		delete(seen, set)
	}
	if len(seen) > 0 {
		t.Errorf("counted, and in no list: %v", seen)
	}
	for _, p := range metrictest.Points(t, lines()) {
		if p.Namespace != "ConnectorVault/local" || p.Dimensions["Provider"] == "other" && p.Name == "TokenRequests" {
			t.Errorf("%+v", p)
		}
	}
}
