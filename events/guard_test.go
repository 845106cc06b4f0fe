package events_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"connectorvault/infra/stack"
	"connectorvault/shared/secret"
	"connectorvault/shared/store"
)

// guard stands between a function and the store, and lets through what the template's role for that function allows.
// What the role lacks fails here as it would on AWS; what it has and nobody uses is found at the end.
type guard struct {
	under interface {
		store.Items
		store.DueIndex
		store.Secrets
	}
	function stack.Function
	used     *usage
}

// usage collects the grants that were used, over all samples.
type usage struct {
	mu   sync.Mutex
	seen map[string]bool // function, action and resource
}

func (u *usage) note(folder, action, resource string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.seen[folder+" "+action+" "+resource] = true
}

// unused lists the grants of a role that nothing used.
func (u *usage) unused(f stack.Function) []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	var out []string
	for _, grant := range f.Role.Grants() {
		action, pattern, _ := strings.Cut(grant, " ")
		used := false
		for key := range u.seen {
			folder, rest, _ := strings.Cut(key, " ")
			did, resource, _ := strings.Cut(rest, " ")
			used = used || folder == f.Folder && did == action && stack.Matches(pattern, resource)
		}
		if !used {
			out = append(out, grant)
		}
	}
	return out
}

// tables are the tables' logical ids in the template, and the variables that name them to a function.
var tables = map[store.Table]struct{ id, variable string }{
	store.Records:     {"RecordsTable", "CV_TABLE_RECORDS"},
	store.Credentials: {"CredentialsTable", "CV_TABLE_CREDENTIALS"},
	store.Requests:    {"RequestsTable", "CV_TABLE_REQUESTS"},
	store.Transient:   {"TransientTable", "CV_TABLE_TRANSIENT"},
}

func (g *guard) may(action, resource string) error {
	if !g.function.Role.Allows(action, resource) {
		return fmt.Errorf("the role of %s does not allow %s on %s", g.function.Folder, action, resource)
	}
	g.used.note(g.function.Folder, action, resource)
	return nil
}

func (g *guard) mayTable(action string, t store.Table, suffix string) error {
	if g.function.Environment[tables[t].variable] != tables[t].id {
		return fmt.Errorf("%s is not told the name of the table %s", g.function.Folder, t)
	}
	return g.may("dynamodb:"+action, tables[t].id+".Arn"+suffix)
}

func (g *guard) maySecret(action, name string) error {
	return g.may("secretsmanager:"+action, stack.SecretARN(g.function.Environment["CV_SECRET_PREFIX"]+name))
}

func (g *guard) Get(ctx context.Context, table store.Table, key store.Key) (store.Item, error) {
	if err := g.mayTable("GetItem", table, ""); err != nil {
		return store.Item{}, err
	}
	return g.under.Get(ctx, table, key)
}

func (g *guard) GetMany(ctx context.Context, table store.Table, keys []store.Key) ([]store.Item, error) {
	if err := g.mayTable("BatchGetItem", table, ""); err != nil {
		return nil, err
	}
	return g.under.GetMany(ctx, table, keys)
}

func (g *guard) Query(ctx context.Context, q store.Query) ([]store.Item, bool, error) {
	if err := g.mayTable("Query", q.Table, ""); err != nil {
		return nil, false, err
	}
	return g.under.Query(ctx, q)
}

// Apply asks for the right to each op: a transaction needs the rights of its parts and no other.
func (g *guard) Apply(ctx context.Context, ops ...store.Op) error {
	actions := map[store.Verb]string{store.Put: "PutItem", store.Update: "UpdateItem", store.Delete: "DeleteItem", store.Verify: "ConditionCheckItem"}
	for _, op := range ops {
		if err := g.mayTable(actions[op.Verb], op.Table, ""); err != nil {
			return err
		}
	}
	return g.under.Apply(ctx, ops...)
}

func (g *guard) Due(ctx context.Context, shard string, until int64, limit int, cursor string) ([]store.Due, string, error) {
	if err := g.mayTable("Query", store.Credentials, "/index/due"); err != nil {
		return nil, "", err
	}
	return g.under.Due(ctx, shard, until, limit, cursor)
}

func (g *guard) GetSecret(ctx context.Context, name string) (secret.Text, error) {
	if err := g.maySecret("GetSecretValue", name); err != nil {
		return secret.Text{}, err
	}
	return g.under.GetSecret(ctx, name)
}

// PutSecret writes a new version, and makes the secret where there is none: the driver does both.
func (g *guard) PutSecret(ctx context.Context, name string, value secret.Text) error {
	for _, action := range []string{"PutSecretValue", "CreateSecret"} {
		if err := g.maySecret(action, name); err != nil {
			return err
		}
	}
	return g.under.PutSecret(ctx, name, value)
}

func (g *guard) CreateSecret(ctx context.Context, name string, value secret.Text) (bool, error) {
	if err := g.maySecret("CreateSecret", name); err != nil {
		return false, err
	}
	return g.under.CreateSecret(ctx, name, value)
}

func (g *guard) DeleteSecret(ctx context.Context, name string) error {
	if err := g.maySecret("DeleteSecret", name); err != nil {
		return err
	}
	return g.under.DeleteSecret(ctx, name)
}

func (g *guard) ListSecrets(ctx context.Context, prefix, cursor string) ([]string, string, error) {
	if err := g.may("secretsmanager:ListSecrets", "*"); err != nil {
		return nil, "", err
	}
	return g.under.ListSecrets(ctx, prefix, cursor)
}

// unneeded are the grants that no sample uses, each with its reason. A key is an action, a resource, or a function and
// an action.
var unneeded = map[string]string{
	"logs:CreateLogStream":                "Lambda itself writes the logs",
	"logs:PutLogEvents":                   "Lambda itself writes the logs",
	"sqs:ReceiveMessage":                  "Lambda itself polls the queues",
	"sqs:DeleteMessage":                   "Lambda itself polls the queues",
	"sqs:GetQueueAttributes":              "Lambda itself polls the queues",
	"RescueQueue.Arn":                     "for a table that refuses a write; the refresh cycle's own tests make one refuse",
	"refresh sqs:SendMessage":             "for revocations that do not come through, and as above; the tests of deleting make one fail",
	"admin secretsmanager:GetSecretValue": "seals PKCE verifiers, for providers whose consent page takes a challenge",
	"read dynamodb:Query":                 "for an application whose calls at once are nearly all taken: the free ones are looked for",
	"read dynamodb:DeleteItem":            "likewise: what is scarce is given back at once",
}

func checkUnused(t *testing.T, u *usage, functions map[string]stack.Function) {
	t.Helper()
	for folder, f := range functions {
		for _, grant := range u.unused(f) {
			action, resource, _ := strings.Cut(grant, " ")
			if unneeded[action] == "" && unneeded[resource] == "" && unneeded[folder+" "+action] == "" {
				t.Errorf("%s may %s, and no sample needs it", folder, grant)
			}
		}
	}
}
