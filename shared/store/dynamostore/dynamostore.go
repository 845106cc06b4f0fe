// Package dynamostore keeps the vault's items in DynamoDB.
//
// The argument for a driver that does its own retrying: the vault must know whether a write happened. The SDK's
// retries hide that. It sends a write again when it lost the answer, and what comes back then describes the last
// attempt alone: a throttled repeat of a write that went through reads as "throttled". So every write is sent by
// this package one attempt at a time, and each attempt's outcome is kept (see [Store.Apply]). Reads change nothing
// and leave retrying to the SDK.
//
// The expressions are written by hand from the condition tree ([store.Cond]): it has nine kinds of node, and the
// SDK's own expression package would cost every function's cold start more than those are worth.
package dynamostore

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"io"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"connectorvault/shared/store"
)

// Reader is what reading takes of *dynamodb.Client.
type Reader interface {
	GetItem(context.Context, *dynamodb.GetItemInput, ...func(*dynamodb.Options)) (*dynamodb.GetItemOutput, error)
	BatchGetItem(context.Context, *dynamodb.BatchGetItemInput, ...func(*dynamodb.Options)) (*dynamodb.BatchGetItemOutput, error)
	Query(context.Context, *dynamodb.QueryInput, ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error)
}

// Writer is what writing takes of *dynamodb.Client.
type Writer interface {
	PutItem(context.Context, *dynamodb.PutItemInput, ...func(*dynamodb.Options)) (*dynamodb.PutItemOutput, error)
	UpdateItem(context.Context, *dynamodb.UpdateItemInput, ...func(*dynamodb.Options)) (*dynamodb.UpdateItemOutput, error)
	DeleteItem(context.Context, *dynamodb.DeleteItemInput, ...func(*dynamodb.Options)) (*dynamodb.DeleteItemOutput, error)
	TransactWriteItems(context.Context, *dynamodb.TransactWriteItemsInput, ...func(*dynamodb.Options)) (*dynamodb.TransactWriteItemsOutput, error)
}

// Client is the part of *dynamodb.Client that the driver calls.
type Client interface {
	Reader
	Writer
}

// Store is a [store.Items] and a [store.DueIndex] on DynamoDB tables. Set its fields before its first use or not at
// all; it is then safe for concurrent use.
type Store struct {
	Rand io.Reader                                        // for transaction tokens and jitter; nil = crypto/rand
	Wait func(ctx context.Context, d time.Duration) error // between attempts; nil = a timer that ends with ctx

	client Client
	names  map[store.Table]string
}

var (
	_ store.Items    = (*Store)(nil)
	_ store.DueIndex = (*Store)(nil)
)

// New returns a store on the tables that names says. A function that may touch some of the tables only names those;
// an operation on another is refused without a call.
func New(client Client, names map[store.Table]string) *Store {
	return &Store{client: client, names: names}
}

func (s *Store) table(t store.Table) (*string, error) {
	name := s.names[t]
	if name == "" {
		return nil, fmt.Errorf("table %q has no name here", t)
	}
	return &name, nil
}

// Retrying: attempts of one operation, and the bounds of the pause before the next one. Together about two seconds.
const (
	attempts   = 8
	firstPause = 25 * time.Millisecond
	longPause  = time.Second
)

// pause waits before the attempt after the n-th, counted from 0: a random part of a bound that doubles.
func (s *Store) pause(ctx context.Context, n int) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	var b [8]byte
	if _, err := io.ReadFull(s.random(), b[:]); err != nil {
		return fmt.Errorf("drawing a pause: %w", err)
	}
	bound := min(firstPause<<n, longPause)
	d := time.Duration(binary.BigEndian.Uint64(b[:]) % uint64(bound))
	if s.Wait != nil {
		return s.Wait(ctx, d)
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *Store) random() io.Reader {
	if s.Rand != nil {
		return s.Rand
	}
	return rand.Reader
}
