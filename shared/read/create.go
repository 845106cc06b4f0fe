package read

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"connectorvault/shared/access"
	"connectorvault/shared/fault"
	"connectorvault/shared/metric"
	"connectorvault/shared/provider"
	"connectorvault/shared/record"
	"connectorvault/shared/resource"
	"connectorvault/shared/vault"
)

// Create asks the provider for something to be made, such as a report, and returns the provider's answer. A repeat under
// the same idempotency key returns the first answer and makes nothing; "" is a request that is not to be repeated.
func (s *Service) Create(ctx context.Context, p record.Principal, key, connector, name string, body []byte) (page Page, err error) {
	ctx, done := s.metered(ctx, metric.Create)
	defer func() { done(err) }()
	if err := access.NeedConnector(p, connector); err != nil {
		return Page{}, err
	}
	t, err := s.target(ctx, p.Tenant, connector)
	if err != nil {
		return Page{}, err
	}
	res, err := t.resource(name)
	if err != nil {
		return Page{}, err
	}
	if res.Create == nil {
		return Page{}, fault.New(fault.Invalid, "invalid_request", fmt.Sprintf("%s can be read, and nothing can be asked for there.", res.Name)).
			Do("Read it with GET.")
	}
	once, err := vault.NewOnce(p, key, "POST /v1/connectors/"+connector+"/"+name, string(body))
	if err != nil {
		return Page{}, err
	}
	op := *res.Create
	checked, err := resource.Body(op, body, t.resolver(s.Now()))
	if err != nil {
		return Page{}, err
	}
	earlier, err := s.Vault.Begin(ctx, p.Tenant, once)
	if err != nil {
		return Page{}, err
	}
	if earlier != "" {
		return pageOf(earlier)
	}
	page, said, err := s.create(ctx, t, op, checked)
	return page, s.remember(context.WithoutCancel(ctx), p.Tenant, once, page, said, err)
}

// create makes the call. said reports whether the provider's answer was yes, whatever became of the answer then.
func (s *Service) create(ctx context.Context, t *target, op resource.Operation, body []byte) (page Page, said bool, err error) {
	answer, err := s.call(ctx, t, provider.Call{Op: op, Params: url.Values{}, Body: body})
	said = answer.Status >= http.StatusOK && answer.Status < http.StatusMultipleChoices
	if err != nil {
		return Page{}, said, err
	}
	items, _, err := resource.Page(op, answer.Body)
	resource.StripPage(op, items) // nobody can ask for personal data here
	return Page{Items: items, Meta: s.meta(plan{op: op}, answer)}, said, err
}

// remember keeps what became of a request that may be repeated, and returns the request's own error. Where the provider
// said no, the note is taken back: the key may be used again. Where it did not answer, or said yes to something that is not
// passed on, something may have been made.
func (s *Service) remember(ctx context.Context, tenant string, once *vault.Once, page Page, said bool, failed error) error {
	var err error
	switch kind := fault.KindOf(failed); {
	case failed == nil:
		var body []byte
		if body, err = page.Encode(); err == nil {
			err = s.Vault.Finish(ctx, tenant, once, string(body))
		}
	case !said && kind != fault.Unavailable && kind != fault.Internal && kind != fault.TooLarge:
		err = s.Vault.GiveUp(ctx, tenant, once)
	}
	if err != nil {
		s.Logger.WarnContext(ctx, "what became of a request was not kept", "tenant", tenant, "error", err.Error())
	}
	return failed
}

func pageOf(encoded string) (Page, error) {
	var page Page
	if err := json.Unmarshal([]byte(encoded), &page); err != nil {
		return page, errors.New("the kept answer of a request cannot be read")
	}
	return page, nil
}
