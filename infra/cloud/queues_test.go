package cloud_test

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"connectorvault/infra/cloud/rights"
	sagesim "connectorvault/infra/sim/sage"
	"connectorvault/shared/vault"
)

// waiting is a number that a queue says of itself.
func (b *bed) waiting(queue, attribute string) int {
	b.Helper()
	out, err := b.sqs.GetQueueAttributes(b.Context(), &sqs.GetQueueAttributesInput{QueueUrl: aws.String(b.queues[queue]),
		AttributeNames: []sqstypes.QueueAttributeName{sqstypes.QueueAttributeName(attribute)}})
	b.ok(err)
	n, err := strconv.Atoi(out.Attributes[attribute])
	b.ok(err)
	return n
}

// send puts messages into a queue, as whoever may.
func (b *bed) send(queue string, bodies ...string) {
	b.Helper()
	entries := make([]sqstypes.SendMessageBatchRequestEntry, len(bodies))
	for i, body := range bodies {
		entries[i] = sqstypes.SendMessageBatchRequestEntry{Id: aws.String(strconv.Itoa(i)), MessageBody: aws.String(body)}
	}
	_, err := b.sqs.SendMessageBatch(b.Context(), &sqs.SendMessageBatchInput{QueueUrl: aws.String(b.queues[queue]), Entries: entries})
	b.ok(err)
}

// The schedule finds what is due and its provider's queue brings it to the token service, without anybody who reads. Of a batch with a
// message that is none, the rest is carried out, and only that one stays. An event of a tenant with a webhook goes to the
// function that delivers it.
func queues(b *bed) {
	b.life.Store(8)
	owner := b.tenant("Queues")
	hook := owner.must("POST", "/v1/webhooks", object{"url": "https://hooks.example.com/vault"}).text("id")
	entry, books := owner.books("books", sagesim.UserGB, sagesim.BusinessGB)
	failing, others := owner.books("books that fail", sagesim.UserGB, sagesim.BusinessGB)
	owner.must("GET", "/v1/connectors/"+books+"/contacts?limit=1", nil) // what nobody reads is let sleep
	owner.must("GET", "/v1/connectors/"+others+"/contacts?limit=1", nil)
	b.life.Store(0)

	// One that is forged, with one that is for nobody.
	b.send("SageDueQueue", "no call at all", `{"op": "due", "tenant": "t_0000000000000000", "entry": "ve_0000000000000000"}`)
	b.feed("SageDueQueue")
	if !b.eventually("the forged message alone is left", func() bool {
		return b.waiting("SageDueQueue", "ApproximateNumberOfMessagesNotVisible") == 1 && b.waiting("SageDueQueue", "ApproximateNumberOfMessages") == 0
	}) {
		return
	}
	b.setAside(owner, failing)
	b.dueElsewhere()
	b.schedule(3 * time.Second)
	b.eventually("the schedule refreshed what is due", func() bool { return owner.generation(entry) >= 2 })
	if offers := b.offers(entry); len(offers) != 1 {
		b.Errorf("the token was offered %d times", len(offers))
	}
	if len(b.fleet.Starts("PlannerFunction")) == 0 {
		b.Error("the planner never started")
	}

	b.eventually("what is due elsewhere is in the queues of its providers", func() bool {
		return b.waiting("AmazonDueQueue", "ApproximateNumberOfMessages") > 0 && b.waiting("ClaraDueQueue", "ApproximateNumberOfMessages") > 0
	})
	b.notRevoked(owner, failing, others)

	// The webhook is gone by the time that its message is there: notify finds nothing to do, and calls nobody.
	owner.must("POST", "/v1/webhooks/"+hook+"/test", nil)
	b.eventually("the test's message and the event's are in the queue", func() bool { return b.waiting("WebhookQueue", "ApproximateNumberOfMessages") >= 2 })
	owner.must("DELETE", "/v1/webhooks/"+hook, nil)
	b.feed("WebhookQueue")
	b.eventually("notify has dealt with it", func() bool {
		return b.waiting("WebhookQueue", "ApproximateNumberOfMessages")+b.waiting("WebhookQueue", "ApproximateNumberOfMessagesNotVisible") == 0
	})
	if len(b.fleet.Starts("NotifyFunction")) == 0 {
		b.Error("notify never started")
	}

	b.unseen(owner.key)
	b.knownWays()
}

// setAside lets a message of an entry fail, since the table does not let its credential be read, until the queue has set it
// aside; and brings it back, as aws sqs start-message-move-task does, to be carried out.
func (b *bed) setAside(owner *client, entry string) {
	b.Helper()
	b.attributes("SageDueQueue", map[string]string{"VisibilityTimeout": "1"}) // six minutes five times are too long for a test
	defer b.attributes("SageDueQueue", map[string]string{"VisibilityTimeout": "60"})
	b.set(func(function, _ string, calls []rights.Call) bool {
		return function != "refresh" || !slices.ContainsFunc(calls, func(c rights.Call) bool { return c.Resource == "CredentialsTable.Arn" })
	})
	b.send("SageDueQueue", `{"op": "due", "tenant": "`+owner.tenant+`", "entry": "`+entry+`"}`)
	dead := func() int { return b.waiting("SageDueDeadLetters", "ApproximateNumberOfMessages") }
	b.eventually("what failed five times was set aside", func() bool { return dead() == 1 })
	b.set(nil)
	if left := b.waiting("SageDueQueue", "ApproximateNumberOfMessages") + b.waiting("SageDueQueue", "ApproximateNumberOfMessagesNotVisible"); left != 1 {
		b.Errorf("%d messages are left in the queue; want the forged one", left)
	}
	if owner.generation(entry) != 1 {
		b.Error("the entry was refreshed although its credential could not be read")
	}
	for dead() > 0 {
		out, err := b.sqs.ReceiveMessage(b.Context(), &sqs.ReceiveMessageInput{QueueUrl: aws.String(b.queues["SageDueDeadLetters"])})
		b.ok(err)
		for _, m := range out.Messages {
			b.send("SageDueQueue", *m.Body)
			_, err := b.sqs.DeleteMessage(b.Context(), &sqs.DeleteMessageInput{QueueUrl: aws.String(b.queues["SageDueDeadLetters"]), ReceiptHandle: m.ReceiptHandle})
			b.ok(err)
		}
	}
	b.eventually("what was brought back is carried out", func() bool { return owner.generation(entry) >= 2 })
}

// dueElsewhere has entries of the other providers come due, of which nobody knows more than the index does.
func (b *bed) dueElsewhere() {
	b.Helper()
	for i, provider := range []string{"amazon", "clara"} {
		entry := fmt.Sprintf("ve_%016d", i)
		b.putItem("CredentialsTable", map[string]types.AttributeValue{"pk": str("t_1000000000000000#" + entry), "sk": str("credential"),
			"due_shard": str(vault.DueShardOf(provider, entry)), "due_at": number(time.Now().Unix())})
	}
}

// notRevoked deletes an entry while Sage cannot be told that its token is not needed any more: that waits in Sage's queue.
func (b *bed) notRevoked(owner *client, entry, connector string) {
	b.Helper()
	_, err := b.sage.SetFault(b.Context(), sagesim.Fault{Name: sagesim.FaultStatus, Endpoint: "revoke", Status: 503})
	b.ok(err)
	owner.must("DELETE", "/v1/connectors/"+connector, nil)
	owner.must("DELETE", "/v1/vault-entries/"+entry, nil)
	b.eventually("the revocation waits", func() bool { return b.waiting("SageDueQueue", "ApproximateNumberOfMessagesDelayed") > 0 })
	b.ok(b.sage.ClearFaults(b.Context()))
}
