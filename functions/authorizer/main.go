// Command authorizer is the Lambda that tells the gateway whose request it is.
package main

import (
	"github.com/aws/aws-lambda-go/lambda"

	"connectorvault/functions/authorizer/handler"
	"connectorvault/shared/boot"
)

func main() {
	lambda.Start(handler.New(boot.MustVault()).Handle)
}
