package read

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"

	"connectorvault/shared/fault"
	"connectorvault/shared/ident"
	"connectorvault/shared/resource"
	"connectorvault/shared/schema"
	"connectorvault/shared/seal"
)

const (
	// maxCursor is how long a cursor may be; a longer one stays with us, and its holder gets a handle. It leaves room
	// for everything else in the 10,240 bytes that the gateway takes.
	maxCursor = 4 << 10

	// handleLife is how long a cursor stays that we keep. Page tokens of providers live shorter.
	handleLife = time.Hour

	handleMark = "h."
)

// position is what a cursor holds. It carries no rights: those are looked at anew with every page.
type position struct {
	Operation string     `json:"o"`
	Digest    string     `json:"d"` // of the query that it goes on with
	Params    url.Values `json:"p"` // of the next page
	Ends      int64      `json:"e,omitempty"`
	Schema    int64      `json:"schema,omitempty"`
}

// CursorPurpose is what cursors are sealed for. Callers bring them back, so one that does not open is nobody's fault here.
const CursorPurpose = "cursor"

func (s *Service) binding(pl plan) seal.Binding {
	return seal.Binding{Purpose: CursorPurpose, Tenant: pl.target.entry.Tenant, Record: pl.target.connector.ID, Provider: pl.target.entry.Provider}
}

// cursor seals where the next page begins.
func (s *Service) cursor(ctx context.Context, pl plan, next url.Values) (string, error) {
	at := position{Operation: pl.op.ID, Digest: pl.digest, Params: next, Schema: schema.Cursor.Carried()}
	if ttl := pl.op.Paging.TokenTTL; ttl > 0 {
		at.Ends = s.Now().Add(ttl).Unix()
	}
	plain, err := json.Marshal(at)
	if err != nil {
		return "", err
	}
	sealed, err := s.Vault.Sealer.Seal(ctx, s.binding(pl), plain)
	if err != nil {
		return "", keysUnavailable(err)
	}
	text := base64.RawURLEncoding.EncodeToString(sealed)
	if len(text) <= maxCursor {
		return text, nil
	}
	id, err := ident.New(s.Random, ident.Handle)
	if err != nil {
		return "", err
	}
	return handleMark + id, s.Vault.KeepCursor(ctx, pl.target.entry.Tenant, id, sealed, s.Now().Add(handleLife))
}

// follow continues where a cursor stopped. Filters may be repeated beside it, and must then be the same.
func (s *Service) follow(ctx context.Context, pl plan, params url.Values) (plan, error) {
	at, err := s.position(ctx, pl)
	if err != nil {
		return pl, err
	}
	if at.Operation != pl.op.ID {
		return pl, invalidCursor("The cursor belongs to another resource.")
	}
	repeated := len(params) > 0 && !(len(params) == 1 && params.Has("item"))
	if repeated && at.Digest != pl.digest {
		return pl, invalidCursor("The filters beside the cursor are not those of the page it came from.")
	}
	if at.Ends != 0 && s.Now().Unix() >= at.Ends {
		return pl, invalidCursor("The cursor has expired: the provider keeps its place in a list only for a while.")
	}
	if item := at.Params.Get("item"); item != "" && item != params.Get("item") {
		return pl, invalidCursor("The cursor belongs to another item.")
	}
	pl.params, pl.digest = at.Params, at.Digest
	if !pl.personal {
		pl.params, pl.omitted = resource.WithoutPersonal(pl.op, pl.params)
	}
	return pl, pl.target.within(pl.op, pl.params, s.Now())
}

func (s *Service) position(ctx context.Context, pl plan) (position, error) {
	var at position
	sealed, err := s.sealedCursor(ctx, pl)
	if err != nil {
		return at, err
	}
	plain, err := s.Vault.Sealer.Open(ctx, s.binding(pl), sealed)
	switch {
	case errors.Is(err, seal.ErrSealed), errors.Is(err, seal.ErrUnknownKey), fault.IsNewer(err):
		// The envelope's number is not vouched for before it is open, and what comes from a caller may be anything.
		return at, invalidCursor("The cursor does not belong to this connector, or was changed.")
	case err != nil: // whoever holds a good one must not be told to begin again
		return at, keysUnavailable(err)
	}
	if err := json.Unmarshal(plain, &at); err != nil {
		return at, invalidCursor("The cursor cannot be read.")
	}
	if schema.Cursor.Newer(at.Schema) { // it is good: whoever holds it comes to a newer version with the next try
		return at, fault.Newer(string(schema.Cursor), at.Schema, schema.Of(schema.Cursor).Reads)
	}
	return at, nil
}

func (s *Service) sealedCursor(ctx context.Context, pl plan) ([]byte, error) {
	if id, ok := strings.CutPrefix(pl.query.Cursor, handleMark); ok {
		if !ident.Valid(id, ident.Handle) {
			return nil, invalidCursor("The cursor is not one of ours, or was cut off.")
		}
		sealed, found, err := s.Vault.KeptCursor(ctx, pl.target.entry.Tenant, id)
		if err == nil && !found {
			err = invalidCursor("The cursor has expired.")
		}
		return sealed, err
	}
	sealed, err := base64.RawURLEncoding.DecodeString(pl.query.Cursor)
	if err != nil || len(pl.query.Cursor) > maxCursor {
		return nil, invalidCursor("The cursor is not one of ours, or was cut off.")
	}
	return sealed, nil
}

func invalidCursor(detail string) *fault.Error {
	return fault.New(fault.Invalid, "invalid_cursor", detail).On("cursor").Do("Begin again without a cursor.")
}

// digest names a query: its operation and what the caller asked, whatever the order it was asked in.
func digest(op resource.Operation, params url.Values) string {
	sorted := url.Values{}
	for name, values := range params {
		sorted[name] = slices.Sorted(slices.Values(values))
	}
	sum := sha256.Sum256([]byte(op.ID + "?" + sorted.Encode()))
	return hex.EncodeToString(sum[:12])
}
