// Command planner is the Lambda that finds what is due and passes it on to the queues of the providers. It holds no secret and
// reads no table but the due index.
package main

import (
	"github.com/aws/aws-lambda-go/lambda"

	"connectorvault/functions/planner/handler"
	"connectorvault/shared/boot/planning"
)

func main() {
	lambda.Start(handler.New(planning.MustLoad()).Handle)
}
