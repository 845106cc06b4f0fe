package handler

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"connectorvault/shared/api"
	"connectorvault/shared/audit"
	"connectorvault/shared/fault"
	"connectorvault/shared/ident"
	"connectorvault/shared/lambdahttp"
	"connectorvault/shared/provider"
	"connectorvault/shared/vault"
)

// listAuditEvents lists who changed what, the oldest first: of the whole tenant in the order of time, or of one subject in
// the order of its chain.
func (h *Handler) listAuditEvents(ctx context.Context, r *lambdahttp.Request) (lambdahttp.Response, error) {
	q := r.Query
	subject, err := auditSubject(r.Principal.Tenant, q.Get("kind"), q.Get("subject"))
	if err != nil {
		return lambdahttp.Response{}, err
	}
	prefix, key := vault.AuditPrefix, vault.AuditKey
	if subject.ID != "" {
		prefix, key = vault.ChainPrefix(subject), vault.ChainKey
	}
	after, limit, err := page(r, prefix, "kind", "subject", "action", "actor", "since", "until")
	if err != nil {
		return lambdahttp.Response{}, err
	}
	since, until, err := span(r)
	if err != nil {
		return lambdahttp.Response{}, err
	}
	keep := func(e audit.Event) bool {
		is := func(name, have string) bool { return q.Get(name) == "" || q.Get(name) == have }
		return is("kind", string(e.Subject.Kind)) && is("action", string(e.Action)) && is("actor", e.Actor.ID) && !e.At.Before(since)
	}
	var found vault.Page[audit.Event]
	if subject.ID != "" {
		found, err = h.Vault.AuditChain(ctx, r.Principal.Tenant, subject, after, until, limit, keep)
	} else {
		if !since.IsZero() {
			after = max(after, vault.AuditSince(since))
		}
		found, err = h.Vault.AuditEvents(ctx, r.Principal.Tenant, after, until, limit, keep)
	}
	if err != nil {
		return lambdahttp.Response{}, err
	}
	return lambdahttp.JSON(http.StatusOK, api.ListOf(found.Items, found.Next, api.AuditEventOf(key)))
}

// span reads from when to when; a zero time is no bound.
func span(r *lambdahttp.Request) (since, until time.Time, err error) {
	for name, into := range map[string]*time.Time{"since": &since, "until": &until} {
		if !r.Query.Has(name) {
			continue
		}
		if *into, err = moment(name, r.Query.Get(name)); err != nil {
			return since, until, err
		}
	}
	return since, until, nil
}

var appID = provider.NewShape(`^[a-z0-9-]{1,40}/(production|sandbox)$`)

// auditSubject finds what a request wants the events of; without an ID it is everything.
func auditSubject(tenant, kind, id string) (audit.Subject, error) {
	if kind != "" && !slices.Contains(audit.Kinds(), audit.Kind(kind)) {
		names := make([]string, len(audit.Kinds()))
		for i, k := range audit.Kinds() {
			names[i] = string(k)
		}
		return audit.Subject{}, fault.New(fault.Invalid, "invalid_field", fmt.Sprintf("There is no kind of subject %q.", short(kind))).On("kind").
			Do("Use one of: " + strings.Join(names, ", ") + ".")
	}
	switch {
	case id == "" && audit.Kind(kind) == audit.Tenant:
		return audit.Subject{Kind: audit.Tenant, ID: tenant}, nil
	case id == "":
		return audit.Subject{}, nil
	case ident.Valid(id, ident.Entry):
		return audit.Subject{Kind: audit.VaultEntry, ID: id}, nil
	case ident.Valid(id, ident.Connector):
		return audit.Subject{Kind: audit.Connector, ID: id}, nil
	case ident.Valid(id, ident.Key):
		return audit.Subject{Kind: audit.Key, ID: id}, nil
	case ident.Valid(id, ident.Token):
		return audit.Subject{Kind: audit.ConnectorToken, ID: id}, nil
	case appID.MatchString(id):
		return audit.Subject{Kind: audit.ProviderApp, ID: id}, nil
	default:
		return audit.Subject{}, fault.New(fault.Invalid, "invalid_field", "subject is not the id of anything.").On("subject").
			Do("Use the id of a vault entry, connector, key or connector token, or amazon/production for a provider app; of one that was deleted, its events are there still.")
	}
}
