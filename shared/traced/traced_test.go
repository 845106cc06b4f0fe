package traced_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"connectorvault/shared/metric"
	"connectorvault/shared/secret"
	"connectorvault/shared/store"
	"connectorvault/shared/tokens"
	"connectorvault/shared/trace"
	"connectorvault/shared/traced"
)

// notebook notes spans as they end.
type notebook struct{ ended []string }

type key struct{}

func (n *notebook) Begin(ctx context.Context, name trace.Name) (context.Context, trace.Kept) {
	return context.WithValue(ctx, key{}, true), &page{n: n, name: name.String()}
}

func (*notebook) Inside(ctx context.Context) bool { return ctx.Value(key{}) != nil }

type page struct {
	n    *notebook
	name string
	said []string
}

func (p *page) Set(a trace.Attribute) { p.said = append(p.said, a.Key()+"="+a.Value()) }

func (p *page) End(failed bool) {
	if failed {
		p.said = append(p.said, "failed")
	}
	p.n.ended = append(p.n.ended, p.name+": "+strings.Join(p.said, " "))
}

// engine answers everything with one error.
type engine struct{ err error }

func (e engine) Get(ctx context.Context, _ store.Table, k store.Key) (store.Item, error) {
	if ctx.Value(key{}) == nil {
		return store.Item{}, errors.New("the call is not in its span")
	}
	return store.Item{Key: k}, e.err
}

func (e engine) GetMany(context.Context, store.Table, []store.Key) ([]store.Item, error) {
	return make([]store.Item, 2), e.err
}

func (e engine) Query(context.Context, store.Query) ([]store.Item, bool, error) {
	return make([]store.Item, 3), true, e.err
}
func (e engine) Apply(context.Context, ...store.Op) error { return e.err }

func (e engine) GetSecret(context.Context, string) (secret.Text, error) {
	return secret.New("canary-value"), e.err
}
func (e engine) PutSecret(context.Context, string, secret.Text) error { return e.err }
func (e engine) CreateSecret(context.Context, string, secret.Text) (bool, error) {
	return true, e.err
}
func (e engine) DeleteSecret(context.Context, string) error { return e.err }
func (e engine) ListSecrets(context.Context, string, string) ([]string, string, error) {
	return []string{"canary-name"}, "next", e.err
}

func TestCallsOfStoresAreShown(t *testing.T) {
	t.Parallel()
	for err, tail := range map[error]string{nil: "outcome=success", store.ErrNotFound: "outcome=success", &store.ConditionFailed{}: "outcome=success",
		errors.New("canary"): "outcome=failed failed"} {
		n := &notebook{}
		ctx, outer := trace.Begin(t.Context(), n, trace.Read)
		items, secrets := traced.Items(engine{err}, n), traced.Secrets(engine{err}, n)
		k := store.Key{Partition: "canary-tenant", Sort: "canary-sort"}
		item, e1 := items.Get(ctx, store.Records, k)
		many, e2 := items.GetMany(ctx, store.Transient, []store.Key{k})
		found, more, e3 := items.Query(ctx, store.Query{Table: store.Requests, Partition: "canary"})
		e4 := items.Apply(ctx, store.Op{Table: store.Credentials, Key: k})
		value, e5 := secrets.GetSecret(ctx, "canary-name")
		e6 := secrets.PutSecret(ctx, "canary-name", value)
		exists, e7 := secrets.CreateSecret(ctx, "canary-name", value)
		e8 := secrets.DeleteSecret(ctx, "canary-name")
		names, next, e9 := secrets.ListSecrets(ctx, "canary", "")
		outer.Close()
		for i, got := range []error{e1, e2, e3, e4, e5, e6, e7, e8, e9} {
			if !errors.Is(got, err) {
				t.Errorf("call %d: %v, want %v", i+1, got, err)
			}
		}
		if item.Key != k || len(many) != 2 || len(found) != 3 || !more || value.Reveal() != "canary-value" || !exists || len(names) != 1 || next != "next" {
			t.Error("an answer is changed")
		}
		want := []string{"store: operation=get table=records " + tail, "store: operation=get many table=transient " + tail, "store: operation=query table=requests " + tail,
			"store: operation=apply table=credentials " + tail, "secrets: operation=get " + tail, "secrets: operation=put " + tail, "secrets: operation=create " + tail,
			"secrets: operation=delete " + tail, "secrets: operation=list " + tail, "read: "}
		if !slices.Equal(n.ended, want) {
			t.Errorf("%v\n%q\nwant\n%q", err, n.ended, want)
		}
	}
}

// A call that belongs to nothing that is looked at is none.
func TestOutsideNothingIsShown(t *testing.T) {
	t.Parallel()
	n := &notebook{}
	_, _ = traced.Items(engine{}, n).GetMany(t.Context(), store.Records, nil)
	_, _ = traced.Secrets(engine{}, n).GetSecret(t.Context(), "x")
	if len(n.ended) > 0 {
		t.Errorf("%q", n.ended)
	}
	if e := (engine{}); traced.Items(e, nil) != store.Items(e) || traced.Secrets(e, nil) != store.Secrets(e) || traced.Items(nil, n) != nil || traced.Secrets(nil, n) != nil {
		t.Error("something stands in between for nobody")
	}
}

// No attribute takes a text that is in no list.
func TestAttributesAreOfLists(t *testing.T) {
	t.Parallel()
	for _, a := range []trace.Attribute{trace.OfProvider("https://canary.example/?token=x"), trace.OfProvider(""), trace.OfProvider("t_1000000000000000"), trace.OfProvider(strings.Repeat("x", 33)),
		trace.OfCall("canary"), trace.OfTable("canary"), trace.OfAccess(200), trace.OfOperation(200), trace.Of(200)} {
		if a.Value() != metric.Other || !slices.Contains(trace.Keys(), a.Key()) {
			t.Errorf("%+v", a)
		}
	}
	for _, a := range []trace.Attribute{trace.OfProvider("amazon"), trace.OfCall(tokens.Deny), trace.OfTable(store.Records), trace.OfAccess(trace.List), trace.OfOperation(metric.Unknown), trace.Of(metric.Failed)} {
		if a.Value() == metric.Other || a.Value() == "" || !slices.Contains(trace.Keys(), a.Key()) {
			t.Errorf("%+v", a)
		}
	}
	seen := map[string]bool{}
	for n := trace.TokenService; n <= trace.Secrets; n++ {
		seen[n.String()] = true
	}
	if len(seen) != int(trace.Secrets)+1 || seen[metric.Other] || trace.Name(200).String() != metric.Other {
		t.Errorf("%v", seen)
	}
}

func TestNobodyLooks(t *testing.T) {
	t.Parallel()
	ctx, s := trace.Begin(t.Context(), nil, trace.Read, trace.OfProvider("amazon"))
	s.Set(trace.OfProvider("amazon"))
	s.End(errors.New("x"))
	s.Close()
	if ctx != t.Context() {
		t.Error("the context is another one")
	}
}
