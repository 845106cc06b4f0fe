// Command admin is the Lambda of the admin API.
package main

import (
	"github.com/aws/aws-lambda-go/lambda"

	"connectorvault/functions/admin/handler"
	"connectorvault/shared/boot"
)

func main() {
	base := boot.MustLoad(boot.PublicURL, boot.TokenService, boot.Webhooks)
	lambda.Start(handler.New(handler.Config{
		Admin: base.Admin(), Authorize: base.Authorize(), Vault: base.Vault, PublicURL: base.PublicURL, Logger: base.Logger, Now: base.Now,
	}).Handle)
}
