package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"connectorvault/shared/admin"
	"connectorvault/shared/bundle"
	"connectorvault/shared/provider/amazon"
	"connectorvault/shared/provider/catalog"
	"connectorvault/shared/provider/clara"
	"connectorvault/shared/provider/sage"
	"connectorvault/shared/record"
	"connectorvault/shared/secret"
	"connectorvault/shared/store"
	"connectorvault/shared/store/dynamostore"
	"connectorvault/shared/store/dynamotest"
	"connectorvault/shared/store/sqlitestore"
	"connectorvault/shared/vault"
)

const tenant = "t_0000000000000001"

// kind is a provider's part of the entries.
type kind struct {
	name     string
	share    int // of a hundred
	workers  int // as the template has it
	settings map[string]string
	life     time.Duration // of an access token
	length   int           // of a token
	used     bool          // its tokens were read with, so they are kept warm
}

func kinds() []kind {
	return []kind{
		{name: amazon.Name, share: 60, workers: 20, settings: map[string]string{"marketplace": "US", "region": "na", "account_type": "seller"}, life: time.Hour, length: amazonToken, used: true},
		{name: sage.Name, share: 30, workers: 10, settings: map[string]string{"provider_app": "true", "country_code": "GB", "profile": "v3.1"}, life: 5 * time.Minute, length: sageToken, used: true},
		{name: clara.Name, share: 10, workers: 5, settings: map[string]string{"country": "MX"}, life: time.Hour, length: amazonToken},
	}
}

// world is the tables, and what beside them the functions need.
type world struct {
	*testing.T
	tables    map[store.Table]string
	secrets   *counted
	endpoints *endpoints
	catalog   *catalog.Catalog
	now       time.Time // when everything is due
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{T: t, tables: dynamotest.Dynoxide.Tables(t), endpoints: &endpoints{}, now: time.Now().UTC()}
	lite, err := sqlitestore.Open(t.Context(), sqlitestore.Config{Path: filepath.Join(t.TempDir(), "secrets.db"), MasterKey: make([]byte, sqlitestore.KeySize)})
	w.ok(err)
	t.Cleanup(func() { _ = lite.Close() })
	w.secrets = &counted{Secrets: lite}
	w.catalog = catalog.New(catalog.Options{HTTP: &http.Client{Transport: w.endpoints}})
	b := w.bundle(nil)
	w.ok(b.Keyring.Create(t.Context(), tenant))
	w.ok(b.Vault.CreateTenant(t.Context(), record.Tenant{ID: tenant, Name: "Sweep", CreatedAt: w.now}))
	owner := record.Principal{Tenant: tenant, ID: "owner", Role: record.Owner}
	_, err = b.Admin().PutApp(t.Context(), owner, amazon.Name, fields("application_id", "amzn1.sp.solution.11111111-2222-3333-4444-555555555555",
		"client_id", "amzn1.application-oa2-client.00000000000000000000000000000000", "client_secret", "amzn1.oa2-cs.v1.EXAMPLE"))
	w.ok(err)
	_, err = b.Admin().PutApp(t.Context(), owner, sage.Name, fields("oauth_api_key", "EXAMPLE/key", "oauth_api_secret", "EXAMPLE-secret"))
	w.ok(err)
	return w
}

func fields(pairs ...string) admin.Fields {
	out := admin.Fields{}
	for i := 0; i < len(pairs); i += 2 {
		out[pairs[i]] = []byte(strconv.Quote(pairs[i+1]))
	}
	return out
}

func (w *world) ok(err error) {
	w.Helper()
	if err != nil {
		w.Fatalf("unexpected: %v", err)
	}
}

// client reaches the engine, past a meter if there is one.
func (w *world) client(m *meter) *dynamodb.Client {
	w.Helper()
	return dynamotest.Dynoxide.Client(w, func(o *dynamodb.Options) {
		if m != nil {
			m.next = o.HTTPClient
			o.HTTPClient = m
		}
	})
}

// bundle is everything over the engine.
func (w *world) bundle(m *meter) *bundle.Bundle {
	w.Helper()
	items := dynamostore.New(w.client(m), w.tables)
	return bundle.New(bundle.Parts{Items: items, Due: items, Secrets: w.secrets, Catalog: w.catalog, HTTP: &http.Client{Transport: w.endpoints},
		Now: time.Now, Random: rand.Reader, Logger: slog.New(slog.NewTextHandler(io.Discard, &slog.HandlerOptions{Level: slog.LevelError}))})
}

// rows are an entry's items as the driver has written them, by table.
type rows map[store.Table]map[string]types.AttributeValue

// id names entry i.
func id(i int) string { return fmt.Sprintf("ve_%016d", i) }

// original makes one entry of a kind through the vault, and reads what came to lie in the tables.
func (w *world) original(b *bundle.Bundle, k kind, n int) (rows, record.Credential) {
	w.Helper()
	e, err := b.Vault.CreateEntry(w.Context(), record.Entry{Tenant: tenant, ID: id(n), Provider: k.name, Alias: id(n), Environment: "production", APIEnvironment: record.Production,
		Settings: k.settings, CreatedBy: "owner", CreatedAt: w.now, UpdatedAt: w.now, Revision: 1}, nil)
	w.ok(err)
	ended := w.now.Add(-time.Minute)
	c := record.Credential{Tenant: tenant, Entry: e.ID, Provider: k.name, Status: record.Active, Generation: 1, Lifetime: k.life, Expires: ended.Add(30 * time.Second),
		Refreshed: ended.Add(-k.life), Authorized: ended.Add(-24 * time.Hour), DueAt: ended, Commit: "commit_" + rand.Text(),
		Account: &record.Account{ID: "A1EXAMPLE", Name: "Example Trading", Identity: record.Verified, Members: []record.Member{{Kind: "marketplace", ID: "ATVPDKIKX0DER", Country: "US", Active: true}}}}
	if k.name == sage.Name {
		c.RefreshExpires = w.now.Add(30 * 24 * time.Hour)
	}
	c.Sealed, err = b.Vault.SealTokens(w.Context(), c, 1, w.tokens(k))
	w.ok(err)
	w.ok(b.Vault.Authorize(w.Context(), nil, c, nil))
	if k.used {
		w.ok(b.Vault.NoteUse(w.Context(), tenant, e.ID, 1))
	}
	read, found, err := b.Vault.Credential(w.Context(), tenant, e.ID)
	w.ok(err)
	if !found {
		w.Fatal("the entry has no credential")
	}
	w.ok(b.Vault.Reschedule(w.Context(), read, ended, read.Notices...)) // that it was authorized has been told

	out, engine := rows{}, w.client(nil)
	for _, table := range []store.Table{store.Records, store.Credentials, store.Transient} {
		page, err := engine.Scan(w.Context(), &dynamodb.ScanInput{TableName: aws.String(w.tables[table])})
		w.ok(err)
		for _, item := range page.Items {
			key := text(item["pk"]) + " " + text(item["sk"])
			// Of the records it is the entry itself: what was told of it, and its alias, is not looked at.
			if strings.Contains(key, e.ID) && (table != store.Records || text(item["sk"]) == "entry#"+e.ID) {
				if out[table] != nil {
					w.Fatalf("two items of %s are about one entry: %s", table, key)
				}
				out[table] = item
			}
		}
		if out[table] == nil && (table != store.Transient || k.used) {
			w.Fatalf("no item of %s is about the entry", table)
		}
	}
	return out, c
}

func (w *world) tokens(k kind) vault.TokenSet {
	return vault.TokenSet{Access: secret.New(token("a", 0, k.length)), Refresh: secret.New(token("r", 0, k.length))}
}

func text(v types.AttributeValue) string {
	s, _ := v.(*types.AttributeValueMemberS)
	if s == nil {
		return ""
	}
	return s.Value
}

// copyOf is an item about another entry.
func copyOf(item map[string]types.AttributeValue, from, to string) map[string]types.AttributeValue {
	out := maps.Clone(item)
	for name, value := range out {
		if s, ok := value.(*types.AttributeValueMemberS); ok && strings.Contains(s.Value, from) {
			out[name] = &types.AttributeValueMemberS{Value: strings.ReplaceAll(s.Value, from, to)}
		}
	}
	return out
}

// filled is what lies in the tables: how many entries of each provider, and which of them are whole.
type filled struct {
	entries map[string]int
	whole   map[string]int
	every   int // each so-many-th entry is whole
	took    time.Duration
}

// fill makes n entries due, of which about so many can be worked on.
func (w *world) fill(n, work int) filled {
	w.Helper()
	began := time.Now()
	b := w.bundle(nil)
	out := filled{entries: map[string]int{}, whole: map[string]int{}, every: max(1, n/max(1, work))}
	var copying []func() // after every original was made: each is looked for among all that lies there
	next := 0
	for i, k := range kinds() {
		count := n * k.share / 100
		if i == len(kinds())-1 {
			count = n - next
		}
		if count == 0 {
			continue
		}
		first := next
		next += count
		original, c := w.original(b, k, first)
		out.entries[k.name], out.whole[k.name] = count, 0
		for j := first; j < next; j++ {
			if j == first || out.isWhole(j) { // the original itself always is
				out.whole[k.name]++
			}
		}
		copying = append(copying, func() { w.copies(b, k, original, c, out, first, count) })
	}
	for _, copies := range copying {
		copies()
	}
	out.took = time.Since(began)
	return out
}

// isWhole reports whether entry i has all its items.
func (f filled) isWhole(i int) bool { return i%f.every == 0 }

// copies makes the other entries of a kind, from first+1 on.
func (w *world) copies(b *bundle.Bundle, k kind, original rows, c record.Credential, f filled, first, count int) {
	w.Helper()
	const writers = 4
	engine := w.client(nil)
	var writing sync.WaitGroup
	problems := make([]error, writers)
	for part := range writers {
		writing.Go(func() {
			batch := batch{engine: engine}
			for i := first + 1 + part; i < first+count && problems[part] == nil; i += writers {
				problems[part] = w.copy(&batch, b, k, original, c, f.isWhole(i), i)
			}
			problems[part] = errors.Join(problems[part], batch.flush(w.Context(), 1))
		})
	}
	writing.Wait()
	w.ok(errors.Join(problems...))
}

func (w *world) copy(batch *batch, b *bundle.Bundle, k kind, original rows, c record.Credential, whole bool, i int) error {
	ctx := w.Context()
	credential := copyOf(original[store.Credentials], c.Entry, id(i))
	credential[store.AttrDueShard] = &types.AttributeValueMemberS{Value: vault.DueShardOf(k.name, id(i))}
	credential[store.AttrDueAt] = &types.AttributeValueMemberN{Value: strconv.FormatInt(w.now.Unix()-60-int64(i%600), 10)}
	if !whole {
		delete(credential, "sealed")
		delete(credential, "account")
		return batch.put(ctx, w.tables[store.Credentials], credential)
	}
	other := c
	other.Entry = id(i)
	sealed, err := b.Vault.SealTokens(ctx, other, 1, w.tokens(k))
	if err != nil {
		return err
	}
	credential["sealed"] = &types.AttributeValueMemberB{Value: sealed}
	err = errors.Join(batch.put(ctx, w.tables[store.Credentials], credential), batch.put(ctx, w.tables[store.Records], copyOf(original[store.Records], c.Entry, id(i))))
	if k.used {
		err = errors.Join(err, batch.put(ctx, w.tables[store.Transient], copyOf(original[store.Transient], c.Entry, id(i))))
	}
	return err
}

// batch collects items to be written together.
type batch struct {
	engine *dynamodb.Client
	held   map[string][]types.WriteRequest
	n      int
}

func (b *batch) put(ctx context.Context, table string, item map[string]types.AttributeValue) error {
	if b.held == nil {
		b.held = map[string][]types.WriteRequest{}
	}
	b.held[table] = append(b.held[table], types.WriteRequest{PutRequest: &types.PutRequest{Item: item}})
	b.n++
	return b.flush(ctx, 25)
}

// flush writes what is held when it is as much as that.
func (b *batch) flush(ctx context.Context, least int) error {
	if b.n < least {
		return nil
	}
	out, err := b.engine.BatchWriteItem(ctx, &dynamodb.BatchWriteItemInput{RequestItems: b.held})
	if err == nil && len(out.UnprocessedItems) > 0 {
		err = errors.New("the engine did not take everything")
	}
	b.held, b.n = nil, 0
	return err
}
