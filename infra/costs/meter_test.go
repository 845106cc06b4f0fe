package main

import (
	"context"
	"math"
	"net/http"
	"strconv"
	"sync"

	"connectorvault/shared/secret"
	"connectorvault/shared/store"
)

// meter stands before a function's parts and counts what the function asks of them, in the units that are paid for.
type meter struct {
	items   store.Items
	due     store.DueIndex
	secrets store.Secrets

	mu     sync.Mutex
	part   part // guarded by mu
	stored int  // guarded by mu; bytes by which the tables grew
}

func (m *meter) count(add func(*part)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	add(&m.part)
}

// reset returns what was counted, and begins anew.
func (m *meter) reset() part {
	m.mu.Lock()
	defer m.mu.Unlock()
	was := m.part
	m.part = part{}
	return was
}

// sizeOf is an item's size; of one that is not there, none.
func sizeOf(key store.Key, attrs store.Attrs) int {
	if attrs == nil {
		return 0
	}
	return store.Size(key, attrs)
}

// units rounds bytes up to units, of which anything takes one.
func units(bytes, unit int) float64 { return math.Max(1, math.Ceil(float64(bytes)/float64(unit))) }

const (
	readUnit  = 4096
	writeUnit = 1024
)

func (m *meter) Get(ctx context.Context, table store.Table, key store.Key) (store.Item, error) {
	item, err := m.items.Get(ctx, table, key)
	m.count(func(p *part) { p.StoreCalls++; p.Reads += units(sizeOf(key, item.Attrs), readUnit) })
	return item, err
}

func (m *meter) GetMany(ctx context.Context, table store.Table, keys []store.Key) ([]store.Item, error) {
	items, err := m.items.GetMany(ctx, table, keys)
	m.count(func(p *part) {
		p.StoreCalls++
		p.Reads += float64(len(keys) - len(items)) // of what is not there
		for _, item := range items {
			p.Reads += units(sizeOf(item.Key, item.Attrs), readUnit)
		}
	})
	return items, err
}

func (m *meter) Query(ctx context.Context, q store.Query) ([]store.Item, bool, error) {
	items, more, err := m.items.Query(ctx, q)
	size := 0
	for _, item := range items {
		size += sizeOf(item.Key, item.Attrs)
	}
	m.count(func(p *part) { p.StoreCalls++; p.Reads += units(size, readUnit) })
	return items, more, err
}

// Apply is paid for by the larger of what was there and what is, twice in a transaction, and for each change of the index. A
// condition that fails is paid for too.
func (m *meter) Apply(ctx context.Context, ops ...store.Op) error {
	before := make([]store.Attrs, len(ops))
	for i, op := range ops {
		if item, err := m.items.Get(ctx, op.Table, op.Key); err == nil {
			before[i] = item.Attrs
		}
	}
	err := m.items.Apply(ctx, ops...)
	times := 1.0
	if len(ops) > 1 {
		times = 2
	}
	m.count(func(p *part) { p.StoreCalls++ })
	for i, op := range ops {
		var after store.Attrs
		if item, err := m.items.Get(ctx, op.Table, op.Key); err == nil {
			after = item.Attrs
		}
		was, is := sizeOf(op.Key, before[i]), sizeOf(op.Key, after)
		m.count(func(p *part) {
			p.Writes += times*units(max(was, is), writeUnit) + indexWrites(op.Table, before[i], after)
			m.stored += is - was
		})
	}
	return err
}

// indexWrites are those of the due index: an entry of it is removed, made, or both.
func indexWrites(table store.Table, before, after store.Attrs) float64 {
	if table != store.Credentials {
		return 0
	}
	at := func(a store.Attrs) string {
		if a == nil || a.String(store.AttrDueShard) == "" {
			return ""
		}
		return a.String(store.AttrDueShard) + strconv.FormatInt(a.Int(store.AttrDueAt), 10)
	}
	was, is := at(before), at(after)
	switch {
	case was == is:
		return 0
	case was == "" || is == "":
		return 1
	default:
		return 2
	}
}

// Due is a query of an index, which is not read strongly and costs half. What it finds is a key of some hundred bytes.
func (m *meter) Due(ctx context.Context, shard string, until int64, limit int, cursor string) ([]store.Due, string, error) {
	due, next, err := m.due.Due(ctx, shard, until, limit, cursor)
	m.count(func(p *part) { p.StoreCalls++; p.Reads += units(128*len(due), readUnit) / 2 })
	return due, next, err
}

func (m *meter) GetSecret(ctx context.Context, name string) (secret.Text, error) {
	m.count(func(p *part) { p.SecretCalls++ })
	return m.secrets.GetSecret(ctx, name)
}

func (m *meter) PutSecret(ctx context.Context, name string, value secret.Text) error {
	m.count(func(p *part) { p.SecretCalls++ })
	return m.secrets.PutSecret(ctx, name, value)
}

func (m *meter) CreateSecret(ctx context.Context, name string, value secret.Text) (bool, error) {
	m.count(func(p *part) { p.SecretCalls++ })
	return m.secrets.CreateSecret(ctx, name, value)
}

func (m *meter) DeleteSecret(ctx context.Context, name string) error {
	m.count(func(p *part) { p.SecretCalls++ })
	return m.secrets.DeleteSecret(ctx, name)
}

func (m *meter) ListSecrets(ctx context.Context, prefix, cursor string) ([]string, string, error) {
	m.count(func(p *part) { p.SecretCalls++ })
	return m.secrets.ListSecrets(ctx, prefix, cursor)
}

// RoundTrip counts what is asked of providers.
func (m *meter) RoundTrip(r *http.Request) (*http.Response, error) {
	m.count(func(p *part) { p.ProviderCalls++ })
	return http.DefaultTransport.RoundTrip(r)
}

// Write counts what is logged.
func (m *meter) Write(line []byte) (int, error) {
	m.count(func(p *part) { p.LogBytes += len(line) })
	return len(line), nil
}
