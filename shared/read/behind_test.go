package read_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"connectorvault/shared/fault"
	"connectorvault/shared/ident"
	"connectorvault/shared/read"
	"connectorvault/shared/store"
)

// behind makes the report r-1 lie behind the account's own token.
func (b *bench) behind(gzip, personal bool, serve http.HandlerFunc) {
	b.Upstream.Body("/reports/r-1/place", fmt.Sprintf(`{"behind":true,"gzip":%t,"personal":%t}`, gzip, personal))
	b.Upstream.Handle("/reports/r-1/bytes", serve)
}

func TestADocumentBehindATokenIsReadInParts(t *testing.T) {
	b := newBench(t)
	text := strings.Repeat("0123456789", 20)
	for name, doc := range map[string]struct {
		gzip  bool
		bytes []byte
	}{"plain": {false, []byte(text)}, "gzip": {true, zipped(t, text)}, "called gzip, and is not": {true, []byte(text)}} {
		b.behind(doc.gzip, false, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/csv")
			_, _ = w.Write(doc.bytes)
		})
		var got []byte
		for from := int64(0); from < int64(len(text)); from = int64(len(got)) {
			part, err := b.document(read.Span{From: from, Length: 64, Given: true})
			if err != nil || part.ContentType != "text/csv" || part.From != from || len(part.Bytes) == 0 {
				t.Fatalf("%s, from %d: %+v, %v", name, from, part, err)
			}
			got = append(got, part.Bytes...)
		}
		if string(got) != text {
			t.Errorf("%s: %q", name, got)
		}
		part, err := b.document(read.Span{})
		if err != nil || !part.Whole || part.Total != int64(len(text)) || !bytes.Equal(part.Bytes, []byte(text)) {
			t.Errorf("%s, whole: %+v, %v", name, part, err)
		}
		_, err = b.document(read.Span{From: 200, Given: true})
		var beyond *read.ErrBeyond
		if !errors.As(err, &beyond) || beyond.Total != 200 {
			t.Errorf("%s, beyond: %v", name, err)
		}
	}
	last := b.Upstream.Seen("/reports/r-1/bytes")
	if r := last[len(last)-1]; r.Header.Get("Accept") != "text/csv" || !strings.HasPrefix(r.Header.Get("Authorization"), "Bearer ") || r.Header.Get("Range") != "" {
		t.Errorf("it was asked for with %v", r.Header)
	}
	// Where it lies is nothing to keep: without the token it is nowhere.
	if n, parts := len(b.Upstream.Seen("/reports/r-1/place")), len(last); n != parts {
		t.Errorf("it was located %d times for %d parts", n, parts)
	}
	for _, partition := range []string{b.entry.Tenant, b.entry.Tenant + "#" + b.entry.ID, ident.Outside} {
		items, _, err := b.Store.Query(b.Context(), store.Query{Table: store.Transient, Partition: partition, Limit: 100})
		b.OK(err)
		for _, i := range items {
			if strings.Contains(i.Key.Sort, "place") || strings.Contains(i.Key.Sort, "document") {
				t.Errorf("kept is %s", i.Key.Sort)
			}
		}
	}
}

func TestADocumentBehindATokenIsAtMostFourMebibytesAtATime(t *testing.T) {
	b := newBench(t)
	b.behind(false, false, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, read.MaxRange+10)) })
	part, err := b.document(read.Span{})
	if err != nil || len(part.Bytes) != read.MaxRange || part.Whole || part.Total != -1 {
		t.Errorf("%d bytes of %d, %v", len(part.Bytes), part.Total, err)
	}
	part, err = b.document(read.Span{From: read.MaxRange, Given: true})
	if err != nil || len(part.Bytes) != 10 || part.Total != read.MaxRange+10 {
		t.Errorf("%d bytes of %d, %v", len(part.Bytes), part.Total, err)
	}
}

func TestADocumentBehindATokenIsRefusedInTheProvidersWords(t *testing.T) {
	b := newBench(t)
	b.App()
	for status, want := range map[int]string{http.StatusNotFound: "provider_refused", http.StatusForbidden: "provider_refused", http.StatusBadGateway: "provider_unavailable",
		http.StatusTooManyRequests: "rate_limited", http.StatusFound: "provider_redirected"} {
		b.behind(false, false, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Request-Id", "up-1")
			w.WriteHeader(status)
			_, _ = io.WriteString(w, `{"code":"said"}`)
		})
		_, err := b.document(read.Span{})
		f := fault.As(err)
		if err == nil || f.Code != want || f.Provider == nil || f.Provider.RequestID != "up-1" {
			t.Errorf("%d: %+v", status, f)
		}
	}
	b.behind(false, false, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = io.WriteString(w, "half of it")
	})
	_, err := b.document(read.Span{})
	b.Fault(err, fault.Unavailable, "provider_unavailable")
	// A token that has ended is replaced, once, and the reader does not notice.
	set, err := b.Vault.OpenTokens(b.Context(), b.credential())
	b.OK(err)
	b.Upstream.Revoke(set.Access)
	b.behind(false, false, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "well") })
	if part, err := b.document(read.Span{}); err != nil || string(part.Bytes) != "well" || b.bought() != 1 {
		t.Errorf("%q, %v, after %d refreshes", part.Bytes, err, b.bought())
	}
}

func TestAPersonalDocumentBehindATokenIsForWhoMaySeeIt(t *testing.T) {
	b := newBench(t)
	b.behind(false, true, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "personal") })
	_, err := b.document(read.Span{}) // may, and does not ask
	b.Fault(err, fault.Forbidden, "personal_data_not_granted")
	_, err = b.Read.Document(b.Context(), b.Clerk, b.query("reports", item("r-1"), personal), read.Span{})
	b.Fault(err, fault.Forbidden, "personal_data_not_granted")
	_, err = b.Read.Document(b.Context(), b.Clerk, b.query("reports", item("r-1")), read.Span{})
	b.Fault(err, fault.Forbidden, "personal_data_not_granted")
	_, err = b.Read.Document(b.Context(), b.Bench.Alien, b.query("reports", item("r-1"), personal), read.Span{})
	b.Fault(err, fault.NotFound, "not_found")
	if n := len(b.Upstream.Seen("/reports/r-1/bytes")); n != 0 {
		t.Errorf("it was fetched %d times", n)
	}
	part, err := b.Read.Document(b.Context(), b.Owner, b.query("reports", item("r-1"), personal), read.Span{})
	if err != nil || string(part.Bytes) != "personal" {
		t.Errorf("%q, %v", part.Bytes, err)
	}
}
