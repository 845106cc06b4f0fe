package dynamostore_test

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"connectorvault/shared/store"
	"connectorvault/shared/store/dynamostore"
)

// script is an HTTP client that plays DynamoDB: answer n is what the n-th request gets, the last for all that follow.
type script struct {
	answers  []answer
	requests []map[string]any
	targets  []string
}

type answer struct {
	status int // or breaks, or unreached
	body   string
}

func (s *script) Do(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	var in map[string]any
	if err := json.Unmarshal(body, &in); err != nil {
		return nil, err
	}
	a := s.answers[min(len(s.requests), len(s.answers)-1)]
	s.requests = append(s.requests, in)
	s.targets = append(s.targets, strings.TrimPrefix(r.Header.Get("X-Amz-Target"), "DynamoDB_20120810."))
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	switch a.status {
	case breaks:
		return nil, &net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET}
	case unreached:
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	}
	return &http.Response{StatusCode: a.status, Header: http.Header{"Content-Type": {"application/x-amz-json-1.0"}},
		Body: io.NopCloser(strings.NewReader(a.body)), Request: r}, nil
}

// What takes the place of a status where there is no answer.
const (
	breaks    = -1 // the connection, after the request was sent
	unreached = -2 // nothing was sent
)

var (
	ok       = answer{200, `{}`}
	broken   = answer{breaks, ""}
	offline  = answer{unreached, ""}
	cut      = answer{200, `{"Attri`}
	internal = answer{500, `{"__type":"com.amazonaws.dynamodb.v20120810#InternalServerError","message":"x"}`}
	failed   = answer{400, `{"__type":"com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException","message":"x","Item":{"pk":{"S":"p"},"sk":{"S":"s"},"n":{"N":"7"}}}`}
)

func refusal(code string) answer {
	return answer{400, fmt.Sprintf(`{"__type":"com.amazonaws.dynamodb.v20120810#%s","message":"x"}`, code)}
}

func cancelled(codes ...string) answer {
	var reasons []string
	for _, code := range codes {
		reasons = append(reasons, fmt.Sprintf(`{"Code":%q}`, code))
	}
	return answer{400, `{"__type":"com.amazonaws.dynamodb.v20120810#TransactionCanceledException","message":"x","CancellationReasons":[` +
		strings.Join(reasons, ",") + `]}`}
}

// play returns a store whose waits take no time. The SDK's own retries are as they are by default, and do not wait either.
func play(answers ...answer) (*dynamostore.Store, *script) {
	played := &script{answers: answers}
	s := dynamostore.New(scripted(played), map[store.Table]string{store.Records: "records", store.Credentials: "credentials"})
	s.Wait = func(ctx context.Context, _ time.Duration) error { return ctx.Err() }
	return s, played
}

func scripted(client dynamodb.HTTPClient) *dynamodb.Client {
	atOnce := retry.NewStandard(func(o *retry.StandardOptions) {
		o.Backoff = retry.BackoffDelayerFunc(func(int, error) (time.Duration, error) { return 0, nil })
	})
	return dynamodb.New(dynamodb.Options{Region: "us-east-1", HTTPClient: client, Retryer: atOnce, Credentials: aws.CredentialsProviderFunc(
		func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "local", SecretAccessKey: "local"}, nil
		})})
}

var (
	key  = store.Key{Partition: "p", Sort: "s"}
	put  = store.Op{Verb: store.Put, Table: store.Records, Key: key, Set: store.Attrs{"n": int64(1)}, If: store.Absent()}
	add  = store.Op{Verb: store.Update, Table: store.Records, Key: key, Add: map[string]int64{"n": 1}}
	pair = []store.Op{put, {Verb: store.Update, Table: store.Records, Key: store.Key{Partition: "p", Sort: "t"}, Add: map[string]int64{"n": 1}}}
)

func TestOutcomes(t *testing.T) {
	t.Parallel()
	const done, condition, busy, unknown = "written", "condition", "busy", "other"
	for _, test := range []struct {
		name    string
		ops     []store.Op
		answers []answer
		want    string
		sent    int
	}{
		{"written", []store.Op{put}, []answer{ok}, done, 1},
		{"a condition", []store.Op{put}, []answer{failed}, condition, 1},
		{"throttled for a moment", []store.Op{put}, []answer{refusal("ThrottlingException"), refusal("RequestLimitExceeded"), ok}, done, 3},
		{"throttled for good", []store.Op{put}, []answer{refusal("ProvisionedThroughputExceededException")}, busy, 8},
		{"colliding with a transaction for good", []store.Op{add}, []answer{refusal("TransactionConflictException")}, busy, 8},
		{"refused", []store.Op{put}, []answer{refusal("ValidationException")}, unknown, 1},
		{"forbidden", []store.Op{put}, []answer{refusal("AccessDeniedException")}, unknown, 1},
		{"no table", []store.Op{put}, []answer{refusal("ResourceNotFoundException")}, unknown, 1},
		{"an answer lost", []store.Op{put}, []answer{broken, ok}, done, 2},
		{"an answer cut", []store.Op{put}, []answer{cut, ok}, done, 2},
		{"a server that failed", []store.Op{put}, []answer{internal, ok}, done, 2},
		{"no answer for good", []store.Op{put}, []answer{broken}, unknown, 8},
		{"our own success in the way", []store.Op{put}, []answer{broken, failed}, condition, 2},
		{"throttled after a doubt is not nothing written", []store.Op{put}, []answer{broken, refusal("ThrottlingException")}, unknown, 8},
		{"refused after a doubt", []store.Op{put}, []answer{internal, refusal("AccessDeniedException")}, unknown, 2},
		{"nobody reached for a moment", []store.Op{add}, []answer{offline, ok}, done, 2},
		{"nobody reached for good", pair, []answer{offline}, busy, 8},
		{"adding is not repeated in doubt", []store.Op{add}, []answer{broken}, unknown, 1},
		{"nor when the answer was cut", []store.Op{add}, []answer{cut}, unknown, 1},
		{"adding is repeated when it was turned away", []store.Op{add}, []answer{refusal("ThrottlingException"), ok}, done, 2},
		{"together: a condition", pair, []answer{cancelled("None", "ConditionalCheckFailed")}, condition, 1},
		{"together: a condition decides", pair, []answer{cancelled("TransactionConflict", "ConditionalCheckFailed")}, condition, 1},
		{"together: a condition decides, whatever comes after", pair, []answer{cancelled("ConditionalCheckFailed", "ValidationError")}, condition, 1},
		{"together: an earlier one at work for good", pair, []answer{refusal("TransactionInProgressException")}, unknown, 8},
		{"together: colliding for a moment", pair, []answer{cancelled("TransactionConflict", "None"), ok}, done, 2},
		{"together: colliding for good", pair, []answer{cancelled("None", "TransactionConflict")}, busy, 8},
		{"together: throttled for good", pair, []answer{cancelled("ThrottlingError", "ProvisionedThroughputExceeded")}, busy, 8},
		{"together: refused", pair, []answer{cancelled("TransactionConflict", "ValidationError")}, unknown, 1},
		{"together: adding is repeated, under its token", pair, []answer{broken, refusal("TransactionInProgressException"), ok}, done, 3},
		{"together: colliding after a doubt", pair, []answer{broken, cancelled("TransactionConflict", "None")}, unknown, 8},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s, played := play(test.answers...)
			err := s.Apply(t.Context(), test.ops...)
			got := unknown
			var c *store.ConditionFailed
			switch {
			case err == nil:
				got = done
			case errors.As(err, &c):
				got = condition
			case errors.Is(err, store.ErrBusy):
				got = busy
			}
			if got != test.want || len(played.requests) != test.sent {
				t.Errorf("%s after %d requests (%v); want %s after %d", got, len(played.requests), err, test.want, test.sent)
			}
		})
	}
}

func TestAFailedConditionCarriesWhatStoodInTheWay(t *testing.T) {
	t.Parallel()
	s, _ := play(failed)
	var got *store.ConditionFailed
	if err := s.Apply(t.Context(), put); !errors.As(err, &got) || got.Index != 0 || !reflect.DeepEqual(got.Old, store.Attrs{"n": int64(7)}) {
		t.Errorf("%v, %v", err, got)
	}
	s, _ = play(answer{400, strings.Replace(cancelled("None", "ConditionalCheckFailed", "ConditionalCheckFailed").body,
		`{"Code":"ConditionalCheckFailed"}`, `{"Code":"ConditionalCheckFailed","Item":{"pk":{"S":"p"},"sk":{"S":"t"},"_":{"BOOL":true},"b":{"B":""}}}`, 1)})
	if err := s.Apply(t.Context(), pair...); !errors.As(err, &got) || got.Index != 1 || !reflect.DeepEqual(got.Old, store.Attrs{"b": []byte{}}) {
		t.Errorf("%v, %v", err, got)
	}
	s, _ = play(cancelled("ConditionalCheckFailed", "None"))
	if err := s.Apply(t.Context(), pair...); !errors.As(err, &got) || got.Index != 0 || got.Old != nil {
		t.Errorf("%v, %v", err, got)
	}
}

// A token stays while an attempt under it is in doubt, and is drawn anew once every attempt was answered.
func TestTransactionTokens(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		answers []answer
		same    []bool // as the one before
	}{
		"answered each time": {[]answer{cancelled("TransactionConflict"), cancelled("TransactionConflict"), ok}, []bool{false, false}},
		"in doubt":           {[]answer{broken, internal, ok}, []bool{true, true}},
		"in doubt, answered": {[]answer{cancelled("TransactionConflict"), broken, cancelled("TransactionConflict"), ok}, []bool{false, true, true}},
	} {
		s, played := play(test.answers...)
		if err := s.Apply(t.Context(), pair...); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for i, same := range test.same {
			before, now := played.requests[i]["ClientRequestToken"], played.requests[i+1]["ClientRequestToken"]
			if (before == now) != same || now == nil {
				t.Errorf("%s: attempt %d goes under %v after %v", name, i+1, now, before)
			}
		}
	}
}

func TestWaitingEndsWithTheContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	s, played := play(refusal("ThrottlingException"))
	s.Wait = func(ctx context.Context, _ time.Duration) error { cancel(); return ctx.Err() }
	err := s.Apply(ctx, put)
	if !errors.Is(err, store.ErrBusy) || !errors.Is(err, context.Canceled) {
		t.Errorf("the answer is %v; want ErrBusy, nothing being written, and the context's error", err)
	}
	if len(played.requests) != 1 {
		t.Errorf("%d requests", len(played.requests))
	}
	s, _ = play(broken)
	s.Wait = nil
	if err := s.Apply(ctx, put); !errors.Is(err, context.Canceled) || errors.Is(err, store.ErrBusy) {
		t.Errorf("the answer is %v; want the context's error, the outcome being unknown", err)
	}
}

func TestPausesGrowAndAreBounded(t *testing.T) {
	t.Parallel()
	var pauses []time.Duration
	s, _ := play(refusal("ThrottlingException"))
	s.Rand = constant(1500 * time.Millisecond) // over the longest bound, under twice of it
	s.Wait = func(_ context.Context, d time.Duration) error { pauses = append(pauses, d); return nil }
	if err := s.Apply(t.Context(), put); !errors.Is(err, store.ErrBusy) {
		t.Fatal(err)
	}
	if len(pauses) != 7 {
		t.Fatalf("%d pauses", len(pauses))
	}
	bound := 25 * time.Millisecond
	for i, d := range pauses {
		if d < 0 || d >= bound {
			t.Errorf("pause %d is %s; its bound is %s", i, d, bound)
		}
		bound = min(2*bound, time.Second)
	}
}

// constant is a source of randomness that draws one number again and again.
type constant uint64

func (c constant) Read(b []byte) (int, error) {
	return copy(b, binary.BigEndian.AppendUint64(nil, uint64(c))), nil
}

func TestThrottledReadsAreBusy(t *testing.T) {
	t.Parallel()
	s, _ := play(refusal("ThrottlingException"))
	ctx := t.Context()
	_, getErr := s.Get(ctx, store.Records, key)
	_, manyErr := s.GetMany(ctx, store.Records, []store.Key{key})
	_, _, queryErr := s.Query(ctx, store.Query{Table: store.Records, Partition: "p", Limit: 1})
	_, _, dueErr := s.Due(ctx, "s", 1, 1, "")
	for name, err := range map[string]error{"Get": getErr, "GetMany": manyErr, "Query": queryErr, "Due": dueErr} {
		if !errors.Is(err, store.ErrBusy) {
			t.Errorf("%s: the answer is %v; want ErrBusy", name, err)
		}
	}
}

func TestGetManyAsksForWhatIsLeft(t *testing.T) {
	t.Parallel()
	batch := func(found string, left ...string) answer {
		items, keys := []string{}, []string{}
		if found != "" {
			items = append(items, fmt.Sprintf(`{"pk":{"S":"p"},"sk":{"S":%q}}`, found))
		}
		for _, sort := range left {
			keys = append(keys, fmt.Sprintf(`{"pk":{"S":"p"},"sk":{"S":%q}}`, sort))
		}
		unprocessed := "{}"
		if len(left) > 0 {
			unprocessed = `{"records":{"Keys":[` + strings.Join(keys, ",") + `]}}`
		}
		return answer{200, `{"Responses":{"records":[` + strings.Join(items, ",") + `]},"UnprocessedKeys":` + unprocessed + `}`}
	}
	keys := []store.Key{{Partition: "p", Sort: "a"}, {Partition: "p", Sort: "b"}, {Partition: "p", Sort: "a"}, {Partition: "p", Sort: "c"}}
	s, played := play(batch("a", "b", "c"), batch("", "b", "c"), batch("b", "c"), batch("c"))
	items, err := s.GetMany(t.Context(), store.Records, keys)
	if err != nil || len(items) != 3 {
		t.Fatalf("%d items, %v", len(items), err)
	}
	var asked []int
	for _, r := range played.requests {
		of := r["RequestItems"].(map[string]any)["records"].(map[string]any)
		if of["ConsistentRead"] != true {
			t.Error("a batch is not read strongly")
		}
		asked = append(asked, len(of["Keys"].([]any)))
	}
	if !reflect.DeepEqual(asked, []int{3, 2, 2, 1}) {
		t.Errorf("asked for %v keys; the first time each one once, then those left", asked)
	}

	var one []answer
	for left := 12; left >= 0; left-- {
		one = append(one, batch("x", strings.Split("abcdefghijkl", "")[:left]...))
	}
	s, _ = play(one...)
	if items, err := s.GetMany(t.Context(), store.Records, keys); err != nil || len(items) != 13 {
		t.Errorf("answers of one item each: %d items, %v", len(items), err)
	}

	s, played = play(batch("", "a", "b", "c"))
	if _, err := s.GetMany(t.Context(), store.Records, keys); !errors.Is(err, store.ErrBusy) || len(played.requests) != 8 {
		t.Errorf("nothing but leftovers: %v after %d requests", err, len(played.requests))
	}
}

func TestReadsAreStrong(t *testing.T) {
	t.Parallel()
	s, played := play(answer{200, `{"Items":[]}`})
	_, getErr := s.Get(t.Context(), store.Records, key)
	_, _, queryErr := s.Query(t.Context(), store.Query{Table: store.Records, Partition: "p", Limit: 1})
	if !errors.Is(getErr, store.ErrNotFound) || queryErr != nil {
		t.Fatal(getErr, queryErr)
	}
	for i, r := range played.requests {
		if r["ConsistentRead"] != true {
			t.Errorf("%s is not strong", played.targets[i])
		}
	}
}

func TestRefusalsBeforeAnythingIsSent(t *testing.T) {
	t.Parallel()
	s, played := play(ok)
	for name, err := range map[string]error{
		"a table without a name":   s.Apply(t.Context(), store.Op{Verb: store.Delete, Table: store.Requests, Key: key}),
		"one of two without":       s.Apply(t.Context(), put, store.Op{Verb: store.Delete, Table: store.Requests, Key: key}),
		"the driver's own names":   s.Apply(t.Context(), store.Op{Verb: store.Put, Table: store.Records, Key: key, Set: store.Attrs{"pk": "x"}}),
		"the mark":                 s.Apply(t.Context(), store.Op{Verb: store.Update, Table: store.Records, Key: key, Remove: []string{"_"}}),
		"a condition on them":      s.Apply(t.Context(), store.Op{Verb: store.Delete, Table: store.Records, Key: key, If: store.Any(store.Has("sk"))}),
		"a string of other bytes":  s.Apply(t.Context(), store.Op{Verb: store.Put, Table: store.Records, Key: key, Set: store.Attrs{"a": "\xff"}}),
		"a key of other bytes":     s.Apply(t.Context(), store.Op{Verb: store.Delete, Table: store.Records, Key: store.Key{Partition: "p", Sort: "\xff"}}),
		"a Put that adds":          s.Apply(t.Context(), store.Op{Verb: store.Put, Table: store.Records, Key: key, Add: map[string]int64{"n": 1}}),
		"a Delete that sets":       s.Apply(t.Context(), store.Op{Verb: store.Delete, Table: store.Records, Key: key, Set: store.Attrs{"a": "x"}}),
		"nothing":                  s.Apply(t.Context()),
		"two of one item":          s.Apply(t.Context(), put, put),
		"an item over the maximum": s.Apply(t.Context(), store.Op{Verb: store.Update, Table: store.Records, Key: key, Set: store.Attrs{"a": make([]byte, 400<<10)}}),
	} {
		if err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	_, _, err := s.Due(t.Context(), "shard", 1, 1, "nonsense")
	if err == nil {
		t.Error("a cursor of nonsense: accepted")
	}
	if len(played.requests) != 0 {
		t.Errorf("%d requests were sent", len(played.requests))
	}
}

func BenchmarkGet(b *testing.B) {
	item := `{"Item":{"pk":{"S":"t#e"},"sk":{"S":"credential"},"generation":{"N":"7"},"sealed":{"B":"` + strings.Repeat("QUJD", 500) + `"}}}`
	s := dynamostore.New(scripted(always(item)), map[store.Table]string{store.Credentials: "credentials"})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Get(b.Context(), store.Credentials, key); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkApply(b *testing.B) {
	s := dynamostore.New(scripted(always(`{}`)), map[store.Table]string{store.Credentials: "credentials"})
	op := store.Op{Verb: store.Update, Table: store.Credentials, Key: key, If: store.Equal("generation", int64(7)),
		Set: store.Attrs{"generation": int64(8), "sealed": make([]byte, 1500), "status": "active"}, Remove: []string{"intent"}}
	b.ReportAllocs()
	for b.Loop() {
		if err := s.Apply(b.Context(), op); err != nil {
			b.Fatal(err)
		}
	}
}

// always is an HTTP client that gives one answer and looks at nothing.
type always string

func (a always) Do(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader(string(a))), Request: r}, nil
}
