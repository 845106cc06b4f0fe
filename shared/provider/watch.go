package provider

import "connectorvault/shared/record"

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
