package handler

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"connectorvault/shared/api"
	"connectorvault/shared/fault"
	"connectorvault/shared/ident"
	"connectorvault/shared/lambdahttp"
	"connectorvault/shared/record"
	"connectorvault/shared/vault"
)

var eventKinds = record.EventKinds()

// listEvents lists what happened, the oldest first. Each event has the cursor that goes on after it, so that whoever
// follows them keeps one even on the last page.
func (h *Handler) listEvents(ctx context.Context, r *lambdahttp.Request) (lambdahttp.Response, error) {
	after, limit, err := page(r, vault.EventPrefix, "kind", "vault_entry", "since")
	if err != nil {
		return lambdahttp.Response{}, err
	}
	keep, err := eventFilter(record.EventKind(r.Query.Get("kind")), r.Query.Get("vault_entry"))
	if err != nil {
		return lambdahttp.Response{}, err
	}
	if r.Query.Has("since") {
		since, err := moment("since", r.Query.Get("since"))
		if err != nil {
			return lambdahttp.Response{}, err
		}
		after = max(after, vault.EventsSince(since))
	}
	found, err := h.Vault.Events(ctx, r.Principal.Tenant, after, limit, keep)
	if err != nil {
		return lambdahttp.Response{}, err
	}
	return lambdahttp.JSON(http.StatusOK, api.ListOf(found.Items, found.Next, api.EventOf))
}

func eventFilter(kind record.EventKind, entry string) (func(record.Event) bool, error) {
	if kind != "" && !slices.Contains(eventKinds, kind) {
		names := make([]string, len(eventKinds))
		for i, k := range eventKinds {
			names[i] = string(k)
		}
		return nil, fault.New(fault.Invalid, "invalid_field", fmt.Sprintf("There is no kind of event %q.", short(string(kind)))).On("kind").
			Do("Use one of: " + strings.Join(names, ", ") + ".")
	}
	if entry != "" && !ident.Valid(entry, ident.Entry) {
		return nil, fault.New(fault.Invalid, "invalid_field", "vault_entry is not the id of a vault entry.").On("vault_entry").
			Do("Use an id as GET /v1/vault-entries shows it; of one that was deleted, its events are there still.")
	}
	return func(e record.Event) bool {
		return (kind == "" || e.Kind == kind) && (entry == "" || e.Entry == entry)
	}, nil
}

// moment reads a time, or a day, which stands for its beginning.
func moment(field, text string) (time.Time, error) {
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		at, err = time.Parse(time.DateOnly, text)
	}
	if err != nil {
		return at, fault.New(fault.Invalid, "invalid_field", field+" is not a time.").On(field).Do("Send it as 2027-05-20T12:00:00Z or 2027-05-20.")
	}
	return at, nil
}
