package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"connectorvault/shared/secret"
	"connectorvault/shared/store"
)

// SecretsOptions says what an engine of secrets cannot do.
type SecretsOptions struct {
	Lags    bool   // reads and listings may show the state before; the suite then asks again
	Prefix  string // every name begins with it; "" is storetest/
	Listing int    // how many secrets the test of paging makes; 0 is 105, a page and a bit. Fewer where writes are slow or limited
}

// RunSecrets tests an engine of secrets. open is called once.
func RunSecrets(t *testing.T, open func(t *testing.T) store.Secrets, opts SecretsOptions) {
	if opts.Prefix == "" {
		opts.Prefix = "storetest/"
	}
	if opts.Listing == 0 {
		opts.Listing = 105
	}
	secrets := open(t)
	for _, test := range []struct {
		name string
		run  func(*secretsRig)
	}{
		{"Nothing there", secretNothing},
		{"Create once", secretCreate},
		{"Put creates and replaces", secretPut},
		{"Delete", secretDelete},
		{"Values", secretValues},
		{"One creates", secretOneCreates},
		{"List", secretList},
		{"Refusals", secretRefusals},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.run(&secretsRig{T: t, secrets: secrets, opts: opts, prefix: opts.Prefix + fresh("t") + "/"})
		})
	}
}

type secretsRig struct {
	*testing.T
	secrets store.Secrets
	opts    SecretsOptions
	prefix  string // this test's alone
}

// settled checks once, or until it succeeds where the engine may lag.
func (r *secretsRig) settled(check func() error) {
	r.Helper()
	if r.opts.Lags {
		eventually(r.T, check)
		return
	}
	if err := check(); err != nil {
		r.Fatal(err)
	}
}

// wants never prints a value.
func (r *secretsRig) wants(name, value string) {
	r.Helper()
	r.settled(func() error {
		got, err := r.secrets.GetSecret(r.Context(), name)
		if err != nil {
			return fmt.Errorf("reading %s: %w", name, err)
		}
		if got.Reveal() != value {
			return fmt.Errorf("reading %s: another value, of %d bytes instead of %d", name, len(got.Reveal()), len(value))
		}
		return nil
	})
}

func (r *secretsRig) wantsNone(name string) {
	r.Helper()
	r.settled(func() error {
		if _, err := r.secrets.GetSecret(r.Context(), name); !errors.Is(err, store.ErrNotFound) {
			return fmt.Errorf("reading %s: the answer is %w; want ErrNotFound", name, err)
		}
		return nil
	})
}

func (r *secretsRig) put(name, value string) {
	r.Helper()
	if err := r.secrets.PutSecret(r.Context(), name, secret.New(value)); err != nil {
		r.Fatalf("writing %s: %v", name, err)
	}
}

func (r *secretsRig) create(name, value string, wantExists bool) {
	r.Helper()
	exists, err := r.secrets.CreateSecret(r.Context(), name, secret.New(value))
	if err != nil || exists != wantExists {
		r.Fatalf("making %s: exists %t, %v; want %t", name, exists, err, wantExists)
	}
}

func secretNothing(r *secretsRig) {
	if _, err := r.secrets.GetSecret(r.Context(), r.prefix+"none"); !errors.Is(err, store.ErrNotFound) {
		r.Fatalf("the answer is %v; want ErrNotFound", err)
	}
	if err := r.secrets.DeleteSecret(r.Context(), r.prefix+"none"); err != nil {
		r.Fatalf("removing nothing: %v", err)
	}
	names, next, err := r.secrets.ListSecrets(r.Context(), r.prefix, "")
	if err != nil || len(names) != 0 || next != "" {
		r.Fatalf("listing nothing: %q, next %q, %v", names, next, err)
	}
}

func secretCreate(r *secretsRig) {
	r.create(r.prefix+"a", "first", false)
	r.wants(r.prefix+"a", "first")
	r.create(r.prefix+"a", "second", true)
	r.create(r.prefix+"a", "first", true)
	r.wants(r.prefix+"a", "first")
	r.create(r.prefix+"A", "other", false)
	r.wants(r.prefix+"A", "other")
	r.wants(r.prefix+"a", "first")
}

func secretPut(r *secretsRig) {
	r.put(r.prefix+"a", "one")
	r.wants(r.prefix+"a", "one")
	r.put(r.prefix+"a", "two")
	r.wants(r.prefix+"a", "two")
	r.put(r.prefix+"a", "two")
	r.wants(r.prefix+"a", "two")
	r.put(r.prefix+"a", "one")
	r.wants(r.prefix+"a", "one")
	r.create(r.prefix+"a", "three", true)
	r.wants(r.prefix+"a", "one")
}

// secretDelete: removed for good, so that the name can be used again at once, and the old value never comes back.
func secretDelete(r *secretsRig) {
	name := r.prefix + "a"
	r.put(name, "before")
	r.put(r.prefix+"b", "stays")
	for range 2 {
		if err := r.secrets.DeleteSecret(r.Context(), name); err != nil {
			r.Fatalf("removing: %v", err)
		}
	}
	r.wantsNone(name)
	r.wants(r.prefix+"b", "stays")
	r.settled(func() error {
		exists, err := r.secrets.CreateSecret(r.Context(), name, secret.New("after"))
		if err != nil || exists {
			return fmt.Errorf("making it again: exists %t, %w", exists, err)
		}
		return nil
	})
	r.wants(name, "after")
}

func secretValues(r *secretsRig) {
	for i, value := range []string{
		"x", " ", `{"client_secret":"a\"b"}`, "line\nline\r\n", "Zoë \U0001F511", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
		strings.Repeat("0123456789abcdef", 60*1024/16),
	} {
		name := fmt.Sprint(r.prefix, "value", i)
		r.put(name, value)
		r.wants(name, value)
	}
}

func secretOneCreates(r *secretsRig) {
	const n = 8
	exists, err := together(n, func(i int) (bool, error) {
		return r.secrets.CreateSecret(r.Context(), r.prefix+"a", secret.New(fmt.Sprint("value", i)))
	})
	if err != nil {
		r.Fatal(err)
	}
	winner := -1
	for i, e := range exists {
		if !e && winner >= 0 {
			r.Fatalf("both %d and %d made the secret", winner, i)
		}
		if !e {
			winner = i
		}
	}
	if winner < 0 {
		r.Fatal("nobody made the secret")
	}
	r.wants(r.prefix+"a", fmt.Sprint("value", winner))
}

func secretList(r *secretsRig) {
	var want []string
	for i := range r.opts.Listing {
		name := fmt.Sprintf("%slist/%03d", r.prefix, i)
		r.put(name, "v")
		want = append(want, name)
	}
	r.put(r.prefix+"list", "v")
	r.put(r.prefix+"List/000", "v")
	r.put(r.prefix+"listing", "v")
	r.settled(func() error { return r.lists(r.prefix+"list/", want) })
	r.settled(func() error { return r.lists(r.prefix+"listi", []string{r.prefix + "listing"}) })
	if err := r.secrets.DeleteSecret(r.Context(), want[1]); err != nil {
		r.Fatalf("removing: %v", err)
	}
	r.settled(func() error { return r.lists(r.prefix+"list/", slices.Delete(slices.Clone(want), 1, 2)) })
}

// lists compares a whole listing, in any order, without doubles.
func (r *secretsRig) lists(prefix string, want []string) error {
	var all []string
	cursor := ""
	for {
		names, next, err := r.secrets.ListSecrets(r.Context(), prefix, cursor)
		if err != nil {
			return fmt.Errorf("listing %s: %w", prefix, err)
		}
		if len(names) > 100 {
			return fmt.Errorf("listing %s: a page of %d", prefix, len(names))
		}
		all = append(all, names...)
		if next == "" {
			break
		}
		cursor = next
	}
	slices.Sort(all)
	if !slices.Equal(all, want) {
		return fmt.Errorf("listing %s: %d names, or others; want %d", prefix, len(all), len(want))
	}
	return nil
}

func secretRefusals(r *secretsRig) {
	if err := r.secrets.PutSecret(r.Context(), r.prefix+"long", secret.New(strings.Repeat("x", 65*1024))); err == nil {
		r.Error("a value of 65 KB was accepted")
	}
	if err := r.secrets.PutSecret(r.Context(), r.prefix+"empty", secret.Text{}); err == nil {
		r.Error("an empty value was accepted")
	}
	r.wantsNone(r.prefix + "long")
	ctx, cancel := context.WithCancel(r.Context())
	cancel()
	if err := r.secrets.PutSecret(ctx, r.prefix+"ended", secret.New("v")); !errors.Is(err, context.Canceled) {
		r.Errorf("a context that has ended: the answer is %v", err)
	}
	r.wantsNone(r.prefix + "ended")
}
