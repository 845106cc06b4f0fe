package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	sagesim "connectorvault/infra/sim/sage"
	"connectorvault/shared/record"
)

// ledger is what the provider knows: every refresh token that was offered, and what became of each family of tokens.
type ledger struct {
	calls    []sagesim.TokenCall
	offers   map[string][]sagesim.TokenCall // by entry
	families map[string]sagesim.Family      // by entry
}

func (b *bed) ledger() ledger {
	b.Helper()
	calls, err := b.simulator.TokenCalls(b.Context(), sagesim.TokenCallFilter{})
	b.ok(err)
	families, err := b.simulator.Families(b.Context(), "")
	b.ok(err)
	l := ledger{calls: calls, offers: map[string][]sagesim.TokenCall{}, families: map[string]sagesim.Family{}}
	for _, f := range families {
		l.families[f.Label] = f
	}
	for _, c := range calls {
		l.offers[c.Label] = append(l.offers[c.Label], c)
	}
	return l
}

// again counts the offers of a token that was spent before.
func (l ledger) again(e entry) int {
	n, spent := 0, map[int64]bool{}
	for _, c := range l.offers[e.id] {
		if c.Parent != 0 && spent[c.Parent] {
			n++
		}
		if c.Issued != 0 {
			spent[c.Parent] = true
		}
	}
	return n
}

// doubleSpends counts the offers of a refresh token whose successor is stored, in rescue, or held by a living owner. lost
// are the entries whose successor died with its owner: theirs may be offered once more, to hear that it is gone.
func (l ledger) doubleSpends(entries []entry, lost map[string]bool) int {
	n := 0
	for _, e := range entries {
		again := l.again(e)
		if lost[e.id] {
			again--
		}
		n += max(again, 0)
	}
	return n
}

// revoked counts the families that the provider ended.
func (l ledger) revoked(entries []entry) int {
	n := 0
	for _, e := range entries {
		if l.families[e.id].Revoked {
			n++
		}
	}
	return n
}

// healthy says what is wrong with an entry that should be as if nothing had happened: active, with nothing open, and
// with the refresh token that the provider takes; "" when nothing is.
func (b *bed) healthy(l ledger, e entry, generation int64) string {
	b.Helper()
	c := b.credential(e)
	if c.Status != record.Active || c.Generation != generation || c.Lease != nil || c.Intent != nil || c.Failure != nil {
		return fmt.Sprintf("entry %s: %s %s, generation %d (want %d), lease %v, intent %v, failure %v", e.id, c.Status, c.Cause, c.Generation, generation,
			c.Lease != nil, c.Intent != nil, c.Failure)
	}
	if f := l.families[e.id]; f.Revoked || b.fingerprint(c) != f.RefreshToken {
		return fmt.Sprintf("entry %s: its refresh token is not the one that the provider takes (revoked: %v)", e.id, f.Revoked)
	}
	return ""
}

// fingerprint is that of the refresh token in force.
func (b *bed) fingerprint(c record.Credential) string {
	b.Helper()
	set, err := b.vault.OpenTokens(b.Context(), c)
	b.ok(err)
	sum := sha256.Sum256([]byte(set.Refresh.Reveal()))
	return hex.EncodeToString(sum[:])
}
