package gateway

import (
	"sync"
	"time"

	"connectorvault/shared/secret"
)

// remember is how long an authorizer's yes is used again, by the machine's time. API Gateway does the same for longer;
// here it is how long a revoked key may still be let in.
const remember = time.Second

// maxIdentities bounds what is remembered; when it is full, everybody is asked about anew.
const maxIdentities = 1000

// identities are the authorizer's recent answers, by the fingerprint of what was asked about.
type identities struct {
	mu   sync.Mutex
	seen map[string]identity // guarded by mu
}

type identity struct {
	context map[string]any // never changed once it is here
	until   time.Time
}

func (i *identities) get(authorization string) (map[string]any, bool) {
	key := secret.New(authorization).Fingerprint()
	i.mu.Lock()
	defer i.mu.Unlock()
	found, ok := i.seen[key]
	if !ok || time.Now().After(found.until) {
		return nil, false
	}
	return found.context, true
}

func (i *identities) put(authorization string, context map[string]any) {
	key := secret.New(authorization).Fingerprint()
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.seen == nil || len(i.seen) >= maxIdentities {
		i.seen = map[string]identity{}
	}
	i.seen[key] = identity{context: context, until: time.Now().Add(remember)}
}
