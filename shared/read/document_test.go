package read_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"connectorvault/shared/fault"
	"connectorvault/shared/read"
	"connectorvault/shared/record"
)

func zipped(t *testing.T, text string) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, err := w.Write([]byte(text))
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// file says where the report r-1 lies, and what lies there.
type file struct {
	gzip, personal bool
	life           int // seconds; 0 = 300
	serve          http.HandlerFunc
}

func (b *bench) file(f file) {
	if f.life == 0 {
		f.life = 300
	}
	b.Upstream.Body("/reports/r-1/place", fmt.Sprintf(`{"url":%q,"gzip":%t,"personal":%t,"life":%d}`, b.Upstream.URL+"/files/1?signature=canary", f.gzip, f.personal, f.life))
	b.Upstream.Handle("/files/1", f.serve)
}

// plain serves bytes the way a file server does, with ranges.
func plain(body []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/csv")
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
	}
}

// whole serves bytes and knows no ranges.
func whole(body []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) }
}

func (b *bench) document(span read.Span) (read.Part, error) {
	return b.Read.Document(b.Context(), b.Owner, b.query("reports", item("r-1")), span)
}

func TestADocumentIsReadInPartsWhateverItsPacking(t *testing.T) {
	b := newBench(t)
	text := strings.Repeat("0123456789", 20)
	packed := zipped(t, text)
	for name, f := range map[string]file{
		"plain":                         {serve: plain([]byte(text))},
		"plain, no ranges":              {serve: whole([]byte(text))},
		"gzip":                          {gzip: true, serve: plain(packed)},
		"gzip, no ranges":               {gzip: true, serve: whole(packed)},
		"called gzip, and is not":       {gzip: true, serve: plain([]byte(text))},
		"gzip in two members":           {gzip: true, serve: whole(append(zipped(t, text[:70]), zipped(t, text[70:])...))},
		"with bytes that look like one": {serve: plain([]byte(text))},
	} {
		b.Clock.Add(6 * time.Minute) // the place of the one before is over
		b.file(f)
		var got []byte
		for from, n := int64(0), int64(0); n < 10; n++ {
			part, err := b.document(read.Span{From: from, Length: 64, Given: true})
			if err != nil {
				t.Fatalf("%s, from %d: %v", name, from, err)
			}
			got = append(got, part.Bytes...)
			if from += int64(len(part.Bytes)); part.Total >= 0 {
				if part.Total != int64(len(text)) || part.Whole {
					t.Errorf("%s: the last part says %d, whole %t", name, part.Total, part.Whole)
				}
				break
			}
		}
		if string(got) != text {
			t.Errorf("%s: %q", name, got)
		}
		part, err := b.document(read.Span{})
		if err != nil || string(part.Bytes) != text || !part.Whole || part.Total != int64(len(text)) {
			t.Errorf("%s, whole: %+v %v", name, part, err)
		}
		for _, from := range []int64{200, 201, 1 << 40, math.MaxInt64} {
			_, err := b.document(read.Span{From: from, Given: true})
			var beyond *read.ErrBeyond
			if !errors.As(err, &beyond) || beyond.Total != 200 {
				t.Errorf("%s, from %d: %v", name, from, err)
			}
		}
	}
}

func TestAPartIsAtMostFourMebibytes(t *testing.T) {
	b := newBench(t)
	b.file(file{gzip: true, serve: whole(zipped(t, strings.Repeat("x", read.MaxRange+10)))})
	for _, span := range []read.Span{{}, {Length: math.MaxInt64, Given: true}} {
		part, err := b.document(span)
		if err != nil || len(part.Bytes) != read.MaxRange || part.Total != -1 || part.Whole {
			t.Errorf("%+v: %d bytes of %d, %v", span, len(part.Bytes), part.Total, err)
		}
	}
	part, err := b.document(read.Span{From: read.MaxRange, Given: true})
	if err != nil || len(part.Bytes) != 10 || part.Total != read.MaxRange+10 {
		t.Errorf("%d bytes of %d, %v", len(part.Bytes), part.Total, err)
	}
}

func TestAnEmptyDocumentIsWhole(t *testing.T) {
	b := newBench(t)
	b.file(file{serve: whole(nil)})
	part, err := b.document(read.Span{})
	if err != nil || len(part.Bytes) != 0 || !part.Whole || part.Total != 0 {
		t.Errorf("%+v %v", part, err)
	}
	_, err = b.document(read.Span{From: 1, Given: true})
	var beyond *read.ErrBeyond
	if !errors.As(err, &beyond) || beyond.Total != 0 {
		t.Errorf("beyond it: %v", err)
	}
}

func TestAnEndThatNobodySaidIsNotKnown(t *testing.T) {
	b := newBench(t)
	b.file(file{serve: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusRequestedRangeNotSatisfiable) }})
	_, err := b.document(read.Span{From: 10, Given: true})
	var beyond *read.ErrBeyond
	if !errors.As(err, &beyond) || beyond.Total != -1 {
		t.Errorf("the end is %v", err)
	}
}

func TestWhereADocumentLiesIsAskedForOnceInItsLife(t *testing.T) {
	b := newBench(t)
	b.file(file{serve: plain([]byte("hello"))})
	for range 3 {
		_, err := b.document(read.Span{})
		b.OK(err)
	}
	if n := len(b.Upstream.Seen("/reports/r-1/place")); n != 1 {
		t.Errorf("it was asked for %d times", n)
	}
	b.Clock.Add(270 * time.Second) // 30 s before the address ends
	_, err := b.document(read.Span{})
	b.OK(err)
	if n := len(b.Upstream.Seen("/reports/r-1/place")); n != 2 {
		t.Errorf("it was asked for %d times", n)
	}
}

func TestAnAddressThatEndedEarlyIsAskedForAgainOnce(t *testing.T) {
	b := newBench(t)
	works := true
	b.file(file{serve: func(w http.ResponseWriter, r *http.Request) {
		if !works {
			w.WriteHeader(http.StatusForbidden) // as a presigned address that has expired answers
			return
		}
		plain([]byte("hello"))(w, r)
	}})
	_, err := b.document(read.Span{})
	b.OK(err)
	works = false
	_, err = b.document(read.Span{})
	problem := b.Fault(err, fault.Unavailable, "provider_unavailable")
	if strings.Contains(problem.Error(), "canary") || strings.Contains(problem.Error(), b.Upstream.URL) {
		t.Errorf("the address is told: %v", problem)
	}
	if places, files := len(b.Upstream.Seen("/reports/r-1/place")), len(b.Upstream.Seen("/files/1")); places != 2 || files != 3 {
		t.Errorf("%d places, %d files were asked for", places, files)
	}
}

func TestADocumentThatBreaksOffIsNotTakenForItsEnd(t *testing.T) {
	b := newBench(t)
	packed := zipped(t, strings.Repeat("some text with 1 number; ", 5000))
	for name, f := range map[string]file{
		"cut gzip":    {gzip: true, serve: whole(packed[:len(packed)-20])},
		"broken gzip": {gzip: true, serve: whole(append([]byte{0x1f, 0x8b}, bytes.Repeat([]byte{7}, 50)...))},
		"cut": {serve: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = w.Write([]byte("hello"))
		}},
		"an error":     {serve: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }},
		"a redirect":   {serve: func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/files/2", http.StatusFound) }},
		"a connection": {serve: func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }},
	} {
		b.Clock.Add(6 * time.Minute)
		b.file(f)
		for _, span := range []read.Span{{}, {From: 2, Given: true}, {From: 1 << 30, Given: true}} {
			_, err := b.document(span)
			problem := fault.As(err)
			if err == nil || problem.Kind != fault.Unavailable || strings.Contains(problem.Error(), "canary") {
				t.Errorf("%s, %+v: %v", name, span, err)
			}
		}
	}
	if len(b.Upstream.Seen("/files/2")) != 0 {
		t.Error("a redirect was followed")
	}
}

func TestNoTokenGoesWhereADocumentLies(t *testing.T) {
	b := newBench(t)
	b.file(file{serve: plain([]byte("hello"))})
	_, err := b.document(read.Span{})
	b.OK(err)
	for name := range b.Upstream.Seen("/files/1")[0].Header {
		if name != "User-Agent" && name != "Accept-Encoding" && name != "Range" {
			t.Errorf("%s was sent", name)
		}
	}
}

func TestAPersonalDocumentNeedsTheGrantEachTime(t *testing.T) {
	b := newBench(t)
	b.file(file{personal: true, serve: plain([]byte("Ann"))})
	get := func(p record.Principal, q read.Query) error {
		_, err := b.Read.Document(b.Context(), p, q, read.Span{})
		return err
	}
	plainly, asking := b.query("reports", item("r-1")), b.query("reports", item("r-1"), personal)
	b.Fault(get(b.Owner, plainly), fault.Forbidden, "personal_data_not_granted")
	b.Fault(get(b.Clerk, plainly), fault.Forbidden, "personal_data_not_granted")
	b.Fault(get(b.Clerk, asking), fault.Forbidden, "personal_data_not_granted")
	if len(b.Upstream.Seen("/files/1")) != 0 {
		t.Error("the document was fetched")
	}
	b.OK(get(b.Owner, asking)) // from here on its place is remembered
	b.Fault(get(b.Clerk, plainly), fault.Forbidden, "personal_data_not_granted")
	b.Fault(get(b.Owner, plainly), fault.Forbidden, "personal_data_not_granted")
	if n := len(b.Upstream.Seen("/files/1")); n != 1 {
		t.Errorf("the document was fetched %d times", n)
	}
}

func TestOnlyDocumentsAreReadAsDocuments(t *testing.T) {
	b := newBench(t)
	_, err := b.Read.Document(b.Context(), b.Owner, b.query("orders", item("1")), read.Span{})
	b.Fault(err, fault.NotFound, "unknown_resource")
	_, err = b.Read.Document(b.Context(), b.Owner, b.query("ghosts", item("1")), read.Span{})
	b.Fault(err, fault.NotFound, "unknown_resource")
	limited := b.connector
	b.connector = b.Bench.Connector(b.entry, map[string][]string{"resources": {"orders"}})
	_, err = b.Read.Document(b.Context(), b.Owner, b.query("reports", item("1")), read.Span{})
	b.Fault(err, fault.Forbidden, "forbidden")
	b.connector = limited
}

func TestABrowserRunsNothingOfADocument(t *testing.T) {
	b := newBench(t)
	for said, want := range map[string]string{"text/html": "application/octet-stream", "image/svg+xml": "application/octet-stream", "": "application/octet-stream",
		"application/javascript": "application/octet-stream", "text/csv; charset=utf-8": "text/csv; charset=utf-8", "application/xml": "text/plain; charset=utf-8",
		"TEXT/HTML; x=text/csv": "application/octet-stream"} {
		b.Clock.Add(6 * time.Minute)
		b.file(file{serve: func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Content-Type"] = []string{said}
			_, _ = w.Write([]byte("<script>"))
		}})
		part, err := b.document(read.Span{})
		b.OK(err)
		if part.ContentType != want {
			t.Errorf("%q becomes %q", said, part.ContentType)
		}
	}
}

func TestARangeSaysWhereItBegins(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]read.Span{
		"":                            {},
		"bytes=0-":                    {Given: true},
		"bytes=0-0":                   {Length: 1, Given: true},
		"bytes=5-9":                   {From: 5, Length: 5, Given: true},
		"bytes=0-9223372036854775807": {Length: read.MaxRange, Given: true},
		"bytes=7-99999999":            {From: 7, Length: read.MaxRange, Given: true},
		"bytes=9223372036854775807-":  {From: math.MaxInt64, Given: true},
	} {
		if got, err := read.ParseRange(header); err != nil || got != want {
			t.Errorf("%q: %+v %v", header, got, err)
		}
	}
	for _, header := range []string{"bytes", "bytes=", "bytes=-5", "bytes=5", "bytes=9-5", "bytes=0-1,5-6", "bytes=a-b", "items=0-5", "bytes=-1-5",
		"bytes=0-9223372036854775808", "bytes=0x0-5", "0-5", "bytes=0--5"} {
		_, err := read.ParseRange(header)
		if problem := fault.As(err); err == nil || problem.Kind != fault.Invalid || problem.Field != "Range" || problem.Action == "" {
			t.Errorf("%q: %v", header, err)
		}
	}
}

func FuzzParseRange(f *testing.F) {
	for _, seed := range []string{"", "bytes=0-0", "bytes=0-9223372036854775807", "bytes=9223372036854775807-9223372036854775807", "bytes=-", "bytes= 1 - 2 ", "bytes=+1-+2"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		span, err := read.ParseRange(header)
		if err != nil {
			if fault.KindOf(err) != fault.Invalid {
				t.Fatalf("%q: %v", header, err)
			}
			return
		}
		if span.From < 0 || span.Length < 0 || span.Length > read.MaxRange || span.Given != (header != "") {
			t.Fatalf("%q: %+v", header, span)
		}
	})
}
