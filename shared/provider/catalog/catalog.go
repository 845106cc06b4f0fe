// Package catalog is the list of shipped providers: the one place that names them all.
//
// The argument: a provider must be addable without touching anything but its own folder and one line. Registration by
// side effect would hide that line; a map that is written out can be read, searched and tested.
package catalog

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"

	"connectorvault/shared/provider"
	"connectorvault/shared/provider/amazon"
	"connectorvault/shared/provider/clara"
	"connectorvault/shared/provider/sage"
)

// Options is what the adapters need. Its JSON form is the endpoints alone: what an operator may set.
type Options struct {
	HTTP   *http.Client     `json:"-"` // for token endpoints; nil = each adapter's own
	Amazon amazon.Endpoints `json:"amazon,omitzero"`
	Sage   sage.Endpoints   `json:"sage,omitzero"`
	Clara  clara.Endpoints  `json:"clara,omitzero"`
}

// Validate reports the first address that no provider can be reached at.
func (o Options) Validate() error {
	return cmp.Or(o.Amazon.Validate(), o.Sage.Validate(), o.Clara.Validate())
}

// Catalog is the shipped adapters by name. It is safe for concurrent use.
type Catalog struct {
	adapters map[string]func() provider.Adapter // each is built when it is asked for
	enabled  []string                           // those that accounts may be connected at; nil = all
}

// Only names the providers at which this deployment lets accounts be connected. What is connected at others stays alive and
// can be read: taking that away is what deleting is for. An error names a provider that is not shipped.
func (c *Catalog) Only(names []string) error {
	for _, name := range names {
		if _, ok := c.adapters[name]; !ok {
			return fmt.Errorf("there is no provider %q; there are %s", name, strings.Join(c.Names(), ", "))
		}
	}
	c.enabled = names
	return nil
}

// Enabled reports whether accounts of a provider may be connected here.
func (c *Catalog) Enabled(name string) bool {
	return c.enabled == nil || slices.Contains(c.enabled, name)
}

// New lists every shipped adapter. Each is built when somebody first asks for it: what can be read at a provider is a long list,
// and a process has to do with one of them, or with none. It panics when two have the same name: that is a mistake in this file.
func New(options Options) *Catalog {
	return of(
		shipped{amazon.Name, func() provider.Adapter {
			return amazon.New(amazon.Options{HTTP: options.HTTP, Endpoints: options.Amazon})
		}},
		shipped{sage.Name, func() provider.Adapter { return sage.New(sage.Options{HTTP: options.HTTP, Endpoints: options.Sage}) }},
		shipped{clara.Name, func() provider.Adapter { return clara.New(clara.Options{HTTP: options.HTTP, Endpoints: options.Clara}) }},
	)
}

// shipped is an adapter that is there to be built.
type shipped struct {
	name  string
	build func() provider.Adapter
}

func of(all ...shipped) *Catalog {
	c := &Catalog{adapters: map[string]func() provider.Adapter{}}
	for _, s := range all {
		if _, taken := c.adapters[s.name]; taken {
			panic(fmt.Sprintf("catalog: two providers are called %q", s.name))
		}
		c.adapters[s.name] = sync.OnceValue(s.build)
	}
	return c
}

// Adapter finds an adapter by its provider's name.
func (c *Catalog) Adapter(name string) (provider.Adapter, bool) {
	build, ok := c.adapters[name]
	if !ok {
		return nil, false
	}
	return build(), true
}

// Names returns the providers' names in alphabetical order.
func (c *Catalog) Names() []string { return slices.Sorted(maps.Keys(c.adapters)) }
