package seal_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"testing"
	"time"

	"connectorvault/shared/seal"
)

var (
	now   = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	bound = seal.Binding{Purpose: "tokens", Tenant: "t_a", Record: "ve_b", Provider: "amazon", Generation: 7}
)

func ring(t testing.TB, ids ...string) seal.Keyring {
	t.Helper()
	var out seal.Keyring
	for _, id := range ids {
		key, err := seal.NewKey(rand.Reader, id, now)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, key)
	}
	return out
}

func TestSealedValueOpensOnlyWhereItBelongs(t *testing.T) {
	k := ring(t, "k1")
	sealed, err := k.Seal(now, bound, []byte("Atza|token"))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(sealed, []byte("Atza")) {
		t.Fatal("the plaintext shows")
	}
	got, err := k.Open(bound, sealed)
	if err != nil || string(got) != "Atza|token" {
		t.Fatalf("Open = %q, %v", got, err)
	}
	elsewhere := map[string]func(*seal.Binding){
		"another purpose":    func(b *seal.Binding) { b.Purpose = "cursor" },
		"another tenant":     func(b *seal.Binding) { b.Tenant = "t_b" },
		"another entry":      func(b *seal.Binding) { b.Record = "ve_c" },
		"another provider":   func(b *seal.Binding) { b.Provider = "sage" },
		"an older set":       func(b *seal.Binding) { b.Generation = 6 },
		"a newer set":        func(b *seal.Binding) { b.Generation = 8 },
		"parts shifted over": func(b *seal.Binding) { b.Tenant, b.Record = "t_av", "e_b" },
	}
	for name, change := range elsewhere {
		other := bound
		change(&other)
		if _, err := k.Open(other, sealed); !errors.Is(err, seal.ErrSealed) {
			t.Errorf("%s: Open = %v, want ErrSealed", name, err)
		}
	}
	for i := range sealed {
		changed := bytes.Clone(sealed)
		changed[i] ^= 1
		if _, err := k.Open(bound, changed); err == nil {
			t.Fatalf("a value with byte %d changed opened", i)
		}
	}
	for i := range sealed {
		if _, err := k.Open(bound, sealed[:i]); err == nil {
			t.Fatalf("a value cut to %d bytes opened", i)
		}
	}
}

func TestANewKeySealsOnlyFromItsTime(t *testing.T) {
	k := ring(t, "k1", "k2")
	k[1].PrimaryFrom = now.Add(time.Hour)
	before, err := k.Seal(now, bound, []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	after, err := k.Seal(now.Add(time.Hour), bound, []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k[:1].Open(bound, before); err != nil {
		t.Errorf("before its time the new key sealed: %v", err)
	}
	if _, err := k[:1].Open(bound, after); !errors.Is(err, seal.ErrUnknownKey) {
		t.Errorf("from its time the new key did not seal: %v", err)
	}
	for _, sealed := range [][]byte{before, after} {
		if _, err := k.Open(bound, sealed); err != nil {
			t.Errorf("the whole ring does not open: %v", err)
		}
	}
}

func TestEncodeDecode(t *testing.T) {
	k := ring(t, "k1", "k2")
	text, err := k.Encode()
	if err != nil {
		t.Fatal(err)
	}
	back, err := seal.Decode(text)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := k.Seal(now, bound, []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := back.Open(bound, sealed); err != nil {
		t.Error(err)
	}
}

func BenchmarkSealOpen4KB(b *testing.B) {
	k := ring(b, "k1")
	plain := bytes.Repeat([]byte("x"), 4096)
	for b.Loop() {
		sealed, err := k.Seal(now, bound, plain)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := k.Open(bound, sealed); err != nil {
			b.Fatal(err)
		}
	}
}
