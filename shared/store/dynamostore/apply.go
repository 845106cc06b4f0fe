package dynamostore

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"connectorvault/shared/store"
)

// write is a request that can be sent again and again.
type write struct {
	// send makes one attempt. fresh says that no earlier attempt can have been carried out.
	send func(ctx context.Context, fresh bool) error

	// repeatable: sending it again after an attempt in doubt does no harm that the answer would not show.
	repeatable bool
}

// Apply implements [store.Items]: one op as a conditional single write, several as one transaction. What its errors say:
//
//   - *[store.ConditionFailed]: nothing is written by the attempt that was answered. If an attempt before it lost its
//     answer, that one may have written, and Old then shows its work.
//   - [store.ErrBusy]: nothing is written by any attempt. Each time DynamoDB throttled, other writes collided, or no
//     connection was made.
//   - an error of the checks before sending, or a refusal by the only attempt there was (status 4xx, such as
//     ValidationException or AccessDeniedException): nothing is written.
//   - any other error, a context's end among them: it is not known. The answer was lost, or DynamoDB failed half-way.
//
// Attempts in doubt are repeated where that is safe: a transaction under the token of the first, which DynamoDB
// carries out once; a single Put, Delete or setting Update as it is. A single Update that adds is not repeated, since
// the number would grow twice.
func (s *Store) Apply(ctx context.Context, ops ...store.Op) error {
	if err := check(ops); err != nil {
		return err
	}
	w, err := s.prepare(ops)
	if err != nil {
		return err
	}
	return s.carryOut(ctx, w)
}

func (s *Store) carryOut(ctx context.Context, w write) error {
	var doubt error // of the first attempt that may have written
	for n := 0; ; n++ {
		err := w.send(ctx, doubt == nil)
		came := outcomeOf(err)
		switch came {
		case written:
			return nil
		case condition:
			return failure(err)
		case refused:
			return verdict(err, doubt)
		case busy, doubtful:
		}
		if n+1 == attempts || came == doubtful && !w.repeatable {
			return verdict(err, doubt)
		}
		if waited := s.pause(ctx, n); waited != nil {
			return verdict(errors.Join(err, waited), doubt)
		}
		if came == doubtful && doubt == nil {
			doubt = err
		}
	}
}

// verdict names the class of the last attempt's error, which only holds for the whole when no attempt is in doubt.
func verdict(err, doubt error) error {
	if doubt != nil {
		return fmt.Errorf("writing, with an earlier attempt in doubt (%w): %w", doubt, err)
	}
	if outcomeOf(err) == busy {
		return fmt.Errorf("writing: %w (%w)", store.ErrBusy, err)
	}
	return fmt.Errorf("writing: %w", err)
}

// returnOld makes a failed condition carry the item that stood in the way.
const returnOld = types.ReturnValuesOnConditionCheckFailureAllOld

// once switches the SDK's own retries off.
func once(o *dynamodb.Options) { o.Retryer = aws.NopRetryer{} }

func (s *Store) prepare(ops []store.Op) (write, error) {
	if len(ops) > 1 {
		return s.transaction(ops)
	}
	op := ops[0]
	table, err := s.table(op.Table)
	if err != nil {
		return write{}, err
	}
	switch op.Verb {
	case store.Put:
		return s.put(op, table), nil
	case store.Update:
		return s.update(op, table), nil
	default:
		return s.remove(op, table), nil
	}
}

func (s *Store) put(op store.Op, table *string) write {
	var e expression
	in := &dynamodb.PutItemInput{TableName: table, Item: encodeItem(op.Key, op.Set), ConditionExpression: e.condition(op.If),
		ReturnValuesOnConditionCheckFailure: returnOld}
	in.ExpressionAttributeNames, in.ExpressionAttributeValues = e.names(), e.values
	return write{repeatable: true, send: func(ctx context.Context, _ bool) error {
		_, err := s.client.PutItem(ctx, in, once)
		return err
	}}
}

func (s *Store) update(op store.Op, table *string) write {
	var e expression
	in := &dynamodb.UpdateItemInput{TableName: table, Key: encodeKey(op.Key), ConditionExpression: e.condition(op.If),
		UpdateExpression: e.update(op), ReturnValuesOnConditionCheckFailure: returnOld}
	in.ExpressionAttributeNames, in.ExpressionAttributeValues = e.names(), e.values
	return write{repeatable: len(op.Add) == 0, send: func(ctx context.Context, _ bool) error {
		_, err := s.client.UpdateItem(ctx, in, once)
		return err
	}}
}

func (s *Store) remove(op store.Op, table *string) write {
	var e expression
	in := &dynamodb.DeleteItemInput{TableName: table, Key: encodeKey(op.Key), ConditionExpression: e.condition(op.If),
		ReturnValuesOnConditionCheckFailure: returnOld}
	in.ExpressionAttributeNames, in.ExpressionAttributeValues = e.names(), e.values
	return write{repeatable: true, send: func(ctx context.Context, _ bool) error {
		_, err := s.client.DeleteItem(ctx, in, once)
		return err
	}}
}

func (s *Store) transaction(ops []store.Op) (write, error) {
	in := &dynamodb.TransactWriteItemsInput{TransactItems: make([]types.TransactWriteItem, len(ops))}
	for i, op := range ops {
		table, err := s.table(op.Table)
		if err != nil {
			return write{}, err
		}
		in.TransactItems[i] = part(op, table)
	}
	return write{repeatable: true, send: func(ctx context.Context, fresh bool) error {
		if fresh { // a token that was answered is spent; one in doubt is what keeps the repeat from writing twice
			token, err := s.token()
			if err != nil {
				return err
			}
			in.ClientRequestToken = token
		}
		_, err := s.client.TransactWriteItems(ctx, in, once)
		return err
	}}, nil
}

// part is one op of a transaction.
func part(op store.Op, table *string) types.TransactWriteItem {
	var e expression
	cond := e.condition(op.If)
	switch op.Verb {
	case store.Put:
		return types.TransactWriteItem{Put: &types.Put{TableName: table, Item: encodeItem(op.Key, op.Set), ConditionExpression: cond,
			ExpressionAttributeNames: e.names(), ExpressionAttributeValues: e.values, ReturnValuesOnConditionCheckFailure: returnOld}}
	case store.Update:
		change := e.update(op)
		return types.TransactWriteItem{Update: &types.Update{TableName: table, Key: encodeKey(op.Key), ConditionExpression: cond, UpdateExpression: change,
			ExpressionAttributeNames: e.names(), ExpressionAttributeValues: e.values, ReturnValuesOnConditionCheckFailure: returnOld}}
	case store.Delete:
		return types.TransactWriteItem{Delete: &types.Delete{TableName: table, Key: encodeKey(op.Key), ConditionExpression: cond,
			ExpressionAttributeNames: e.names(), ExpressionAttributeValues: e.values, ReturnValuesOnConditionCheckFailure: returnOld}}
	default:
		if cond == nil {
			cond = aws.String(itemExists + " OR " + itemAbsent) // DynamoDB wants a condition of a check, and the promise lets it be left out
		}
		return types.TransactWriteItem{ConditionCheck: &types.ConditionCheck{TableName: table, Key: encodeKey(op.Key), ConditionExpression: cond,
			ExpressionAttributeNames: e.names(), ExpressionAttributeValues: e.values, ReturnValuesOnConditionCheckFailure: returnOld}}
	}
}

// token draws the id under which DynamoDB carries a transaction out once, for ten minutes.
func (s *Store) token() (*string, error) {
	var b [16]byte
	if _, err := io.ReadFull(s.random(), b[:]); err != nil {
		return nil, fmt.Errorf("drawing a transaction token: %w", err)
	}
	return aws.String(hex.EncodeToString(b[:])), nil
}
