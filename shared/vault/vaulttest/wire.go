package vaulttest

import (
	"context"
	"errors"
	"sync"
	"time"

	"connectorvault/shared/store"
)

// delivery is how a write goes on its way.
type delivery int

const (
	plainly  delivery = iota // it is carried out and answered
	twice                    // the client loses its answer and sends it again; the caller hears how the second one went
	unheard                  // it is carried out, and the caller hears an error
	unsent                   // it is not carried out, and the caller hears the same error
	doubtful                 // it is carried out twice, and the caller hears an error
)

var deliveries = []delivery{plainly, twice, unheard, unsent, doubtful}

// String implements fmt.Stringer.
func (d delivery) String() string {
	return [...]string{"plainly", "twice", "unheard", "unsent", "doubtful"}[d]
}

// carriedOut reports whether the store got the write.
func (d delivery) carriedOut() bool { return d != unsent }

// heard reports whether the caller learns what came of it.
func (d delivery) heard() bool { return d == plainly || d == twice }

var errLost = errors.New("the answer was lost")

// wire stands between a process and the engine.
type wire struct {
	store.Items

	mu   sync.Mutex
	next delivery // how the next write goes; guarded by mu
}

// goes says how the next write goes. The ones after it go well.
func (w *wire) goes(next delivery) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.next = next
}

func (w *wire) take() delivery {
	w.mu.Lock()
	defer w.mu.Unlock()
	goes := w.next
	w.next = plainly
	return goes
}

// Apply implements store.Items.
func (w *wire) Apply(ctx context.Context, ops ...store.Op) error {
	goes := w.take()
	if !goes.carriedOut() {
		return errLost
	}
	err := w.send(ctx, ops)
	if err == nil && (goes == twice || goes == doubtful) {
		err = w.send(ctx, ops)
	}
	if !goes.heard() {
		return errLost
	}
	return err
}

// send waits out an engine that is busy: that says nothing of the rules.
func (w *wire) send(ctx context.Context, ops []store.Op) error {
	for range 500 {
		err := w.Items.Apply(ctx, ops...)
		if !errors.Is(err, store.ErrBusy) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
	return store.ErrBusy
}

// insist tries until the answer is heard.
func insist(try func() error) error {
	for {
		if err := try(); !errors.Is(err, errLost) {
			return err
		}
	}
}
