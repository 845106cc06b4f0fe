package read_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"connectorvault/shared/bundle/bundletest"
	"connectorvault/shared/fault"
	"connectorvault/shared/read"
)

// last is the line that ends a run.
type last struct {
	Next *string `json:"next_cursor"`
	Meta struct {
		Pages     int      `json:"pages"`
		Items     int      `json:"items"`
		RequestID string   `json:"request_id"`
		Omitted   []string `json:"omitted"`
	} `json:"meta"`
	Stopped *struct {
		Code       string `json:"code"`
		Detail     string `json:"detail"`
		RetryAfter int    `json:"retry_after"`
	} `json:"stopped"`
}

// run runs a query and takes the lines apart.
func (b *bench) run(ctx context.Context, q read.Query) (items []string, end last) {
	b.Helper()
	body, err := b.Read.Run(ctx, b.Clerk, q)
	b.OK(err)
	if !bytes.HasSuffix(body, []byte("\n")) {
		b.Fatalf("the last line does not end: %q", body[max(0, len(body)-50):])
	}
	lines := strings.Split(strings.TrimSuffix(string(body), "\n"), "\n")
	for _, line := range lines {
		if !json.Valid([]byte(line)) {
			b.Fatalf("a line is not JSON: %.80q", line)
		}
	}
	b.OK(json.Unmarshal([]byte(lines[len(lines)-1]), &end))
	return lines[:len(lines)-1], end
}

func TestARunGoesThroughAllPages(t *testing.T) {
	b := newBench(t)
	b.pages("/orders", "orders", 7)
	items, end := b.run(b.Context(), b.query("orders"))
	if len(items) != 7 || items[0] != `{"id":"1"}` || items[6] != `{"id":"7"}` {
		t.Errorf("the lines are %v", items)
	}
	if end.Next != nil || end.Meta.Pages != 7 || end.Meta.Items != 7 || end.Stopped != nil {
		t.Errorf("the last line is %+v", end)
	}
	b.Upstream.Body("/orders", `{"orders":[]}`)
	items, end = b.run(b.Context(), b.query("orders", with("include", "BUYER")))
	if len(items) != 0 || end.Meta.Pages != 1 || end.Next != nil || len(end.Meta.Omitted) != 1 {
		t.Errorf("an empty list is %v %+v", items, end)
	}
}

func TestAnItemIsOneLineWithoutPersonalData(t *testing.T) {
	b := newBench(t)
	b.Upstream.Body("/orders", "{\"orders\":[{\n\"id\": \"1\",\r\n\"text\":\"a\\nb\u2028\",\"buyer\":{\"name\":\"Ann\",\"id\":\"b\"}}, {\n\"id\":\n\"2\"}]}")
	items, _ := b.run(b.Context(), b.query("orders"))
	if len(items) != 2 || items[1] != `{"id":"2"}` || strings.Contains(items[0], "Ann") || !strings.Contains(items[0], `"text":"a\nb`) {
		t.Errorf("the line is %q", items)
	}
}

func TestARunEndsBeforeItsSize(t *testing.T) {
	b := newBench(t)
	mebibyte := strings.Repeat("x", 1<<20)
	b.Upstream.Handle("/orders", func(w http.ResponseWriter, r *http.Request) {
		at := 1
		_, _ = fmt.Sscanf(r.URL.Query().Get("page_token"), "p%d", &at)
		_, _ = fmt.Fprintf(w, `{"orders":[{"id":"%d","x":%q}],"next":"p%d"}`, at, mebibyte, at+1)
	})
	items, end := b.run(b.Context(), b.query("orders"))
	if n := len(b.Upstream.Seen("/orders")); len(items) != 3 || end.Next == nil || end.Stopped != nil || end.Meta.Pages != 3 || n != 3 {
		t.Fatalf("%d lines of %d pages, %+v", len(items), n, end)
	}
	items, _ = b.run(b.Context(), b.query("orders", cursor(*end.Next)))
	if !strings.HasPrefix(items[0], `{"id":"4"`) {
		t.Errorf("it went on with %.20s", items[0])
	}
}

func TestAPageThatIsLargerThanTheOneBeforeBeginsTheNextRun(t *testing.T) {
	b := newBench(t)
	b.Upstream.Handle("/orders", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Has("page_token") {
			_, _ = fmt.Fprintf(w, `{"orders":[{"id":"2","x":%q}]}`, strings.Repeat("x", 7<<19))
			return
		}
		_, _ = fmt.Fprintf(w, `{"orders":[{"id":"1","x":%q}],"next":"p2"}`, strings.Repeat("x", 1<<20))
	})
	body, err := b.Read.Run(b.Context(), b.Owner, b.query("orders"))
	b.OK(err)
	if len(body) > read.StreamBytes+8<<10 {
		t.Errorf("the run has %d bytes", len(body))
	}
	items, end := b.run(b.Context(), b.query("orders"))
	if len(items) != 1 || end.Next == nil || end.Meta.Pages != 1 || end.Meta.Items != 1 {
		t.Fatalf("%d lines, %+v", len(items), end)
	}
	items, end = b.run(b.Context(), b.query("orders", cursor(*end.Next)))
	if len(items) != 1 || !strings.HasPrefix(items[0], `{"id":"2"`) || end.Next != nil {
		t.Errorf("it went on with %d lines, %+v", len(items), end)
	}
}

func TestARunEndsBeforeItsTime(t *testing.T) {
	b := newBench(t)
	b.pages("/orders", "orders", 7)
	ctx, cancel := context.WithTimeout(b.Context(), 5*time.Second) // less than a slow page takes
	defer cancel()
	items, end := b.run(ctx, b.query("orders"))
	if len(items) != 1 || end.Next == nil || end.Stopped != nil {
		t.Errorf("%d lines, %+v", len(items), end)
	}
}

func TestTroubleOnTheFirstPageIsAnErrorAndLaterAnEnd(t *testing.T) {
	b := newBench(t)
	fail := ""
	b.Upstream.Handle("/orders", func(w http.ResponseWriter, r *http.Request) {
		token := r.URL.Query().Get("page_token")
		if token == fail {
			bundletest.Refuse(w, http.StatusBadGateway, "down")
			return
		}
		_, _ = fmt.Fprintf(w, `{"orders":[{"id":"1"}],"next":"p%d"}`, len(token)+2)
	})
	_, err := b.Read.Run(b.Context(), b.Owner, b.query("orders"))
	b.Fault(err, fault.Unavailable, "provider_unavailable")
	fail = "p2"
	items, end := b.run(b.Context(), b.query("orders"))
	if len(items) != 1 || end.Next == nil || end.Stopped == nil || end.Stopped.Code != "provider_unavailable" || end.Stopped.Detail == "" {
		t.Fatalf("%v %+v", items, end)
	}
	fail = "none"
	page := b.read(b.Owner, b.query("orders", cursor(*end.Next)))
	seen := b.Upstream.Seen("/orders")
	if got := seen[len(seen)-1].URL.Query().Get("page_token"); got != "p2" || len(page.Items) != 1 {
		t.Errorf("it went on with %q", got)
	}
}

func TestARunThatCannotWaitForTheRateSaysWhen(t *testing.T) {
	b := newBench(t)
	b.pages("/scarce", "things", 9)
	ctx, cancel := context.WithTimeout(b.Context(), 5900*time.Millisecond)
	defer cancel()
	_, err := b.Read.Run(ctx, b.Owner, b.query("scarce"))
	b.OK(err)
	_, err = b.Read.Run(ctx, b.Owner, b.query("scarce"))
	b.OK(err)
	_, err = b.Read.Run(ctx, b.Owner, b.query("scarce"))
	b.Fault(err, fault.RateLimited, "rate_limited")
}

// On a clock that runs by itself a run waits for its place in the rate, as long as it has time.
func TestARunWaitsForItsPlaceInTheRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &bench{Bench: bundletest.New(t, bundletest.Options{Now: time.Now, Plain: true})}
		b.entry, b.connector = b.Reader()
		b.pages("/scarce", "things", 40)
		began := time.Now()
		items, end := b.run(t.Context(), b.query("scarce"))
		took := time.Since(began)
		// A burst of two, and then one a second while there is time for a slow page.
		if len(items) < 18 || len(items) > 22 || end.Next == nil || took > read.StreamTime {
			t.Errorf("%d lines in %s, %+v", len(items), took, end)
		}
		more, _ := b.run(t.Context(), b.query("scarce", cursor(*end.Next)))
		if want := fmt.Sprintf(`{"id":"%d"}`, len(items)+1); len(more) == 0 || more[0] != want {
			t.Errorf("it went on with %v", more)
		}
	})
}
