package dynamostore

import (
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"connectorvault/shared/store"
)

func TestConditionText(t *testing.T) {
	t.Parallel()
	a, b, c := store.Has("a"), store.Lacks("b"), store.Equal("c", "x")
	for _, test := range []struct {
		cond *store.Cond
		want string
	}{
		{nil, ""},
		{store.All(), ""},
		{store.Any(nil, a), ""},
		{store.Any(), "attribute_exists(pk) AND attribute_not_exists(pk)"},
		{store.All(a, store.Any()), "attribute_exists(pk) AND attribute_not_exists(pk)"},
		{store.Exists(), "attribute_exists(pk)"},
		{store.Absent(), "attribute_not_exists(pk)"},
		{a, "attribute_exists(#0)"},
		{b, "attribute_not_exists(#0)"},
		{c, "#0 = :0"},
		{store.Less("n", 5), "#0 < :0"},
		{store.AtMost("n", 5), "#0 <= :0"},
		{store.All(store.Any(store.All(a))), "attribute_exists(#0)"},
		{store.All(a, store.All(b, c)), "attribute_exists(#0) AND attribute_not_exists(#1) AND #2 = :0"},
		{store.All(a, store.Any(b, c)), "attribute_exists(#0) AND (attribute_not_exists(#1) OR #2 = :0)"},
		{store.Any(store.All(a, c), store.All(b, c)), "(attribute_exists(#0) AND #1 = :0) OR (attribute_not_exists(#2) AND #1 = :1)"},
	} {
		var e expression
		if got := aws.ToString(e.condition(test.cond)); got != test.want {
			t.Errorf("%q; want %q", got, test.want)
		}
	}
}

func TestUpdateText(t *testing.T) {
	t.Parallel()
	set, add := store.Attrs{"b": "x", "a": int64(1)}, map[string]int64{"n": -2, "m": 1}
	for _, test := range []struct {
		op   store.Op
		want string
	}{
		{store.Op{}, ""},
		{store.Op{Set: set}, "SET #0 = :0, #1 = :1"},
		{store.Op{Set: set, Remove: []string{"d", "c", "d"}, Add: add}, "SET #0 = :0, #1 = :1 REMOVE #2, #3 ADD #4 :2, #5 :3"},
		{store.Op{Remove: []string{"a"}, Add: add}, "REMOVE #0 ADD #1 :0, #2 :1"},
		{store.Op{Remove: []string{"a"}}, "SET #0 = :0 REMOVE #1"},
		{store.Op{Remove: []string{"a"}, If: store.Any(store.Absent(), store.Has("a"))}, "SET #0 = :0 REMOVE #1"},
		{store.Op{Remove: []string{"a"}, If: store.Has("a")}, "REMOVE #0"}, // the item is there, or nothing happens
	} {
		var e expression
		if got := aws.ToString(e.update(test.op)); got != test.want {
			t.Errorf("%q; want %q", got, test.want)
		}
	}
}

func TestPlaceholdersStandForWhatWasGiven(t *testing.T) {
	t.Parallel()
	var e expression
	cond := e.condition(store.All(store.Equal("status", "active"), store.AtMost("n", 7)))
	change := e.update(store.Op{Set: store.Attrs{"status": "done"}, Add: map[string]int64{"n": 1}})
	if *cond != "#0 = :0 AND #1 <= :1" || *change != "SET #0 = :2 ADD #1 :3" {
		t.Fatalf("%q, %q", *cond, *change)
	}
	if got := e.names(); !maps.Equal(got, map[string]string{"#0": "status", "#1": "n"}) {
		t.Errorf("names %v", got)
	}
	if v, ok := e.values[":2"].(*types.AttributeValueMemberS); !ok || v.Value != "done" {
		t.Errorf("value :2 is %#v", e.values[":2"])
	}
	if v, ok := e.values[":3"].(*types.AttributeValueMemberN); !ok || v.Value != "1" {
		t.Errorf("value :3 is %#v", e.values[":3"])
	}
	if new(expression).names() != nil || new(expression).values != nil {
		t.Error("an empty map is sent where nothing is named")
	}
}

// Random trees mean the same after simplify, and have no group that DynamoDB refuses.
func TestSimplify(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(7, 11))
	states := []store.Attrs{nil, {}, {"a": int64(1)}, {"a": int64(3), "b": "x"}, {"b": "y"}}
	for range 5000 {
		c := tree(random, 4)
		simple := simplify(c)
		for _, state := range states {
			if c.Holds(state) != simple.Holds(state) {
				t.Fatalf("on %v: %t, simplified %t", state, c.Holds(state), simple.Holds(state))
			}
		}
		if simple != nil && simple != impossible {
			isSimple(t, simple)
		}
	}
}

func isSimple(t *testing.T, c *store.Cond) {
	t.Helper()
	if c.Kind != store.CondAll && c.Kind != store.CondAny {
		return
	}
	if len(c.Of) < 2 {
		t.Fatalf("a group of %d", len(c.Of))
	}
	for _, part := range c.Of {
		if part.Kind == c.Kind {
			t.Fatal("a group in a group of its kind")
		}
		isSimple(t, part)
	}
}

func tree(random *rand.Rand, depth int) *store.Cond {
	leaves := []*store.Cond{nil, store.Exists(), store.Absent(), store.Has("a"), store.Lacks("b"), store.Equal("b", "x"), store.Less("a", 2), store.AtMost("a", 3)}
	if depth == 0 || random.IntN(3) == 0 {
		return leaves[random.IntN(len(leaves))]
	}
	var parts []*store.Cond
	for range random.IntN(4) {
		parts = append(parts, tree(random, depth-1))
	}
	if random.IntN(2) == 0 {
		return store.All(parts...)
	}
	return store.Any(parts...)
}

func TestDefinitionsKeepToTheNames(t *testing.T) {
	t.Parallel()
	all := map[store.Table]string{store.Records: "r", store.Credentials: "c", store.Requests: "q", store.Transient: "t"}
	var names []string
	for _, in := range Definitions(all) {
		names = append(names, *in.TableName)
		if in.BillingMode != types.BillingModePayPerRequest || *in.KeySchema[0].AttributeName != "pk" || *in.KeySchema[1].AttributeName != "sk" {
			t.Errorf("table %s is declared otherwise", *in.TableName)
		}
		if has := len(in.GlobalSecondaryIndexes) > 0; has != (*in.TableName == "c") {
			t.Errorf("table %s: an index %t", *in.TableName, has)
		}
	}
	if !slices.Equal(names, []string{"r", "c", "q", "t"}) {
		t.Errorf("tables %q", names)
	}
	delete(all, store.Requests)
	if n := len(Definitions(all)); n != 3 {
		t.Errorf("%d tables of three names", n)
	}
	if calls := Expiries(all); len(calls) != 1 || *calls[0].TableName != "t" || *calls[0].TimeToLiveSpecification.AttributeName != "expires_at" {
		t.Errorf("expiries of %d tables", len(calls))
	}
}

func BenchmarkExpression(b *testing.B) {
	op := store.Op{
		If: store.All(store.Equal("generation", int64(5)), store.Equal("fence", int64(9)),
			store.Any(store.Lacks("lease_owner"), store.AtMost("lease_until", 1_800_000_000))),
		Set:    store.Attrs{"fence": int64(10), "lease_owner": "owner", "lease_until": int64(1_800_000_030), "intent": "{}"},
		Remove: []string{"failure", "cause"},
	}
	b.ReportAllocs()
	for b.Loop() {
		var e expression
		if e.condition(op.If) == nil || e.update(op) == nil || len(e.names()) != 7 {
			b.Fatal("the expression is another")
		}
	}
}
