// Command admin is the Lambda of the admin API.
package main

import (
	"github.com/aws/aws-lambda-go/lambda"

	"connectorvault/functions/admin/handler"
	"connectorvault/shared/boot"
	"connectorvault/shared/boot/environment"
	"connectorvault/shared/boot/invoke"
	"connectorvault/shared/boot/queue"
	"connectorvault/shared/boot/secrets"
)

func main() {
	base := boot.MustLoad(secrets.Manager, environment.PublicURL, invoke.TokenService, queue.Webhooks)
	lambda.Start(handler.New(handler.Config{
		Admin: base.Admin(), Authorize: base.Authorize(), Vault: base.Vault, PublicURL: base.PublicURL, Logger: base.Logger, Now: base.Now,
	}).Handle)
}
