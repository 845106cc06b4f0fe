package handler

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"connectorvault/shared/admin"
	"connectorvault/shared/api"
	"connectorvault/shared/authorize"
	"connectorvault/shared/fault"
	"connectorvault/shared/lambdahttp"
	"connectorvault/shared/record"
	"connectorvault/shared/secret"
)

// begun is how an authorization goes on. Its URLs are for the one who asked, so they are shown, once.
type begun struct {
	Mode            record.Mode `json:"mode"`
	StartURL        string      `json:"start_url,omitempty"`
	OAuthRequestURL string      `json:"oauth_request_url,omitempty"`
	ExpiresAt       *time.Time  `json:"expires_at"`            // null: nothing is waiting
	Entry           *api.Entry  `json:"vault_entry,omitempty"` // refresh_token: the entry, now active
}

// authorize begins an authorization through one of the doors.
func (h *Handler) authorize(ctx context.Context, r *lambdahttp.Request) (lambdahttp.Response, error) {
	id, err := entryID(r)
	if err != nil {
		return lambdahttp.Response{}, err
	}
	var in admin.Fields
	if len(bytes.TrimSpace(r.Body)) > 0 { // nothing said is the usual way
		if err := r.Decode(&in); err != nil {
			return lambdahttp.Response{}, err
		}
	}
	begin, err := parseBegin(in)
	if err != nil {
		return lambdahttp.Response{}, err
	}
	result, err := h.Authorize.Begin(ctx, r.Principal, id, begin)
	if err != nil {
		return lambdahttp.Response{}, err
	}
	out := begun{Mode: result.Mode, StartURL: result.StartURL.Reveal(), OAuthRequestURL: result.OAuthRequestURL.Reveal()}
	if !result.Expires.IsZero() {
		out.ExpiresAt = &result.Expires
		return lambdahttp.JSON(http.StatusOK, out)
	}
	state, err := h.Vault.EntryStateFor(ctx, r.Principal, id)
	if err != nil {
		return lambdahttp.Response{}, err
	}
	entry := api.EntryOf(state, h.Now())
	out.Entry = &entry
	return lambdahttp.JSON(http.StatusOK, out)
}

// parseBegin reads a request to begin. Beside a refresh token may stand what is said of the account.
func parseBegin(in admin.Fields) (authorize.Begin, error) {
	out := authorize.Begin{Mode: record.Browser, Claims: map[string]string{}}
	for _, name := range slices.Sorted(maps.Keys(in)) {
		var value string
		if err := json.Unmarshal(in[name], &value); err != nil {
			return out, fault.New(fault.Invalid, "invalid_field", short(name)+" is not a string, or nothing that this request takes.").On(short(name)).Do("Send it as a JSON string.")
		}
		value = strings.TrimSpace(value)
		if len(value) > 4096 {
			return out, fault.New(fault.Invalid, "invalid_field", "A member is longer than any such value.").On(short(name)).Do("Check what was pasted.")
		}
		switch name {
		case "mode":
			out.Mode = record.Mode(value)
		case "handle":
			out.Handle = secret.New(value)
		case "refresh_token":
			out.RefreshToken = secret.New(value)
		default:
			out.Claims[name] = value
		}
	}
	return out, checkBegin(out)
}

// checkBegin refuses what belongs to another door: a secret that is sent in vain is a secret shown in vain.
func checkBegin(b authorize.Begin) error {
	foreign := func(field string) error {
		return fault.New(fault.Invalid, "invalid_field", "The mode "+short(string(b.Mode))+" takes no "+short(field)+".").On(short(field)).
			Do("Leave it out, or choose the mode that takes it.")
	}
	switch {
	case b.Mode != record.Appstore && !b.Handle.IsZero():
		return foreign("handle")
	case b.Mode != record.RefreshToken && !b.RefreshToken.IsZero():
		return foreign("refresh_token")
	case b.Mode != record.RefreshToken && len(b.Claims) > 0:
		return foreign(slices.Sorted(maps.Keys(b.Claims))[0])
	case b.Mode == record.Appstore && b.Handle.IsZero():
		return fault.New(fault.Invalid, "invalid_field", "handle is missing.").On("handle").Do("Give the handle that our page showed after the visit of the provider's store.")
	default:
		return nil
	}
}

func short(s string) string {
	if len(s) > 40 {
		return strings.ToValidUTF8(s[:40], "") + "…"
	}
	return s
}
