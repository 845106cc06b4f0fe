package amazonsim

import (
	"context"
	"database/sql"
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
)

// maxRestrictedResources is how many resources one restricted data token may name (Amazon facts 13).
const maxRestrictedResources = 50

// restrictedPaths are the resources that a token can be had for, of those simulated (Amazon facts 5.5). An order may
// be named or left a placeholder; a report document must be named.
var restrictedPaths = regexp.MustCompile(`^(/orders/v0/orders(/(\{orderId\}|[0-9-]+)(/(orderItems(/buyerInfo)?|buyerInfo|address|regulatedInfo))?)?` +
	`|/reports/2021-06-30/documents/[^/{}]+)$`)

// createRestrictedDataToken mints a token for the resources it is given and nothing else (Amazon facts 5.5).
func (s *Simulator) createRestrictedDataToken(ctx context.Context, c *call) (reply, error) {
	var want struct {
		TargetApplication string               `json:"targetApplication"`
		Resources         []restrictedResource `json:"restrictedResources"`
	}
	if err := json.Unmarshal(c.body, &want); err != nil || len(want.Resources) == 0 || len(want.Resources) > maxRestrictedResources {
		return reply{}, badRestricted("restrictedResources must hold 1 to 50 resources.")
	}
	var elements []string
	for _, r := range want.Resources {
		if r.Method != http.MethodGet || !restrictedPaths.MatchString(r.Path) {
			return reply{}, badRestricted("restrictedResources has a method or path that is not restricted.")
		}
		elements = append(elements, r.DataElements...)
	}
	private, err := s.personalDataAllowed(ctx, c)
	if err != nil {
		return reply{}, err
	}
	if !private || (want.TargetApplication != "" && want.TargetApplication != c.where.app) {
		return reply{}, denied("Application does not have access to one or more requested data elements: [" + strings.Join(elements, ", ") + "]")
	}
	resources, err := json.Marshal(want.Resources)
	if err != nil {
		return reply{}, err
	}
	text := s.opaque("Atz.sprdt|", 200)
	t := c.token
	t.kind, t.resources, t.expiresAt = kindRestricted, string(resources), c.now.Add(accessLife).UnixMilli()
	err = s.state.Update(ctx, func(tx *sql.Tx) error { return s.insertToken(ctx, tx, text, t) })
	return ok(map[string]any{"restrictedDataToken": text, "expiresIn": int(accessLife.Seconds())}), err
}

func badRestricted(message string) *apiError {
	return &apiError{http.StatusBadRequest, "InvalidRequest", message, ""}
}

// restrictedReport says whether the documents of a report type need a restricted data token: those of orders and
// shipments for shipping, invoicing and tax do (Amazon facts 5.5).
func restrictedReport(kind string) bool {
	purpose := strings.HasSuffix(kind, "_SHIPPING") || strings.HasSuffix(kind, "_INVOICING") || strings.HasSuffix(kind, "_TAX")
	return purpose && (strings.Contains(kind, "ORDER") || strings.Contains(kind, "SHIPMENT"))
}
