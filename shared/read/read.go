// Package read answers reads of a provider's data through a connector.
//
// The argument: a read is a provider's call with five things around it: whose account, a token that lives, a place in
// the shared rate, the caller's rights, and a cursor that carries none. When all of that is warm it costs one
// conditional write (the rate) beside the provider's own time, so everything else is remembered for a few seconds; and
// it never lets a token go to waste: one that still lives is used, whatever the trouble with the next.
package read

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/singleflight"

	"connectorvault/shared/access"
	"connectorvault/shared/fault"
	"connectorvault/shared/metric"
	"connectorvault/shared/provider"
	"connectorvault/shared/record"
	"connectorvault/shared/resource"
	"connectorvault/shared/store"
	"connectorvault/shared/tokens"
	"connectorvault/shared/trace"
	"connectorvault/shared/vault"
)

// Config is what the service needs.
type Config struct {
	Vault    *vault.Vault
	Secrets  store.Secrets // those that reads need, and no others
	Provider func(name string) (provider.Adapter, bool)
	Tokens   tokens.Invoke
	Nudge    tokens.Nudge
	HTTP     *http.Client
	Now      func() time.Time
	Random   io.Reader
	Logger   *slog.Logger
	Metrics  *metric.Recorder // nil: nothing is counted
	Tracer   trace.Tracer     // nil: nobody looks

	MaxMargin time.Duration // a token with less life is replaced in the background; 0 = 5 min
}

// Service answers reads. It is safe for concurrent use.
type Service struct {
	Config
	targets cache
	flight  singleflight.Group
	rates   rates
	noted   noted
	slots   *vault.SlotPool
	secrets *vault.SecretReader
}

// New returns a Service with nothing remembered.
func New(cfg Config) *Service {
	if cfg.MaxMargin == 0 {
		cfg.MaxMargin = 5 * time.Minute
	}
	return &Service{Config: cfg, slots: vault.NewSlotPool(cfg.Vault, slotHold, slotBudget), secrets: &vault.SecretReader{Store: cfg.Secrets, Now: cfg.Now}}
}

// Query is one read.
type Query struct {
	Connector string
	Resource  string
	Item      string     // "" = the list
	Params    url.Values // the provider's filters
	Limit     int        // most items of a page; 0 = the provider's own
	Cursor    string     // of an earlier page
	Personal  bool       // the caller asks for personal data
}

// Page is a page of a provider's data.
type Page struct {
	Items []json.RawMessage `json:"items"` // as the provider sent them
	Next  *string           `json:"next_cursor"`
	Meta  Meta              `json:"meta"`
}

// Meta says where a page comes from.
type Meta struct {
	RequestID string    `json:"request_id,omitempty"` // the provider's
	FetchedAt time.Time `json:"fetched_at"`
	Rate      float64   `json:"rate,omitempty"` // requests a second that the provider grants this operation
	Burst     int       `json:"burst,omitempty"`
	// Omitted are the filters that were not sent on, since they ask for personal data.
	Omitted []string `json:"omitted,omitempty"`
}

// Read returns one page of a list, or one item.
func (s *Service) Read(ctx context.Context, p record.Principal, q Query) (page Page, err error) {
	ctx, done := s.metered(ctx, pageOperation(q))
	defer func() { done(err) }()
	plan, err := s.plan(ctx, p, q)
	if err != nil {
		return Page{}, err
	}
	return s.fetch(ctx, plan)
}

// plan is a read that has been checked: what will be called, for whom, and what of the answer may be shown.
type plan struct {
	query    Query
	target   *target
	op       resource.Operation
	params   url.Values
	omitted  []string
	personal bool
	digest   string // of the query that a cursor belongs to
}

func (s *Service) plan(ctx context.Context, p record.Principal, q Query) (plan, error) {
	if q.Personal && !p.PersonalData {
		return plan{}, personalNotGranted()
	}
	if err := access.NeedConnector(p, q.Connector); err != nil {
		return plan{}, err
	}
	t, err := s.target(ctx, p.Tenant, q.Connector)
	if err != nil {
		return plan{}, err
	}
	res, err := t.resource(q.Resource)
	if err != nil {
		return plan{}, err
	}
	op, err := operation(res, q)
	if err != nil {
		return plan{}, err
	}
	if op.PersonalWhole && !q.Personal {
		return plan{}, wholePersonal(res.Name, p)
	}
	pl := plan{query: q, target: t, op: op, personal: q.Personal}
	return s.withParams(ctx, pl)
}

// operation picks what a query calls.
func operation(res resource.Resource, q Query) (resource.Operation, error) {
	op, what := res.List, "listed"
	if q.Item != "" {
		op, what = res.Item, "read by item"
	}
	if op == nil {
		action := "Read it as a list: leave the item out."
		if q.Item == "" {
			action = "Name the item: …/" + res.Name + "/{item}."
		}
		return resource.Operation{}, fault.New(fault.Invalid, "invalid_request", fmt.Sprintf("%s cannot be %s.", res.Name, what)).Do(action)
	}
	return *op, nil
}

// withParams settles what is sent: the caller's filters, the page, what a cursor continues, and the defaults.
func (s *Service) withParams(ctx context.Context, pl plan) (plan, error) {
	params := url.Values{}
	for name, values := range pl.query.Params {
		if name == pl.op.Paging.Param && name != "" {
			return pl, fault.New(fault.Invalid, "invalid_field", "The provider's own page token is not taken here.").
				On(name).Do("Use cursor with the next_cursor of an earlier page.")
		}
		params[name] = values
	}
	if pl.query.Item != "" {
		params.Set("item", pl.query.Item)
	}
	if err := s.withLimit(pl, params); err != nil {
		return pl, err
	}
	pl.digest = digest(pl.op, params)
	if pl.query.Cursor != "" {
		return s.follow(ctx, pl, params)
	}
	if !pl.personal {
		params, pl.omitted = resource.WithoutPersonal(pl.op, params)
	}
	if err := pl.target.within(pl.op, params, s.Now()); err != nil {
		return pl, err
	}
	pl.params = resource.WithDefaults(pl.op, params, pl.target.resolver(s.Now()))
	if !pl.personal { // a default may ask for personal data too
		var more []string
		pl.params, more = resource.WithoutPersonal(pl.op, pl.params)
		pl.omitted = append(pl.omitted, more...)
	}
	return pl, nil
}

func (s *Service) withLimit(pl plan, params url.Values) error {
	size := pl.op.Paging.Size
	if size != "" && params.Has(size) {
		return fault.New(fault.Invalid, "invalid_field", "The page size is given as limit.").On(size).Do("Use limit.")
	}
	if pl.query.Limit == 0 {
		return nil
	}
	if size == "" {
		return fault.New(fault.Invalid, "invalid_field", fmt.Sprintf("The page size of %s cannot be chosen.", pl.query.Resource)).
			On("limit").Do("Leave limit out.")
	}
	if most := pl.op.Paging.MaxSize; most > 0 && pl.query.Limit > most {
		return fault.New(fault.Invalid, "invalid_field", fmt.Sprintf("A page of %s has at most %d items.", pl.query.Resource, most)).
			On("limit").Do(fmt.Sprintf("Give a limit from 1 to %d.", most))
	}
	params.Set(size, strconv.Itoa(pl.query.Limit))
	return nil
}

// fetch makes the plan's call and turns the answer into a page.
func (s *Service) fetch(ctx context.Context, pl plan) (Page, error) {
	page, next, err := s.page(ctx, pl)
	if err != nil || next == nil {
		return page, err
	}
	cursor, err := s.cursor(ctx, pl, next)
	if err != nil {
		return Page{}, err
	}
	page.Next = &cursor
	return page, nil
}

// page makes the plan's call. next are the parameters of the page after it; nil on the last.
func (s *Service) page(ctx context.Context, pl plan) (page Page, next url.Values, err error) {
	answer, err := s.call(ctx, pl.target, provider.Call{Op: pl.op, Params: pl.params})
	if err != nil {
		return Page{}, nil, err
	}
	items, token, err := resource.Page(pl.op, answer.Body)
	if err != nil {
		return Page{}, nil, err
	}
	page = Page{Items: items, Meta: s.meta(pl, answer)}
	if !pl.personal {
		resource.StripPage(pl.op, page.Items)
	}
	if token != "" && pl.op.Paging.Param != "" {
		if next, err = resource.Advance(pl.op, pl.params, token); err != nil {
			return Page{}, nil, err
		}
	}
	return page, next, nil
}

func (s *Service) meta(pl plan, answer provider.Answer) Meta {
	meta := Meta{RequestID: answer.RequestID, FetchedAt: s.Now().UTC(), Rate: pl.op.Rate, Burst: pl.op.Burst, Omitted: pl.omitted}
	if answer.Rate > 0 {
		meta.Rate = answer.Rate
	}
	return meta
}

func personalNotGranted() *fault.Error {
	return fault.New(fault.Forbidden, "personal_data_not_granted", "This key may not see personal data.").
		On("personal_data").Do("Leave personal_data out, or use a key that has the grant.")
}

func wholePersonal(name string, p record.Principal) *fault.Error {
	if !p.PersonalData {
		return personalNotGranted()
	}
	return fault.New(fault.Forbidden, "personal_data_not_granted", name+" is personal data as a whole, and the request did not ask for personal data.").
		On("personal_data").Do("Add personal_data=true if you need it.")
}

// within holds the caller's filters against what the connector is for.
func (t *target) within(op resource.Operation, params url.Values, now time.Time) error {
	if len(t.connector.Settings["marketplaces"]) == 0 {
		return nil
	}
	bounds := t.resolver(now)("$marketplaces")
	for _, f := range op.Filters {
		if !marketplaces(op, f) || !params.Has(f.Name) {
			continue
		}
		for _, value := range strings.Split(strings.Join(params[f.Name], ","), ",") {
			if !slices.Contains(bounds, value) {
				return fault.New(fault.Forbidden, "forbidden", fmt.Sprintf("This connector is not for the marketplace %q.", clip(value))).
					On(f.Name).Do("Use one of: " + strings.Join(bounds, ", ") + ", or another connector.")
			}
		}
	}
	return nil
}

// marketplaces reports whether a filter names marketplaces: its default does, itself or through the filter it copies.
func marketplaces(op resource.Operation, f resource.Filter) bool {
	copied, isCopy := strings.CutPrefix(f.Default, "=")
	if !isCopy {
		return strings.HasPrefix(f.Default, "$marketplace")
	}
	i := slices.IndexFunc(op.Filters, func(other resource.Filter) bool { return other.Name == copied })
	return i >= 0 && strings.HasPrefix(op.Filters[i].Default, "$marketplace")
}

func clip(s string) string {
	if len(s) > 40 {
		return strings.ToValidUTF8(s[:40], "") + "…"
	}
	return s
}
