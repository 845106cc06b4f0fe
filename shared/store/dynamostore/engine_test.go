package dynamostore_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"connectorvault/shared/store"
	"connectorvault/shared/store/dynamostore"
	"connectorvault/shared/store/dynamotest"
)

// loser lets a write reach the engine and loses its answer, once.
type loser struct {
	next dynamodb.HTTPClient
	lost atomic.Bool
}

func (l *loser) Do(r *http.Request) (*http.Response, error) {
	resp, err := l.next.Do(r)
	if err != nil || l.lost.Swap(true) {
		return resp, err
	}
	_ = resp.Body.Close()
	return nil, errors.New("use of closed network connection")
}

// losing returns a store that loses the next answer, and one on the same tables that loses none.
func losing(t *testing.T, e dynamotest.Engine) (s, sound *dynamostore.Store) {
	t.Helper()
	names := e.Tables(t)
	client := e.Client(t, func(o *dynamodb.Options) { o.HTTPClient = &loser{next: o.HTTPClient} })
	return dynamostore.New(client, names), dynamostore.New(e.Client(t), names)
}

func load(t *testing.T, s *dynamostore.Store) store.Attrs {
	t.Helper()
	item, err := s.Get(t.Context(), store.Records, key)
	if err != nil {
		t.Fatal(err)
	}
	return item.Attrs
}

// Local parts, trap 1: the repeat of a write whose answer was lost fails on the first one's success.
func TestALostAnswerShowsAsOurOwnSuccess(t *testing.T) {
	dynamotest.Each(t, func(t *testing.T, e dynamotest.Engine) {
		s, sound := losing(t, e)
		mine := store.Attrs{"owner": "me", "n": int64(1)}
		err := s.Apply(t.Context(), store.Op{Verb: store.Put, Table: store.Records, Key: key, Set: mine, If: store.Absent()})
		var failed *store.ConditionFailed
		if !errors.As(err, &failed) || !reflect.DeepEqual(failed.Old, mine) {
			t.Errorf("the answer is %v; want a failed condition that shows our own write", err)
		}
		if got := load(t, sound); !reflect.DeepEqual(got, mine) {
			t.Errorf("the item is %v", got)
		}
	})
}

// The SDK by itself would add twice here, and say nothing.
func TestALostAnswerNeverAddsTwice(t *testing.T) {
	dynamotest.Each(t, func(t *testing.T, e dynamotest.Engine) {
		s, sound := losing(t, e)
		err := s.Apply(t.Context(), store.Op{Verb: store.Update, Table: store.Records, Key: key, Add: map[string]int64{"n": 1}})
		if err == nil || errors.Is(err, store.ErrBusy) {
			t.Errorf("the answer is %v; want one that leaves it open", err)
		}
		if n := load(t, sound).Int("n"); n != 1 {
			t.Errorf("%d after adding one", n)
		}
	})
}

func TestALostTransactionIsCarriedOutOnce(t *testing.T) {
	dynamotest.Each(t, func(t *testing.T, e dynamotest.Engine) {
		s, sound := losing(t, e)
		err := s.Apply(t.Context(),
			store.Op{Verb: store.Update, Table: store.Records, Key: key, Add: map[string]int64{"n": 1}},
			store.Op{Verb: store.Put, Table: store.Transient, Key: key, Set: store.Attrs{"x": "y"}, If: store.Absent()})
		if err != nil {
			t.Errorf("the repeat under the same token: %v", err)
		}
		if n := load(t, sound).Int("n"); n != 1 {
			t.Errorf("%d after adding one", n)
		}
	})
}

// DynamoDB does not create an item for an Update that only removes; the promise does. Both engines are more generous than
// DynamoDB, so here they only show that what makes it so there (TestUpdateText) is never seen.
func TestAnUpdateThatOnlyRemovesCreates(t *testing.T) {
	dynamotest.Each(t, func(t *testing.T, e dynamotest.Engine) {
		s := e.Store(t)
		remove := store.Op{Verb: store.Update, Table: store.Records, Key: key, Remove: []string{"a", "b"}}
		for range 2 {
			if err := s.Apply(t.Context(), remove); err != nil {
				t.Fatal(err)
			}
			if got := load(t, s); len(got) != 0 {
				t.Errorf("the item holds %v", got)
			}
		}
		beside := remove
		beside.Key.Sort = "beside"
		if err := s.Apply(t.Context(), beside, store.Op{Verb: store.Verify, Table: store.Records, Key: key}); err != nil {
			t.Fatal(err)
		}
		items, _, err := s.Query(t.Context(), store.Query{Table: store.Records, Partition: key.Partition, Limit: 9})
		if err != nil || len(items) != 2 || len(items[0].Attrs) != 0 {
			t.Errorf("%v, %v", items, err)
		}
		beside.Key.Sort, beside.If = "never", store.Has("a")
		var failed *store.ConditionFailed
		if err := s.Apply(t.Context(), beside); !errors.As(err, &failed) || failed.Old != nil {
			t.Errorf("an item that is not there has an attribute: %v", err)
		}
	})
}

// A nil slice of bytes is an empty one, like everywhere in Go; on the wire it would be a null.
func TestNoBytesAreBytes(t *testing.T) {
	dynamotest.Each(t, func(t *testing.T, e dynamotest.Engine) {
		s := e.Store(t)
		op := store.Op{Verb: store.Put, Table: store.Records, Key: key, Set: store.Attrs{"b": []byte(nil)}}
		if err := s.Apply(t.Context(), op); err != nil {
			t.Fatal(err)
		}
		if got := load(t, s); !reflect.DeepEqual(got, store.Attrs{"b": []byte{}}) {
			t.Errorf("the item is %#v", got)
		}
	})
}

// An answer is cut at 1 MB; a page is not.
func TestPagesAreFull(t *testing.T) {
	dynamotest.Each(t, func(t *testing.T, e dynamotest.Engine) {
		s := e.Store(t)
		for i := range 8 {
			op := store.Op{Verb: store.Put, Table: store.Records, Key: store.Key{Partition: "p", Sort: fmt.Sprint("s", i)},
				Set: store.Attrs{"b": make([]byte, 300<<10)}}
			if err := s.Apply(t.Context(), op); err != nil {
				t.Fatal(err)
			}
		}
		items, more, err := s.Query(t.Context(), store.Query{Table: store.Records, Partition: "p", Limit: 7})
		if err != nil || len(items) != 7 || !more {
			t.Errorf("%d items, more %t, %v; want 7, and one more", len(items), more, err)
		}
	})
}

func TestDueGoesOnWhenTimeWentBack(t *testing.T) {
	dynamotest.Each(t, func(t *testing.T, e dynamotest.Engine) {
		s := e.Store(t)
		for i := range 3 {
			op := store.Op{Verb: store.Put, Table: store.Credentials, Key: store.Key{Partition: "p", Sort: fmt.Sprint("s", i)},
				Set: store.Attrs{store.AttrDueShard: "shard", store.AttrDueAt: int64(100 + i)}}
			if err := s.Apply(t.Context(), op); err != nil {
				t.Fatal(err)
			}
		}
		_, cursor, err := s.Due(t.Context(), "shard", 200, 2, "")
		if err != nil || cursor == "" {
			t.Fatalf("cursor %q, %v", cursor, err)
		}
		if due, next, err := s.Due(t.Context(), "shard", 200, 2, cursor); err != nil || len(due) != 1 || next != "" {
			t.Errorf("the last page: %v, %q, %v", due, next, err)
		}
		if due, next, err := s.Due(t.Context(), "shard", 99, 2, cursor); err != nil || len(due) != 0 || next != "" {
			t.Errorf("with an earlier time: %v, %q, %v", due, next, err)
		}
	})
}

// What the engines say of tables that nobody has made is an error, never an absent item.
func TestAMissingTableIsNoMissingItem(t *testing.T) {
	dynamotest.Each(t, func(t *testing.T, e dynamotest.Engine) {
		s := dynamostore.New(e.Client(t), map[store.Table]string{store.Records: "nobody-made-it"})
		if _, err := s.Get(t.Context(), store.Records, key); err == nil || errors.Is(err, store.ErrNotFound) {
			t.Errorf("the answer is %v", err)
		}
		err := s.Apply(context.Background(), store.Op{Verb: store.Delete, Table: store.Records, Key: key})
		if err == nil || errors.Is(err, store.ErrBusy) || !strings.Contains(err.Error(), "ResourceNotFoundException") {
			t.Errorf("the answer is %v", err)
		}
	})
}

// Definitions are what the engines then describe.
func TestTheEnginesTakeTheDefinitions(t *testing.T) {
	dynamotest.Each(t, func(t *testing.T, e dynamotest.Engine) {
		names := e.Tables(t)
		out, err := e.Client(t).DescribeTable(t.Context(), &dynamodb.DescribeTableInput{TableName: aws.String(names[store.Credentials])})
		if err != nil || len(out.Table.GlobalSecondaryIndexes) != 1 || *out.Table.GlobalSecondaryIndexes[0].IndexName != dynamostore.DueIndex {
			t.Errorf("%v, %v", out, err)
		}
		ttl, err := e.Client(t).DescribeTimeToLive(t.Context(), &dynamodb.DescribeTimeToLiveInput{TableName: aws.String(names[store.Requests])})
		if err != nil || aws.ToString(ttl.TimeToLiveDescription.AttributeName) != store.AttrExpires {
			t.Errorf("%v, %v", ttl, err)
		}
	})
}
