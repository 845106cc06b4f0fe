package provider

import (
	"net/http"
	"strings"
	"time"

	"connectorvault/shared/fault"
	"connectorvault/shared/record"
)

// Watcher is the capability of providers that have announced when something of theirs ends, or whose entries say it.
type Watcher interface {
	// Horizon returns the announced dates that concern an entry, as record.RetirementEnd with what ends in Detail, and those
	// that the entry itself tells, such as record.CertificateEnd. It is asked often, so it asks nobody.
	Horizon(entry record.Entry) []record.Horizon
}

// Dates says what decides on an entry's dates beside what is stored: whether the operator's application is the entry's,
// and what the provider has announced.
func Dates(a Adapter, entry record.Entry) (usesApp bool, announced []record.Horizon) {
	if w, ok := a.(Watcher); ok {
		announced = w.Horizon(entry)
	}
	return a.Descriptor().UsesApp(entry), announced
}

// Ended adds to a refusal which of an entry's own dates had passed by then. Whoever refuses a certificate or a client whose
// time is over seldom says so, and the entry knows. A refusal that no such date explains is returned as it is.
func Ended(a Adapter, entry record.Entry, err error, now time.Time) error {
	if err == nil || !mayHaveEnded(fault.As(err)) {
		return err
	}
	var ended []string
	_, dates := Dates(a, entry)
	for _, d := range dates {
		if own := d.Name == record.CertificateEnd || d.Name == record.ProjectEnd; own && !now.Before(d.At) {
			ended = append(ended, "As the vault entry says, "+d.Detail+" ended on "+d.At.UTC().Format(time.DateOnly)+".")
		}
	}
	if len(ended) == 0 {
		return err
	}
	problem := *fault.As(err)
	problem.Detail += " " + strings.Join(ended, " ")
	return problem.Do("Make a new one at the provider and give it to the vault entry; if it did not end, correct the entry's date.")
}

// mayHaveEnded reports whether a refusal is one that a client meets with whose time is over: it is refused, its token is, or
// nobody answers it at all.
func mayHaveEnded(f *fault.Error) bool {
	switch f.Kind {
	case fault.Misconfigured:
		return true
	case fault.Refused:
		return f.Provider != nil && f.Provider.Status == http.StatusUnauthorized
	case fault.Unavailable:
		return f.Code == "provider_unavailable" && (f.Provider == nil || f.Provider.Status == 0)
	default:
		return false
	}
}
