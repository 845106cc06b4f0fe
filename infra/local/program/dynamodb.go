package program

import (
	"context"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"connectorvault/shared/store/dynamostore"
)

// Store opens the tables.
func (d *DynamoDB) Store() *dynamostore.Store {
	client := &http.Client{Transport: &http.Transport{Proxy: nil, MaxIdleConnsPerHost: 100}}
	return dynamostore.New(dynamodb.New(dynamodb.Options{Region: "us-east-1", BaseEndpoint: &d.URL, HTTPClient: client,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "local", SecretAccessKey: "local"}, nil
		})}), d.Tables)
}
