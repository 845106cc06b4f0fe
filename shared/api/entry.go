// Package api is the JSON of the HTTP API: what a caller sees of each record.
//
// The argument: records are ours to change, the API is not, so each thing that leaves has a form of its own, in which
// every member was put on purpose. Nothing here can show a secret, because no record that comes in holds one.
package api

import (
	"bytes"
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"connectorvault/shared/record"
	"connectorvault/shared/vault"
)

// Entry is a vault entry as the API shows it. The provider's own fields stand beside the others, as they were given.
type Entry struct {
	ID             string                `json:"id"`
	Provider       string                `json:"provider"`
	Alias          string                `json:"alias"`
	Environment    string                `json:"environment"`
	APIEnvironment record.APIEnvironment `json:"api_environment"`
	Status         record.Status         `json:"status"`
	Cause          record.Cause          `json:"cause,omitempty"`
	Health         record.Health         `json:"health,omitempty"`
	Identity       record.Identity       `json:"identity,omitempty"`
	Account        *record.Account       `json:"account,omitempty"`
	Disabled       bool                  `json:"disabled"`
	Connectors     int64                 `json:"connectors"`
	Token          *Token                `json:"token,omitempty"`
	Failure        *record.Failure       `json:"last_failure,omitempty"`
	Secrets        []string              `json:"secrets,omitempty"`     // names of the secret fields that are set
	Material       *record.Material      `json:"certificate,omitempty"` // what is public of a client's certificate
	Credentials    []Credential          `json:"credentials,omitempty"` // the clients that it was given and has, where it brings its own
	Horizon        []record.Horizon      `json:"horizon"`
	ConnectorToken string                `json:"connector_token,omitempty"` // that it was made with
	AuthorizedAt   time.Time             `json:"authorized_at,omitzero"`
	CreatedAt      time.Time             `json:"created_at"`
	UpdatedAt      time.Time             `json:"updated_at"`

	fields map[string]string
	flags  []string // those of the fields that are true
}

// Credential is a client that an entry brings along, without its secrets.
type Credential struct {
	Number   int64               `json:"number"`
	Primary  bool                `json:"primary"`          // it is in force
	Fields   map[string]string   `json:"fields,omitempty"` // of one that waits; those of the one in force are the entry's
	Material *record.Material    `json:"certificate,omitempty"`
	Reads    []record.Permission `json:"reads,omitempty"`
	TriedAt  time.Time           `json:"tried_at,omitzero"` // of one that waits: when it was tried with success
	AddedAt  time.Time           `json:"added_at,omitzero"`
}

// SuccessorOf shows the client that waits beside an entry's own.
func SuccessorOf(s record.Successor) Credential {
	return Credential{Number: s.Number, Fields: present(s.Settings), Material: s.Material, Reads: s.Reads, TriedAt: s.TriedAt, AddedAt: s.AddedAt}
}

// CredentialsOf shows the clients that an entry brings along, the one in force first; none where it uses an application.
func CredentialsOf(s vault.EntryState) []Credential {
	e := s.Entry
	if e.Material == nil && e.Successor == nil {
		return nil
	}
	first := Credential{Number: e.ClientNumber(), Primary: true, Material: e.Material}
	if s.Credential != nil && s.Credential.Account != nil {
		first.Reads = s.Credential.Account.Reads
	}
	if e.Successor == nil {
		return []Credential{first}
	}
	return []Credential{first, SuccessorOf(*e.Successor)}
}

func present(settings map[string]string) map[string]string {
	out := maps.Clone(settings)
	maps.DeleteFunc(out, func(_, value string) bool { return value == "" })
	return out
}

// Token says how the entry's access token stands, without the token.
type Token struct {
	Generation  int64     `json:"generation"`
	RefreshedAt time.Time `json:"refreshed_at"`
	ExpiresAt   time.Time `json:"expires_at"`
}

// EntryOf shows an entry as it stands at a moment.
func EntryOf(s vault.EntryState, now time.Time) Entry {
	e := Entry{ID: s.Entry.ID, Provider: s.Entry.Provider, Alias: s.Entry.Alias, Environment: s.Entry.Environment,
		APIEnvironment: s.Entry.APIEnvironment, Status: s.Status(), Disabled: s.Entry.Disabled, Connectors: s.Entry.Connectors,
		Horizon: s.Horizons(), CreatedAt: s.Entry.CreatedAt, UpdatedAt: s.Entry.UpdatedAt, fields: s.Entry.Settings, flags: s.Entry.Flags, Material: s.Entry.Material, Credentials: CredentialsOf(s)}
	e.ConnectorToken = s.Entry.ConnectorToken
	for _, stored := range s.Entry.Secrets {
		e.Secrets = append(e.Secrets, stored.Fields...)
	}
	slices.Sort(e.Secrets)
	c := s.Credential
	if c == nil {
		return e
	}
	e.Cause, e.Health, e.Account, e.Failure, e.AuthorizedAt = c.Cause, c.HealthAt(now), c.Account, c.Failure, c.Authorized
	e.Token = &Token{Generation: c.Generation, RefreshedAt: c.Refreshed, ExpiresAt: c.Expires}
	if c.Account != nil {
		e.Identity = c.Account.Identity
	}
	return e
}

// own are the names of an entry's own members, also of those that are left out when they are empty.
var own = func() map[string]bool {
	names := map[string]bool{}
	for i, t := 0, reflect.TypeFor[Entry](); i < t.NumField(); i++ {
		if name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ","); name != "" {
			names[name] = true
		}
	}
	return names
}()

// MarshalJSON implements json.Marshaler: the provider's fields go in among the others.
func (e Entry) MarshalJSON() ([]byte, error) {
	type plain Entry
	body, err := json.Marshal(plain(e))
	if err != nil {
		return nil, err
	}
	out := bytes.NewBuffer(body[:len(body)-1])
	for _, name := range slices.Sorted(maps.Keys(e.fields)) {
		if own[name] {
			continue // a provider's field never stands in for one of ours
		}
		pair, err := json.Marshal(map[string]string{name: e.fields[name]})
		if slices.Contains(e.flags, name) {
			pair, err = json.Marshal(map[string]bool{name: true})
		}
		if err != nil {
			return nil, err
		}
		out.WriteByte(',')
		out.Write(pair[1 : len(pair)-1])
	}
	out.WriteByte('}')
	return out.Bytes(), nil
}

// List is a page of anything.
type List[T any] struct {
	Items []T     `json:"items"`
	Next  *string `json:"next_cursor"`
	// LeftOut is how many records of this page a newer version of the vault wrote, which the one that answers cannot show.
	LeftOut int `json:"left_out,omitempty"`
}

// Without says how many records a page leaves out.
func (l List[T]) Without(n int) List[T] {
	l.LeftOut = n
	return l
}

// ListOf shows a page.
func ListOf[From, To any](items []From, next string, show func(From) To) List[To] {
	out := List[To]{Items: make([]To, len(items))}
	for i, item := range items {
		out.Items[i] = show(item)
	}
	if next != "" {
		cursor := EncodeCursor(next)
		out.Next = &cursor
	}
	return out
}
