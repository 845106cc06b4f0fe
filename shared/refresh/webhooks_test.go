package refresh_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"connectorvault/shared/record"
	"connectorvault/shared/refresh"
	"connectorvault/shared/secret"
	"connectorvault/shared/tokens"
	"connectorvault/shared/webhook"
)

// mailbox takes what webhooks are to be told.
type mailbox struct {
	mu   sync.Mutex
	got  []string // guarded by mu: webhook, kind and id
	down bool     // guarded by mu
	dies func() error
}

func (m *mailbox) announce(_ context.Context, messages []webhook.Message) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down {
		return errors.New("the queue is down")
	}
	for _, message := range messages {
		m.got = append(m.got, fmt.Sprintf("%s %s %s", message.Webhook, message.Event.Kind, message.Event.ID))
	}
	if m.dies != nil {
		return m.dies()
	}
	return nil
}

func (m *mailbox) set(down bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.down = down
}

// kinds are the messages so far, without ids.
func (m *mailbox) kinds() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := []string{}
	for _, text := range m.got {
		parts := strings.Fields(text)
		out = append(out, parts[0]+" "+parts[1])
	}
	slices.Sort(out)
	return out
}

// distinct counts the messages that are not repeats.
func (m *mailbox) distinct() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(slices.Compact(slices.Sorted(slices.Values(m.got))))
}

// hook makes a webhook.
func (b *bed) hook(n int, disabled bool, kinds ...record.EventKind) string {
	b.Helper()
	w := record.Webhook{Tenant: tenant, ID: fmt.Sprintf("wh_%016d", n), URL: "https://hooks.example.com/", Kinds: kinds, Disabled: disabled}
	sealed, err := b.vault.SealWebhookSecret(b.Context(), w, 1, secret.New("whsec_"+canary))
	b.ok(err)
	w.Secrets = []record.WebhookSecret{sealed}
	_, err = b.vault.CreateWebhook(b.Context(), w, nil)
	b.ok(err)
	return w.ID
}

// telling is a process that has a queue of webhooks.
func (b *bed) telling(m *mailbox) *process {
	b.Helper()
	return b.tuned(faults{}, func(c *refresh.Config) { c.Announce = m.announce })
}

// TestWebhooksAreTold what they want to hear, and nothing when they are switched off.
func TestWebhooksAreTold(t *testing.T) {
	bubble(t, func(b *bed) {
		m := &mailbox{}
		all, some := b.hook(1, false), b.hook(2, false, record.EventReauth)
		b.hook(3, true)
		p := b.telling(m)
		b.complete(p, b.begin(), b.issuer.consent(account))
		b.pass(time.Hour)
		b.endOfEntry(p)
		b.wantEvents("authorized 1", "reauthorization_required 1 revoked")
		want := []string{all + " authorized", all + " reauthorization_required", some + " reauthorization_required"}
		if got := m.kinds(); !slices.Equal(got, want) {
			b.Errorf("told was %v", got)
		}
	})
}

// TestAnEventIsAnnouncedOnce, however often it is come upon: a mark that was passed is seen at each look.
func TestAnEventIsAnnouncedOnce(t *testing.T) {
	bubble(t, func(b *bed) {
		m := &mailbox{}
		b.hook(1, false)
		b.authorized()
		b.secretEnds(b.now().Add(20 * day))
		p := b.telling(m)
		p.schedule(b.now().Add(5 * day))
		b.wantEvents("client_secret in 30")
		if got := m.kinds(); len(got) != 1 {
			b.Errorf("told was %v", got)
		}
	})
}

// TestWebhookQueueIsDown: nobody who asked for a token hears of it, and webhooks are told once it is back.
func TestWebhookQueueIsDown(t *testing.T) {
	bubble(t, func(b *bed) {
		m := &mailbox{down: true}
		b.hook(1, false)
		p := b.telling(m)
		b.complete(p, b.begin(), b.issuer.consent(account))
		b.wantEvents("authorized 1")
		p.schedule(b.now().Add(10 * time.Minute))
		if got := m.kinds(); len(got) != 0 {
			b.Errorf("told was %v", got)
		}
		m.set(false)
		p.schedule(b.now().Add(2 * time.Minute))
		b.wantEvents("authorized 1")
		b.wantNothingOwed()
		if got := m.kinds(); len(got) != 1 {
			b.Errorf("told was %v", got)
		}
	})
}

// TestKilledBetweenEventAndWebhooks kills the process at each step between an event and the end of what is owed for it. The
// schedule of another one does the rest, and what is told twice is the same.
func TestKilledBetweenEventAndWebhooks(t *testing.T) {
	points := map[string]func(p *process, m *mailbox){
		"event written":      func(p *process, _ *mailbox) { p.diesAfter(wEvent) },
		"messages queued":    func(p *process, m *mailbox) { m.dies = p.die },
		"before it is noted": func(p *process, _ *mailbox) { p.diesBefore(wAnnounced) },
		"noted":              func(p *process, _ *mailbox) { p.diesAfter(wAnnounced) },
	}
	changes := map[string]func(b *bed) (do func(p *process), want string){
		"a notice": func(b *bed) (func(p *process), string) {
			call := b.completion(b.begin(), b.issuer.consent(account))
			return func(p *process) { p.dies(call) }, "authorized 1"
		},
		"a mark": func(b *bed) (func(p *process), string) {
			b.authorized()
			b.secretEnds(b.now().Add(20 * day))
			return func(p *process) {
				b.pass(b.credential().DueAt.Sub(b.now()))
				p.dies(tokens.Call{Op: tokens.Due, Tenant: tenant, Entry: b.entry.ID})
			}, "client_secret in 30"
		},
	}
	for what, change := range changes {
		for name, at := range points {
			t.Run(what+"/"+name, func(t *testing.T) {
				bubble(t, func(b *bed) {
					b.hook(1, false)
					b.hook(2, false)
					do, want := change(b)
					first, second := &mailbox{}, &mailbox{}
					dying := b.telling(first)
					at(dying, first)
					do(dying)
					first.dies = nil
					next := b.telling(second)
					next.schedule(b.now().Add(3 * day))
					b.wantEvents(want)
					b.wantNothingOwed()
					all := &mailbox{got: slices.Concat(first.got, second.got)}
					if all.distinct() != 2 {
						b.Errorf("told was %v, then %v", first.got, second.got)
					}
					repeats := map[string]int{"messages queued": 2, "before it is noted": 2}
					if len(all.got) != 2+repeats[name] {
						b.Errorf("told was %v, then %v", first.got, second.got)
					}
				})
			})
		}
	}
}

// TestAWebhookIsMadeAfterAnEvent: it hears of what comes, not of what was.
func TestAWebhookIsMadeAfterAnEvent(t *testing.T) {
	bubble(t, func(b *bed) {
		m := &mailbox{}
		p := b.telling(m)
		b.complete(p, b.begin(), b.issuer.consent(account))
		b.hook(1, false)
		p.schedule(b.now().Add(day))
		if got := m.kinds(); len(got) != 0 {
			b.Errorf("told was %v", got)
		}
	})
}
