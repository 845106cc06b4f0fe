package amazonsim

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// answerer answers one operation that has data of its own.
type answerer func(*Simulator, context.Context, *call) (reply, error)

// answererOf finds it. The operations without one answer with an empty body of the right shape.
func answererOf(operationID string) (answerer, bool) {
	found, ok := map[string]answerer{
		"getMarketplaceParticipations":    (*Simulator).getMarketplaceParticipations,
		"getAccount":                      (*Simulator).getAccount,
		"searchOrders":                    (*Simulator).searchOrders,
		"getOrder":                        (*Simulator).getOrder,
		"ordersV0.getOrders":              (*Simulator).getOrdersV0,
		"ordersV0.getOrder":               (*Simulator).getOrderV0,
		"ordersV0.getOrderBuyerInfo":      (*Simulator).getOrderBuyerInfoV0,
		"ordersV0.getOrderAddress":        (*Simulator).getOrderAddressV0,
		"ordersV0.getOrderItems":          (*Simulator).getOrderItemsV0,
		"ordersV0.getOrderItemsBuyerInfo": (*Simulator).getOrderItemsBuyerInfoV0,
		"getInventorySummaries":           (*Simulator).getInventorySummaries,
		"searchCatalogItems":              (*Simulator).searchCatalogItems,
		"getCatalogItem":                  (*Simulator).getCatalogItem,
		"getListingsItem":                 (*Simulator).getListingsItem,
		"searchListingsItems":             (*Simulator).searchListingsItems,
		"listTransactions":                (*Simulator).listTransactions,
		"listBalances":                    (*Simulator).listBalances,
		"listSummary":                     (*Simulator).listSummary,
		"getOrderMetrics":                 (*Simulator).getOrderMetrics,
		"createReport":                    (*Simulator).createReport,
		"getReports":                      (*Simulator).getReports,
		"getReport":                       (*Simulator).getReport,
		"cancelReport":                    (*Simulator).cancelReport,
		"getReportSchedules":              (*Simulator).getReportSchedules,
		"getReportSchedule":               (*Simulator).getReportSchedule,
		"getReportDocument":               (*Simulator).getReportDocument,
		"getDocument":                     (*Simulator).getKioskDocument,
		"getLabels":                       (*Simulator).getShipmentPaper,
		"getBillOfLading":                 (*Simulator).getShipmentPaper,
		"getDeliveryChallanDocument":      (*Simulator).getChallan,
		"getFeeds":                        (*Simulator).getFeeds,
		"getFeed":                         (*Simulator).getFeed,
		"getFeedDocument":                 (*Simulator).getFeedDocument,
		"createRestrictedDataToken":       (*Simulator).createRestrictedDataToken,
		"rotateApplicationClientSecret":   (*Simulator).rotateApplicationClientSecret,
	}[operationID]
	return found, ok
}

// answerStateful answers from the seeded data.
func (s *Simulator) answerStateful(ctx context.Context, c *call) (reply, error) {
	if answer, found := answererOf(c.op.id); found {
		return answer(s, ctx, c)
	}
	if c.op.empty == "" {
		return reply{}, fmt.Errorf("operation %s has no answer", c.op.id)
	}
	body := c.op.empty
	for name, value := range c.vars {
		body = strings.ReplaceAll(body, `"$`+name+`"`, quote(value))
	}
	return reply{status: http.StatusOK, raw: json.RawMessage(body)}, nil
}
