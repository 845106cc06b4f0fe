// Command tenant is the Lambda that makes and deletes tenants. No route leads to it.
package main

import (
	"github.com/aws/aws-lambda-go/lambda"

	"connectorvault/functions/tenant/handler"
	"connectorvault/shared/boot"
	"connectorvault/shared/boot/invoke"
	"connectorvault/shared/boot/secrets"
)

func main() {
	base := boot.MustLoad(secrets.Manager, invoke.TokenService)
	lambda.Start(handler.New(base.Tenants(), base.Logger).Handle)
}
