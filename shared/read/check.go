package read

import (
	"context"
	"time"

	"connectorvault/shared/fault"
	"connectorvault/shared/metric"
	"connectorvault/shared/provider"
	"connectorvault/shared/record"
)

// Check is what an entry's credential turned out to be good for.
type Check struct {
	Works     bool      `json:"works"` // a token was to be had, and the provider took it
	CheckedAt time.Time `json:"checked_at"`
	Reads     []Finding `json:"reads"`
}

// Finding is what one probe showed.
type Finding struct {
	Resource string          `json:"resource"`
	Allowed  *bool           `json:"allowed"` // null: it could not be found out now
	Code     string          `json:"code,omitempty"`
	Detail   string          `json:"detail,omitempty"`
	Action   string          `json:"action,omitempty"`
	Provider *fault.Provider `json:"provider,omitempty"`
}

// Check proves that an entry's credential works, with the cheapest calls that show it, and says what it may read. A
// credential that needs a new authorization is an error, as it is for a read.
func (s *Service) Check(ctx context.Context, p record.Principal, entryID string) (out Check, err error) {
	ctx, done := s.metered(ctx, metric.Check)
	defer func() { done(err) }()
	entry, err := s.Vault.Entry(ctx, p.Tenant, entryID)
	if err != nil {
		return Check{}, err
	}
	s.of(ctx, entry)
	t, err := s.loadEntry(ctx, entry)
	if err != nil {
		return Check{}, err
	}
	if t, err = s.alive(ctx, t); err != nil {
		return Check{}, err
	}
	out = Check{CheckedAt: s.Now().UTC(), Reads: []Finding{}}
	prober, ok := t.adapter.(provider.Prober)
	if !ok {
		return out, nil
	}
	for _, probe := range prober.Probes(t.asTarget(), s.Now()) {
		_, err := s.call(ctx, t, provider.Call{Op: probe.Op, Params: probe.Params})
		finding := found(probe.Resource, err)
		out.Works = out.Works || finding.Allowed != nil && *finding.Allowed
		out.Reads = append(out.Reads, finding)
		if fault.KindOf(err) == fault.ReauthRequired && err != nil {
			return out, err
		}
	}
	return out, nil
}

func found(resource string, err error) Finding {
	yes, no := true, false
	finding := Finding{Resource: resource, Allowed: &yes}
	if err == nil {
		return finding
	}
	f := fault.As(err)
	finding.Code, finding.Detail, finding.Action, finding.Provider = f.Code, f.Detail, f.Action, f.Provider
	switch f.Kind {
	case fault.RateLimited, fault.Unavailable, fault.Internal:
		finding.Allowed = nil
	case fault.Invalid, fault.TooLarge: // the provider looked at the request, or answered, so it had let us in
		return Finding{Resource: resource, Allowed: &yes}
	default:
		finding.Allowed = &no
	}
	return finding
}
