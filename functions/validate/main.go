// Command validate is the Lambda that validates Result URLs.
package main

import (
	"github.com/aws/aws-lambda-go/lambda"

	"connectorvault/functions/validate/handler"
	"connectorvault/shared/boot"
	"connectorvault/shared/boot/environment"
	"connectorvault/shared/boot/invoke"
)

func main() {
	base := boot.MustLoad(environment.PublicURL, invoke.TokenService)
	lambda.Start(handler.New(handler.Config{Authorize: base.Authorize(), Vault: base.Vault, Logger: base.Logger, Now: base.Now}).Handle)
}
