// Command notify is the Lambda that delivers events to tenants' webhooks. It calls addresses that others choose, so it holds no
// token, no client secret, and no right to a table of tokens.
package main

import (
	"github.com/aws/aws-lambda-go/lambda"

	"connectorvault/functions/notify/handler"
	"connectorvault/shared/boot/notifier"
)

func main() {
	service, postpone, logger := notifier.MustLoad()
	lambda.Start(handler.New(handler.Config{Notify: service, Postpone: postpone, Logger: logger}).Handle)
}
