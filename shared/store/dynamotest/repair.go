package dynamotest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
)

// zeroBytePrefix repairs dynoxide 1.2.1: begins_with on a sort key reads its operand up to the first zero byte only, so that
// a query for "a\x00" lists everything under "a", and "A" as well. DynamoDB compares all bytes. Such a query is asked as a
// range instead, which dynoxide gets right.
type zeroBytePrefix struct{ next dynamodb.HTTPClient }

func newZeroBytePrefix(next dynamodb.HTTPClient) dynamodb.HTTPClient { return zeroBytePrefix{next} }

const (
	queryTarget = "DynamoDB_20120810.Query"
	prefixed    = "begins_with(sk, :s)"
	ranged      = "sk BETWEEN :s AND :last"
)

// Do implements dynamodb.HTTPClient.
func (z zeroBytePrefix) Do(req *http.Request) (*http.Response, error) {
	if req.Header.Get("X-Amz-Target") != queryTarget {
		return z.next.Do(req)
	}
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, fmt.Errorf("reading a query: %w", err)
	}
	if changed, ok := asRange(body); ok {
		body = changed
	}
	req = req.Clone(req.Context())
	req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return z.next.Do(req)
}

// asRange rewrites a query for a prefix with a zero byte; ok is false for any other.
func asRange(body []byte) (changed []byte, ok bool) {
	var query map[string]any
	if json.Unmarshal(body, &query) != nil {
		return nil, false
	}
	condition, _ := query["KeyConditionExpression"].(string)
	operands, _ := query["ExpressionAttributeValues"].(map[string]any)
	operand, _ := operands[":s"].(map[string]any)
	prefix, _ := operand["S"].(string)
	if !strings.Contains(condition, prefixed) || !strings.Contains(prefix, "\x00") {
		return nil, false
	}
	query["KeyConditionExpression"] = strings.Replace(condition, prefixed, ranged, 1)
	operands[":last"] = map[string]any{"S": prefix + "\U0010FFFF\U0010FFFF"}
	changed, err := json.Marshal(query)
	return changed, err == nil
}
