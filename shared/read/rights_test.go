package read_test

import (
	"testing"

	"connectorvault/shared/bundle/bundletest"
	"connectorvault/shared/fault"
	"connectorvault/shared/read"
	"connectorvault/shared/record"
)

// Who may read some connectors is refused at the others by every way of reading, and is not told whether they exist.
func TestSomeReadersReadSomeConnectors(t *testing.T) {
	t.Parallel()
	b := bundletest.New(t, bundletest.Options{})
	b.Upstream.Body("/orders", `{"orders":[{"id":"1"}]}`)
	entry, mine := b.Reader()
	yours := b.Connector(entry, nil)
	reader := record.Principal{Tenant: bundletest.Tenant, ID: "key_r", Role: record.Reader, Connectors: []string{mine.ID}}
	if _, err := b.Read.Read(t.Context(), reader, read.Query{Connector: mine.ID, Resource: "orders"}); err != nil {
		t.Errorf("what it may read: %v", err)
	}
	if _, err := b.Read.Read(t.Context(), b.Owner, read.Query{Connector: yours.ID, Resource: "orders"}); err != nil {
		t.Errorf("what others may read: %v", err) // and it is remembered from now on
	}
	for _, id := range []string{yours.ID, "con_1000000000000000", ""} {
		q := read.Query{Connector: id, Resource: "orders"}
		_, page := b.Read.Read(t.Context(), reader, q)
		_, run := b.Read.Run(t.Context(), reader, q)
		q.Item = "1"
		_, item := b.Read.Read(t.Context(), reader, q)
		_, document := b.Read.Document(t.Context(), reader, q, read.Span{})
		_, created := b.Read.Create(t.Context(), reader, "", id, "reports", []byte(`{"kind":"a"}`))
		for name, err := range map[string]error{"a page": page, "a run": run, "an item": item, "a document": document, "a report": created} {
			if fault.CodeOf(err) != "forbidden" || fault.As(err).Action == "" {
				t.Errorf("%s of %q: %v", name, id, err)
			}
		}
	}
}

// A cursor carries no rights: whoever got it from another still may not read that connector.
func TestAnothersCursorOpensNothing(t *testing.T) {
	t.Parallel()
	b := bundletest.New(t, bundletest.Options{})
	b.Upstream.Body("/orders", `{"orders":[{"id":"1"}],"next":"p2"}`)
	_, connector := b.Reader()
	page, err := b.Read.Read(t.Context(), b.Owner, read.Query{Connector: connector.ID, Resource: "orders"})
	b.OK(err)
	reader := record.Principal{Tenant: bundletest.Tenant, ID: "key_r", Role: record.Reader, Connectors: []string{"con_1000000000000000"}}
	if _, err := b.Read.Read(t.Context(), reader, read.Query{Connector: connector.ID, Resource: "orders", Cursor: *page.Next}); fault.CodeOf(err) != "forbidden" {
		t.Errorf("a cursor opened what its bearer may not read: %v", err)
	}
}
