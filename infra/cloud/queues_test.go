package cloud_test

import (
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	sagesim "connectorvault/infra/sim/sage"
)

// waiting is a number that a queue says of itself.
func (b *bed) waiting(queue, attribute string) int {
	b.Helper()
	out, err := b.sqs.GetQueueAttributes(b.Context(), &sqs.GetQueueAttributesInput{QueueUrl: aws.String(b.queues[queue]),
		AttributeNames: []types.QueueAttributeName{types.QueueAttributeName(attribute)}})
	b.ok(err)
	n, err := strconv.Atoi(out.Attributes[attribute])
	b.ok(err)
	return n
}

// send puts messages into a queue, as whoever may.
func (b *bed) send(queue string, bodies ...string) {
	b.Helper()
	entries := make([]types.SendMessageBatchRequestEntry, len(bodies))
	for i, body := range bodies {
		entries[i] = types.SendMessageBatchRequestEntry{Id: aws.String(strconv.Itoa(i)), MessageBody: aws.String(body)}
	}
	_, err := b.sqs.SendMessageBatch(b.Context(), &sqs.SendMessageBatchInput{QueueUrl: aws.String(b.queues[queue]), Entries: entries})
	b.ok(err)
}

// The schedule finds what is due and the queue brings it to the token service, without anybody who reads. Of a batch with a
// message that is none, the rest is carried out, and only that one stays. An event of a tenant with a webhook goes to the
// function that delivers it.
func queues(b *bed) {
	b.life.Store(8)
	owner := b.tenant("Queues")
	hook := owner.must("POST", "/v1/webhooks", object{"url": "https://hooks.example.com/vault"}).text("id")
	entry, books := owner.books("books", sagesim.UserGB, sagesim.BusinessGB)
	owner.must("GET", "/v1/connectors/"+books+"/contacts?limit=1", nil) // what nobody reads is let sleep
	b.life.Store(0)

	// One that is forged, with one that is for nobody.
	b.send("DueQueue", "no call at all", `{"op": "due", "tenant": "t_0000000000000000", "entry": "ve_0000000000000000"}`)
	b.feed("DueQueue")
	if !b.eventually("the forged message alone is left", func() bool {
		return b.waiting("DueQueue", "ApproximateNumberOfMessagesNotVisible") == 1 && b.waiting("DueQueue", "ApproximateNumberOfMessages") == 0
	}) {
		return
	}
	b.schedule(3 * time.Second)
	b.eventually("the schedule refreshed what is due", func() bool { return owner.generation(entry) >= 2 })
	if offers := b.offers(entry); len(offers) != 1 {
		b.Errorf("the token was offered %d times", len(offers))
	}

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
