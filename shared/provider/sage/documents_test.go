package sage_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"connectorvault/shared/fault"
	"connectorvault/shared/provider"
	"connectorvault/shared/provider/sage"
	"connectorvault/shared/resource"
)

func TestLocate(t *testing.T) {
	t.Parallel()
	var path, accept string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path, accept = r.URL.EscapedPath(), r.Header.Get("Accept")
		w.Header().Set("X-Business", r.Header.Get("X-Business"))
		_, _ = io.WriteString(w, "%PDF synthetic")
	}))
	defer server.Close()
	a := sage.New(sage.Options{Endpoints: sage.Endpoints{API: server.URL}})
	res, _ := a.Descriptor().Resource("attachments")
	on := session(shared(), account(), connectorOf(business), nil)

	doc, err := a.Locate(t.Context(), on.Target, res, "a1/b", true, nil)
	if err != nil || doc.Call == nil || !doc.URL.IsZero() || !doc.Personal || doc.Gzip {
		t.Fatalf("got %+v, %v", doc, err)
	}
	answer, _, err := provider.Client{HTTP: server.Client(), Reader: a, Now: noon}.Do(context.Background(), on, *doc.Call)
	if err != nil || string(answer.Body) != "%PDF synthetic" || path != "/v3.1/attachments/a1%2Fb/file" || accept != "application/octet-stream" {
		t.Errorf("%q at %s as %s, %v", answer.Body, path, accept, err)
	}
}

func TestLocateRefuses(t *testing.T) {
	t.Parallel()
	a := sage.New(sage.Options{})
	res, _ := a.Descriptor().Resource("attachments")
	if _, err := a.Locate(t.Context(), provider.Target{}, res, "a1", false, nil); fault.CodeOf(err) != "personal_data_not_granted" || fault.KindOf(err) != fault.Forbidden {
		t.Errorf("without the grant: %v", err)
	}
	if _, err := a.Locate(t.Context(), provider.Target{}, resource.Resource{Name: "contacts"}, "a1", true, nil); fault.CodeOf(err) != "unknown_resource" {
		t.Errorf("of another resource: %v", err)
	}
}

// Attachments are all that has documents.
func TestWhatHasDocuments(t *testing.T) {
	t.Parallel()
	for _, r := range sage.New(sage.Options{}).Descriptor().Resources {
		if r.Document != (r.Name == "attachments") {
			t.Errorf("%s has documents: %t", r.Name, r.Document)
		}
	}
}
