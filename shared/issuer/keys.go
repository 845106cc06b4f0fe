package issuer

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
	"golang.org/x/sync/singleflight"
)

// How an issuer's keys are fetched and kept.
const (
	fresh       = 15 * time.Minute // after which they are fetched anew: a key that the issuer withdrew is dead by then
	usable      = time.Hour        // for which they are believed while the issuer does not answer
	lookAgain   = time.Minute      // after a look, before a key that is not among them makes us look anew
	tryAgain    = 5 * time.Second  // likewise, after a look that failed
	fetchTime   = 3 * time.Second  // for all of a look
	maxDocument = 256 << 10        // bytes of an answer
	maxKeys     = 100
)

// ErrUnavailable says that an issuer's keys cannot be had now.
var ErrUnavailable = errors.New("the issuer's keys cannot be had now")

// keys are what one issuer publishes.
type keys struct {
	issuer string
	client *http.Client
	now    func() time.Time
	flight singleflight.Group

	mu      sync.Mutex
	set     []jose.JSONWebKey // guarded by mu; never changed once it is here
	fetched time.Time         // when set was had; guarded by mu
	tried   time.Time         // when it was last asked for; guarded by mu
	failed  bool              // whether that failed; guarded by mu
}

// find finds the key that a token names. It looks at the issuer's when there are none yet, when they are no longer fresh,
// or when the key is not among them, and each only once in a while.
func (k *keys) find(ctx context.Context, id string, algorithm jose.SignatureAlgorithm) (key jose.JSONWebKey, found bool, err error) {
	key, found, age, _ := k.known(id, algorithm)
	if found && age < fresh {
		return key, true, nil
	}
	if k.mayLook() {
		_, _, _ = k.flight.Do("", func() (any, error) { // what came of it is in the keys
			if k.mayLook() {
				// Detached: the first caller's leaving must not fail the others.
				ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTime)
				defer cancel()
				set, err := k.fetch(ctx)
				k.keep(set, err)
				return nil, err
			}
			return nil, nil //nolint:nilnil // somebody has looked meanwhile
		})
	}
	key, found, age, failed := k.known(id, algorithm)
	switch {
	case found && age < usable:
		return key, true, nil
	case failed || age >= usable:
		return key, false, ErrUnavailable
	default:
		return key, false, nil
	}
}

// known looks among the keys at hand.
func (k *keys) known(id string, algorithm jose.SignatureAlgorithm) (key jose.JSONWebKey, found bool, age time.Duration, failed bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	age = usable
	if k.set != nil {
		if age = k.now().Sub(k.fetched); age < 0 { // a clock that went back makes everything look young
			age = fresh
		}
	}
	for _, candidate := range k.set {
		named := candidate.KeyID == id
		if id == "" { // then it is the only one that there is, or none
			named = len(k.set) == 1
		}
		if named && fits(candidate, algorithm) {
			return candidate, true, age, k.failed
		}
	}
	return key, false, age, k.failed
}

func (k *keys) mayLook() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	pause := lookAgain
	if k.failed {
		pause = tryAgain
	}
	since := k.now().Sub(k.tried)
	return k.tried.IsZero() || since < 0 || since >= pause
}

func (k *keys) keep(set []jose.JSONWebKey, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.tried, k.failed = k.now(), err != nil
	if err == nil {
		k.set, k.fetched = set, k.tried
	}
}

// fits reports whether a key is for signatures of a kind, and strong enough.
func fits(key jose.JSONWebKey, algorithm jose.SignatureAlgorithm) bool {
	if key.Use != "" && key.Use != "sig" || key.Algorithm != "" && key.Algorithm != string(algorithm) {
		return false
	}
	switch public := key.Key.(type) {
	case *rsa.PublicKey:
		return algorithm == jose.RS256 && public.N.BitLen() >= 2048 && public.N.BitLen() <= 8192
	case *ecdsa.PublicKey:
		return algorithm == jose.ES256 && public.Curve == elliptic.P256()
	case ed25519.PublicKey:
		return algorithm == jose.EdDSA
	default: // a shared secret, or a private key that somebody published
		return false
	}
}

// fetch asks the issuer where its keys are, and for them.
func (k *keys) fetch(ctx context.Context) ([]jose.JSONWebKey, error) {
	provider, err := oidc.NewProvider(oidc.ClientContext(ctx, k.client), k.issuer)
	if err != nil {
		return nil, fmt.Errorf("asking the issuer %s: %w", k.issuer, err)
	}
	var discovered struct {
		Keys string `json:"jwks_uri"`
	}
	if err := provider.Claims(&discovered); err != nil {
		return nil, err
	}
	if err := checkAddress(discovered.Keys); err != nil {
		return nil, fmt.Errorf("where the issuer's keys are: %w", err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, discovered.Keys, http.NoBody)
	if err != nil {
		return nil, err
	}
	answer, err := k.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the issuer's keys: status %d", answer.StatusCode)
	}
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, err
	}
	return parseKeys(body)
}

// parseKeys reads a key set. Keys of kinds that are not known are passed over, as they must be (RFC 7517, 5).
func parseKeys(body []byte) ([]jose.JSONWebKey, error) {
	var document struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(body, &document); err != nil {
		return nil, errors.New("the issuer's keys are no key set")
	}
	if len(document.Keys) > maxKeys {
		return nil, fmt.Errorf("the issuer has %d keys, more than any needs", len(document.Keys))
	}
	out := []jose.JSONWebKey{}
	for _, raw := range document.Keys {
		var key jose.JSONWebKey
		if key.UnmarshalJSON(raw) == nil && key.Valid() && key.IsPublic() {
			out = append(out, key)
		}
	}
	if len(out) == 0 {
		return nil, errors.New("the issuer has no key that is of use")
	}
	return out, nil
}

// bounded is a client whose answers end, in time and in size, and that goes nowhere but where it was sent.
func bounded(client *http.Client) *http.Client {
	out := *client
	out.Timeout = fetchTime
	out.CheckRedirect = func(*http.Request, []*http.Request) error { return errors.New("the issuer sends us elsewhere") }
	out.Transport = limited{client.Transport}
	return &out
}

type limited struct{ under http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (l limited) RoundTrip(r *http.Request) (*http.Response, error) {
	under := l.under
	if under == nil {
		return nil, errors.New("the client has no transport")
	}
	answer, err := under.RoundTrip(r)
	if err == nil {
		answer.Body = http.MaxBytesReader(nil, answer.Body, maxDocument)
	}
	return answer, err
}
