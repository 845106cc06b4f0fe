package secretstest_test

import (
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go"

	"connectorvault/shared/store/secretstest"
)

func once(o *secretsmanager.Options) { o.Retryer = aws.NopRetryer{} }

// token is a version id of the length that the service wants.
func token(n int) *string { return aws.String(fmt.Sprintf("00000000-0000-0000-0000-%012d", n)) }

func code(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}

func create(t *testing.T, c *secretsmanager.Client, name, value string) {
	t.Helper()
	if _, err := c.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: &name, SecretString: &value}); err != nil {
		t.Fatalf("making %s: %v", name, err)
	}
}

func get(t *testing.T, c *secretsmanager.Client, in secretsmanager.GetSecretValueInput) string {
	t.Helper()
	out, err := c.GetSecretValue(t.Context(), &in)
	if err != nil {
		return code(err)
	}
	return aws.ToString(out.SecretString)
}

func TestReadsLag(t *testing.T) {
	t.Parallel()
	fake := secretstest.New(t, secretstest.Options{Lag: time.Minute})
	c := fake.Client(once)
	name := secretsmanager.GetSecretValueInput{SecretId: aws.String("name")}
	wants := func(want string) {
		t.Helper()
		if got := get(t, c, name); got != want {
			t.Errorf("at %s: %s; want %s", fake.Now().Format("15:04:05"), got, want)
		}
	}
	create(t, c, "name", "one")
	wants("ResourceNotFoundException")
	fake.Step(time.Minute)
	wants("one")
	if _, err := c.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{SecretId: name.SecretId, SecretString: aws.String("two")}); err != nil {
		t.Fatal(err)
	}
	fake.Step(59 * time.Second)
	wants("one")
	fake.Step(time.Second)
	wants("two")
	if _, err := c.DeleteSecret(t.Context(), &secretsmanager.DeleteSecretInput{SecretId: name.SecretId, ForceDeleteWithoutRecovery: aws.Bool(true)}); err != nil {
		t.Fatal(err)
	}
	wants("two")
	fake.Step(time.Minute)
	wants("ResourceNotFoundException")
}

func TestLabelsAndTokens(t *testing.T) {
	t.Parallel()
	t.Run("fake", func(t *testing.T) { labelsAndTokens(t, secretstest.New(t, secretstest.Options{}).Client(once)) })
	t.Run("moto", func(t *testing.T) { labelsAndTokens(t, secretstest.Moto(t, once)) })
}

func labelsAndTokens(t *testing.T, c *secretsmanager.Client) {
	put := func(n int, value string) string {
		_, err := c.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{
			SecretId: aws.String("s"), SecretString: &value, ClientRequestToken: token(n)})
		return code(err)
	}
	create(t, c, "s", "zero")
	for i, value := range []string{"one", "two", "three"} {
		if got := put(i+1, value); got != "" {
			t.Fatal(got)
		}
	}
	if got := put(1, "one"); got != "" {
		t.Errorf("the same write, once more, was refused: %s", got)
	}
	if got := put(1, "other"); got != "ResourceExistsException" {
		t.Errorf("another value under an id that is taken: %q", got)
	}
	for want, in := range map[string]secretsmanager.GetSecretValueInput{
		"three":                     {VersionStage: aws.String("AWSCURRENT")},
		"two":                       {VersionStage: aws.String("AWSPREVIOUS")},
		"one":                       {VersionId: token(1)},
		"ResourceNotFoundException": {VersionId: token(9)},
	} {
		in.SecretId = aws.String("s")
		if got := get(t, c, in); got != want {
			t.Errorf("%s; want %s", got, want)
		}
	}
}

// Versions with a label, and young ones, stay; the others make room.
func TestVersionsMakeRoom(t *testing.T) {
	t.Parallel()
	fake := secretstest.New(t, secretstest.Options{Tick: time.Second})
	c := fake.Client(once)
	create(t, c, "s", "v")
	put := func() string {
		_, err := c.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{SecretId: aws.String("s"), SecretString: aws.String("v")})
		return code(err)
	}
	fill := func(n int) {
		t.Helper()
		for range n {
			if got := put(); got != "" {
				t.Fatal(got)
			}
		}
		if got := put(); got != "LimitExceededException" || fake.Versions("s") != secretstest.MaxVersions {
			t.Fatalf("one more than may be: %q, with %d kept", got, fake.Versions("s"))
		}
	}
	fill(secretstest.MaxVersions - 1)
	fake.Step(secretstest.Young)
	fill(secretstest.MaxVersions)
	if got := get(t, c, secretsmanager.GetSecretValueInput{SecretId: aws.String("s"), VersionStage: aws.String("AWSPREVIOUS")}); got != "v" {
		t.Errorf("the previous version: %s", got)
	}
}

func TestFaultsComeInOrderAndEnd(t *testing.T) {
	t.Parallel()
	fake := secretstest.New(t, secretstest.Options{})
	c := fake.Client(once)
	create(t, c, "s", "v")
	fake.Fail("GetSecretValue", 1, 400, "DecryptionFailure", "")
	fake.Fail("GetSecretValue", 1, 500, "InternalServiceError", "")
	for _, want := range []string{"DecryptionFailure", "InternalServiceError", "v"} {
		if got := get(t, c, secretsmanager.GetSecretValueInput{SecretId: aws.String("s")}); got != want {
			t.Errorf("%s; want %s", got, want)
		}
	}
	if n := fake.Calls("GetSecretValue"); n != 3 {
		t.Errorf("%d calls; want 3", n)
	}
}

// unsigned takes the signature off.
type unsigned struct{ next secretsmanager.HTTPClient }

func (u unsigned) Do(r *http.Request) (*http.Response, error) {
	r.Header.Del("Authorization")
	return u.next.Do(r)
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	fake := secretstest.New(t, secretstest.Options{})
	c := fake.Client(once)
	_, unknown := c.DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: aws.String("s")})
	_, naked := fake.Client(once, func(o *secretsmanager.Options) { o.HTTPClient = unsigned{o.HTTPClient} }).
		GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String("s")})
	_, page := c.ListSecrets(t.Context(), &secretsmanager.ListSecretsInput{NextToken: aws.String("nonsense")})
	_, size := c.ListSecrets(t.Context(), &secretsmanager.ListSecretsInput{MaxResults: aws.Int32(101)})
	_, short := c.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{
		Name: aws.String("s"), SecretString: aws.String("v"), ClientRequestToken: aws.String("short")})
	_, name := c.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("a b"), SecretString: aws.String("v")})
	_, empty := c.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("s")})
	_, gone := c.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{SecretId: aws.String("s"), SecretString: aws.String("v")})
	for i, test := range []struct {
		err  error
		want string
	}{
		{unknown, "UnknownOperationException"}, {naked, "MissingAuthenticationTokenException"}, {page, "InvalidNextTokenException"},
		{size, "InvalidParameterException"}, {short, "InvalidParameterException"}, {empty, "InvalidParameterException"},
		{name, "ValidationException"}, {gone, "ResourceNotFoundException"},
	} {
		if got := code(test.err); got != test.want {
			t.Errorf("refusal %d: %q; want %s", i, got, test.want)
		}
	}
}
