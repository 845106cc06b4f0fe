package backup_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"connectorvault/infra/backup"
	"connectorvault/shared/ident"
	"connectorvault/shared/record"
	"connectorvault/shared/store"
	"connectorvault/shared/store/dynamostore"
	"connectorvault/shared/store/dynamotest"
	"connectorvault/shared/vault"
)

const tenant = ident.Tenant + "0000000000000001"

func TestWhichTokensAreUsedOnce(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{"amazon": false, "clara": false, "sage": true, "nobody-knows-it": true} {
		if got := backup.Rotates(name); got != want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

// bed is a stack's tables on an engine, and tables as a restore makes them.
type bed struct {
	*testing.T
	client         *dynamodb.Client
	live, restored map[store.Table]string
}

func newBed(t *testing.T, e dynamotest.Engine) bed {
	return bed{t, e.Client(t), e.Tables(t), e.Tables(t)}
}

func (b bed) ok(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

func (b bed) vault(names map[store.Table]string) *vault.Vault {
	return vault.New(vault.Config{Items: dynamostore.New(b.client, names), Now: time.Now, Random: rand.Reader})
}

// entry writes an entry's record and, unless its provider is "", a credential, as they lie in a table.
func (b bed) entry(names map[store.Table]string, id, provider string, generation int64) {
	b.Helper()
	items := dynamostore.New(b.client, names)
	b.ok(items.Apply(b.Context(), store.Op{Verb: store.Put, Table: store.Records, Key: store.Key{Partition: tenant, Sort: "entry#" + id},
		Set: store.Attrs{"doc": fmt.Sprintf(`{"id": %q, "provider": %q}`, id, provider), "revision": int64(1)}}))
	b.ok(items.Apply(b.Context(), store.Op{Verb: store.Put, Table: store.Credentials, Key: store.Key{Partition: tenant + "#" + id, Sort: "credential"},
		Set: store.Attrs{"entry": id, "provider": provider, "status": "active", "generation": generation, "sealed": []byte("sealed"), "fence": int64(3)}}))
}

func (b bed) tenant(names map[store.Table]string) {
	b.Helper()
	items := dynamostore.New(b.client, names)
	b.ok(items.Apply(b.Context(), store.Op{Verb: store.Put, Table: store.Records, Key: store.Key{Partition: tenant, Sort: "tenant"},
		Set: store.Attrs{"doc": fmt.Sprintf(`{"id": %q, "name": "shop"}`, tenant), "revision": int64(1)}}))
	b.ok(items.Apply(b.Context(), store.Op{Verb: store.Put, Table: store.Records, Key: store.Key{Partition: ident.Outside, Sort: "tenant#" + tenant},
		Set: store.Attrs{"tenant": tenant}}))
}

// A credential of each kind is lost with its table, and put back; what is newer, or was deleted on purpose, stays as it is.
func TestCredentialsArePutBack(t *testing.T) {
	dynamotest.Each(t, func(t *testing.T, e dynamotest.Engine) {
		t.Parallel()
		b := newBed(t, e)
		b.tenant(b.live)
		for id, provider := range map[string]string{"ve_shop": "amazon", "ve_books": "sage", "ve_newer": "sage", "ve_deleted": "sage"} {
			b.entry(b.restored, id, provider, 5)
			if id != "ve_deleted" {
				b.entry(b.live, id, provider, 5)
			}
		}
		b.entry(b.live, "ve_newer", "sage", 6)
		b.entry(b.live, "ve_young", "amazon", 1)
		for _, id := range []string{"ve_shop", "ve_books"} {
			b.ok(dynamostore.New(b.client, b.live).Apply(b.Context(), store.Op{Verb: store.Delete, Table: store.Credentials,
				Key: store.Key{Partition: tenant + "#" + id, Sort: "credential"}}))
		}
		for try, want := range []map[vault.PutBack]int{
			{vault.Restored: 1, vault.Distrusted: 1, vault.StillThere: 1, vault.NoBackup: 1},
			{vault.StillThere: 3, vault.NoBackup: 1}, // again
		} {
			got, err := backup.Credentials(b.Context(), b.vault(b.live), dynamostore.New(b.client, b.restored))
			b.ok(err)
			if fmt.Sprint(got.Entries) != fmt.Sprint(want) || got.Tenants != 1 {
				t.Errorf("try %d came to %+v; want %v", try, got, want)
			}
		}
		for id, want := range map[string]record.Status{"ve_shop": record.Active, "ve_books": record.Reauth, "ve_newer": record.Active, "ve_young": record.Active} {
			c, found, err := b.vault(b.live).Credential(b.Context(), tenant, id)
			b.ok(err)
			if !found || c.Status != want {
				t.Errorf("%s is %+v", id, c)
			}
		}
		if _, found, err := b.vault(b.live).Credential(b.Context(), tenant, "ve_deleted"); found || err != nil {
			t.Errorf("a deleted entry's credential is back: %v", err)
		}
	})
}

// A tenant that is being deleted gets nothing back.
func TestADeletedTenantGetsNothingBack(t *testing.T) {
	dynamotest.Each(t, func(t *testing.T, e dynamotest.Engine) {
		t.Parallel()
		b := newBed(t, e)
		b.tenant(b.live)
		b.entry(b.restored, "ve_shop", "amazon", 5)
		v := b.vault(b.live)
		b.entry(b.live, "ve_shop", "amazon", 1)
		items := dynamostore.New(b.client, b.live)
		b.ok(items.Apply(b.Context(), store.Op{Verb: store.Update, Table: store.Records, Key: store.Key{Partition: tenant, Sort: "tenant"},
			Set: store.Attrs{"doc": fmt.Sprintf(`{"id": %q, "name": "shop", "closed_at": "2026-01-01T00:00:00Z"}`, tenant)}}))
		got, err := backup.Credentials(b.Context(), v, dynamostore.New(b.client, b.restored))
		if c, _, _ := v.Credential(b.Context(), tenant, "ve_shop"); err != nil || got.Tenants != 0 || c.Generation != 1 {
			t.Errorf("%+v %v, generation %d", got, err, c.Generation)
		}
	})
}

// What lies in the table stays, what does not comes back, item for item.
func TestRecordsAreCopiedWhereNothingLies(t *testing.T) {
	dynamotest.Each(t, func(t *testing.T, e dynamotest.Engine) {
		t.Parallel()
		b := newBed(t, e)
		from, to := b.restored[store.Records], b.live[store.Records]
		item := func(sort, mark string) map[string]types.AttributeValue {
			return map[string]types.AttributeValue{"pk": &types.AttributeValueMemberS{Value: "t"}, "sk": &types.AttributeValueMemberS{Value: sort}, "mark": &types.AttributeValueMemberS{Value: mark}}
		}
		put := func(table string, it map[string]types.AttributeValue) {
			_, err := b.client.PutItem(b.Context(), &dynamodb.PutItemInput{TableName: &table, Item: it})
			b.ok(err)
		}
		for n := range 30 {
			put(from, item(fmt.Sprintf("n%02d", n), "backup"))
		}
		put(to, item("n07", "since"))
		got, err := backup.Copy(b.Context(), b.client, from, to)
		if err != nil || got != (backup.Copied{Copied: 29, StillThere: 1}) {
			t.Errorf("%+v %v", got, err)
		}
		for n := range 30 {
			want := "backup"
			if n == 7 {
				want = "since"
			}
			out, err := b.client.GetItem(b.Context(), &dynamodb.GetItemInput{TableName: &to, Key: map[string]types.AttributeValue{
				"pk": &types.AttributeValueMemberS{Value: "t"}, "sk": &types.AttributeValueMemberS{Value: fmt.Sprintf("n%02d", n)}}, ConsistentRead: aws.Bool(true)})
			b.ok(err)
			if mark, ok := out.Item["mark"].(*types.AttributeValueMemberS); !ok || mark.Value != want {
				t.Errorf("n%02d is %v", n, out.Item)
			}
		}
	})
}

// The plain copy is not for credentials, whichever table they are in.
func TestCredentialsAreNotCopied(t *testing.T) {
	dynamotest.Each(t, func(t *testing.T, e dynamotest.Engine) {
		t.Parallel()
		b := newBed(t, e)
		b.entry(b.restored, "ve_books", "sage", 1)
		_, err := backup.Copy(b.Context(), b.client, b.restored[store.Credentials], b.live[store.Credentials])
		if !errors.Is(err, backup.ErrCredentials) {
			t.Errorf("it came to %v", err)
		}
		if _, found, err := b.vault(b.live).Credential(b.Context(), tenant, "ve_books"); found || err != nil {
			t.Errorf("it was copied: %v", err)
		}
		if _, err := backup.Copy(b.Context(), b.client, b.live[store.Records], b.live[store.Records]); err == nil {
			t.Error("a table was copied into itself")
		}
	})
}

// One that cannot be read keeps no other from coming back, and is named.
func TestOneFailureIsOne(t *testing.T) {
	dynamotest.Each(t, func(t *testing.T, e dynamotest.Engine) {
		t.Parallel()
		b := newBed(t, e)
		b.tenant(b.live)
		for _, id := range []string{"ve_a", "ve_b", "ve_c"} {
			b.entry(b.restored, id, "amazon", 5)
			b.entry(b.live, id, "amazon", 1)
		}
		got, err := backup.Credentials(b.Context(), b.vault(b.live), failing{dynamostore.New(b.client, b.restored)})
		if err == nil || got.Entries[vault.Restored] != 2 {
			t.Errorf("%+v %v", got, err)
		}
	})
}

// failing cannot read one credential.
type failing struct{ store.Items }

func (f failing) Get(ctx context.Context, table store.Table, key store.Key) (store.Item, error) {
	if key.Partition == tenant+"#ve_b" {
		return store.Item{}, errors.New("the engine is away")
	}
	return f.Items.Get(ctx, table, key)
}
