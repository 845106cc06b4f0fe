// Command authorizer is the Lambda that tells the gateway whose request it is.
package main

import (
	"github.com/aws/aws-lambda-go/lambda"

	"connectorvault/functions/authorizer/handler"
	"connectorvault/shared/boot"
)

func main() {
	v, logger, issuers := boot.MustAuthorizer()
	h := handler.New(v, logger, handler.OfIssuers(v, issuers))
	h.Metrics = boot.MustMetrics()
	lambda.Start(h.Handle)
}
