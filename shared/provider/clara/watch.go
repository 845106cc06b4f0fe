package clara

import "connectorvault/shared/record"

// Horizon implements provider.Watcher: the certificate says itself when it ends, and of the project the owner may have said.
func (a *Adapter) Horizon(entry record.Entry) []record.Horizon {
	var dates []record.Horizon
	if m := entry.Material; m != nil && !m.NotAfter.IsZero() {
		dates = append(dates, record.Horizon{Name: record.CertificateEnd, At: m.NotAfter, Detail: "the client certificate for Clara"})
	}
	if at, known := projectEnd(entry); known {
		dates = append(dates, record.Horizon{Name: record.ProjectEnd, At: at, Detail: "the API project at Clara"})
	}
	return dates
}
