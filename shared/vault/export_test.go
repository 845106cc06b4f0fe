package vault

import (
	"connectorvault/shared/audit"
	"connectorvault/shared/record"
	"connectorvault/shared/schema"
	"connectorvault/shared/seal"
	"connectorvault/shared/store"
)

// Kept counts what a pool keeps: the names, and the slots.
func (p *SlotPool) Kept() [2]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	slots := 0
	for _, kept := range p.kept {
		slots += len(kept)
	}
	return [2]int{len(p.kept), slots}
}

// Documents are what the documents of each kind are made of.
func Documents() map[schema.Kind]any {
	return map[schema.Kind]any{
		schema.Tenant: record.Tenant{}, schema.Entry: record.Entry{}, schema.App: record.App{}, schema.Connector: record.Connector{},
		schema.Key: apiKeyDoc{}, schema.ConnectorToken: connectorTokenDoc{}, schema.Webhook: record.Webhook{}, schema.Event: record.Event{},
		schema.AuditEvent: audit.Event{}, schema.Request: requestDoc{}, schema.TokenSet: tokenSetJSON{},
		schema.Credential: struct {
			Intent  record.Intent  `json:"intent"`
			Account record.Account `json:"account"`
			Failure record.Failure `json:"failure"`
			Notice  record.Notice  `json:"notice"`
		}{},
	}
}

// Steps are the steps of every kind.
func Steps() map[schema.Kind]map[int64]store.Step { return steps }

// TokenBinding binds a token set to its place.
func TokenBinding(c record.Credential) seal.Binding { return tokenBinding(c, c.Generation) }
