package engine

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// The switches that make a request wait are the same everywhere.
const (
	Slow = "slow" // waits in real time, then goes on
	Hold = "hold" // waits until the switch is deleted, then goes on

	pollInterval = 20 * time.Millisecond
	longestWait  = 30 * time.Second
)

// Parts are the members that every simulator's switches have, in one of them.
type Parts struct {
	ID      *int64
	Name    string
	Limits  []string // what it is limited to; each is compared with the one of the same place of where a request is. "" matches anything
	Times   *int     // fires so often, then goes off; 0 = until it is cleared
	DelayMS int      // of Slow
	Spent   *bool    // a hold that still holds its requests but takes no more
}

func (p Parts) matches(name string, where []string) bool {
	within := func(limit, actual string) bool { return limit == "" || limit == actual }
	return p.Name == name && !*p.Spent && slices.EqualFunc(p.Limits, where, within)
}

// Switches are those of one simulator, whose own kind is F. They lie in the state, so that all processes obey them.
type Switches[F any] struct {
	state *State
	parts func(*F) Parts
}

// NewSwitches returns the switches that lie in a state. The function points at the common members of one.
func NewSwitches[F any](state *State, parts func(*F) Parts) *Switches[F] {
	return &Switches[F]{state: state, parts: parts}
}

// Set turns a switch on and returns it with its id. The same switch with the same limits is replaced.
func (s *Switches[F]) Set(ctx context.Context, f F) (F, error) {
	p := s.parts(&f)
	*p.ID, *p.Spent = 0, false
	err := s.state.Update(ctx, func(tx *sql.Tx) error {
		err := s.deleteWhere(ctx, tx, func(old Parts) bool { return old.Name == p.Name && slices.Equal(old.Limits, p.Limits) })
		if err != nil {
			return err
		}
		spec, err := json.Marshal(f)
		if err != nil {
			return fmt.Errorf("encoding switch: %w", err)
		}
		remaining := *p.Times
		if remaining == 0 {
			remaining = -1
		}
		result, err := tx.ExecContext(ctx, `INSERT INTO faults(spec, remaining, spent) VALUES(?, ?, 0)`, string(spec), remaining)
		if err != nil {
			return fmt.Errorf("storing switch: %w", err)
		}
		*p.ID, err = result.LastInsertId()
		return err
	})
	return f, err
}

// Clear turns off the switches with this name, and lets go of whatever they hold.
func (s *Switches[F]) Clear(ctx context.Context, name string) error {
	return s.state.Update(ctx, func(tx *sql.Tx) error {
		return s.deleteWhere(ctx, tx, func(p Parts) bool { return p.Name == name })
	})
}

// ClearAll turns every switch off and lets go of whatever is held.
func (s *Switches[F]) ClearAll(ctx context.Context) error {
	_, err := s.state.ExecContext(ctx, `DELETE FROM faults`)
	return err
}

// List lists the switches that are on.
func (s *Switches[F]) List(ctx context.Context) ([]F, error) { return s.list(ctx, s.state) }

func (s *Switches[F]) list(ctx context.Context, q Querier) ([]F, error) {
	rows, err := q.QueryContext(ctx, `SELECT id, spec, remaining, spent FROM faults ORDER BY id`)
	list, err := Collect(rows, err, func(scan func(...any) error) (F, error) {
		var f F
		var id, remaining int64
		var spec string
		var spent bool
		if err := scan(&id, &spec, &remaining, &spent); err != nil {
			return f, err
		}
		if err := json.Unmarshal([]byte(spec), &f); err != nil {
			return f, err
		}
		p := s.parts(&f)
		*p.ID, *p.Spent = id, spent
		if remaining > 0 {
			*p.Times = int(remaining)
		}
		return f, nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading switches: %w", err)
	}
	return list, nil
}

func (s *Switches[F]) deleteWhere(ctx context.Context, tx *sql.Tx, which func(Parts) bool) error {
	list, err := s.list(ctx, tx)
	if err != nil {
		return err
	}
	for i := range list {
		if p := s.parts(&list[i]); which(p) {
			if err := deleteSwitch(ctx, tx, *p.ID); err != nil {
				return err
			}
		}
	}
	return nil
}

func deleteSwitch(ctx context.Context, tx *sql.Tx, id int64) error {
	if _, err := tx.ExecContext(ctx, `DELETE FROM faults WHERE id = ?`, id); err != nil {
		return fmt.Errorf("deleting switch: %w", err)
	}
	return nil
}

// Fire says whether a switch acts on a request, and uses up one of its times if so.
func (s *Switches[F]) Fire(ctx context.Context, name string, where []string) (F, bool, error) {
	f, on, err := s.Setting(ctx, s.state, name, where)
	if err != nil || !on || *s.parts(&f).Times == 0 {
		return f, on, err
	}
	err = s.state.Update(ctx, func(tx *sql.Tx) error {
		f, on, err = s.find(ctx, tx, name, where) // again: somebody may have used it up meanwhile
		if err != nil || !on || *s.parts(&f).Times == 0 {
			return err
		}
		return useUp(ctx, tx, s.parts(&f))
	})
	return f, on && err == nil, err
}

// First fires the first of several switches that acts on a request.
func (s *Switches[F]) First(ctx context.Context, where []string, names ...string) (F, bool, error) {
	for _, name := range names {
		if f, on, err := s.Fire(ctx, name, where); on || err != nil {
			return f, on, err
		}
	}
	var none F
	return none, false, nil
}

// Setting is for the switches that are plain settings: looking does not use them up.
func (s *Switches[F]) Setting(ctx context.Context, q Querier, name string, where []string) (F, bool, error) {
	if s.SurelyOff(ctx, name) {
		var none F
		return none, false, nil
	}
	return s.find(ctx, q, name, where)
}

// find returns the switch that was turned on first.
func (s *Switches[F]) find(ctx context.Context, q Querier, name string, where []string) (F, bool, error) {
	var none F
	list, err := s.list(ctx, q)
	if err != nil {
		return none, false, err
	}
	for i := range list {
		if s.parts(&list[i]).matches(name, where) {
			return list[i], true, nil
		}
	}
	return none, false, nil
}

// useUp takes one of a switch's times. A hold stays as spent: its disappearance is what lets the request go.
func useUp(ctx context.Context, tx *sql.Tx, p Parts) error {
	if *p.Times == 1 && p.Name != Hold {
		return deleteSwitch(ctx, tx, *p.ID)
	}
	_, err := tx.ExecContext(ctx, `UPDATE faults SET remaining = remaining - 1, spent = (remaining = 1) WHERE id = ?`, *p.ID)
	if err != nil {
		return fmt.Errorf("using up switch: %w", err)
	}
	return nil
}

// Delay applies the switches that make a request wait. Whoever asks is told when one is held, before it waits.
func (s *Switches[F]) Delay(ctx context.Context, where []string, held func()) error {
	f, on, err := s.Fire(ctx, Hold, where)
	if err != nil {
		return err
	}
	if on {
		held()
		s.hold(ctx, *s.parts(&f).ID)
		if err := s.look(context.WithoutCancel(ctx)); err != nil {
			return err
		}
	}
	f, on, err = s.Fire(ctx, Slow, where)
	if on {
		pause(ctx, min(time.Duration(s.parts(&f).DelayMS)*time.Millisecond, longestWait))
	}
	return err
}

// hold waits for a switch to be deleted by whichever process.
func (s *Switches[F]) hold(ctx context.Context, id int64) {
	ctx, cancel := context.WithTimeout(ctx, longestWait)
	defer cancel()
	for ctx.Err() == nil {
		var one int
		if err := s.state.QueryRowContext(ctx, `SELECT 1 FROM faults WHERE id = ?`, id).Scan(&one); err != nil {
			return
		}
		pause(ctx, pollInterval)
	}
}

// pause waits in real time: it stands for the network, which does not follow the simulated clock.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// watchKey is where a request's context keeps the watched names of one simulator's switches.
type watchKey[F any] struct{}

// watched holds the names that were on when the request last looked. One request uses it, one goroutine.
type watched struct{ names map[string]bool }

// Watch notes which switches are on, so that a request that none concerns reads them once and not a dozen
// times. A name that is on is still looked up where it may act.
func (s *Switches[F]) Watch(ctx context.Context) (context.Context, error) {
	ctx = context.WithValue(ctx, watchKey[F]{}, &watched{})
	return ctx, s.look(ctx)
}

// look looks again: a request that was held goes on under the switches of its release.
func (s *Switches[F]) look(ctx context.Context) error {
	set, watching := ctx.Value(watchKey[F]{}).(*watched)
	if !watching {
		return nil
	}
	list, err := s.List(ctx)
	if err != nil {
		return err
	}
	set.names = make(map[string]bool, len(list))
	for i := range list {
		set.names[s.parts(&list[i]).Name] = true
	}
	return nil
}

// SurelyOff is false also when nobody looked.
func (*Switches[F]) SurelyOff(ctx context.Context, name string) bool {
	set, watching := ctx.Value(watchKey[F]{}).(*watched)
	return watching && !set.names[name]
}

// AllOff says that no switch at all is on, so that nobody needs to know whom a request is from.
func (*Switches[F]) AllOff(ctx context.Context) bool {
	set, watching := ctx.Value(watchKey[F]{}).(*watched)
	return watching && len(set.names) == 0
}

// Member is a member that only some switches have.
type Member struct {
	Name     string
	Given    bool     // it was
	Needs    []string // the switches that mean nothing without it
	Optional []string // those that may have it
}

// CheckMembers refuses a switch that lacks what it needs, or has what would do nothing.
func CheckMembers(name string, members ...Member) error {
	for _, member := range members {
		needs := slices.Contains(member.Needs, name)
		if needs && !member.Given {
			return fmt.Errorf("the switch %s needs %s", name, member.Name)
		}
		if member.Given && !needs && !slices.Contains(member.Optional, name) {
			return fmt.Errorf("the switch %s takes no %s", name, member.Name)
		}
	}
	return nil
}
