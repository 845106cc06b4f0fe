package vault

import (
	"context"
	"errors"
	"time"

	"connectorvault/shared/ident"
	"connectorvault/shared/secret"
	"connectorvault/shared/store"
)

// A rotation is asked of a provider once for all tenants that share a client. What is noted of it may be lost: then it is
// asked for once more, and the newest secret counts.

// rotationHeard is how long an asked-for secret may be on its way before it is asked for again.
const rotationHeard = 24 * time.Hour

// RotationTurn is the right to ask for a new client secret.
type RotationTurn struct {
	Asked bool          // it was asked for already, and the provider agreed: there is nothing to do
	Wait  time.Duration // somebody asked just now; 0 = the turn is the caller's
	key   store.Key
	attrs store.Attrs
}

// TakeRotation takes the turn to ask for a new client secret of a client. ends is the end of the secret that is to be
// replaced, for which one is asked for once; the zero time asks again whatever was asked before. Nobody gets a turn within
// pause of another's.
func (v *Vault) TakeRotation(ctx context.Context, provider, client string, ends time.Time, pause time.Duration) (RotationTurn, error) {
	turn := RotationTurn{key: store.Key{Partition: ident.Outside, Sort: "rotation#" + provider + "#" + secret.New(client).Fingerprint()}}
	before, err := v.get(ctx, store.Transient, turn.key)
	unchanged := store.Absent()
	if err == nil {
		unchanged = store.Equal("turn", before.String("turn"))
	} else if !errors.Is(err, store.ErrNotFound) {
		return turn, err
	}
	now := v.Now()
	since := now.Sub(fromMilli(before.Int("asked")))
	if !ends.IsZero() && before.Bool("agreed") && before.Int("ends") == milli(ends) && since < rotationHeard {
		turn.Asked = true
		return turn, nil
	}
	if before != nil && since < pause {
		turn.Wait = pause - since
		return turn, nil
	}
	id, err := ident.New(v.Random, "")
	if err != nil {
		return turn, err
	}
	turn.attrs = store.Attrs{"turn": id, "asked": milli(now), "ends": milli(ends), "agreed": false, store.AttrExpires: unix(now.Add(2 * rotationHeard))}
	err = v.apply(ctx, store.Op{Verb: store.Put, Table: store.Transient, Key: turn.key, If: unchanged, Set: turn.attrs})
	var failed *store.ConditionFailed
	if errors.As(err, &failed) {
		turn.Wait = pause
		return turn, nil
	}
	return turn, err
}

// Agreed notes that the provider makes a new secret.
func (v *Vault) Agreed(ctx context.Context, turn RotationTurn) error {
	set := store.Attrs{}
	for name, value := range turn.attrs {
		set[name] = value
	}
	set["agreed"] = true
	err := v.apply(ctx, store.Op{Verb: store.Put, Table: store.Transient, Key: turn.key, If: store.Equal("turn", set.String("turn")), Set: set})
	var failed *store.ConditionFailed
	if errors.As(err, &failed) {
		return nil // somebody asked again meanwhile
	}
	return err
}
