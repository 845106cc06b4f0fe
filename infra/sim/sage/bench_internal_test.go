package sagesim

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// BenchmarkRefresh spends one refresh token after the other, as a vault does 288 times a day for each connection.
func BenchmarkRefresh(b *testing.B) {
	bench := newBench(b, UserGB)
	granted, err := bench.sim.Grant(context.Background(), GrantRequest{})
	if err != nil {
		b.Fatal(err)
	}
	token := granted.RefreshToken
	for b.Loop() {
		form := url.Values{"grant_type": {grantRefresh}, "refresh_token": {token}, "client_id": {SeedClientID}, "client_secret": {SeedClientSecret}}
		r := httptest.NewRequestWithContext(context.Background(), http.MethodPost, tokenPath, strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w := httptest.NewRecorder()
		bench.serve.ServeHTTP(w, r)
		var set tokenSet
		if err := json.Unmarshal(w.Body.Bytes(), &set); err != nil || set.RefreshToken == "" {
			b.Fatalf("%d %s", w.Code, w.Body)
		}
		token = set.RefreshToken
	}
}

func benchmarkGet(b *testing.B, path string) {
	bench := newBench(b, UserGB)
	for b.Loop() {
		if w := bench.get(path); w.Code != http.StatusOK {
			b.Fatalf("%d %s", w.Code, w.Body)
		}
	}
}

func BenchmarkUser(b *testing.B)          { benchmarkGet(b, "/user") }
func BenchmarkContacts(b *testing.B)      { benchmarkGet(b, "/contacts") }
func BenchmarkInvoicesWhole(b *testing.B) { benchmarkGet(b, "/sales_invoices?attributes=all") }
func BenchmarkLedgerEntries(b *testing.B) { benchmarkGet(b, "/ledger_entries?items_per_page=200") }
