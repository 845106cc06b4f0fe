package secretsstore

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"connectorvault/shared/store"
)

// What Secrets Manager refuses in a way of its own. Nothing is written.
var (
	// ErrQuota: the secret has all the versions that it may have and none is a day old. It clears in hours, not in
	// seconds; whatever writes that often belongs elsewhere.
	ErrQuota = errors.New("it has all the versions that it may have")

	// ErrDeleting: a secret of that name is scheduled for deletion. The vault's own deletions are over within a minute;
	// somebody else's may last 30 days, and can be taken back (RestoreSecret).
	ErrDeleting = errors.New("it is being deleted")

	// ErrKey: KMS does not encrypt or decrypt it. The key is disabled, being deleted, or not granted to the caller.
	ErrKey = errors.New("its KMS key cannot be used")
)

// The service's codes (fact sheet aws 2.1).
const (
	codeNotFound       = "ResourceNotFoundException"
	codeExists         = "ResourceExistsException"
	codeInvalidRequest = "InvalidRequestException"
)

// classOf returns what a code means to callers; nil when it means nothing to them.
func classOf(code string) error {
	switch code {
	case codeNotFound:
		return store.ErrNotFound
	case "ThrottlingException", "Throttling", "RequestLimitExceeded", "TooManyRequestsException", codeExists:
		return store.ErrBusy // codeExists comes here only after every try found the secret both there and not there
	case "LimitExceededException":
		return ErrQuota
	case "DecryptionFailure", "EncryptionFailure":
		return ErrKey
	default:
		return nil
	}
}

func codeOf(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}

// isDeleting: the service has no code of its own for it.
func isDeleting(err error) bool {
	var api smithy.APIError
	return errors.As(err, &api) && api.ErrorCode() == codeInvalidRequest && strings.Contains(api.ErrorMessage(), "delet")
}

func isUnsettled(err error) bool { return codeOf(err) == codeExists || isDeleting(err) }

// explain gives an error its class and a sentence that cannot hold a value. The service's own words are dropped where
// the request carried a value, except those about rights, which name the caller and the action.
func explain(doing, name string, err error, carriedValue bool) error {
	var (
		api    smithy.APIError
		unsent *smithyhttp.RequestSendError
	)
	said := ""
	switch {
	case isDeleting(err):
		return fmt.Errorf("%s secret %q: %w", doing, name, ErrDeleting)
	case errors.As(err, &api):
		said = api.ErrorCode()
		if class := classOf(said); class != nil {
			return fmt.Errorf("%s secret %q: %w (%s)", doing, name, class, said)
		}
		if said == "AccessDeniedException" || !carriedValue {
			said += ": " + api.ErrorMessage()
		}
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("%s secret %q: %w", doing, name, context.Canceled)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s secret %q: %w", doing, name, context.DeadlineExceeded)
	case errors.As(err, &unsent):
		said = unsent.Err.Error() // about the connection, before anything of an answer
	default:
		said = "its answer could not be read"
	}
	return fmt.Errorf("%s secret %q: Secrets Manager: %s", doing, name, said)
}
