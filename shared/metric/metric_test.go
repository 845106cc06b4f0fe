package metric_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"connectorvault/shared/fault"
	"connectorvault/shared/metric"
	"connectorvault/shared/metric/metrictest"
)

var shipped = []string{"amazon", "clara", "sage"}

func at() time.Time { return time.Date(2026, 5, 20, 12, 0, 0, 0, time.UTC) }

func recorder(out io.Writer) *metric.Recorder {
	return metric.New(metric.Config{Out: out, Namespace: "ConnectorVault/vault", Providers: shipped, Now: at})
}

// everything calls each method once.
func everything(r *metric.Recorder, provider string, op metric.Operation, out metric.Outcome, c metric.Counter) {
	ctx, about := context.Background(), metric.About{Tenant: "t_1", Entry: "ve_1"}
	r.TokenRequest(ctx, provider, op, out, 120*time.Millisecond, about)
	r.Read(ctx, provider, op, out, 80*time.Millisecond, 1500*time.Microsecond, about)
	r.Authorization(ctx, op, out, about)
	r.Authentication(ctx, op, out)
	r.Delivery(ctx, out, about)
	r.DueLag(ctx, 90*time.Second)
	r.Count(ctx, c, about)
}

func TestALineIsWhatCloudWatchReads(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	r := recorder(&b)
	r.Read(t.Context(), "sage", metric.Item, metric.RateLimited, 80*time.Millisecond, 1500*time.Microsecond, metric.About{Tenant: "t_1", Entry: "ve_1"})
	got := map[string]float64{}
	for _, p := range metrictest.Points(t, b.String()) {
		if p.Namespace != "ConnectorVault/vault" {
			t.Errorf("%+v", p)
		}
		got[p.Series()+" "+p.Unit] = p.Value
	}
	want := map[string]float64{"Reads Outcome=rate_limited Provider=sage Count": 1, "Reads Operation=item Count": 1,
		"ReadProviderTime Provider=sage Milliseconds": 80, "ReadOwnTime Milliseconds": 1.5}
	if !maps.Equal(got, want) {
		t.Errorf("%v", got)
	}
	var line struct {
		AWS           struct{ Timestamp int64 } `json:"_aws"`
		Tenant, Entry string
	}
	if err := json.Unmarshal(b.Bytes(), &line); err != nil || line.AWS.Timestamp != at().UnixMilli() || line.Tenant != "t_1" || line.Entry != "ve_1" {
		t.Errorf("%v in %s", err, b.String())
	}
}

// Where CloudWatch finds each thing is where the words of the operators' page are.
func TestEachMethodWritesItsOwn(t *testing.T) {
	t.Parallel()
	about := metric.About{}
	for want, write := range map[string]func(*metric.Recorder){
		"TokenRequests Operation=exchange Outcome=revoked Provider=amazon, TokenRequestTime Provider=amazon": func(r *metric.Recorder) {
			r.TokenRequest(t.Context(), "amazon", metric.Exchange, metric.Revoked, time.Second, about)
		},
		"Authorizations Operation=validate Outcome=denied": func(r *metric.Recorder) { r.Authorization(t.Context(), metric.Validate, metric.Denied, about) },
		"Authentications Operation=connector_token Outcome=rejected, Authentications Outcome=rejected": func(r *metric.Recorder) {
			r.Authentication(t.Context(), metric.ConnectorToken, metric.Rejected)
		},
		"WebhookDeliveries Outcome=postponed": func(r *metric.Recorder) { r.Delivery(t.Context(), metric.Postponed, about) },
		"DueLagSeconds":                       func(r *metric.Recorder) { r.DueLag(t.Context(), time.Minute) },
		"FenceRejected":                       func(r *metric.Recorder) { r.Count(t.Context(), metric.FenceRejected, about) },
		"TokenLost":                           func(r *metric.Recorder) { r.Count(t.Context(), metric.TokenLost, about) },
		"Revoked":                             func(r *metric.Recorder) { r.Count(t.Context(), metric.AuthorizationRevoked, about) },
		"SealErrors":                          func(r *metric.Recorder) { r.Count(t.Context(), metric.SealError, about) },
	} {
		var b bytes.Buffer
		write(recorder(&b))
		var got []string
		for _, p := range metrictest.Points(t, b.String()) {
			got = append(got, p.Series())
		}
		if strings.Join(got, ", ") != want {
			t.Errorf("%v, want %s", got, want)
		}
		if strings.Contains(b.String(), "tenant") || strings.Contains(b.String(), "entry") {
			t.Errorf("a line is about nobody, and names somebody: %s", b.String())
		}
	}
}

// price is what CloudWatch takes a month for a metric that has values all the time, in dollars (aws facts 6.1).
const price = 0.30

// Whatever comes, there are no more metrics than were counted beforehand.
func TestTheMostThatThereCanBe(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	r := recorder(&b)
	strangers := append([]string{"", "amazon ", "AMAZON", "t_0000000000000001", strings.Repeat("x", 4000)}, shipped...)
	for n := range 256 {
		strangers = append(strangers, fmt.Sprintf("provider-%d", n))
	}
	for _, provider := range append([]string{"AMAZON"}, shipped...) {
		for op := range 18 { // two more than there are
			for out := range 14 {
				everything(r, provider, metric.Operation(op), metric.Outcome(out), metric.Counter(op))
			}
		}
	}
	for n, provider := range strangers {
		everything(r, provider, metric.Operation(n), metric.Outcome(n), metric.Counter(n))
	}
	series := map[string]map[string]bool{}
	for _, p := range metrictest.Points(t, b.String()) {
		if series[p.Name] == nil {
			series[p.Name] = map[string]bool{}
		}
		series[p.Name][p.Series()] = true
	}
	sum := 0
	for _, d := range metric.All() {
		if most := d.Most(len(shipped)); len(series[d.Name]) != most {
			t.Errorf("%s: there are %d, and %d were counted beforehand", d.Name, len(series[d.Name]), most)
		}
		sum += d.Most(len(shipped))
		delete(series, d.Name)
	}
	if len(series) > 0 {
		t.Errorf("written, and in no list: %v", slices.Sorted(maps.Keys(series)))
	}
	t.Logf("%d metrics at most, with %d providers: %.2f dollars a month if each had a value every hour", sum, len(shipped), float64(sum)*price)
	if sum > 200 {
		t.Errorf("%d metrics: is each worth its price?", sum)
	}
}

func TestNamesAreThereOnce(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, d := range metric.All() {
		if seen[d.Name] || d.Name == "" || len(d.Sets) == 0 {
			t.Errorf("%+v", d)
		}
		seen[d.Name] = true
		for _, set := range d.Sets {
			if slices.Contains(set, metric.ByOperation) && len(d.Operations) == 0 || slices.Contains(set, metric.ByOutcome) && len(d.Outcomes) == 0 {
				t.Errorf("%s has a dimension without values", d.Name)
			}
		}
	}
	operations, outcomes := map[string]bool{}, map[string]bool{}
	for op := metric.Refresh; op <= metric.Unknown; op++ {
		operations[op.String()] = true
	}
	for out := metric.Success; out <= metric.Failed; out++ {
		outcomes[out.String()] = true
	}
	if len(operations) != int(metric.Unknown)+1 || len(outcomes) != int(metric.Failed)+1 || operations[metric.Other] || outcomes[metric.Other] {
		t.Errorf("%v, %v", operations, outcomes)
	}
	if metric.Operation(200).String() != metric.Other || metric.Outcome(200).String() != metric.Other {
		t.Error("what is no value has a name")
	}
	for c, name := range map[metric.Counter]string{metric.TokenLost: "TokenLost", metric.TokenRescued: "TokenRescued", metric.RotationUnknown: "RotationUnknown",
		metric.ClientMisconfigured: "ClientMisconfigured", metric.LeaseConflict: "LeaseConflict", metric.FenceRejected: "FenceRejected",
		metric.AuthorizationRevoked: "Revoked", metric.SecretStoreBusy: "SecretStoreBusy", metric.SecretStoreError: "SecretStoreErrors", metric.SealError: "SealErrors"} {
		if c.String() != name {
			t.Errorf("%s is called %s", name, c)
		}
	}
}

func TestOutcomesOfErrors(t *testing.T) {
	t.Parallel()
	if metric.OutcomeOf(nil) != metric.Success || metric.OutcomeOf(errors.New("x")) != metric.Failed {
		t.Error("no error, or one of ours, is another outcome")
	}
	for kind, want := range map[fault.Kind]metric.Outcome{fault.Internal: metric.Failed, fault.Invalid: metric.Rejected, fault.Forbidden: metric.Rejected,
		fault.NotFound: metric.Rejected, fault.Conflict: metric.Rejected, fault.Gone: metric.Rejected, fault.TooLarge: metric.Rejected,
		fault.ReauthRequired: metric.Reauthorize, fault.Misconfigured: metric.Misconfigured, fault.RateLimited: metric.RateLimited,
		fault.Unavailable: metric.Unavailable, fault.Refused: metric.Refused} {
		if got := metric.OutcomeOf(fmt.Errorf("around: %w", fault.New(kind, "code", "Words."))); got != want {
			t.Errorf("%v is %v", kind, got)
		}
	}
}

// writes counts how often it is written to.
type writes struct {
	mu    sync.Mutex
	n     int
	lines bytes.Buffer
}

func (w *writes) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.n++
	return w.lines.Write(b)
}

// The functions' output is one for logs and metrics: a line must come whole.
func TestALineIsOneWrite(t *testing.T) {
	t.Parallel()
	var w writes
	r := recorder(&w)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 50 {
				everything(r, "sage", metric.Refresh, metric.Success, metric.TokenLost)
			}
		})
	}
	all.Wait()
	if lines := strings.Count(w.lines.String(), "\n"); w.n != lines || lines != 8*50*7 {
		t.Errorf("%d writes, %d lines", w.n, lines)
	}
	metrictest.Points(t, w.lines.String())
}

func TestTimesThatAreNone(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	r := recorder(&b)
	r.DueLag(t.Context(), -time.Hour)
	r.Read(t.Context(), "sage", metric.List, metric.Success, -time.Second, -time.Second, metric.About{})
	for _, p := range metrictest.Points(t, b.String()) {
		if p.Value < 0 {
			t.Errorf("%+v", p)
		}
	}
}

func TestNobodyCounts(t *testing.T) {
	t.Parallel()
	everything(nil, "sage", metric.Refresh, metric.Success, metric.TokenLost)
}

// A warm read writes one line. What that costs is bounded by what it allocates, for no machine is as fast as another.
func TestALineCostsLittle(t *testing.T) {
	r := recorder(io.Discard)
	about := metric.About{Tenant: "t_0000000000000001", Entry: "ve_0000000000000001"}
	allocations := testing.AllocsPerRun(200, func() {
		r.Read(t.Context(), "amazon", metric.List, metric.Success, 80*time.Millisecond, time.Millisecond, about)
	})
	if allocations > 60 { // some nine; more where they are watched
		t.Errorf("%.0f allocations a line", allocations)
	}
}

func BenchmarkRead(b *testing.B) {
	r := recorder(io.Discard)
	about := metric.About{Tenant: "t_0000000000000001", Entry: "ve_0000000000000001"}
	b.ReportAllocs()
	for b.Loop() {
		r.Read(b.Context(), "amazon", metric.List, metric.Success, 80*time.Millisecond, time.Millisecond, about)
	}
}
