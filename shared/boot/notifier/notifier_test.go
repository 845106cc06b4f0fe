package notifier

import (
	"context"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"connectorvault/shared/boot/environment"
)

func lookup(values map[string]string) environment.Lookup {
	return func(name string) (string, bool) { v, ok := values[name]; return v, ok }
}

type stubVisibility struct {
	in  *sqs.ChangeMessageVisibilityInput
	err error
}

func (s *stubVisibility) ChangeMessageVisibility(_ context.Context, in *sqs.ChangeMessageVisibilityInput, _ ...func(*sqs.Options)) (*sqs.ChangeMessageVisibilityOutput, error) {
	s.in = in
	return nil, s.err
}

func TestAMessageIsPostponed(t *testing.T) {
	t.Parallel()
	stub := &stubVisibility{}
	p := postponer{api: stub, url: "u"}
	for d, want := range map[time.Duration]int32{5 * time.Second: 5, 4700 * time.Millisecond: 5, 11 * time.Hour: 39600, 30 * time.Hour: 42600} { // SQS takes 43,200 at most
		if err := p.postpone(t.Context(), "receipt", d); err != nil || stub.in.VisibilityTimeout != want || *stub.in.ReceiptHandle != "receipt" || *stub.in.QueueUrl != "u" {
			t.Errorf("%s: %+v, %v", d, stub.in, err)
		}
	}
	stub.err = errors.New("down")
	if err := p.postpone(t.Context(), "receipt", time.Second); err == nil {
		t.Error("nobody hears of it")
	}
}

func TestWhatDeliversWebhooksNamesWhatItLacks(t *testing.T) {
	t.Parallel()
	values := map[string]string{"AWS_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "canary-aws", "CV_SECRET_PREFIX": "vault/",
		"CV_METRICS_NAMESPACE": "ConnectorVault/vault", "CV_TABLE_RECORDS": "records", "CV_QUEUE_WEBHOOK_URL": "https://sqs/webhook"}
	service, postpone, _, err := Load(lookup(values))
	if err != nil || service == nil || postpone == nil || service.HTTP == nil || service.Vault.Sealer == nil || service.Vault.Due != nil {
		t.Fatalf("%+v, %v", service, err)
	}
	for name := range values {
		lacking := maps.Clone(values)
		delete(lacking, name)
		if _, _, _, err := Load(lookup(lacking)); err == nil || !strings.Contains(err.Error(), name+" is not set") || strings.Contains(err.Error(), "canary") {
			t.Errorf("without %s: %v", name, err)
		}
	}
}
