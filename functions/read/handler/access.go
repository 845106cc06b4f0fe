package handler

import (
	"bytes"
	"context"
	"encoding/json"

	"connectorvault/shared/fault"
	"connectorvault/shared/lambdahttp"
	"connectorvault/shared/provider"
	"connectorvault/shared/read"
)

// access is what a read came to.
type access struct {
	items, bytes int
	requestID    string // the provider's
}

// resourceName is how resources are named; what else stands in the path is somebody's attempt at something.
var resourceName = provider.NewShape(`^[a-z0-9-]{1,64}$`)

// note leaves one line a read: who read how much of what, and the provider's name for it. It has nothing of the query, and
// not the item, which may be an order's number or a person's name.
func (h *Handler) note(ctx context.Context, r *lambdahttp.Request, q read.Query, a access, err error) {
	attrs := []any{"tenant", r.Principal.Tenant, "principal", r.Principal.ID, "connector", q.Connector, "personal_data", q.Personal,
		"items", a.items, "request_id", r.ID}
	if resourceName.MatchString(q.Resource) {
		attrs = append(attrs, "resource", q.Resource)
	}
	if a.bytes > 0 {
		attrs = append(attrs, "bytes", a.bytes)
	}
	if err != nil {
		f := fault.As(err)
		attrs = append(attrs, "code", f.Code)
		if f.Provider != nil {
			a.requestID = f.Provider.RequestID
		}
	}
	if a.requestID != "" {
		attrs = append(attrs, "provider_request_id", a.requestID)
	}
	h.Logger.InfoContext(ctx, "read", attrs...)
}

// lastOf reads what the last line of a run says of it.
func lastOf(body []byte) access {
	body = bytes.TrimRight(body, "\n")
	var last struct {
		Meta struct {
			Items     int    `json:"items"`
			RequestID string `json:"request_id"`
		} `json:"meta"`
	}
	if json.Unmarshal(body[bytes.LastIndexByte(body, '\n')+1:], &last) != nil {
		return access{}
	}
	return access{items: last.Meta.Items, requestID: last.Meta.RequestID}
}
