package read

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"connectorvault/shared/access"
	"connectorvault/shared/fault"
	"connectorvault/shared/metric"
	"connectorvault/shared/provider"
	"connectorvault/shared/record"
	"connectorvault/shared/resource"
	"connectorvault/shared/seal"
	"connectorvault/shared/secret"
)

// MaxRange is the most bytes of a document that one answer carries: base64 makes 5.6 MB of them, and a Lambda's
// answer is at most 6 MB.
const MaxRange = 4 << 20

// Span is a range of a document's bytes, decompressed. Length 0 asks for as much as one answer carries.
type Span struct {
	From   int64
	Length int64
	Given  bool // the caller asked for a range
}

// ParseRange reads a Range header with one range that says where it begins. What is more than one answer carries is
// cut off, as RFC 9110 (14.2) allows.
func ParseRange(header string) (Span, error) {
	if header == "" {
		return Span{}, nil
	}
	bad := fault.New(fault.Invalid, "invalid_field", "This Range is not one that documents take.").
		On("Range").Do("Give one range that says where it begins, such as bytes=0-4194303 or bytes=4194304-.")
	text, ok := strings.CutPrefix(header, "bytes=")
	first, last, cut := strings.Cut(text, "-")
	from, err := strconv.ParseInt(strings.TrimSpace(first), 10, 64)
	if !ok || !cut || err != nil || from < 0 {
		return Span{}, bad
	}
	if strings.TrimSpace(last) == "" {
		return Span{From: from, Given: true}, nil
	}
	to, err := strconv.ParseInt(strings.TrimSpace(last), 10, 64)
	if err != nil || to < from {
		return Span{}, bad
	}
	return Span{From: from, Length: min(to-from, MaxRange-1) + 1, Given: true}, nil
}

// Part is a part of a document.
type Part struct {
	Bytes       []byte
	From        int64
	Total       int64 // -1 = not known yet; it is, once a part reaches the end
	ContentType string
	Whole       bool
}

// ErrBeyond means that a range begins after the document's end.
type ErrBeyond struct{ Total int64 } // -1 = not known where that is

// Error implements error.
func (e *ErrBeyond) Error() string {
	if e.Total < 0 {
		return "the document ends before the range"
	}
	return fmt.Sprintf("the document ends at byte %d", e.Total)
}

// place is where a document lies, as it is kept sealed between the parts of one reading.
type place struct {
	URL      string    `json:"url"`
	Gzip     bool      `json:"gzip"`
	Personal bool      `json:"personal"`
	Ends     time.Time `json:"ends"`

	call *provider.Call // behind the account's own token, which is no place to be kept
}

// Document reads a part of an item's document.
func (s *Service) Document(ctx context.Context, p record.Principal, q Query, span Span) (part Part, err error) {
	ctx, done := s.metered(ctx, metric.Document)
	defer func() { done(err) }()
	if q.Personal && !p.PersonalData {
		return Part{}, personalNotGranted()
	}
	if err := access.NeedConnector(p, q.Connector); err != nil {
		return Part{}, err
	}
	t, err := s.target(ctx, p.Tenant, q.Connector)
	if err != nil {
		return Part{}, err
	}
	res, err := t.resource(q.Resource)
	if err != nil {
		return Part{}, err
	}
	librarian, ok := t.adapter.(provider.Librarian)
	if !ok || !res.Document {
		return Part{}, fault.New(fault.NotFound, "unknown_resource", fmt.Sprintf("%s has no documents.", res.Name)).
			Do("Read the item itself.")
	}
	for try := 0; ; try++ {
		at, kept, err := s.place(ctx, t, res, librarian, q, p, try > 0)
		if err != nil {
			return Part{}, err
		}
		if at.call != nil {
			return s.partOfCall(ctx, t, at, span)
		}
		part, err := s.part(ctx, at, span)
		var beyond *ErrBeyond
		if kept && err != nil && !errors.As(err, &beyond) && ctx.Err() == nil {
			continue // the address ended before its time: ask for a new one, once
		}
		if errors.Is(err, errGone) {
			err = fault.New(fault.Unavailable, "provider_unavailable", "The provider's document cannot be fetched where it said it lies.").
				Do("Try again in a moment.")
		}
		return part, err
	}
}

// place finds where the document lies: it remembers, because finding out takes two calls of a scarce rate and a
// document of any size is read in parts.
func (s *Service) place(ctx context.Context, t *target, res resource.Resource, l provider.Librarian, q Query, p record.Principal, anew bool) (at place, kept bool, err error) {
	name := res.Name + "#" + q.Item
	if !anew {
		if at, ok := s.keptPlace(ctx, t, name); ok {
			if at.Personal && !q.Personal {
				return at, true, wholePersonal("This document", p)
			}
			return at, true, nil
		}
	}
	caller := func(ctx context.Context, call provider.Call) (provider.Answer, error) { return s.call(ctx, t, call) }
	doc, err := l.Locate(ctx, t.asTarget(), res, q.Item, q.Personal, caller)
	if err != nil {
		return at, false, err
	}
	at = place{URL: doc.URL.Reveal(), Gzip: doc.Gzip, Personal: doc.Personal, Ends: s.Now().Add(doc.Life - 30*time.Second), call: doc.Call}
	if at.Personal && !q.Personal {
		return at, false, wholePersonal("This document", p)
	}
	s.keepPlace(ctx, t, name, at)
	return at, false, nil
}

func documentBinding(t *target, name string) seal.Binding {
	return seal.Binding{Purpose: "document", Tenant: t.entry.Tenant, Record: t.entry.ID + "#" + name, Provider: t.entry.Provider}
}

func (s *Service) keptPlace(ctx context.Context, t *target, name string) (at place, ok bool) {
	sealed, found, err := s.Vault.KeptPlace(ctx, t.entry.Tenant, t.entry.ID, digestOf(name))
	if err != nil || !found {
		return at, false
	}
	plain, err := s.Vault.Sealer.Open(ctx, documentBinding(t, name), sealed)
	if err != nil || json.Unmarshal(plain, &at) != nil {
		return at, false
	}
	return at, s.Now().Before(at.Ends)
}

// keepPlace is allowed to fail: then the next part asks again.
func (s *Service) keepPlace(ctx context.Context, t *target, name string, at place) {
	if at.call != nil || !s.Now().Before(at.Ends) {
		return
	}
	plain, err := json.Marshal(at)
	if err != nil {
		return
	}
	sealed, err := s.Vault.Sealer.Seal(ctx, documentBinding(t, name), plain)
	if err == nil {
		err = s.Vault.KeepPlace(ctx, t.entry.Tenant, t.entry.ID, digestOf(name), sealed, at.Ends)
	}
	if err != nil {
		s.Logger.WarnContext(ctx, "a document's place was not kept", "tenant", t.entry.Tenant, "entry", t.entry.ID, "error", err.Error())
	}
}

// errGone means that a presigned address does not work (any more).
var errGone = errors.New("the document is not where it was")

// partOfCall fetches the bytes of a span where the document lies behind the account's own token.
func (s *Service) partOfCall(ctx context.Context, t *target, at place, span Span) (Part, error) {
	answer, body, leave, err := s.open(ctx, t, *at.call)
	if err != nil {
		return Part{}, err
	}
	defer leave()
	defer func() { _ = body.Close() }()
	defer s.atProvider(ctx)()
	plain, err := plainBytes(body, at.Gzip)
	if err != nil {
		return Part{}, notFetched(ctx)
	}
	part, err := cut(ctx, plain, span.From, span.From, span.most())
	part.ContentType = contentType(answer.Header.Get("Content-Type"))
	return part, err
}

// most is how many bytes of a span one answer carries.
func (s Span) most() int64 {
	if s.Length > 0 {
		return min(MaxRange, s.Length)
	}
	return MaxRange
}

// part fetches the bytes of a span. Of what is compressed, everything before the span is fetched and thrown away:
// there is no other way to count decompressed bytes.
func (s *Service) part(ctx context.Context, at place, span Span) (Part, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, at.URL, nil)
	if err != nil {
		return Part{}, errGone
	}
	request.Header.Set("Accept-Encoding", "identity") // or the transport decompresses, and counts other bytes
	if !at.Gzip && span.From > 0 {
		request.Header.Set("Range", fmt.Sprintf("bytes=%d-", span.From))
	}
	defer s.atProvider(ctx)()
	client := *s.HTTP
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	response, err := client.Do(request)
	if err != nil {
		return Part{}, notFetched(ctx)
	}
	defer func() { _ = response.Body.Close() }()
	switch {
	case response.StatusCode == http.StatusRequestedRangeNotSatisfiable:
		return Part{}, &ErrBeyond{Total: totalOf(response)}
	case response.StatusCode >= 500:
		return Part{}, notFetched(ctx)
	case response.StatusCode != http.StatusOK && response.StatusCode != http.StatusPartialContent:
		return Part{}, errGone
	}
	skip := span.From
	if response.StatusCode == http.StatusPartialContent {
		skip = 0
	}
	body, err := plainBytes(response.Body, at.Gzip)
	if err != nil {
		return Part{}, notFetched(ctx)
	}
	part, err := cut(ctx, body, span.From, skip, span.most())
	part.ContentType = contentType(response.Header.Get("Content-Type"))
	return part, err
}

// cut reads length bytes after skip, and one more to know whether it was the end.
func cut(ctx context.Context, body io.Reader, from, skip, length int64) (Part, error) {
	skipped, err := io.CopyN(io.Discard, body, skip)
	if errors.Is(err, io.EOF) {
		return Part{}, &ErrBeyond{Total: skipped}
	}
	if err != nil {
		return Part{}, notFetched(ctx)
	}
	data, err := io.ReadAll(io.LimitReader(body, length+1))
	if err != nil {
		return Part{}, notFetched(ctx)
	}
	part := Part{Bytes: data, From: from, Total: -1}
	switch {
	case int64(len(data)) > length:
		part.Bytes = data[:length]
	case len(data) == 0 && from > 0:
		return Part{}, &ErrBeyond{Total: from}
	default:
		part.Total = from + int64(len(data))
		part.Whole = from == 0
	}
	return part, nil
}

// plainBytes decompresses what is gzip. The provider's word for it is checked against the bytes: a document that says
// gzip and is not has been seen. What does not say so is left as it is: the document itself may be a .gz file.
func plainBytes(body io.Reader, said bool) (io.Reader, error) {
	buffered := bufio.NewReader(body)
	if !said {
		return buffered, nil
	}
	if magic, _ := buffered.Peek(2); len(magic) < 2 || magic[0] != 0x1f || magic[1] != 0x8b {
		return buffered, nil
	}
	return gzip.NewReader(buffered)
}

func totalOf(r *http.Response) int64 {
	_, total, _ := strings.Cut(r.Header.Get("Content-Range"), "/")
	n, err := strconv.ParseInt(total, 10, 64)
	if err != nil || n < 0 {
		return -1
	}
	return n
}

// contentType passes the provider's on, except what a browser would run.
func contentType(said string) string {
	kind, _, _ := strings.Cut(strings.ToLower(said), ";")
	switch strings.TrimSpace(kind) {
	case "text/plain", "text/csv", "text/tab-separated-values", "application/json", "application/pdf", "application/zip":
		return said
	case "text/xml", "application/xml":
		return "text/plain; charset=utf-8"
	default:
		return "application/octet-stream"
	}
}

// notFetched drops the transport's error: it quotes the address, and who has that can read the document.
func notFetched(ctx context.Context) *fault.Error {
	return fault.Wrap(ctx.Err(), fault.Unavailable, "provider_unavailable", "The provider's document did not arrive.").
		Do("Try again in a moment.").After(2 * time.Second)
}

func digestOf(text string) string { return secret.New(text).Fingerprint() }
