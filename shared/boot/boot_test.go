package boot

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"connectorvault/shared/boot/environment"
	"connectorvault/shared/boot/invoke"
	"connectorvault/shared/boot/queue"
	"connectorvault/shared/boot/secrets"
	"connectorvault/shared/secret"
	"connectorvault/shared/store"
	"connectorvault/shared/store/secretsstore"
)

// whole is an environment that lacks nothing.
func whole() map[string]string {
	return map[string]string{"AWS_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "canary-aws", "CV_SECRET_PREFIX": "vault/",
		"CV_METRICS_NAMESPACE": "ConnectorVault/vault", "CV_TABLE_RECORDS": "records", "CV_PUBLIC_URL": "https://vault.example/", "CV_REFRESH_FUNCTION": "refresh",
		"CV_QUEUES_DUE": "amazon=https://sqs/a,sage=https://sqs/s,clara=https://sqs/c", "CV_QUEUE_RESCUE_URL": "https://sqs/rescue", "CV_QUEUE_WEBHOOK_URL": "https://sqs/webhook"}
}

func lookup(values map[string]string) environment.Lookup {
	return func(name string) (string, bool) { v, ok := values[name]; return v, ok }
}

func needs() []environment.Need {
	return []environment.Need{secrets.Manager, environment.PublicURL, invoke.TokenService, queue.Calls, queue.Webhooks, Notices}
}

func TestAFunctionStartsWithWhatTheTemplateGives(t *testing.T) {
	t.Parallel()
	values := whole()
	values["CV_SECRET_KEY"] = "arn:aws:kms:key" // of those that make secrets alone
	b, err := Load(lookup(values), needs()...)
	if err != nil {
		t.Fatal(err)
	}
	if b.PublicURL != "https://vault.example" || b.Invoke == nil || b.Nudge == nil || b.Enqueue == nil || b.Rescue == nil || b.Announce == nil {
		t.Errorf("the bundle is %+v", b.Parts)
	}
	counted, ok := b.Secrets.(interface{ Unwrap() store.Secrets })
	if !ok {
		t.Fatalf("nobody counts what goes wrong in %T", b.Secrets)
	}
	if kept, ok := counted.Unwrap().(*secretsstore.Store); !ok || kept.KeyID != "arn:aws:kms:key" {
		t.Errorf("secrets are in %T, under another key than the stack's", counted.Unwrap())
	}
	if b, err = Load(lookup(whole())); err != nil || b.Invoke != nil || b.Enqueue != nil {
		t.Errorf("what is not needed is there: %+v, %v", b.Parts, err)
	}
	_, getErr := b.Secrets.GetSecret(t.Context(), "x")
	_, createErr := b.Secrets.CreateSecret(t.Context(), "x", secret.New("canary"))
	_, _, listErr := b.Secrets.ListSecrets(t.Context(), "x", "")
	for _, err := range []error{getErr, createErr, listErr, b.Secrets.PutSecret(t.Context(), "x", secret.New("canary")), b.Secrets.DeleteSecret(t.Context(), "x")} {
		if err == nil || errors.Is(err, store.ErrNotFound) || strings.Contains(err.Error(), "canary") {
			t.Errorf("who has no way to secrets hears %v", err)
		}
	}
}

func TestTheQueueOfClientSecretsIsThereWhenTheTemplateMadeIt(t *testing.T) {
	t.Parallel()
	values := whole()
	for arn, want := range map[string]int{"": 0, "arn:aws:sqs:eu-central-1:111122223333:secrets": 1} {
		values["CV_QUEUE_SECRETS_ARN"] = arn
		b, err := Load(lookup(values), needs()...)
		if err != nil || len(b.Notices) != want || want == 1 && b.Notices[arn] != "amazon" {
			t.Errorf("%q: %v, %v", arn, b.Notices, err)
		}
	}
}

func TestWhatIsMissingIsNamedAllAtOnce(t *testing.T) {
	t.Parallel()
	_, err := Load(lookup(nil), needs()...)
	if err == nil {
		t.Fatal("a function starts with nothing")
	}
	for name := range whole() {
		if n := strings.Count(err.Error(), name+" is not set"); n != 1 {
			t.Errorf("%s is named %d times in: %v", name, n, err)
		}
		lacking := whole()
		delete(lacking, name)
		if _, err := Load(lookup(lacking), needs()...); err == nil || !strings.Contains(err.Error(), name) || strings.Contains(err.Error(), "canary") {
			t.Errorf("without %s: %v", name, err)
		}
		lacking[name] = ""
		if _, err := Load(lookup(lacking), needs()...); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("with an empty %s: %v", name, err)
		}
	}
	if _, err := Load(lookup(whole())); err != nil {
		t.Errorf("what no need asks for is missed: %v", err)
	}
}

func TestBrowsersComeByHTTPSOnly(t *testing.T) {
	t.Parallel()
	for _, wrong := range []string{"http://vault.example", "vault.example", "https://", "https:///x", "HTTP://vault.example", "ftp://vault.example", "javascript:x",
		"https://user@vault.example", "https://vault.example?x=1", "https://vault.example#x", "https://vault .example", "//vault.example"} {
		values := whole()
		values["CV_PUBLIC_URL"] = wrong
		if _, err := Load(lookup(values), environment.PublicURL); err == nil || !strings.Contains(err.Error(), "CV_PUBLIC_URL") {
			t.Errorf("%q: %v", wrong, err)
		}
	}
}

func TestALevelThatNobodyKnowsIsNamed(t *testing.T) {
	t.Parallel()
	for level, good := range map[string]bool{"DEBUG": true, "warn": true, "": true, "LOUD": false} {
		values := whole()
		values["CV_LOG_LEVEL"] = level
		if _, err := Load(lookup(values)); (err == nil) != good || err != nil && !strings.Contains(err.Error(), "CV_LOG_LEVEL") {
			t.Errorf("%q: %v", level, err)
		}
	}
}

func TestANeedThatIsOneFunctionsIsNotAnothers(t *testing.T) {
	t.Parallel()
	values := whole()
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if strings.HasPrefix(name, "CV_QUEUE") {
			delete(values, name)
		}
	}
	if _, err := Load(lookup(values), environment.PublicURL, invoke.TokenService); err != nil {
		t.Errorf("a function without queues: %v", err)
	}
}

// What a provider's entries need when they are due is a queue: a token service that has none for one of its providers does not start.
func TestEachProviderOfTheCatalogHasAQueue(t *testing.T) {
	t.Parallel()
	values := whole()
	values["CV_QUEUES_DUE"] = "amazon=a,sage=s"
	if _, err := Load(lookup(values), queue.Calls); err == nil || !strings.Contains(err.Error(), "clara") {
		t.Errorf("it starts: %v", err)
	}
	if _, err := Load(lookup(values)); err != nil {
		t.Errorf("who needs no queue: %v", err)
	}
}
