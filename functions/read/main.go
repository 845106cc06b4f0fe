// Command read is the Lambda that answers reads.
package main

import (
	"github.com/aws/aws-lambda-go/lambda"

	"connectorvault/functions/read/handler"
	"connectorvault/shared/boot"
	"connectorvault/shared/boot/invoke"
	"connectorvault/shared/boot/secrets"
)

func main() {
	base := boot.MustLoad(secrets.Manager, invoke.TokenService)
	lambda.Start(handler.New(handler.Config{Read: base.Read(), Logger: base.Logger, Now: base.Now}).Handle)
}
