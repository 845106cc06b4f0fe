package amazonsim

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"connectorvault/infra/sim/engine"
)

// dynamicAnswers are the operations of the dynamic sandbox: FBA inventory, which remembers what it is told (Amazon
// facts 9.3).
func dynamicAnswers() map[string]func(*Simulator, context.Context, *call, *http.Request) (reply, error) {
	return map[string]func(*Simulator, context.Context, *call, *http.Request) (reply, error){
		"createInventoryItem":   (*Simulator).createInventoryItem,
		"deleteInventoryItem":   (*Simulator).deleteInventoryItem,
		"addInventory":          (*Simulator).addInventory,
		"getInventorySummaries": (*Simulator).listSandboxItems,
	}
}

func requiredFor(member, operation string) *apiError {
	return invalidInput(member + " is required for Operation: " + operation)
}

// tenantOf is whose sandbox items a call sees.
func tenantOf(c *call) string { return c.where.app + "|" + c.where.seller }

func empty() reply { return reply{status: http.StatusOK, raw: json.RawMessage(`{}`)} }

func (s *Simulator) createInventoryItem(ctx context.Context, c *call, _ *http.Request) (reply, error) {
	var item struct {
		SKU         string `json:"sellerSku"`
		Marketplace string `json:"marketplaceId"`
		Name        string `json:"productName"`
	}
	if err := json.Unmarshal(c.body, &item); err != nil {
		return reply{}, errUnreadableRequest
	}
	for _, member := range []struct{ name, value string }{{"MarketplaceId", item.Marketplace}, {"SellerSku", item.SKU}, {"ProductName", item.Name}} {
		if member.value == "" {
			return reply{}, requiredFor(member.name, "CreateInventoryItem")
		}
	}
	_, err := s.state.ExecContext(ctx, `INSERT OR REPLACE INTO sandbox_items(seller, marketplace, sku, name, quantity, updated_at)
		VALUES(?, ?, ?, ?, 0, ?)`, tenantOf(c), item.Marketplace, item.SKU, item.Name, c.now.UnixMilli())
	if err != nil {
		return reply{}, fmt.Errorf("storing a sandbox item: %w", err)
	}
	return empty(), nil
}

func (s *Simulator) deleteInventoryItem(ctx context.Context, c *call, _ *http.Request) (reply, error) {
	market := c.query.Get("marketplaceId")
	if market == "" {
		return reply{}, requiredFor("MarketplaceId", "DeleteInventoryItem")
	}
	_, err := s.state.ExecContext(ctx, `DELETE FROM sandbox_items WHERE seller = ? AND marketplace = ? AND sku = ?`,
		tenantOf(c), market, c.vars["sellerSku"])
	if err != nil {
		return reply{}, fmt.Errorf("deleting a sandbox item: %w", err)
	}
	return empty(), nil
}

var errTokenRepeated = invalidInput("Idempotency Token already exists.")

// addInventory sets quantities, once for an idempotency token.
func (s *Simulator) addInventory(ctx context.Context, c *call, r *http.Request) (reply, error) {
	var want struct {
		Items []struct {
			SKU         string `json:"sellerSku"`
			Marketplace string `json:"marketplaceId"`
			Quantity    int    `json:"quantity"`
		} `json:"inventoryItems"`
	}
	if err := json.Unmarshal(c.body, &want); err != nil {
		return reply{}, errUnreadableRequest
	}
	token := r.Header.Get("X-Amzn-Idempotency-Token")
	if token == "" {
		return reply{}, requiredFor("Idempotency Token", "AddInventory")
	}
	err := s.state.Update(ctx, func(tx *sql.Tx) error {
		var one int
		err := tx.QueryRowContext(ctx, `SELECT 1 FROM sandbox_tokens WHERE seller = ? AND token = ?`, tenantOf(c), engine.Digest(token)).Scan(&one)
		if err == nil {
			return errTokenRepeated
		}
		if !errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("reading idempotency tokens: %w", err)
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO sandbox_tokens(seller, token) VALUES(?, ?)`, tenantOf(c), engine.Digest(token)); err != nil {
			return fmt.Errorf("storing an idempotency token: %w", err)
		}
		for _, item := range want.Items {
			_, err := tx.ExecContext(ctx, `UPDATE sandbox_items SET quantity = quantity + ?, updated_at = ?
				WHERE seller = ? AND marketplace = ? AND sku = ?`, item.Quantity, c.now.UnixMilli(), tenantOf(c), item.Marketplace, item.SKU)
			if err != nil {
				return fmt.Errorf("storing quantities: %w", err)
			}
		}
		return nil
	})
	return empty(), err
}

// listSandboxItems answers summaries from what was created. An unknown SKU gives an empty list.
func (s *Simulator) listSandboxItems(ctx context.Context, c *call, _ *http.Request) (reply, error) {
	market, err := oneMarket(c)
	if err != nil {
		return reply{}, err
	}
	wanted := append(csv(c.query, "sellerSkus"), csv(c.query, "sellerSku")...)
	rows, err := s.state.QueryContext(ctx, `SELECT sku, name, quantity FROM sandbox_items WHERE seller = ? AND marketplace = ? ORDER BY sku`,
		tenantOf(c), market.id)
	if err != nil {
		return reply{}, fmt.Errorf("listing sandbox items: %w", err)
	}
	defer func() { _ = rows.Close() }() // reading is over; rows.Err has told what went wrong
	list := []map[string]any{}
	for rows.Next() {
		var sku, name string
		var quantity int
		if err := rows.Scan(&sku, &name, &quantity); err != nil {
			return reply{}, fmt.Errorf("listing sandbox items: %w", err)
		}
		if len(wanted) == 0 || slices.Contains(wanted, sku) {
			list = append(list, map[string]any{
				"sellerSku": sku, "productName": name, "condition": "NewItem", "totalQuantity": quantity,
				"inventoryDetails": map[string]int{"fulfillableQuantity": quantity},
			})
		}
	}
	return ok(map[string]any{"payload": map[string]any{
		"granularity":        map[string]string{"granularityType": "Marketplace", "granularityId": market.id},
		"inventorySummaries": list,
	}}), rows.Err()
}
