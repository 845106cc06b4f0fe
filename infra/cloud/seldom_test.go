package cloud_test

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	sagesim "connectorvault/infra/sim/sage"
)

// seldom is what comes about in days, or in a crowd, and needs rights that nothing else needs. The database is told what time
// or others would have written into it: that all of an application's calls at once are taken, that a secret without a record was
// seen half a day ago, that the name of a webhook leads inside.
func seldom(b *bed) {
	owner := b.tenant("Seldom")
	_, books := owner.books("books", sagesim.UserGB, sagesim.BusinessGB)
	read := func() { owner.must("GET", "/v1/connectors/"+books+"/contacts?limit=1", nil) }
	read()

	b.crowded(read)
	b.orphaned(owner)
	b.leadsInside(owner)

	b.unseen(owner.key)
	b.knownWays()
}

// crowded has others take all but two of what Sage lets an application do at once. Whoever finds that out looks for the free ones,
// and gives back at once what it took.
func (b *bed) crowded(read func()) {
	b.Helper()
	held := b.items("TransientTable", "slot#")
	if len(held) == 0 {
		b.Fatal("a read of Sage holds no place among an application's calls at once")
	}
	pk, prefix := text(held[0]["pk"]), text(held[0]["sk"])
	prefix = prefix[:len(prefix)-3]
	until := time.Now().Add(time.Hour)
	for n := range 150 {
		if n != 7 && n != 77 {
			b.putItem("TransientTable", map[string]types.AttributeValue{"pk": str(pk), "sk": str(fmt.Sprintf("%s%03d", prefix, n)), "owner": str("somebody-else"),
				"until": number(until.UnixMilli()), "expires_at": number(until.Add(time.Minute).Unix())})
		}
	}
	b.eventually("a crowded place was looked for and given back", func() bool {
		b.fleet.Recycle() // a fresh instance has none
		read()
		done := b.record.Done()
		return done["read dynamodb:Query"] > 0 && done["read dynamodb:DeleteItem"] > 0
	})
}

// orphaned has a secret lie there that no record names, once for half a day.
func (b *bed) orphaned(owner *client) {
	b.Helper()
	name := "vault/" + owner.tenant + "/app/amazon/production/v_1000000000000000"
	_, err := b.secrets.CreateSecret(b.Context(), &secretsmanager.CreateSecretInput{Name: &name, SecretString: aws.String(`{"version": "v_1000000000000000"}`)})
	b.ok(err)
	there := func() bool {
		for _, kept := range b.kept(owner) {
			if kept == name {
				return true
			}
		}
		return false
	}
	b.schedule(2 * time.Second)
	note := "orphan#" + strings.TrimPrefix(name, "vault/")
	b.eventually("a secret that no record names was noted", func() bool {
		b.soon()
		return len(b.items("TransientTable", note)) == 1
	})
	if !there() {
		b.Error("a secret that was seen once without a record is gone")
	}
	for _, item := range b.items("TransientTable", note) {
		item["seen"] = number(time.Now().Add(-13 * time.Hour).UnixMilli())
		b.putItem("TransientTable", item)
	}
	b.eventually("it was removed, and its note", func() bool {
		b.soon()
		return !there() && len(b.items("TransientTable", note)) == 0
	})
}

// soon lets the search for such secrets, which rests for a day, go on.
func (b *bed) soon() {
	b.Helper()
	for _, item := range b.items("TransientTable", "orphans") {
		item["next"] = number(0)
		b.putItem("TransientTable", item)
	}
}

// leadsInside changes a webhook's record so that its name leads to this machine, as a name can that was fine when it was given. The
// message is signed, not sent, and comes again later; the webhook says why.
func (b *bed) leadsInside(owner *client) {
	b.Helper()
	hook := owner.must("POST", "/v1/webhooks", object{"url": "https://hooks.example.com/vault"}).text("id")
	for _, item := range b.items("RecordsTable", "webhook#"+hook) {
		for name, value := range item {
			switch v := value.(type) {
			case *types.AttributeValueMemberS:
				item[name] = str(strings.ReplaceAll(v.Value, "hooks.example.com", "localhost"))
			case *types.AttributeValueMemberB:
				item[name] = &types.AttributeValueMemberB{Value: []byte(strings.ReplaceAll(string(v.Value), "hooks.example.com", "localhost"))}
			}
		}
		b.putItem("RecordsTable", item)
	}
	owner.app()
	owner.seller("shop") // of which it is told
	b.feed("WebhookQueue")
	b.eventually("the webhook says that its address is not on the public internet", func() bool {
		return strings.Contains(string(owner.must("GET", "/v1/webhooks/"+hook, nil).body), "not on the public internet")
	})
	b.eventually("the message is put off to its next try", func() bool { return b.record.Done()["notify sqs:ChangeMessageVisibility"] > 0 })
}

// items are those of a table whose sort key begins so.
func (b *bed) items(table, beginning string) []map[string]types.AttributeValue {
	b.Helper()
	var out []map[string]types.AttributeValue
	pages := dynamodb.NewScanPaginator(b.engine, &dynamodb.ScanInput{TableName: aws.String(table + b.suffix), ConsistentRead: aws.Bool(true)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(b.Context())
		b.ok(err)
		for _, item := range page.Items {
			if strings.HasPrefix(text(item["sk"]), beginning) {
				out = append(out, item)
			}
		}
	}
	return out
}

func (b *bed) putItem(table string, item map[string]types.AttributeValue) {
	b.Helper()
	_, err := b.engine.PutItem(b.Context(), &dynamodb.PutItemInput{TableName: aws.String(table + b.suffix), Item: item})
	b.ok(err)
}

func str(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }
func number(n int64) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: strconv.FormatInt(n, 10)}
}

func text(v types.AttributeValue) string {
	s, _ := v.(*types.AttributeValueMemberS)
	if s == nil {
		return ""
	}
	return s.Value
}
