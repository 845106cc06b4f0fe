package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"connectorvault/infra/local/program"
	"connectorvault/shared/store"
	"connectorvault/shared/tokens"
	"connectorvault/shared/vault/vaulttest"
)

// asProcess makes the test binary be a process under test; its value is the spec.
const asProcess = "CONNECTOR_VAULT_FAULTS_PROCESS"

// moment is a point of the refresh cycle (docs/refresh-cycle.md) at which a process can be held, and killed.
type moment string

// The moments, in the order of the cycle.
const (
	readDone      moment = "1 read done"
	beforeLease   moment = "2 before the lease is written"
	leaseWritten  moment = "2 lease and intent written"
	holdingOff    moment = "2 holding off"
	heldOff       moment = "2 held off, not looked again"
	beforePost    moment = "3 before the POST"
	committed     moment = "3 the provider has committed, its answer is not read"
	beforeFailure moment = "3 a failure is received, not noted"
	answerRead    moment = "4 the answer is read, not stored"
	stored        moment = "4 stored, not answered"
	rescueSent    moment = "4 sent to rescue, not applied"
	rescueApplied moment = "4 the rescue is applied"
)

// spec is what a process under test is told.
type spec struct {
	Data, Endpoints, Ready string
	Token                  string // address of the token endpoint
	DynamoDB               *program.DynamoDB
	Hold                   moment // everybody who gets there stays
	PostTimeout            time.Duration
	StoreBudget            time.Duration
	RescueInterval         time.Duration
	Tick                   time.Duration
	Next                   vaulttest.Next // which version it is
	URL                    string         // where callers reach it
	Simulators             bool
}

// word is what a process says of itself, one JSON object a line.
type word struct {
	What  string `json:"what"` // "held", "stored", "rescued", or "heard" an order
	Entry string `json:"entry,omitempty"`
	Wall  int64  `json:"wall"` // the machine's time, nanoseconds
}

// The descriptor that a process speaks to its parent on.
const speech = 3

// runProcess is the main of a process under test. It ends with its parent, however that ends.
func runProcess(text string) int {
	var s spec
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	h := &hand{spec: s, free: make(chan struct{}), out: json.NewEncoder(os.NewFile(speech, "speech")), reads: map[string]int{}, leases: map[string]bool{}, rescued: map[string]bool{}}
	h.down.Store(s.Hold == rescueSent || s.Hold == rescueApplied)
	go h.listen(os.Stdin)
	err := program.Run(ctx, program.Options{
		Listen: "127.0.0.1:0", Data: s.Data, Endpoints: s.Endpoints, ReadyFile: s.Ready, DynamoDB: s.DynamoDB,
		PostTimeout: s.PostTimeout, StoreBudget: s.StoreBudget, RescueInterval: s.RescueInterval, Tick: s.Tick,
		Simulators: s.Simulators,
		Hooks: program.Hooks{
			Items:     func(next store.Items) store.Items { return s.Next.Items(items{next, h}) },
			Forms:     s.Next.Forms(),
			URL:       s.URL,
			Transport: func(next http.RoundTripper) http.RoundTripper { return trips{next, h} },
			Rescue:    h.rescue,
		},
	}, io.Discard, os.Stderr)
	if err != nil {
		_, _ = io.WriteString(os.Stderr, err.Error()+"\n")
		return 1
	}
	return 0
}

// hand lies between the parts of a process under test.
type hand struct {
	spec spec
	down atomic.Bool
	free chan struct{} // closed when nobody is held any more

	mu      sync.Mutex
	out     *json.Encoder   // guarded by mu
	reads   map[string]int  // of credentials, by entry; guarded by mu
	leases  map[string]bool // entries whose lease was taken here; guarded by mu
	rescued map[string]bool // entries whose answer went to rescue; guarded by mu
}

// What a parent can order.
const (
	storeDown = "the store is down"
	storeUp   = "the store is up"
	goOn      = "go on" // whoever is held goes on, and nobody is held any more
)

// listen obeys the parent, and ends the process with it.
func (h *hand) listen(from io.Reader) {
	lines := bufio.NewScanner(from)
	for lines.Scan() {
		switch lines.Text() {
		case storeDown:
			h.down.Store(true)
		case storeUp:
			h.down.Store(false)
		case goOn:
			close(h.free)
		}
		h.say("heard", "")
	}
	os.Exit(3)
}

func (h *hand) say(what, entry string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	_ = h.out.Encode(word{What: what, Entry: entry, Wall: time.Now().UnixNano()})
}

// at holds whoever gets to the process's moment until it is killed, or told to go on.
func (h *hand) at(m moment, entry string) {
	if m == h.spec.Hold {
		h.say("held", entry)
		<-h.free
	}
}

func (h *hand) hasLease(entry string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.leases[entry]
}

// rescue stands around the rescue queue.
func (h *hand) rescue(next program.Rescue) program.Rescue {
	return func(ctx context.Context, call tokens.Call) error {
		h.mu.Lock()
		h.rescued[call.Entry] = true
		h.mu.Unlock()
		err := next(ctx, call)
		h.say("rescued", call.Entry)
		h.at(rescueSent, call.Entry)
		return err
	}
}

// items stands around the store.
type items struct {
	store.Items
	hand *hand
}

var errDown = errors.New("the store is down")

// Get implements store.Items. The first look at a credential is the reader's, the second the token service's. One that comes
// after the lease was taken is that of whoever has held off.
func (i items) Get(ctx context.Context, table store.Table, key store.Key) (store.Item, error) {
	entry, ok := entryOf(table, key)
	if ok && i.hand.hasLease(entry) {
		i.hand.at(heldOff, entry)
	}
	item, err := i.Items.Get(ctx, table, key)
	if ok {
		i.hand.mu.Lock()
		i.hand.reads[entry]++
		n := i.hand.reads[entry]
		i.hand.mu.Unlock()
		if n == 2 {
			i.hand.at(readDone, entry)
		}
	}
	return item, err
}

// Apply implements store.Items.
func (i items) Apply(ctx context.Context, ops ...store.Op) error {
	entry, ok := entryOf(ops[0].Table, ops[0].Key)
	if !ok {
		return i.Items.Apply(ctx, ops...)
	}
	h := i.hand
	has := func(name string) bool { _, ok := ops[0].Set[name]; return ok }
	switch {
	case has("lease_owner"):
		h.at(beforeLease, entry)
		if h.spec.Hold == "" && h.refuses(entry) {
			return errDown
		}
		err := i.Items.Apply(ctx, ops...)
		if err == nil {
			h.mu.Lock()
			h.leases[entry] = true
			h.mu.Unlock()
			h.at(leaseWritten, entry)
			if h.spec.Hold == holdingOff { // it is held by the hold-off itself
				h.say("held", entry)
			}
		}
		return err
	case has("sealed"):
		h.at(answerRead, entry)
		if h.refuses(entry) {
			return errDown
		}
		err := i.Items.Apply(ctx, ops...)
		if err == nil {
			h.say("stored", entry)
			h.at(stored, entry)
			h.at(rescueApplied, entry)
		}
		return err
	default:
		if has("failure") {
			h.at(beforeFailure, entry)
		}
		if h.refuses(entry) {
			return errDown
		}
		return i.Items.Apply(ctx, ops...)
	}
}

// refuses reports whether the store takes no change of a credential. To be held once a rescue is applied, a process
// refuses only what has not gone to rescue yet.
func (h *hand) refuses(entry string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.down.Load() && (h.spec.Hold != rescueApplied || !h.rescued[entry])
}

// entryOf returns the entry whose credential a key names.
func entryOf(table store.Table, key store.Key) (string, bool) {
	if table != store.Credentials || key.Sort != "credential" {
		return "", false
	}
	_, entry, ok := strings.Cut(key.Partition, "#")
	return entry, ok
}

// trips stands around the network.
type trips struct {
	next http.RoundTripper
	hand *hand
}

// RoundTrip implements http.RoundTripper.
func (t trips) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.String() != t.hand.spec.Token {
		return t.next.RoundTrip(r)
	}
	t.hand.at(beforePost, "")
	answer, err := t.next.RoundTrip(r)
	t.hand.at(committed, "")
	return answer, err
}
