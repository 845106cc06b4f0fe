package catalog

import (
	"encoding/json"
	"net/http"
	"slices"
	"testing"

	"connectorvault/shared/provider"
	"connectorvault/shared/record"
)

type named string

func (n named) Descriptor() *provider.Descriptor { return &provider.Descriptor{Name: string(n)} }

func (named) Normalize(*record.Entry) error { return nil }

func TestCatalog(t *testing.T) {
	t.Parallel()
	c := New(Options{})
	for _, name := range c.Names() {
		a, ok := c.Adapter(name)
		if !ok || a.Descriptor().Name != name {
			t.Errorf("%s is not under its name", name)
		}
	}
	if want := []string{"amazon", "clara", "sage"}; !slices.Equal(c.Names(), want) {
		t.Errorf("there are %v, want %v", c.Names(), want)
	}
	if _, ok := c.Adapter("nobody"); ok {
		t.Error("a provider is there that is not")
	}
}

func TestTwoOfOneNamePanic(t *testing.T) {
	t.Parallel()
	defer func() {
		if recover() == nil {
			t.Error("two providers of one name were taken")
		}
	}()
	as := func(name string) shipped { return shipped{name, func() provider.Adapter { return named(name) }} }
	of(as("a"), as("b"), as("a"))
}

// What nobody asks for is not built, and what was built is kept: adapters keep connections.
func TestAnAdapterIsBuiltOnceAndWhenItIsAskedFor(t *testing.T) {
	t.Parallel()
	var built []string
	as := func(name string) shipped {
		return shipped{name, func() provider.Adapter { built = append(built, name); return named(name) }}
	}
	c := of(as("a"), as("b"))
	if err := c.Only([]string{"b"}); err != nil || len(c.Names()) != 2 || !c.Enabled("b") || len(built) != 0 {
		t.Errorf("%v, built are %v", err, built)
	}
	for range 3 {
		if a, ok := c.Adapter("b"); !ok || a.Descriptor().Name != "b" {
			t.Error("b is not there")
		}
	}
	if _, ok := c.Adapter("c"); ok || !slices.Equal(built, []string{"b"}) {
		t.Errorf("built are %v", built)
	}
}

// An operator's endpoints reach the adapter.
func TestOptionsFromJSON(t *testing.T) {
	t.Parallel()
	var options Options
	if err := json.Unmarshal([]byte(`{"amazon":{"consent":"http://127.0.0.1:1","token":"http://127.0.0.1:2","api":{"eu":"http://127.0.0.1:3/eu"}},
		"sage":{"api":"http://127.0.0.1:4","legacy_api":"http://127.0.0.1:5"}}`), &options); err != nil {
		t.Fatal(err)
	}
	a, _ := New(options).Adapter("amazon")
	e := record.Entry{Settings: map[string]string{"marketplace": "DE"}}
	if err := a.Normalize(&e); err != nil {
		t.Fatal(err)
	}
	if got := a.(provider.Reader).BaseURL(e); got != "http://127.0.0.1:3/eu" {
		t.Errorf("reads at %s", got)
	}
	a, _ = New(options).Adapter("sage")
	for profile, want := range map[string]string{"v3.1": "http://127.0.0.1:4/v3.1", "legacy_v3": "http://127.0.0.1:5/ca/sageone/accounts/v3"} {
		e := record.Entry{Settings: map[string]string{"provider_app": "true", "country_code": "CA", "profile": profile}}
		if err := a.Normalize(&e); err != nil {
			t.Fatal(err)
		}
		if got := a.(provider.Reader).BaseURL(e); got != want {
			t.Errorf("%s reads at %s", profile, got)
		}
	}
}

// The client for token endpoints is everybody's, but where each entry has one of its own.
func TestOptionsHTTP(t *testing.T) {
	t.Parallel()
	client := &http.Client{}
	c := New(Options{HTTP: client})
	for _, name := range c.Names() {
		a, _ := c.Adapter(name)
		if _, own := a.(provider.Dialer); own {
			continue
		}
		if source, ok := a.(provider.TokenSource); ok && source.TokenClient(record.Entry{}, provider.AppCredentials{}).HTTP != client {
			t.Errorf("%s asks for tokens with another client", name)
		}
	}
}
