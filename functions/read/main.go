// Command read is the Lambda that answers reads.
package main

import (
	"github.com/aws/aws-lambda-go/lambda"

	"connectorvault/functions/read/handler"
	"connectorvault/shared/boot"
	"connectorvault/shared/boot/invoke"
)

func main() {
	base := boot.MustLoad(invoke.TokenService)
	lambda.Start(handler.New(handler.Config{Read: base.Read(), Logger: base.Logger, Now: base.Now}).Handle)
}
