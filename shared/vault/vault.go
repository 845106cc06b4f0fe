// Package vault is the only way to a record: it knows under which key each lies, which conditions guard each change,
// and how a token set is sealed.
//
// The argument: the rules that keep an account from being lost are conditions on writes (a lease is taken by one, a
// generation is raised by one, a request is claimed by one). They are written here once, over the store's few
// promises, so that every engine keeps the same ones and no use case can forget one. Nothing here calls a provider.
package vault

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"connectorvault/shared/fault"
	"connectorvault/shared/ident"
	"connectorvault/shared/record"
	"connectorvault/shared/seal"
	"connectorvault/shared/store"
)

// Config is what a Vault stands on.
type Config struct {
	Items  store.Items
	Due    store.DueIndex // needed by the planner only
	Sealer seal.Sealer    // needed where tokens, verifiers or cursors are sealed or opened
	Now    func() time.Time
	Random io.Reader
	// Dates says of an entry whether the operator's application is its own, and what its provider has announced; needed
	// where entries are shown. nil: it is, and nothing is.
	Dates func(record.Entry) (usesApp bool, announced []record.Horizon)
	// Forms says in which forms records are kept; nil: as [Forms] does, which is this version. Tests let others run.
	Forms store.Forms
}

// Vault gives records in and out. It is safe for concurrent use.
type Vault struct{ Config }

// New returns a Vault on cfg.
func New(cfg Config) *Vault {
	if cfg.Forms == nil {
		cfg.Forms = Forms
	}
	cfg.Items = store.WithForms(cfg.Items, cfg.Forms)
	return &Vault{cfg}
}

// Attributes that records share.
const (
	attrDoc      = "doc"      // the record as JSON
	attrWrite    = "write"    // id of the write that left the item as it is
	attrRevision = "revision" // grows with every change of a plain record
	attrTenant   = "tenant"
)

// apply writes, and recognises its own success. An engine's client may lose the answer of a write that succeeded and
// send it again; the repeat fails on what the first one left. So every write leaves an id, and a failed condition is
// believed only if the item that stands in the way does not carry it.
func (v *Vault) apply(ctx context.Context, ops ...store.Op) error {
	id, err := ident.New(v.Random, "")
	if err != nil {
		return err
	}
	for i := range ops {
		if ops[i].Verb == store.Put || ops[i].Verb == store.Update {
			set := store.Attrs{attrWrite: id}
			for name, value := range ops[i].Set {
				set[name] = value
			}
			ops[i].Set = set
		}
	}
	err = v.Items.Apply(ctx, ops...)
	var failed *store.ConditionFailed
	if errors.As(err, &failed) && failed.Old != nil && failed.Old.String(attrWrite) == id {
		return nil
	}
	return storeFault(err)
}

// standBack waits a moment before a try that follows on a lost race, each time a longer one by chance: of many who want the
// same place the next time, one should find it free.
func (v *Vault) standBack(ctx context.Context, try int) error {
	if try == 0 {
		return nil
	}
	var chance [1]byte
	if _, err := io.ReadFull(v.Random, chance[:]); err != nil {
		return err
	}
	most := time.Millisecond << min(try, 6)
	return pause(ctx, most*time.Duration(chance[0])/255)
}

// storeFault gives the store's errors a kind. ConditionFailed passes: what it means is the caller's to say.
func storeFault(err error) error {
	var failed *store.ConditionFailed
	switch {
	case err == nil, errors.As(err, &failed), errors.Is(err, store.ErrNotFound), fault.IsNewer(err):
		return err
	default:
		return fault.Wrap(err, fault.Unavailable, "store_unavailable", "The vault's store does not answer now.").
			Do("Try again in a moment.").After(2 * time.Second)
	}
}

func (v *Vault) get(ctx context.Context, table store.Table, key store.Key) (store.Attrs, error) {
	item, err := v.Items.Get(ctx, table, key)
	if err != nil {
		return nil, storeFault(err)
	}
	return item.Attrs, nil
}

func encode(record any) (string, error) {
	b, err := json.Marshal(record)
	if err != nil {
		return "", fmt.Errorf("encoding a %T: %w", record, err)
	}
	return string(b), nil
}

func decode(attrs store.Attrs, into any) error {
	if err := json.Unmarshal([]byte(attrs.String(attrDoc)), into); err != nil {
		return fmt.Errorf("decoding a %T: %w", into, err)
	}
	return nil
}

// NotFound is the answer for what does not exist, and for what exists for another tenant: the two must not differ.
func NotFound(what, id string) *fault.Error {
	return fault.New(fault.NotFound, "not_found", fmt.Sprintf("There is no %s %q.", what, id)).
		Do("Check the id, or list what there is.")
}

// Page is one page of a listing.
type Page[T any] struct {
	Items []T
	Next  string   // sort key to go on after; "" on the last page
	Newer []string // under [Showing]: sort keys of records of this page that a newer version wrote, and that are not in Items
}

// list pages through a partition and keeps what wanted likes, until limit is reached or nothing is left. It reads at
// most scanLimit items a call, so a filter that likes little still answers in time, with a cursor to go on from.
func list[T any](ctx context.Context, v *Vault, q store.Query, limit int, decodeItem func(store.Item) (T, bool, error)) (Page[T], error) {
	const scanLimit = 1000
	var page Page[T]
	asked, begin := ctx, q.After
	if followed(q.Prefix) || ctx.Value(showingKey{}) != nil {
		asked = store.Marking(ctx)
	}
	for scanned := 0; scanned < scanLimit; {
		q.Limit = 100
		items, more, err := v.Items.Query(asked, q)
		if err != nil {
			return page, storeFault(err)
		}
		for _, item := range items {
			ends, err := endsBefore(q, item, begin)
			if err != nil {
				return page, err
			}
			if ends || len(page.Items) == limit {
				page.Next = q.After
				return page, nil
			}
			if item.Newer != 0 {
				page.Newer, q.After = append(page.Newer, item.Key.Sort), item.Key.Sort
				continue
			}
			record, wanted, err := decodeItem(item)
			if err != nil {
				return page, err
			}
			if wanted {
				page.Items = append(page.Items, record)
			}
			q.After = item.Key.Sort
		}
		scanned += len(items)
		if !more {
			return page, nil
		}
	}
	page.Next = q.After
	return page, nil
}

func unix(t time.Time) int64 { return t.Unix() }

// milli keeps a time as milliseconds; the zero time as 0.
func milli(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func fromMilli(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.UnixMilli(n).UTC()
}

// ReadMemory is how long a read uses what it has looked up of a connector, its entry and its token without looking again. It
// is how long after a change a read may still go by what was there before.
const ReadMemory = 5 * time.Second
