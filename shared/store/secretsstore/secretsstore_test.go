package secretsstore_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"connectorvault/shared/secret"
	"connectorvault/shared/store"
	"connectorvault/shared/store/secretsstore"
	"connectorvault/shared/store/secretstest"
)

const canary = "canary-51c0"

// open returns a store on a fake, whose waits step the fake's clock. The SDK's own retries, which wait in real time, are off.
func open(t *testing.T, opts secretstest.Options) (*secretsstore.Store, *secretstest.Fake) {
	t.Helper()
	fake := secretstest.New(t, opts)
	s := secretsstore.New(fake.Client(func(o *secretsmanager.Options) { o.Retryer = aws.NopRetryer{} }), prefix)
	s.Wait = fake.Wait
	return s, fake
}

func mustPut(t *testing.T, s *secretsstore.Store, name, value string) {
	t.Helper()
	if err := s.PutSecret(t.Context(), name, secret.New(value)); err != nil {
		t.Fatalf("writing %s: %v", name, err)
	}
}

func wants(t *testing.T, s *secretsstore.Store, name, value string) {
	t.Helper()
	got, err := s.GetSecret(t.Context(), name)
	if err != nil || got.Reveal() != value {
		t.Fatalf("reading %s: %v, or another value", name, err)
	}
}

// A provider whose token changes every five minutes would be lost here after eight hours and twenty minutes, which is why no such
// token is kept in Secrets Manager (design, "Storage").
func TestAHundredYoungVersionsAreAll(t *testing.T) {
	t.Parallel()
	s, fake := open(t, secretstest.Options{})
	var err error
	writes := 0
	for ; err == nil && writes < 300; writes++ {
		err = s.PutSecret(t.Context(), "sage", secret.New(fmt.Sprint("v", writes)))
		fake.Step(5 * time.Minute)
	}
	if !errors.Is(err, secretsstore.ErrQuota) || errors.Is(err, store.ErrBusy) {
		t.Fatalf("the answer is %v; want ErrQuota", err)
	}
	if writes != 101 || fake.Versions(prefix+"sage") != 100 {
		t.Fatalf("write %d was refused with %d versions kept; want the 101st, 100", writes, fake.Versions(prefix+"sage"))
	}
	wants(t, s, "sage", "v99")

	fake.Step(24 * time.Hour)
	mustPut(t, s, "sage", "a day later")
	wants(t, s, "sage", "a day later")
}

func TestThrottledIsBusy(t *testing.T) {
	t.Parallel()
	s, fake := open(t, secretstest.Options{})
	mustPut(t, s, "first", "v")
	var err error
	writes := 1
	for ; err == nil && writes < 300; writes++ {
		err = s.PutSecret(t.Context(), "first", secret.New(fmt.Sprint("v", writes)))
	}
	if !errors.Is(err, store.ErrBusy) {
		t.Fatalf("the answer is %v; want ErrBusy", err)
	}
	if writes != secretstest.WritesASecond+1 {
		t.Fatalf("%d writes in one second", writes-1)
	}
	fake.Step(time.Second)
	mustPut(t, s, "first", "v")
}

func TestErrorsHaveClassesAndHoldNoValue(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		code    string
		status  int
		message string
		want    error
	}{
		{"ResourceNotFoundException", 400, "no", store.ErrNotFound},
		{"ThrottlingException", 400, "Rate exceeded", store.ErrBusy},
		{"LimitExceededException", 400, "too many", secretsstore.ErrQuota},
		{"DecryptionFailure", 400, "KMS", secretsstore.ErrKey},
		{"EncryptionFailure", 400, "KMS", secretsstore.ErrKey},
		{"InvalidRequestException", 400, "You can't do this because it was marked for deletion.", secretsstore.ErrDeleting},
		{"InvalidRequestException", 400, "managed by another service", nil},
		{"InvalidParameterException", 400, "the value " + canary + " is not good", nil},
		{"ValidationException", 400, "1 validation error detected: Value '" + canary + "' at 'secretString'", nil},
		{"InternalServiceError", 500, canary, nil},
		{"AccessDeniedException", 400, "User: arn:aws:sts::1:role/x is not authorized", nil},
	} {
		for _, action := range []string{"PutSecretValue", "CreateSecret"} {
			s, fake := open(t, secretstest.Options{})
			fake.Fail(action, 100, test.status, test.code, test.message)
			err := s.PutSecret(t.Context(), "name", secret.New(canary))
			if action == "CreateSecret" {
				_, err = s.CreateSecret(t.Context(), "name", secret.New(canary))
			} else if test.code == "ResourceNotFoundException" {
				continue // then it is made
			}
			if err == nil || test.want != nil && !errors.Is(err, test.want) {
				t.Errorf("%s, %s: the answer is %v; want %v", action, test.code, err, test.want)
			}
			if test.want == nil {
				for _, class := range []error{store.ErrNotFound, store.ErrBusy, secretsstore.ErrQuota, secretsstore.ErrKey, secretsstore.ErrDeleting} {
					if errors.Is(err, class) {
						t.Errorf("%s, %s: the answer is %v", action, test.code, err)
					}
				}
			}
			leaks(t, err)
			if test.code == "AccessDeniedException" && !strings.Contains(fmt.Sprint(err), "role/x") {
				t.Errorf("whose right is missing is not said: %v", err)
			}
		}
	}
}

// leaks follows an error to its ends.
func leaks(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		return
	}
	if strings.Contains(fmt.Sprintf("%v %+v %#v", err, err, err), canary) {
		t.Errorf("a value is in the error: %v", err)
	}
	switch wrapped := err.(type) { //nolint:errorlint // this walks the tree itself
	case interface{ Unwrap() error }:
		leaks(t, wrapped.Unwrap())
	case interface{ Unwrap() []error }:
		for _, part := range wrapped.Unwrap() {
			leaks(t, part)
		}
	}
}

func TestAnAnswerThatCannotBeReadLeaksNothing(t *testing.T) {
	t.Parallel()
	fake := secretstest.New(t, secretstest.Options{})
	for name, spoil := range map[string]func(*http.Response, error) (*http.Response, error){
		"cut short": func(r *http.Response, _ error) (*http.Response, error) {
			r.Body = io.NopCloser(strings.NewReader(`{"SecretString": "` + canary))
			return r, nil
		},
		"not JSON": func(r *http.Response, _ error) (*http.Response, error) {
			r.Body = io.NopCloser(strings.NewReader(canary))
			return r, nil
		},
		"no connection": func(*http.Response, error) (*http.Response, error) { return nil, errors.New("connection refused") },
	} {
		client := fake.Client(func(o *secretsmanager.Options) {
			o.Retryer = aws.NopRetryer{}
			o.HTTPClient = between{o.HTTPClient, spoil}
		})
		s := secretsstore.New(client, prefix)
		mustPut(t, secretsstore.New(fake.Client(), prefix), "name", canary)
		_, err := s.GetSecret(t.Context(), "name")
		if err == nil {
			t.Errorf("%s: a value was read", name)
		}
		leaks(t, err)
		err = s.PutSecret(t.Context(), "name", secret.New(canary))
		leaks(t, err)
	}
}

// between stands between the SDK and the service, and changes answers.
type between struct {
	next   secretsmanager.HTTPClient
	answer func(*http.Response, error) (*http.Response, error)
}

func (b between) Do(r *http.Request) (*http.Response, error) {
	resp, err := b.next.Do(r)
	return b.answer(resp, err)
}

// The SDK repeats what it lost the answer of; the version id makes it count once.
func TestALostAnswerCountsOnce(t *testing.T) {
	t.Parallel()
	for _, action := range []string{"create", "put"} {
		fake := secretstest.New(t, secretstest.Options{})
		mustPut(t, secretsstore.New(fake.Client(), prefix), "there", "old")
		lost := 0
		s := secretsstore.New(fake.Client(func(o *secretsmanager.Options) {
			o.HTTPClient = between{o.HTTPClient, func(r *http.Response, err error) (*http.Response, error) {
				if lost++; lost > 1 || err != nil {
					return r, err
				}
				_ = r.Body.Close()
				return nil, errors.New("connection reset by peer")
			}}
		}), prefix)
		if action == "put" {
			mustPut(t, s, "there", "new")
			wants(t, s, "there", "new")
			if n := fake.Versions(prefix + "there"); n != 2 {
				t.Errorf("%d versions after two writes", n)
			}
			continue
		}
		exists, err := s.CreateSecret(t.Context(), "new", secret.New("v"))
		if exists || err != nil {
			t.Errorf("our own secret is taken for somebody else's: exists %t, %v", exists, err)
		}
		if lost < 2 {
			t.Error("nothing was repeated, so nothing was tested")
		}
	}
}

func TestAVersionThatComesBackIsNew(t *testing.T) {
	t.Parallel()
	s, fake := open(t, secretstest.Options{})
	for _, value := range []string{"a", "b", "a"} {
		mustPut(t, s, "name", value)
	}
	wants(t, s, "name", "a")
	if n := fake.Versions(prefix + "name"); n != 3 {
		t.Errorf("%d versions; want 3", n)
	}
}

func TestADeletedNameIsWaitedFor(t *testing.T) {
	t.Parallel()
	for _, write := range []func(*secretsstore.Store) error{
		func(s *secretsstore.Store) error { return s.PutSecret(t.Context(), "name", secret.New("after")) },
		func(s *secretsstore.Store) error {
			exists, err := s.CreateSecret(t.Context(), "name", secret.New("after"))
			if exists {
				return errors.New("a deleted secret exists")
			}
			return err
		},
	} {
		s, fake := open(t, secretstest.Options{Deleting: time.Second})
		mustPut(t, s, "name", "before")
		if err := s.DeleteSecret(t.Context(), "name"); err != nil {
			t.Fatal(err)
		}
		if err := write(s); err != nil {
			t.Errorf("writing over a deletion of one second: %v", err)
		}
		wants(t, s, "name", "after")
		if n := fake.Versions(prefix + "name"); n != 1 {
			t.Errorf("the secret that was made anew has %d versions", n)
		}

		s, _ = open(t, secretstest.Options{Deleting: 30 * 24 * time.Hour})
		mustPut(t, s, "name", "before")
		if err := s.DeleteSecret(t.Context(), "name"); err != nil {
			t.Fatal(err)
		}
		if err := write(s); !errors.Is(err, secretsstore.ErrDeleting) {
			t.Errorf("writing over a deletion of 30 days: %v; want ErrDeleting", err)
		}
		_, err := s.GetSecret(t.Context(), "name")
		if !errors.Is(err, store.ErrNotFound) || !errors.Is(err, secretsstore.ErrDeleting) {
			t.Errorf("reading it: %v; want ErrNotFound and ErrDeleting", err)
		}
	}
}

// Right after a secret was made, a write may not find it where a creation says that it exists.
func TestASecretBothThereAndNot(t *testing.T) {
	t.Parallel()
	s, fake := open(t, secretstest.Options{})
	mustPut(t, s, "name", "old")
	fake.Fail("PutSecretValue", 2, 400, "ResourceNotFoundException", "")
	mustPut(t, s, "name", "new")
	wants(t, s, "name", "new")

	fake.Fail("PutSecretValue", 100, 400, "ResourceNotFoundException", "")
	if err := s.PutSecret(t.Context(), "name", secret.New("newer")); !errors.Is(err, store.ErrBusy) {
		t.Errorf("the answer is %v; want ErrBusy", err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	s.Wait = func(context.Context, time.Duration) error { cancel(); return ctx.Err() }
	if err := s.PutSecret(ctx, "name", secret.New(canary)); !errors.Is(err, context.Canceled) {
		t.Errorf("the answer is %v; want the context's", err)
	}
}

func TestNamesAndValuesThatCannotBe(t *testing.T) {
	t.Parallel()
	s, fake := open(t, secretstest.Options{})
	for _, name := range []string{"", "a b", "a#b", "é", "a\x00", "*", strings.Repeat("x", 513-len(prefix))} {
		_, getErr := s.GetSecret(t.Context(), name)
		_, createErr := s.CreateSecret(t.Context(), name, secret.New("v"))
		if getErr == nil || createErr == nil || s.PutSecret(t.Context(), name, secret.New("v")) == nil || s.DeleteSecret(t.Context(), name) == nil {
			t.Errorf("the name %q was accepted", name)
		}
	}
	for _, value := range []string{"", strings.Repeat("x", 64<<10+1)} {
		if s.PutSecret(t.Context(), "name", secret.New(value)) == nil {
			t.Errorf("a value of %d bytes was accepted", len(value))
		}
	}
	for _, action := range []string{"GetSecretValue", "CreateSecret", "PutSecretValue", "DeleteSecret"} {
		if n := fake.Calls(action); n != 0 {
			t.Errorf("%s was called %d times for what no secret can be", action, n)
		}
	}
	mustPut(t, s, "tenant/entry.1/A-b_c+d=e@f", "v")
	mustPut(t, s, strings.Repeat("x", 512-len(prefix)), "v")
}

func TestStoresWithOtherPrefixesAreApart(t *testing.T) {
	t.Parallel()
	fake := secretstest.New(t, secretstest.Options{})
	one, two := secretsstore.New(fake.Client(), "vault/one/"), secretsstore.New(fake.Client(), "vault/two/")
	mustPut(t, one, "a", "1")
	mustPut(t, two, "a", "2")
	wants(t, one, "a", "1")
	wants(t, two, "a", "2")
	names, next, err := one.ListSecrets(t.Context(), "", "")
	if err != nil || next != "" || len(names) != 1 || names[0] != "a" {
		t.Errorf("the first store lists %q, %q, %v", names, next, err)
	}
	if err := one.DeleteSecret(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	wants(t, two, "a", "2")
}

func TestTheKeyIsNamedWhereASecretIsMade(t *testing.T) {
	t.Parallel()
	fake := secretstest.New(t, secretstest.Options{})
	var keys []string
	client := fake.Client(func(o *secretsmanager.Options) { o.HTTPClient = &recorder{o.HTTPClient, &keys} })
	s := secretsstore.New(client, prefix)
	s.KeyID = "alias/vault"
	mustPut(t, s, "name", "v")
	if len(keys) != 2 || keys[0] != "" || keys[1] != "alias/vault" {
		t.Errorf("a write and a creation named the keys %q", keys)
	}
}

type recorder struct {
	next secretsmanager.HTTPClient
	keys *[]string
}

func (r *recorder) Do(req *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	var in struct {
		Key string `json:"KmsKeyId"`
	}
	if err := json.Unmarshal(body, &in); err != nil {
		return nil, err
	}
	*r.keys = append(*r.keys, in.Key)
	req.Body = io.NopCloser(bytes.NewReader(body))
	return r.next.Do(req)
}
