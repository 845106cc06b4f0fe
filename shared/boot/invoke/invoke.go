// Package invoke reaches the token service by invoking its function.
//
// The argument: the functions that ask it have the client of Lambda, and the others are without; the largest of the SDK's
// clients is for them a third of a cold start.
package invoke

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"connectorvault/shared/boot/environment"
	"connectorvault/shared/fault"
	"connectorvault/shared/tokens"
)

// TokenService is the function that spends tokens; every other one asks it.
func TokenService(v *environment.Variables, config aws.Config, found *environment.Found) {
	invoker := newInvoker(config, v.Must("CV_REFRESH_FUNCTION"))
	found.Invoke, found.Nudge = invoker.invoke, invoker.nudge
}

// lambdaAPI is the part of the Lambda client that is used.
type lambdaAPI interface {
	Invoke(ctx context.Context, in *lambda.InvokeInput, options ...func(*lambda.Options)) (*lambda.InvokeOutput, error)
}

// invoker reaches the token service by invoking its function.
type invoker struct {
	api      lambdaAPI
	function string
}

// newInvoker sends each invocation once. A repeat would be harmless, since the token service recognises it, but it
// would wait for the first one's lease, and the caller can do that better.
func newInvoker(config aws.Config, function string) *invoker {
	return &invoker{function: function, api: lambda.NewFromConfig(config, func(o *lambda.Options) { o.RetryMaxAttempts = 1 })}
}

// invoke carries out a call and waits for its end. The function runs on when the caller stops waiting.
func (i *invoker) invoke(ctx context.Context, call tokens.Call) (tokens.Answer, error) {
	out, err := i.send(ctx, call, types.InvocationTypeRequestResponse)
	if err != nil && ctx.Err() != nil {
		return tokens.Answer{}, tokens.NotYet(ctx.Err())
	}
	if err != nil {
		return tokens.Answer{}, err
	}
	if out.FunctionError != nil {
		return tokens.Answer{}, fmt.Errorf("the token service failed: %s", *out.FunctionError)
	}
	return tokens.DecodeReply(out.Payload)
}

// nudge asks for a call and does not wait. Lambda repeats it when the function itself dies, not when the call fails.
func (i *invoker) nudge(ctx context.Context, call tokens.Call) error {
	_, err := i.send(ctx, call, types.InvocationTypeEvent)
	return err
}

func (i *invoker) send(ctx context.Context, call tokens.Call, how types.InvocationType) (*lambda.InvokeOutput, error) {
	payload, err := tokens.Encode(call)
	if err != nil {
		return nil, err
	}
	out, err := i.api.Invoke(ctx, &lambda.InvokeInput{FunctionName: aws.String(i.function), InvocationType: how, Payload: payload})
	var throttled *types.TooManyRequestsException
	if errors.As(err, &throttled) {
		return nil, fault.Wrap(err, fault.Unavailable, "service_busy", "The token service has more to do than it may at once.").
			Do("Try again in a moment.").After(2 * time.Second)
	}
	if err != nil {
		// The SDK's error has the operation, the status and the request id; never the payload.
		return nil, errors.Join(errors.New("the token service cannot be invoked"), err)
	}
	return out, nil
}
