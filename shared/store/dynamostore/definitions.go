package dynamostore

import (
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"connectorvault/shared/store"
)

// DueIndex is the name of the due index on the credentials table. It is sparse: items without both due attributes are not in it.
const DueIndex = "due"

// Definitions returns the tables that names says, as the stack's template declares them: string keys pk and sk, paid
// per request, and the due index on the credentials. What CreateTable does not take is declared beside it: expiry
// ([Expiries]), point-in-time recovery of what cannot be made anew (records, credentials), deletion protection.
func Definitions(names map[store.Table]string) []*dynamodb.CreateTableInput {
	var tables []*dynamodb.CreateTableInput
	for _, t := range store.Tables() {
		if names[t] == "" {
			continue
		}
		in := &dynamodb.CreateTableInput{
			TableName:            aws.String(names[t]),
			BillingMode:          types.BillingModePayPerRequest,
			AttributeDefinitions: []types.AttributeDefinition{attribute(attrPartition, "S"), attribute(attrSort, "S")},
			KeySchema:            keySchema(attrPartition, attrSort),
		}
		if t == store.Credentials {
			in.AttributeDefinitions = append(in.AttributeDefinitions, attribute(store.AttrDueShard, "S"), attribute(store.AttrDueAt, "N"))
			in.GlobalSecondaryIndexes = []types.GlobalSecondaryIndex{{
				IndexName:  aws.String(DueIndex),
				KeySchema:  keySchema(store.AttrDueShard, store.AttrDueAt),
				Projection: &types.Projection{ProjectionType: types.ProjectionTypeKeysOnly},
			}}
		}
		tables = append(tables, in)
	}
	return tables
}

// Expiries returns the calls that let the engine remove items by themselves, for the tables whose items end: requests and transient.
func Expiries(names map[store.Table]string) []*dynamodb.UpdateTimeToLiveInput {
	var calls []*dynamodb.UpdateTimeToLiveInput
	for _, t := range []store.Table{store.Requests, store.Transient} {
		if names[t] == "" {
			continue
		}
		calls = append(calls, &dynamodb.UpdateTimeToLiveInput{TableName: aws.String(names[t]),
			TimeToLiveSpecification: &types.TimeToLiveSpecification{AttributeName: aws.String(store.AttrExpires), Enabled: aws.Bool(true)}})
	}
	return calls
}

func attribute(name string, kind types.ScalarAttributeType) types.AttributeDefinition {
	return types.AttributeDefinition{AttributeName: aws.String(name), AttributeType: kind}
}

func keySchema(hash, sort string) []types.KeySchemaElement {
	return []types.KeySchemaElement{
		{AttributeName: aws.String(hash), KeyType: types.KeyTypeHash},
		{AttributeName: aws.String(sort), KeyType: types.KeyTypeRange},
	}
}
