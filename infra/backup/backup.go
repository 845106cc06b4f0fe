// Package backup puts back what point-in-time recovery restored, into the tables that the stack uses.
//
// The argument: a restore makes a table of another name, and the stack goes on with its own, so items have to be copied, and
// a plain copy is the most dangerous command there is here. It would put a spent refresh token back in force, and offering
// that one again can end everything that came of its consent; it would write yesterday over what was bought today. So what is
// there stays, whatever the backup says of it; and a credential whose tokens are used once comes back asking for a new
// authorization, in the very write that brings it back. It runs with the rights of whoever restores tables. It needs no
// keyring and opens nothing.
package backup

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"golang.org/x/sync/errgroup"

	"connectorvault/shared/fault"
	"connectorvault/shared/provider/catalog"
	"connectorvault/shared/record"
	"connectorvault/shared/store"
	"connectorvault/shared/vault"
)

// atOnce is how many items are looked at at the same time.
const atOnce = 8

// shipped are the providers, made once: an adapter is a long list, and is asked of every entry.
var shipped = sync.OnceValue(func() *catalog.Catalog { return catalog.New(catalog.Options{}) })

// Rotates reports whether a provider's refresh tokens are used once. Of one that nobody knows it must be assumed.
func Rotates(name string) bool {
	adapter, known := shipped().Adapter(name)
	return !known || adapter.Descriptor().Rotates
}

// Copied counts what became of the items of a table.
type Copied struct {
	Copied     int `json:"copied"`
	StillThere int `json:"still_there"` // under whose keys something lies already, which stays
}

// ErrCredentials is the refusal to copy credentials as if they were any items.
var ErrCredentials = errors.New("this is a table of credentials, and its tokens may have been spent since: put them back with the command for credentials")

// Copy copies every item of one table into another where nothing lies under its key. It copies no credentials.
func Copy(ctx context.Context, client *dynamodb.Client, from, to string) (Copied, error) {
	var out Copied
	if from == to {
		return out, errors.New("a table cannot be copied into itself")
	}
	in := &dynamodb.ScanInput{TableName: &from, ConsistentRead: aws.Bool(true)}
	for {
		page, err := client.Scan(ctx, in)
		if err != nil {
			return out, fmt.Errorf("reading %s: %w", from, err)
		}
		if slices.ContainsFunc(page.Items, isCredential) {
			return out, ErrCredentials
		}
		there := make([]bool, len(page.Items))
		var group errgroup.Group
		group.SetLimit(atOnce)
		for i, item := range page.Items {
			group.Go(func() (err error) {
				there[i], err = put(ctx, client, to, item)
				return err
			})
		}
		if err := group.Wait(); err != nil {
			return out, fmt.Errorf("writing %s: %w", to, err)
		}
		for _, was := range there {
			if was {
				out.StillThere++
			} else {
				out.Copied++
			}
		}
		if in.ExclusiveStartKey = page.LastEvaluatedKey; len(in.ExclusiveStartKey) == 0 {
			return out, nil
		}
	}
}

func isCredential(item map[string]types.AttributeValue) bool {
	sort, ok := item["sk"].(*types.AttributeValueMemberS)
	return ok && sort.Value == "credential"
}

// put writes an item where there is none. A repeat that the SDK sends after a lost answer finds the item there, which is as
// good: what lies there then is what was to be written.
func put(ctx context.Context, client *dynamodb.Client, table string, item map[string]types.AttributeValue) (there bool, err error) {
	_, err = client.PutItem(ctx, &dynamodb.PutItemInput{TableName: &table, Item: item, ConditionExpression: aws.String("attribute_not_exists(pk)")})
	var failed *types.ConditionalCheckFailedException
	if errors.As(err, &failed) {
		return true, nil
	}
	return false, err
}

// PutBack counts what became of the credentials of a backup.
type PutBack struct {
	Tenants int                   `json:"tenants"`
	Entries map[vault.PutBack]int `json:"entries"`
}

// Credentials puts the credentials of every entry back that the vault has a record of: those of entries that were deleted
// since stay where they are. One entry that cannot be put back keeps no other from being.
func Credentials(ctx context.Context, v *vault.Vault, backup store.Items) (PutBack, error) {
	out := PutBack{Entries: map[vault.PutBack]int{}}
	tenants, err := v.AuditedTenants(ctx)
	if err != nil {
		return out, err
	}
	var problems []error
	for _, tenant := range tenants {
		closed, err := v.Closed(ctx, tenant)
		if err == nil && !closed {
			out.Tenants++
			err = each(ctx, v, tenant, func(entry record.Entry) error {
				what, err := v.PutBackCredential(ctx, backup, entry, Rotates(entry.Provider))
				if err == nil {
					out.Entries[what]++
				}
				return err
			})
		}
		problems = append(problems, err)
	}
	return out, errors.Join(problems...)
}

// Distrust has every entry of some tenants ask for a new authorization whose provider's tokens are used once: after all of a
// vault was put back, as a data folder is. It returns how many do now that did not.
func Distrust(ctx context.Context, v *vault.Vault, tenants []string) (n int, err error) {
	var problems []error
	for _, tenant := range tenants {
		problems = append(problems, each(ctx, v, tenant, func(entry record.Entry) error {
			c, found, err := v.Credential(ctx, tenant, entry.ID)
			if err != nil || !found || !Rotates(entry.Provider) {
				return err
			}
			changed, err := v.Distrust(ctx, c)
			if changed {
				n++
			}
			return err
		}))
	}
	return n, errors.Join(problems...)
}

// each goes through a tenant's entries.
func each(ctx context.Context, v *vault.Vault, tenant string, do func(record.Entry) error) error {
	var problems []error
	for after := ""; ; {
		page, err := v.Entries(ctx, tenant, after, 100, func(record.Entry) bool { return true })
		if err != nil {
			return errors.Join(append(problems, fmt.Errorf("listing the entries of %s: %w", tenant, err))...)
		}
		for _, entry := range page.Items {
			if err := do(entry); err != nil {
				problems = append(problems, fmt.Errorf("entry %s of %s: %s: %w", entry.ID, tenant, fault.CodeOf(err), err))
			}
		}
		if after = page.Next; after == "" {
			return errors.Join(problems...)
		}
	}
}
