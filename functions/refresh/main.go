// Command refresh is the Lambda of the token service: the only one that reads client secrets and calls token endpoints.
package main

import (
	"context"

	"github.com/aws/aws-lambda-go/lambda"

	"connectorvault/functions/refresh/handler"
	"connectorvault/shared/boot"
	"connectorvault/shared/boot/queue"
	"connectorvault/shared/boot/secrets"
)

func main() {
	base := boot.MustLoad(secrets.Manager, queue.Calls, boot.Notices, queue.Webhooks)
	service := base.Refresh()
	// A shutdown gives what has begun the time that Lambda gives: a bought token is stored first.
	lambda.StartWithOptions(handler.New(service, base.Logger).Handle, lambda.WithEnableSIGTERM(func() {
		if err := service.Drain(context.Background()); err != nil {
			base.Logger.Error("shutdown did not wait for what had begun", "error", err.Error())
		}
	}))
}
