package api

import (
	"time"

	"connectorvault/shared/audit"
)

// AuditEvent is an audit event as the API shows it.
type AuditEvent struct {
	ID          string            `json:"id"`
	Time        time.Time         `json:"time"`
	SubjectKind audit.Kind        `json:"subject_kind"`
	Subject     string            `json:"subject,omitempty"` // the caller's own tenant has none
	Number      int64             `json:"number"`            // of the event, among those of its subject
	Action      audit.Action      `json:"action"`
	Actor       AuditActor        `json:"actor"`
	RequestID   string            `json:"request_id,omitempty"`
	Outcome     audit.Outcome     `json:"outcome"`
	Code        string            `json:"code,omitempty"`
	Changes     []audit.Change    `json:"changes,omitempty"`
	Detail      map[string]string `json:"detail,omitempty"`
	Cursor      string            `json:"cursor"` // a list goes on after this event
}

// AuditActor is who did it.
type AuditActor struct {
	Kind audit.ActorKind `json:"kind"`
	ID   string          `json:"id,omitempty"` // of a principal
	Role string          `json:"role,omitempty"`
}

// AuditEventOf shows audit events of a list whose cursors are made by key.
func AuditEventOf(key func(audit.Event) string) func(audit.Event) AuditEvent {
	return func(e audit.Event) AuditEvent {
		out := AuditEvent{ID: e.ID, Time: e.At, SubjectKind: e.Subject.Kind, Subject: e.Subject.ID, Number: e.Number, Action: e.Action,
			Actor: AuditActor{Kind: e.Actor.Kind, ID: e.Actor.ID, Role: e.Actor.Role}, RequestID: e.Actor.RequestID, Outcome: e.Outcome,
			Code: e.Code, Changes: e.Changes, Detail: e.Detail, Cursor: EncodeCursor(key(e))}
		if e.Subject.Kind == audit.Tenant {
			out.Subject = ""
		}
		return out
	}
}
