// Command authorizer is the Lambda that tells the gateway whose request it is.
package main

import (
	"github.com/aws/aws-lambda-go/lambda"

	"connectorvault/functions/authorizer/handler"
	"connectorvault/shared/boot/authorizer"
)

func main() {
	p := authorizer.MustLoad()
	h := handler.New(p.Vault, p.Logger, handler.OfIssuers(p.Vault, p.Issuers))
	h.Metrics = p.Metrics
	lambda.Start(h.Handle)
}
