package dynamostore

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"connectorvault/shared/store"
)

// Get implements [store.Items]. [store.ErrBusy] when DynamoDB throttles.
func (s *Store) Get(ctx context.Context, table store.Table, key store.Key) (store.Item, error) {
	name, err := s.table(table)
	if err != nil {
		return store.Item{}, err
	}
	if err := store.CheckKey(table, key); err != nil {
		return store.Item{}, err
	}
	out, err := s.client.GetItem(ctx, &dynamodb.GetItemInput{TableName: name, Key: encodeKey(key), ConsistentRead: aws.Bool(true)})
	if err != nil {
		return store.Item{}, readError("reading an item", err)
	}
	if len(out.Item) == 0 {
		return store.Item{}, store.ErrNotFound
	}
	return decodeItem(out.Item)
}

// GetMany implements [store.Items]. [store.ErrBusy] when DynamoDB throttles, or keeps leaving keys over.
func (s *Store) GetMany(ctx context.Context, table store.Table, keys []store.Key) ([]store.Item, error) {
	if len(keys) > store.MaxGet {
		return nil, fmt.Errorf("%d items at once: at most %d can be read", len(keys), store.MaxGet)
	}
	name, err := s.table(table)
	if err != nil {
		return nil, err
	}
	left, err := distinct(table, keys)
	if err != nil {
		return nil, err
	}
	items := make([]store.Item, 0, len(left))
	for n := 0; len(left) > 0; n++ {
		if n == attempts {
			return nil, fmt.Errorf("reading %d items: %w", len(keys), store.ErrBusy)
		}
		if n > 0 {
			if err := s.pause(ctx, n-1); err != nil {
				return nil, fmt.Errorf("reading %d items: %w", len(keys), err)
			}
		}
		found, rest, err := s.batch(ctx, *name, left)
		if err != nil {
			return nil, err
		}
		if len(rest) < len(left) {
			n = 0 // an answer may be cut at its size, too; only one without progress counts
		}
		items, left = append(items, found...), rest
	}
	return items, nil
}

// distinct encodes the keys, each once: DynamoDB refuses a batch that names one twice.
func distinct(table store.Table, keys []store.Key) ([]values, error) {
	seen := make(map[store.Key]bool, len(keys))
	out := make([]values, 0, len(keys))
	for _, k := range keys {
		if err := store.CheckKey(table, k); err != nil {
			return nil, err
		}
		if !seen[k] {
			seen[k] = true
			out = append(out, encodeKey(k))
		}
	}
	return out, nil
}

func (s *Store) batch(ctx context.Context, table string, keys []values) (items []store.Item, rest []values, err error) {
	out, err := s.client.BatchGetItem(ctx, &dynamodb.BatchGetItemInput{RequestItems: map[string]types.KeysAndAttributes{
		table: {Keys: keys, ConsistentRead: aws.Bool(true)}}})
	if err != nil {
		return nil, nil, readError("reading items", err)
	}
	items, err = decodeItems(out.Responses[table])
	return items, out.UnprocessedKeys[table].Keys, err
}

func decodeItems(raw []values) ([]store.Item, error) {
	items := make([]store.Item, len(raw))
	for i, r := range raw {
		var err error
		if items[i], err = decodeItem(r); err != nil {
			return nil, err
		}
	}
	return items, nil
}

// Query implements [store.Items]. A page is shorter than Limit only when nothing follows. [store.ErrBusy] when DynamoDB throttles.
func (s *Store) Query(ctx context.Context, q store.Query) (items []store.Item, more bool, err error) {
	if q.Limit < 1 {
		return nil, false, errors.New("a query needs a limit")
	}
	name, err := s.table(q.Table)
	if err != nil {
		return nil, false, err
	}
	in := &dynamodb.QueryInput{TableName: name, ConsistentRead: aws.Bool(true), KeyConditionExpression: aws.String("pk = :p"),
		ExpressionAttributeValues: values{":p": &types.AttributeValueMemberS{Value: q.Partition}}}
	if q.Prefix != "" {
		in.KeyConditionExpression = aws.String("pk = :p AND begins_with(sk, :s)")
		in.ExpressionAttributeValues[":s"] = &types.AttributeValueMemberS{Value: q.Prefix}
	}
	// DynamoDB refuses to start outside what the prefix spans, so a start before it is left out, and one behind it is the end.
	switch {
	case q.After == "" || q.After < q.Prefix:
	case strings.HasPrefix(q.After, q.Prefix):
		in.ExclusiveStartKey = encodeKey(store.Key{Partition: q.Partition, Sort: q.After})
	default:
		return nil, false, nil
	}
	raw, next, err := s.page(ctx, in, q.Limit)
	if err != nil {
		return nil, false, err
	}
	items, err = decodeItems(raw)
	return items, next != nil, err
}

// page asks until it has limit items or there are no more: an answer may be cut at its size. next is where to go on; nil at the end.
func (s *Store) page(ctx context.Context, in *dynamodb.QueryInput, limit int) (items []values, next values, err error) {
	for {
		in.Limit = aws.Int32(int32(min(limit-len(items), math.MaxInt32)))
		out, err := s.client.Query(ctx, in)
		if err != nil {
			return nil, nil, readError("listing items", err)
		}
		items = append(items, out.Items...)
		if len(out.LastEvaluatedKey) == 0 {
			return items, nil, nil
		}
		if len(items) >= limit {
			return items, out.LastEvaluatedKey, nil
		}
		in.ExclusiveStartKey = out.LastEvaluatedKey
	}
}

// dueCursor is where a listing of the due index goes on; the shard is the caller's to repeat.
type dueCursor struct {
	Partition string `json:"p"`
	Sort      string `json:"s"`
	At        int64  `json:"a"`
}

// Due implements [store.DueIndex]. The index follows the table by a moment. [store.ErrBusy] when DynamoDB throttles.
func (s *Store) Due(ctx context.Context, shard string, until int64, limit int, cursor string) (due []store.Due, next string, err error) {
	if limit < 1 {
		return nil, "", errors.New("a listing needs a limit")
	}
	name, err := s.table(store.Credentials)
	if err != nil {
		return nil, "", err
	}
	in := &dynamodb.QueryInput{TableName: name, IndexName: aws.String(DueIndex),
		KeyConditionExpression:    aws.String("due_shard = :s AND due_at <= :t"),
		ExpressionAttributeValues: values{":s": encode(shard), ":t": encode(until)}}
	if cursor != "" {
		from, err := decodeCursor(cursor)
		if err != nil {
			return nil, "", err
		}
		if from.At > until {
			return nil, "", nil // the caller's time went back behind the page before; DynamoDB would refuse to start there
		}
		in.ExclusiveStartKey = encodeItem(store.Key{Partition: from.Partition, Sort: from.Sort},
			store.Attrs{store.AttrDueShard: shard, store.AttrDueAt: from.At})
	}
	raw, last, err := s.page(ctx, in, limit)
	if err != nil {
		return nil, "", err
	}
	due = make([]store.Due, len(raw))
	for i, item := range raw {
		if due[i], err = decodeDue(item); err != nil {
			return nil, "", err
		}
	}
	if last != nil {
		next, err = encodeCursor(last)
	}
	return due, next, err
}

func decodeDue(item values) (store.Due, error) {
	at, ok := item[store.AttrDueAt].(*types.AttributeValueMemberN)
	if !ok {
		return store.Due{}, errors.New("an entry of the due index has no time")
	}
	n, err := strconv.ParseInt(at.Value, 10, 64)
	if err != nil {
		return store.Due{}, fmt.Errorf("an entry of the due index: %w", err)
	}
	return store.Due{Key: decodeKey(item), At: n}, nil
}

func encodeCursor(last values) (string, error) {
	d, err := decodeDue(last)
	if err != nil {
		return "", err
	}
	b, err := json.Marshal(dueCursor{Partition: d.Key.Partition, Sort: d.Key.Sort, At: d.At})
	if err != nil {
		return "", fmt.Errorf("encoding a cursor: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(b), nil
}

func decodeCursor(cursor string) (dueCursor, error) {
	var c dueCursor
	b, err := base64.RawURLEncoding.DecodeString(cursor)
	if err == nil {
		err = json.Unmarshal(b, &c)
	}
	if err != nil || c.Partition == "" || c.Sort == "" {
		return c, errors.New("the cursor is none of this index")
	}
	return c, nil
}
