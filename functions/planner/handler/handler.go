// Package handler is the planner behind a Lambda, which EventBridge's scheduler invokes each minute.
package handler

import (
	"context"
	"encoding/json"
	"errors"

	"connectorvault/shared/planner"
)

// Handler carries out what the function is invoked for. It is safe for concurrent use.
type Handler struct{ planner *planner.Planner }

// New returns a Handler.
func New(p *planner.Planner) *Handler { return &Handler{planner: p} }

// Handle answers the schedule's event, {"operation": "plan"}, with what was planned. An error wakes somebody and brings nothing
// back: what was not planned is due in the next minute still.
func (h *Handler) Handle(ctx context.Context, payload json.RawMessage) (planner.Plan, error) {
	var in struct {
		Operation string `json:"operation"`
	}
	if err := json.Unmarshal(payload, &in); err != nil || in.Operation != "plan" {
		return planner.Plan{}, errors.New("the event is none that the planner knows")
	}
	return h.planner.Plan(ctx)
}
