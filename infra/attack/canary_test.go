package attack_test

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// secrets collects everything that must not be seen, and everything that was seen.
type secrets struct {
	mu      sync.Mutex
	planted map[string]string // guarded by mu; the secret → what it is
	allowed map[string]bool   // guarded by mu; secret + where it may be
	seen    []sight           // guarded by mu
}

type sight struct {
	where string
	body  []byte
}

// shortest is how long a secret must be so that finding it says something.
const shortest = 12

// plant notes a secret. What is too short to be found is none of ours.
func (s *secrets) plant(what, value string) string {
	if len(value) < shortest {
		return value
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.planted == nil {
		s.planted, s.allowed = map[string]string{}, map[string]bool{}
	}
	s.planted[value] = what
	return value
}

// handed says that a secret may be in one place, because it is handed over there.
func (s *secrets) handed(value, where string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.allowed[value+" in "+where] = true
}

func (s *secrets) saw(where string, body []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = append(s.seen, sight{where, bytes.Clone(body)})
}

// forms are the ways in which a secret can hide. Within base64 of something longer it looks in three ways, after where it
// begins; its ends, which its neighbours change, are left out.
func forms(value string) [][]byte {
	quoted, _ := json.Marshal(value) // of a string: it cannot fail
	out := [][]byte{[]byte(value), []byte(url.QueryEscape(value)), []byte(url.PathEscape(value)), quoted[1 : len(quoted)-1],
		[]byte(hex.EncodeToString([]byte(value))), []byte(strings.ToUpper(hex.EncodeToString([]byte(value))))}
	for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		for offset := range 3 {
			whole := encoding.EncodeToString(append(make([]byte, offset), value...))
			out = append(out, []byte(whole[4:len(whole)-4]))
		}
	}
	return out
}

// marks begin what providers give out: whatever has one is a token or a code, planted or not.
var marks = []string{"Atza|", "Atzr|", "Atz.sprdt|", "ANSim", "-----BEGIN PRIVATE KEY", "-----BEGIN EC PRIVATE KEY", "-----BEGIN RSA PRIVATE KEY"}

// hiding is a secret in one of its forms.
type hiding struct{ form, value string }

// check looks for everything in everything. Each place is gone through once: eight bytes say whether a form may begin there.
func (s *secrets) check(t *testing.T) {
	s.mu.Lock()
	defer s.mu.Unlock()
	index := map[uint64][]hiding{}
	for value := range s.planted {
		for _, form := range forms(value) {
			if len(form) >= 8 {
				at := binary.LittleEndian.Uint64(form)
				index[at] = append(index[at], hiding{string(form), value})
			}
		}
	}
	size, told := 0, map[string]bool{}
	for _, place := range s.seen {
		size += len(place.body)
		for _, mark := range marks {
			if bytes.Contains(place.body, []byte(mark)) {
				t.Errorf("something that begins with %q is in %s", mark, place.where)
			}
		}
		for i := 0; i+8 <= len(place.body); i++ {
			for _, h := range index[binary.LittleEndian.Uint64(place.body[i:])] {
				what := s.planted[h.value] + " is in " + place.where
				if bytes.HasPrefix(place.body[i:], []byte(h.form)) && !s.allowed[h.value+" in "+place.where] && !told[what] {
					told[what] = true
					t.Error(what)
				}
			}
		}
	}
	t.Logf("%d secrets were looked for in %d places of %d bytes", len(s.planted), len(s.seen), size)
	if len(s.planted) < 100 || len(s.seen) < 500 {
		t.Errorf("only %d secrets were looked for in %d places", len(s.planted), len(s.seen))
	}
}

// files takes in every file of a data folder but those of the simulated providers, who know their own secrets.
func (s *secrets) files(t *testing.T, dir string) {
	t.Helper()
	seen := 0
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || strings.Contains(e.Name(), "-simulator.db") {
			return err
		}
		body, err := os.ReadFile(path) //nolint:gosec // a file of the test's own folder
		if err == nil {
			seen++
			s.saw("the file "+e.Name(), body)
		}
		return err
	})
	if err != nil || seen < 3 {
		t.Errorf("%d files were looked at: %v", seen, err)
	}
}

// The search finds what it is to find, however it is hidden.
func TestTheSearchFinds(t *testing.T) {
	t.Parallel()
	const value = `ca"na/ry <3f9c1e77> &+ü`
	for _, hidden := range []string{value, url.QueryEscape(value), url.PathEscape(value), hex.EncodeToString([]byte(value)),
		base64.StdEncoding.EncodeToString([]byte("x" + value)), base64.URLEncoding.EncodeToString([]byte("xy" + value + "z")),
		base64.StdEncoding.EncodeToString([]byte("xyz" + value)), func() string { b, _ := json.Marshal(value); return string(b) }()} {
		found := false
		for _, form := range forms(value) {
			found = found || strings.Contains("before "+hidden+" after", string(form))
		}
		if !found {
			t.Errorf("it is not found in %s", hidden)
		}
	}
}
