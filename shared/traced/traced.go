// Package traced shows what is asked of the stores as spans.
//
// The argument: the calls of a store are many, and alike, and none of the code that makes them should know that somebody looks.
// So they are seen from outside, in what stands before a store; by table and kind of call alone, since keys name tenants and
// items hold everything else; and only within something that is being looked at, for a call by itself says nothing.
package traced

import (
	"context"
	"errors"

	"connectorvault/shared/secret"
	"connectorvault/shared/store"
	"connectorvault/shared/trace"
)

// Items returns s, with its calls shown. Where nobody looks it is s itself.
func Items(s store.Items, t trace.Tracer) store.Items {
	if t == nil || s == nil {
		return s
	}
	return items{s, t}
}

type items struct {
	store.Items
	tracer trace.Tracer
}

// begin begins a span within another one.
func begin(ctx context.Context, t trace.Tracer, name trace.Name, attributes ...trace.Attribute) (context.Context, trace.Span) {
	if !t.Inside(ctx) {
		return ctx, trace.Span{}
	}
	return trace.Begin(ctx, t, name, attributes...)
}

// end ends a span. That something is not there, or not as it was, is an answer.
func end(s trace.Span, err error) {
	var failed *store.ConditionFailed
	if errors.Is(err, store.ErrNotFound) || errors.As(err, &failed) {
		err = nil
	}
	s.End(err)
}

// Get implements [store.Items].
func (i items) Get(ctx context.Context, table store.Table, key store.Key) (store.Item, error) {
	ctx, span := begin(ctx, i.tracer, trace.Store, trace.OfAccess(trace.Get), trace.OfTable(table))
	item, err := i.Items.Get(ctx, table, key)
	end(span, err)
	return item, err
}

// GetMany implements [store.Items].
func (i items) GetMany(ctx context.Context, table store.Table, keys []store.Key) ([]store.Item, error) {
	ctx, span := begin(ctx, i.tracer, trace.Store, trace.OfAccess(trace.GetMany), trace.OfTable(table))
	found, err := i.Items.GetMany(ctx, table, keys)
	end(span, err)
	return found, err
}

// Query implements [store.Items].
func (i items) Query(ctx context.Context, q store.Query) (found []store.Item, more bool, err error) {
	ctx, span := begin(ctx, i.tracer, trace.Store, trace.OfAccess(trace.Query), trace.OfTable(q.Table))
	found, more, err = i.Items.Query(ctx, q)
	end(span, err)
	return found, more, err
}

// Apply implements [store.Items]. A transaction is named by its first table.
func (i items) Apply(ctx context.Context, ops ...store.Op) error {
	var table store.Table
	if len(ops) > 0 {
		table = ops[0].Table
	}
	ctx, span := begin(ctx, i.tracer, trace.Store, trace.OfAccess(trace.Apply), trace.OfTable(table))
	err := i.Items.Apply(ctx, ops...)
	end(span, err)
	return err
}

// Secrets returns s, with its calls shown. Where nobody looks it is s itself.
func Secrets(s store.Secrets, t trace.Tracer) store.Secrets {
	if t == nil || s == nil {
		return s
	}
	return secrets{s, t}
}

type secrets struct {
	store.Secrets
	tracer trace.Tracer
}

// GetSecret implements [store.Secrets].
func (s secrets) GetSecret(ctx context.Context, name string) (secret.Text, error) {
	ctx, span := begin(ctx, s.tracer, trace.Secrets, trace.OfAccess(trace.Get))
	value, err := s.Secrets.GetSecret(ctx, name)
	end(span, err)
	return value, err
}

// PutSecret implements [store.Secrets].
func (s secrets) PutSecret(ctx context.Context, name string, value secret.Text) error {
	ctx, span := begin(ctx, s.tracer, trace.Secrets, trace.OfAccess(trace.Put))
	err := s.Secrets.PutSecret(ctx, name, value)
	end(span, err)
	return err
}

// CreateSecret implements [store.Secrets].
func (s secrets) CreateSecret(ctx context.Context, name string, value secret.Text) (exists bool, err error) {
	ctx, span := begin(ctx, s.tracer, trace.Secrets, trace.OfAccess(trace.Create))
	exists, err = s.Secrets.CreateSecret(ctx, name, value)
	end(span, err)
	return exists, err
}

// DeleteSecret implements [store.Secrets].
func (s secrets) DeleteSecret(ctx context.Context, name string) error {
	ctx, span := begin(ctx, s.tracer, trace.Secrets, trace.OfAccess(trace.Delete))
	err := s.Secrets.DeleteSecret(ctx, name)
	end(span, err)
	return err
}

// ListSecrets implements [store.Secrets].
func (s secrets) ListSecrets(ctx context.Context, prefix, cursor string) (names []string, next string, err error) {
	ctx, span := begin(ctx, s.tracer, trace.Secrets, trace.OfAccess(trace.List))
	names, next, err = s.Secrets.ListSecrets(ctx, prefix, cursor)
	end(span, err)
	return names, next, err
}
