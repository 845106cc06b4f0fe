package clara

import (
	"context"
	"encoding/json"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"connectorvault/shared/fault"
	"connectorvault/shared/provider"
	"connectorvault/shared/resource"
	"connectorvault/shared/secret"
)

// documentLife is how long the address of an attachment works (Clara facts 4.5).
const documentLife = 12 * time.Hour

// Locate implements provider.Librarian. The item is a transaction, or a transaction and one of its documents with a slash
// between, which it must be where there are several. What people attach are receipts and invoices, so all of it counts
// as personal data. Codes: unknown_resource, personal_data_not_granted, document_absent, invalid_field, provider_unavailable.
func (a *Adapter) Locate(ctx context.Context, _ provider.Target, res resource.Resource, item string, personal bool, call provider.Caller) (provider.Document, error) {
	if !res.Document {
		return provider.Document{}, fault.New(fault.NotFound, "unknown_resource", "There is no document behind "+res.Name+".")
	}
	if !personal {
		return provider.Document{}, fault.New(fault.Forbidden, "personal_data_not_granted", "What is attached to a transaction cannot be told before it is read, so it counts as personal data.").
			Do("Ask with a key that has the grant and with personal_data=true.")
	}
	transaction, wanted, _ := strings.Cut(item, "/")
	answer, err := call(ctx, provider.Call{Op: *documentsOperation(), Params: url.Values{"item": {transaction}}})
	if err != nil {
		return provider.Document{}, err
	}
	listed, err := documentsOf(answer.Body)
	if err != nil {
		return provider.Document{}, err
	}
	found, err := choose(listed, wanted)
	if err != nil {
		return provider.Document{}, err
	}
	u, err := url.Parse(addressOf(found))
	if err != nil || u.Hostname() == "" || u.User != nil || u.Scheme != "https" && !(u.Scheme == "http" && loopback(u.Hostname())) {
		return provider.Document{}, unusable("Clara's answer does not say where the document lies.")
	}
	return provider.Document{URL: secret.New(u.String()), Life: documentLife, Personal: true}, nil
}

func documentsOf(body []byte) ([]gjson.Result, error) {
	if !json.Valid(body) {
		return nil, unusable("Clara's answer is not JSON.")
	}
	list := gjson.GetBytes(body, documentsPath)
	if !list.IsArray() {
		return nil, unusable("Clara's answer holds no list of documents.")
	}
	return list.Array(), nil
}

// choose is the document that was asked for, or the only one.
func choose(listed []gjson.Result, wanted string) (gjson.Result, error) {
	var names []string
	for _, d := range listed {
		id := clip(d.Get("uuid").String())
		if wanted != "" && id == wanted {
			return d, nil
		}
		names = append(names, id)
	}
	switch {
	case len(listed) == 0:
		return gjson.Result{}, fault.New(fault.Gone, "document_absent", "The transaction has no document.").
			Do("Attach one at Clara, and ask again.")
	case wanted != "":
		return gjson.Result{}, fault.New(fault.NotFound, "provider_refused", "The transaction has no document of that id.").
			Do("Read transaction-documents of the transaction for those it has.")
	case len(listed) > 1:
		return gjson.Result{}, invalid("item", "The transaction has several documents.").
			Do("Name one after a slash, as item={transaction}/{document}: " + strings.Join(names[:min(len(names), 20)], ", ") + ".")
	}
	return listed[0], nil
}

// addressOf looks for the address under the names that it may have: Clara's documentation shows none.
func addressOf(document gjson.Result) string {
	for _, name := range []string{"download.url", "url", "downloadUrl", "fileUrl", "documentUrl", "attachmentUrl", "presignedUrl", "uri"} {
		if at := document.Get(name); at.Type == gjson.String && at.Str != "" {
			return at.Str
		}
	}
	return ""
}

// loopback reports whether a host is this machine, where simulators are.
func loopback(host string) bool {
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

func unusable(detail string) *fault.Error {
	return fault.New(fault.Unavailable, "provider_unavailable", detail).Do("Try again in a minute.")
}
