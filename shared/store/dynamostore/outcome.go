package dynamostore

import (
	"errors"
	"fmt"
	"net"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"connectorvault/shared/store"
)

// outcome is what one attempt of a write came to.
type outcome int

const (
	written   outcome = iota
	condition         // a condition did not hold; this attempt wrote nothing
	busy              // turned away, or not reached, before anything was done; this attempt wrote nothing, and another may succeed
	refused           // a bad or forbidden request; this attempt wrote nothing, nor would another
	doubtful          // no answer, or one that does not say; this attempt may have written
)

// outcomeOf reads the answer of a single attempt. Whatever is not known to have written nothing is doubtful.
func outcomeOf(err error) outcome {
	var (
		failed    *types.ConditionalCheckFailedException
		cancelled *types.TransactionCanceledException
		api       smithy.APIError
		answer    *smithyhttp.ResponseError
		network   *net.OpError
	)
	switch {
	case err == nil:
		return written
	case errors.As(err, &failed):
		return condition
	case errors.As(err, &cancelled):
		return outcomeOfCancelled(cancelled)
	case errors.As(err, &network) && network.Op == "dial":
		return busy // nobody was reached
	case !errors.As(err, &api):
		return doubtful
	case isBusy(api.ErrorCode()):
		return busy
	case api.ErrorCode() == "TransactionInProgressException":
		return doubtful // an earlier attempt under the same token is still at work
	case errors.As(err, &answer) && answer.HTTPStatusCode()/100 == 4 && answer.HTTPStatusCode() != http.StatusRequestTimeout:
		return refused
	default:
		return doubtful
	}
}

func isBusy(code string) bool {
	switch code {
	case "ProvisionedThroughputExceededException", "RequestLimitExceeded", "ThrottlingException", "Throttling",
		"TransactionConflictException", "ReplicatedWriteConflictException":
		return true
	default:
		return false
	}
}

// outcomeOfCancelled looks at the reasons, one a write. A condition that failed decides, whatever else went wrong.
func outcomeOfCancelled(c *types.TransactionCanceledException) outcome {
	result := busy
	for _, reason := range c.CancellationReasons {
		switch aws.ToString(reason.Code) {
		case conditionFailed:
			return condition
		case "", "None", "TransactionConflict", "ProvisionedThroughputExceeded", "ThrottlingError":
		default:
			result = refused
		}
	}
	return result
}

const conditionFailed = "ConditionalCheckFailed" // the code of a cancellation reason

// failure turns an attempt whose outcome is condition into the error that the promise names.
func failure(err error) error {
	var failed *types.ConditionalCheckFailedException
	if errors.As(err, &failed) {
		return failureOf(0, failed.Item)
	}
	var cancelled *types.TransactionCanceledException
	if errors.As(err, &cancelled) {
		for i, reason := range cancelled.CancellationReasons {
			if aws.ToString(reason.Code) == conditionFailed {
				return failureOf(i, reason.Item)
			}
		}
	}
	return err
}

func failureOf(index int, item values) error {
	failed := &store.ConditionFailed{Index: index}
	if len(item) == 0 {
		return failed
	}
	old, err := decodeAttrs(item)
	if err != nil {
		return fmt.Errorf("write %d: its condition does not hold; reading the item in the way: %w", index, err)
	}
	failed.Old = old
	return failed
}

// readError gives a failed read its class.
func readError(doing string, err error) error {
	var api smithy.APIError
	if errors.As(err, &api) && isBusy(api.ErrorCode()) {
		return fmt.Errorf("%s: %w (%s)", doing, store.ErrBusy, api.ErrorCode())
	}
	return fmt.Errorf("%s: %w", doing, err)
}
