package engine

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"sync"
)

// Random lets a plain reader, such as a test's seeded one, serve concurrent requests.
type Random struct {
	mu     sync.Mutex
	source io.Reader // guarded by mu
}

// NewRandom draws from a source; nil is crypto/rand.
func NewRandom(source io.Reader) *Random {
	if source == nil {
		source = rand.Reader
	}
	return &Random{source: source}
}

// Read fills p, or fails.
func (r *Random) Read(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return io.ReadFull(r.source, p)
}

// Bytes panics when the source is exhausted: the front turns it into a 500 and nothing is issued.
func (r *Random) Bytes(n int) []byte {
	b := make([]byte, n)
	if _, err := r.Read(b); err != nil {
		panic(fmt.Errorf("reading random bytes: %w", err))
	}
	return b
}

// FormatUUID writes 16 bytes as a version 4 UUID.
func FormatUUID(b []byte) string {
	h := []byte(hex.EncodeToString(b))
	h[12], h[16] = '4', "89ab"[h[16]%4]
	return string(h[:8]) + "-" + string(h[8:12]) + "-" + string(h[12:16]) + "-" + string(h[16:20]) + "-" + string(h[20:])
}
