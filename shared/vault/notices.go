package vault

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"connectorvault/shared/record"
	"connectorvault/shared/store"
)

// attrNotice begins the names of a credential's notices. Each has an attribute of its own: a write that does not know of
// another's notice, as a late success does not know of a failure, cannot take it away.
const attrNotice = "notice_"

// NoticePause is how soon the schedule comes by for a notice whose writer did not get to publish it.
const NoticePause = time.Minute

func noticeName(n record.Notice) string {
	return fmt.Sprintf("%s%s_%d", attrNotice, n.Kind, n.Generation)
}

// noticesOf reads a credential's notices, in the order in which they became true.
func noticesOf(a store.Attrs) ([]record.Notice, error) {
	var out []record.Notice
	for name := range a {
		if !strings.HasPrefix(name, attrNotice) {
			continue
		}
		var n record.Notice
		if err := json.Unmarshal([]byte(a.String(name)), &n); err != nil {
			return nil, fmt.Errorf("decoding a credential's %s: %w", name, err)
		}
		out = append(out, n)
	}
	slices.SortFunc(out, inOrder)
	return out, nil
}

// inOrder: a set is authorized before it can fail, and what recovers from it is the next one's.
func inOrder(a, b record.Notice) int {
	rank := func(n record.Notice) int64 {
		switch n.Kind {
		case record.EventAuthorized:
			return 4 * n.Generation
		case record.EventRecovered:
			return 4*(n.Generation+1) + 1
		default:
			return 4*n.Generation + 2
		}
	}
	return cmp.Compare(rank(a), rank(b))
}

// notify lets a write of a credential leave notices: attributes that it sets beside its own.
func notify(op *store.Op, c *record.Credential, notices ...record.Notice) error {
	for _, n := range notices {
		note, err := encode(n)
		if err != nil {
			return err
		}
		op.Set[noticeName(n)] = note
	}
	if len(notices) > 0 {
		c.Notices = slices.Concat(c.Notices, notices)
		slices.SortFunc(c.Notices, inOrder)
	}
	return nil
}

// recovery is what is owed to whoever heard, or may have heard, that a credential is of no use: that a later one works.
// It is none while the credential works, and when it is owed already.
func recovery(c record.Credential, now time.Time) []record.Notice {
	n := record.Notice{Kind: record.EventRecovered, Generation: c.Generation}
	if c.Status != record.Reauth && c.HealthAt(now) != record.Failing || slices.Contains(c.Notices, n) {
		return nil
	}
	return []record.Notice{n}
}
