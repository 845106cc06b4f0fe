package provider_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"connectorvault/shared/fault"
	"connectorvault/shared/provider"
	"connectorvault/shared/record"
)

// dated is an adapter whose entries have dates.
type dated struct {
	provider.Adapter
	dates []record.Horizon
}

func (d dated) Descriptor() *provider.Descriptor { return &provider.Descriptor{} }

func (d dated) Horizon(record.Entry) []record.Horizon { return d.dates }

// undated is one that knows of none.
type undated struct{ provider.Adapter }

func (undated) Descriptor() *provider.Descriptor { return &provider.Descriptor{} }

// A refusal that an end explains says which end; any other stays as it is.
func TestARefusalSaysWhatHasEnded(t *testing.T) {
	t.Parallel()
	now := time.Date(2027, 3, 4, 5, 6, 7, 0, time.UTC)
	certificate := record.Horizon{Name: record.CertificateEnd, At: now, Detail: "the certificate"}
	project := record.Horizon{Name: record.ProjectEnd, At: now.Add(-48 * time.Hour), Detail: "the project"}
	later := func(h record.Horizon) record.Horizon { h.At = now.Add(time.Second); return h }
	of := func(kind fault.Kind, code string, status int) *fault.Error {
		f := fault.New(kind, code, "It says no.").Do("Do something.").After(3 * time.Second)
		if status != 0 {
			_ = f.Said(fault.Provider{Status: status})
		}
		return f
	}
	rejected := of(fault.Misconfigured, "client_certificate_missing_or_rejected", 0)
	for what, row := range map[string]struct {
		err   error
		dates []record.Horizon
		want  []string // what is said besides
	}{
		"the certificate":            {rejected, []record.Horizon{certificate, later(project)}, []string{"the certificate ended on 2027-03-04."}},
		"the project":                {of(fault.Misconfigured, "client_misconfigured", 401), []record.Horizon{later(certificate), project}, []string{"the project ended on 2027-03-02."}},
		"both":                       {rejected, []record.Horizon{certificate, project}, []string{"the certificate ended on", "the project ended on"}},
		"a token that is refused":    {of(fault.Refused, "provider_refused", 401), []record.Horizon{project}, []string{"the project ended on"}},
		"nobody answers":             {of(fault.Unavailable, "provider_unavailable", 0), []record.Horizon{certificate}, []string{"the certificate ended on"}},
		"nothing has ended":          {rejected, []record.Horizon{later(certificate), later(project)}, nil},
		"there are no dates":         {rejected, nil, nil},
		"another kind of end":        {rejected, []record.Horizon{{Name: record.RetirementEnd, At: now, Detail: "the API"}}, nil},
		"an answer of a busy host":   {of(fault.Unavailable, "provider_unavailable", 503), []record.Horizon{certificate}, nil},
		"the other side's doing":     {of(fault.Unavailable, "server_name_mismatch", 0), []record.Horizon{certificate}, nil},
		"a permission":               {of(fault.Refused, "provider_refused", 403), []record.Horizon{project}, nil},
		"a refusal of our own":       {of(fault.Refused, "provider_refused", 0), []record.Horizon{project}, nil},
		"what does not exist":        {of(fault.NotFound, "provider_refused", 404), []record.Horizon{certificate}, nil},
		"trouble of ours, unwrapped": {errors.New("canary"), []record.Horizon{certificate}, nil},
	} {
		before := row.err.Error()
		got := provider.Ended(dated{dates: row.dates}, record.Entry{}, row.err, now)
		if len(row.want) == 0 {
			if got != row.err { //nolint:errorlint // the very same is meant
				t.Errorf("%s: %v", what, got)
			}
			continue
		}
		f, was := fault.As(got), fault.As(row.err)
		if f.Kind != was.Kind || f.Code != was.Code || f.RetryAfter != was.RetryAfter || f.Provider != was.Provider || f.Action == was.Action || !strings.HasPrefix(f.Detail, was.Detail+" ") {
			t.Errorf("%s: %+v", what, f)
		}
		for _, want := range row.want {
			if !strings.Contains(f.Detail, want) {
				t.Errorf("%s: %s", what, f.Detail)
			}
		}
		if strings.Count(f.Detail, "ended on") != len(row.want) || row.err.Error() != before {
			t.Errorf("%s: it says %q, and the one that came %q", what, f.Detail, row.err)
		}
	}
	if provider.Ended(dated{dates: []record.Horizon{certificate}}, record.Entry{}, nil, now) != nil {
		t.Error("success is refused")
	}
	if got := provider.Ended(undated{}, record.Entry{}, rejected, now); got != error(rejected) { //nolint:errorlint // likewise
		t.Errorf("without dates: %v", got)
	}
}
