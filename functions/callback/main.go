// Command callback is the Lambda that browsers come to.
package main

import (
	"github.com/aws/aws-lambda-go/lambda"

	"connectorvault/functions/callback/handler"
	"connectorvault/shared/boot"
	"connectorvault/shared/boot/environment"
	"connectorvault/shared/boot/invoke"
)

func main() {
	base := boot.MustLoad(environment.PublicURL, invoke.TokenService)
	lambda.Start(handler.New(handler.Config{Authorize: base.Authorize(), PublicURL: base.PublicURL, Logger: base.Logger, Now: base.Now}).Handle)
}
