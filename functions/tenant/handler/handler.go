// Package handler makes and deletes tenants for whoever may invoke its function.
//
// The argument: what is done here is above every key of ours, so no key is asked for and no route leads here. Who may
// invoke the function is IAM's to say, and CloudTrail's to remember. What is asked is read strictly: a misspelt member of a
// request that deletes must not be one that is passed over.
package handler

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"connectorvault/shared/audit"
	"connectorvault/shared/fault"
	"connectorvault/shared/record"
	"connectorvault/shared/tenants"
	"connectorvault/shared/vault"
)

// Handler carries out what the function is invoked for. It is safe for concurrent use.
type Handler struct {
	service *tenants.Service
	logger  *slog.Logger
}

// New returns a Handler.
func New(service *tenants.Service, logger *slog.Logger) *Handler {
	return &Handler{service: service, logger: logger}
}

// operations are what can be asked, by name. Each reads the payload for itself: it knows which members there may be.
var operations = map[string]func(h *Handler, ctx context.Context, payload json.RawMessage) (any, error){
	"create":         (*Handler).create,
	"delete":         (*Handler).remove,
	"finish":         (*Handler).finish,
	"list":           (*Handler).list,
	"mint_key":       (*Handler).mintKey,
	"revoke_key":     (*Handler).revokeKey,
	"rotate_keyring": (*Handler).rotate,
	"verify":         (*Handler).verify,
}

// Refusal is the answer to what was not carried out.
type Refusal struct {
	Error *fault.Error `json:"error"`
}

// Handle answers one invocation. What is wrong with a request, or cannot be done now, is a Refusal; an error of the
// function is trouble of our own, which wakes somebody.
func (h *Handler) Handle(ctx context.Context, payload json.RawMessage) (any, error) {
	var in struct {
		Operation string `json:"operation"`
	}
	if err := json.Unmarshal(payload, &in); err != nil {
		return Refusal{unreadable()}, nil //nolint:nilerr // the refusal says it; a decoder's error may quote its input
	}
	ctx = audit.WithActor(ctx, audit.Actor{Kind: audit.Operator})
	do, ok := operations[in.Operation]
	if !ok {
		return Refusal{fault.New(fault.Invalid, "invalid_field", "There is no such operation.").On("operation").
			Do("Use one of " + strings.Join(slices.Sorted(maps.Keys(operations)), ", ") + ".")}, nil
	}
	answer, err := do(h, ctx, payload)
	if err == nil {
		return answer, nil
	}
	// Nobody reads what the schedule is answered.
	if fault.KindOf(err) == fault.Internal || in.Operation == "finish" {
		h.logger.ErrorContext(ctx, "an operation on tenants failed", "operation", in.Operation, "error", err.Error())
		return nil, errors.New("something failed on our side; the function's log says what")
	}
	h.logger.InfoContext(ctx, "an operation on tenants was refused", "operation", in.Operation, "error", err.Error())
	return Refusal{fault.As(err)}, nil
}

func unreadable() *fault.Error {
	return fault.New(fault.Invalid, "invalid_request", "The payload is not a JSON object.").
		Do(`Send an object such as {"operation": "list"}.`)
}

// decode reads a payload whose members are all known.
func decode(payload json.RawMessage, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(payload))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(into)
	if err == nil {
		if _, more := decoder.Token(); !errors.Is(more, io.EOF) {
			return unreadable()
		}
		return nil
	}
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) && wrong.Field != "" {
		return fault.New(fault.Invalid, "invalid_field", "The member is of another type than it should be.").On(wrong.Field).
			Do("Look at the operation in docs/operations.md.")
	}
	if name, found := strings.CutPrefix(err.Error(), "json: unknown field "); found {
		return fault.New(fault.Invalid, "invalid_field", "The operation takes no such member.").On(strings.Trim(name, `"`)).
			Do("Leave it out, or correct it; nothing was done.")
	}
	return unreadable()
}

// made shows a key, this once.
type made struct {
	Tenant   string `json:"tenant"`
	Key      string `json:"key"`
	OwnerKey string `json:"owner_key"`
}

func show(m tenants.Made, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return made{Tenant: m.Tenant, Key: m.KeyID, OwnerKey: m.Key.Reveal()}, nil
}

func (h *Handler) create(ctx context.Context, payload json.RawMessage) (any, error) {
	var in struct {
		Operation    string `json:"operation"`
		Name         string `json:"name"`
		PersonalData bool   `json:"personal_data"`
		Request      string `json:"request"`
	}
	if err := decode(payload, &in); err != nil {
		return nil, err
	}
	return show(h.service.Create(ctx, tenants.NewTenant{Name: in.Name, PersonalData: in.PersonalData, Request: in.Request}))
}

func (h *Handler) verify(ctx context.Context, payload json.RawMessage) (any, error) {
	var in struct {
		Operation string           `json:"operation"`
		Tenant    string           `json:"tenant"`
		Earlier   []vault.HeadNote `json:"earlier"`
	}
	if err := decode(payload, &in); err != nil {
		return nil, err
	}
	return h.service.Verify(ctx, in.Tenant, in.Earlier)
}

func (h *Handler) mintKey(ctx context.Context, payload json.RawMessage) (any, error) {
	var in struct {
		Operation    string `json:"operation"`
		Tenant       string `json:"tenant"`
		Label        string `json:"label"`
		PersonalData bool   `json:"personal_data"`
	}
	if err := decode(payload, &in); err != nil {
		return nil, err
	}
	return show(h.service.MintKey(ctx, in.Tenant, in.Label, in.PersonalData))
}

func (h *Handler) revokeKey(ctx context.Context, payload json.RawMessage) (any, error) {
	var in struct {
		Operation string `json:"operation"`
		Tenant    string `json:"tenant"`
		Key       string `json:"key"`
	}
	if err := decode(payload, &in); err != nil {
		return nil, err
	}
	if err := h.service.RevokeKey(ctx, in.Tenant, in.Key); err != nil {
		return nil, err
	}
	return map[string]string{"tenant": in.Tenant, "revoked": in.Key}, nil
}

func (h *Handler) rotate(ctx context.Context, payload json.RawMessage) (any, error) {
	var in struct {
		Operation string `json:"operation"`
		Tenant    string `json:"tenant"`
	}
	if err := decode(payload, &in); err != nil {
		return nil, err
	}
	from, err := h.service.RotateKeyring(ctx, in.Tenant)
	if err != nil {
		return nil, err
	}
	return map[string]any{"tenant": in.Tenant, "seals_from": from}, nil
}

// listed is a tenant as the list shows it.
type listed struct {
	Tenant    string    `json:"tenant"`
	Name      string    `json:"name"`
	State     string    `json:"state"`
	CreatedAt time.Time `json:"created_at"`
}

func (h *Handler) list(ctx context.Context, payload json.RawMessage) (any, error) {
	var in struct {
		Operation string `json:"operation"`
		After     string `json:"after"`
	}
	if err := decode(payload, &in); err != nil {
		return nil, err
	}
	list, next, err := h.service.List(ctx, in.After)
	if err != nil {
		return nil, err
	}
	out := struct {
		Items []listed `json:"items"`
		Next  string   `json:"next_after,omitempty"`
	}{Items: []listed{}, Next: next}
	for _, t := range list {
		out.Items = append(out.Items, listed{Tenant: t.ID, Name: t.Name, State: state(t), CreatedAt: t.CreatedAt})
	}
	return out, nil
}

func state(t record.Tenant) string {
	switch {
	case !t.DeletedAt.IsZero():
		return "deleted"
	case t.Closed():
		return "closing"
	default:
		return "open"
	}
}

// deletion is how far a deletion has come.
type deletion struct {
	Tenant      string          `json:"tenant"`
	State       string          `json:"state"`
	ClosedAt    time.Time       `json:"closed_at"`             // since then no key is let in, but for the minute that the gateway remembers
	DestroyedAt time.Time       `json:"destroyed_at,omitzero"` // of the keyring
	DeletedAt   time.Time       `json:"deleted_at,omitzero"`
	Removed     tenants.Removed `json:"removed"` // by this invocation
	Remaining   int             `json:"remaining"`
	Problem     *fault.Error    `json:"problem,omitempty"`
	Until       time.Time       `json:"deleted_from,omitzero"` // the earliest end
	Next        string          `json:"next,omitempty"`
	Held        []tenants.Held  `json:"still_held"`
}

func (h *Handler) remove(ctx context.Context, payload json.RawMessage) (any, error) {
	var in struct {
		Operation string `json:"operation"`
		Tenant    string `json:"tenant"`
		AtOnce    bool   `json:"at_once"`
	}
	if err := decode(payload, &in); err != nil {
		return nil, err
	}
	d, err := h.service.Delete(ctx, in.Tenant, in.AtOnce)
	if err != nil {
		return nil, err
	}
	return told(d), nil
}

func told(d tenants.Deletion) deletion {
	t := d.Tenant
	out := deletion{Tenant: t.ID, State: state(t), ClosedAt: t.ClosedAt, DestroyedAt: t.DestroyedAt, DeletedAt: t.DeletedAt,
		Removed: d.Removed, Remaining: d.Left, Until: d.Until, Held: d.Held}
	if d.Problem != nil {
		out.Problem = fault.As(d.Problem)
	}
	switch {
	case !t.DeletedAt.IsZero():
	case t.DestroyedAt.IsZero():
		out.Next = "Invoke it again: its keyring is not destroyed yet, and will be at " + t.RevokeUntil.Format(time.RFC3339) +
			" even if a provider has not been told. The schedule goes on within the hour in any case."
	case d.Left > 0:
		out.Next = "Invoke it again to go on now; the schedule does within the hour."
	default:
		out.Next = "Nothing: nobody reads or opens anything of it. The schedule looks once more, for what was on its way, and closes it."
	}
	return out
}

func (h *Handler) finish(ctx context.Context, payload json.RawMessage) (any, error) {
	var in struct {
		Operation string `json:"operation"`
	}
	if err := decode(payload, &in); err != nil {
		return nil, err
	}
	list, err := h.service.Finish(ctx)
	if err != nil {
		return nil, err
	}
	out := struct {
		Items []deletion `json:"items"`
	}{Items: []deletion{}}
	for _, d := range list {
		out.Items = append(out.Items, told(d))
	}
	return out, nil
}
