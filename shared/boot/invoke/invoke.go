// Package invoke reaches the token service by invoking its function.
//
// The argument: most functions ask it, at most a few times an invocation, and each pays with every cold start for what it
// links. So the functions that ask have one operation of Lambda and not its client, and the others have nothing.
package invoke

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"connectorvault/shared/boot/environment"
	"connectorvault/shared/fault"
	"connectorvault/shared/tokens"
)

// TokenService is the function that spends tokens; every other one asks it.
func TokenService(v *environment.Variables, config aws.Config, found *environment.Found) {
	invoker := newInvoker(config, v.Must("CV_REFRESH_FUNCTION"))
	found.Invoke, found.Nudge = invoker.invoke, invoker.nudge
}

// invoker reaches the token service by invoking its function.
type invoker struct {
	api interface {
		invoke(ctx context.Context, function, how string, payload []byte) (result, error)
	}
	function string
}

// newInvoker sends each invocation once. A repeat would be harmless, since the token service recognises it, but it
// would wait for the first one's lease, and the caller can do that better.
func newInvoker(config aws.Config, function string) *invoker {
	return &invoker{function: function, api: newLambda(config, time.Now)}
}

// invoke carries out a call and waits for its end. The function runs on when the caller stops waiting.
func (i *invoker) invoke(ctx context.Context, call tokens.Call) (tokens.Answer, error) {
	out, err := i.send(ctx, call, wait)
	if err != nil && ctx.Err() != nil {
		return tokens.Answer{}, tokens.NotYet(ctx.Err())
	}
	if err != nil {
		return tokens.Answer{}, err
	}
	if out.failed != "" {
		return tokens.Answer{}, fmt.Errorf("the token service failed: %s", out.failed)
	}
	return tokens.DecodeReply(out.payload)
}

// nudge asks for a call and does not wait. Lambda repeats it when the function itself dies, not when the call fails.
func (i *invoker) nudge(ctx context.Context, call tokens.Call) error {
	_, err := i.send(ctx, call, event)
	return err
}

func (i *invoker) send(ctx context.Context, call tokens.Call, how string) (result, error) {
	payload, err := tokens.Encode(call)
	if err != nil {
		return result{}, err
	}
	out, err := i.api.invoke(ctx, i.function, how, payload)
	if errors.Is(err, errThrottled) {
		return result{}, fault.Wrap(err, fault.Unavailable, "service_busy", "The token service has more to do than it may at once.").
			Do("Try again in a moment.").After(2 * time.Second)
	}
	if err != nil {
		// The error has the status and the request id; never the payload.
		return result{}, errors.Join(errors.New("the token service cannot be invoked"), err)
	}
	return out, nil
}
