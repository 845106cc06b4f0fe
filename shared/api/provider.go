package api

import (
	"connectorvault/shared/provider"
	"connectorvault/shared/record"
	"connectorvault/shared/resource"
)

// Provider is what a provider needs before it can be used, and what can be read from it then.
type Provider struct {
	Name        string             `json:"name"`
	Title       string             `json:"title"`
	Enabled     bool               `json:"enabled"`             // accounts may be connected in this deployment
	RedirectURI string             `json:"redirect_uri"`        // to be registered at the provider
	LoginURI    string             `json:"login_uri,omitempty"` // likewise, where the provider has a store of its own
	Modes       []record.Mode      `json:"modes"`
	OwnerOnly   bool               `json:"owner_only"` // whether entries are made, changed and deleted by owners alone
	AppFields   []provider.Field   `json:"app_fields"` // of PUT /v1/provider-apps/{provider}
	Fields      []provider.Field   `json:"fields"`     // of POST /v1/vault-entries
	Settings    []provider.Setting `json:"settings"`   // of POST /v1/connectors, beside resources
	Regions     []provider.Region  `json:"regions"`
	Resources   []Resource         `json:"resources"`
	Notes       []string           `json:"notes"`
}

// Resource is something that can be read.
type Resource struct {
	Name     string     `json:"name"`
	Title    string     `json:"title"`
	List     *Operation `json:"list,omitempty"`
	Item     *Operation `json:"item,omitempty"`
	Create   *Operation `json:"create,omitempty"`
	Document bool       `json:"document"`
}

// Operation is one way to read a resource.
type Operation struct {
	Operation   string   `json:"operation"` // the provider's name for it
	Filters     []Filter `json:"filters"`
	Pages       bool     `json:"pages"`
	MaxLimit    int      `json:"max_limit,omitempty"`
	Rate        float64  `json:"rate,omitempty"` // requests a second
	Burst       int      `json:"burst,omitempty"`
	Personal    bool     `json:"personal_data"` // some of it is a natural person's
	Retires     string   `json:"retires,omitempty"`
	AccountType []string `json:"account_types,omitempty"`
}

// Filter is a query parameter of a read, or a member of what is sent to ask for something.
type Filter struct {
	Name     string   `json:"name"`
	In       string   `json:"in"` // "query" or "body"
	Required bool     `json:"required"`
	List     bool     `json:"list"` // takes several values
	Default  string   `json:"default,omitempty"`
	Values   []string `json:"values,omitempty"`
	Max      int      `json:"max,omitempty"` // most values
	Help     string   `json:"help,omitempty"`
}

// ProviderOf shows a provider; store says that its own store can begin an authorization.
func ProviderOf(d *provider.Descriptor, redirectURI, loginURI string) Provider {
	out := Provider{Name: d.Name, Title: d.Title, RedirectURI: redirectURI, LoginURI: loginURI, Modes: orEmpty(d.Modes), OwnerOnly: d.OwnerOnly,
		AppFields: orEmpty(d.AppFields), Fields: orEmpty(d.Fields), Settings: orEmpty(d.Settings), Regions: orEmpty(d.Regions), Notes: orEmpty(d.Notes),
		Resources: make([]Resource, len(d.Resources))}
	for i, r := range d.Resources {
		out.Resources[i] = Resource{Name: r.Name, Title: r.Title, Document: r.Document,
			List: operation(r.List), Item: operation(r.Item), Create: operation(r.Create)}
	}
	return out
}

func operation(op *resource.Operation) *Operation {
	if op == nil {
		return nil
	}
	out := &Operation{Operation: op.ID, Filters: []Filter{}, Pages: op.Paging.Param != "", MaxLimit: op.Paging.MaxSize,
		Rate: op.Rate, Burst: op.Burst, Personal: len(op.Personal) > 0 || op.PersonalWhole || len(op.PersonalValues) > 0,
		AccountType: op.Accounts}
	if !op.Retires.IsZero() {
		out.Retires = op.Retires.Format("2006-01-02")
	}
	for _, f := range op.Filters {
		// The item and the page are said our way.
		if f.Name == "item" || f.Name == op.Paging.Param || f.Name == op.Paging.Size && f.Name != "" {
			continue
		}
		in := "query"
		if f.In == resource.InBody {
			in = "body"
		}
		out.Filters = append(out.Filters, Filter{Name: f.Name, In: in, Required: f.Required && f.Default == "", List: f.List != resource.Single,
			Default: f.Default, Values: f.Values, Max: f.Max, Help: f.Help})
	}
	return out
}

func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
