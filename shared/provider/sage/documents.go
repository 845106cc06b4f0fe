package sage

import (
	"context"
	"net/url"

	"connectorvault/shared/fault"
	"connectorvault/shared/provider"
	"connectorvault/shared/resource"
)

// Locate implements provider.Librarian: the document of an attachment is its file, behind the account's own token. What
// people attach to their books are letters, invoices and receipts, so every file counts as personal data.
func (a *Adapter) Locate(_ context.Context, _ provider.Target, res resource.Resource, item string, personal bool, _ provider.Caller) (provider.Document, error) {
	if !res.Document {
		return provider.Document{}, fault.New(fault.NotFound, "unknown_resource", "There is no document behind "+res.Name+".")
	}
	if !personal {
		return provider.Document{}, fault.New(fault.Forbidden, "personal_data_not_granted", "What is in an attachment cannot be told before it is read, so it counts as personal data.").
			Do("Ask with a key that has the grant and with personal_data=true.")
	}
	call := provider.Call{Op: fileOperation(), Params: url.Values{"item": {item}}, Accept: "application/octet-stream"}
	return provider.Document{Call: &call, Personal: true}, nil
}
