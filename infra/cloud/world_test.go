package cloud_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"connectorvault/infra/cloud/network"
	amazonsim "connectorvault/infra/sim/amazon"
	clarasim "connectorvault/infra/sim/clara"
	sagesim "connectorvault/infra/sim/sage"
)

// The providers' hosts, as the world knows them (Amazon facts 2.2, 3, 4; Sage facts 1.1; Clara facts 4.2).
const (
	amazonToken = "api.amazon.com"
	amazonFiles = "tortuga-prod.s3.amazonaws.com"
	sageConsent = "www.sageone.com"
	sageToken   = "oauth.accounting.sage.com"
	sageAPI     = "api.accounting.sage.com"
	claraPages  = "dashboard.clara.com" // where a person downloads a project's certificate, and files are
)

// world is the simulated providers under their real names.
type world struct {
	network *network.Network
	tell    func(ctx context.Context, message []byte) error // Amazon's messages about client secrets, to the queue that is registered
	amazon  *amazonsim.Simulator
	sage    *sagesim.Simulator
	clara   *clarasim.Simulator

	ahead atomic.Int64 // how far the providers' clocks are ahead, in nanoseconds
	spent sync.Map     // instances whose POST a token endpoint has carried out
	life  atomic.Int64 // seconds that tokens are said to live; 0 = as long as they do
}

func (w *world) now() time.Time { return time.Now().Add(time.Duration(w.ahead.Load())) }

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{}
	dir := t.TempDir()
	var err error
	if w.network, err = network.New(dir); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.network.Close() })
	w.amazon, err = amazonsim.New(amazonsim.Config{StatePath: filepath.Join(dir, "amazon.db"), Now: w.now, BaseURL: func() string { return "https://" + amazonFiles },
		Notify: func(ctx context.Context, message []byte) error { return w.tell(ctx, message) }})
	if err != nil {
		t.Fatal(err)
	}
	w.sage, err = sagesim.New(sagesim.Config{StatePath: filepath.Join(dir, "sage.db"), Now: w.now, BaseURL: func() string { return "https://" + sageAPI }})
	if err != nil {
		t.Fatal(err)
	}
	w.clara, err = clarasim.New(clarasim.Config{StatePath: filepath.Join(dir, "clara.db"), Now: w.now, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _, _ = w.amazon.Close(), w.sage.Close(), w.clara.Close() })
	// The providers compare redirect URIs with those that were registered; the seeded applications know those of one machine only.
	_, err = w.amazon.RegisterApp(t.Context(), amazonsim.App{ApplicationID: amazonsim.SeededApplicationID, ClientID: amazonsim.SeededClientID,
		RedirectURIs: []string{publicURL + "/oauth/amazon/callback"}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.sage.RegisterApp(t.Context(), sagesim.App{ClientID: sagesim.SeedClientID, ClientSecret: sagesim.SeedClientSecret,
		RedirectURIs: []string{publicURL + "/oauth/sage/callback"}})
	if err != nil {
		t.Fatal(err)
	}
	w.serveAmazon()
	w.serveSage()
	w.serveClara()
	return w
}

func (w *world) serveAmazon() {
	sim := w.amazon.Handler()
	w.network.Serve(amazonToken, network.Host{Handler: w.short(sim)})
	w.network.Serve(amazonFiles, network.Host{Handler: sim})
	for _, region := range []string{"na", "eu", "fe"} {
		w.network.Serve("sellingpartnerapi-"+region+".amazon.com", network.Host{Handler: below("/"+region, sim)})
		w.network.Serve("sandbox.sellingpartnerapi-"+region+".amazon.com", network.Host{Handler: below("/sandbox/"+region, sim)})
	}
	// Each host of the consent pages knows its region.
	for host, region := range map[string]string{"sellercentral.amazon.com": "na", "sellercentral-europe.amazon.com": "eu", "sellercentral.amazon.co.jp": "fe"} {
		w.network.Serve(host, network.Host{Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/apps/authorize/consent" {
				r = at(r, "/"+region+r.URL.Path)
			}
			sim.ServeHTTP(rw, r)
		})})
	}
}

func (w *world) serveSage() {
	sim := w.sage.Handler()
	for _, host := range []string{sageConsent, sageAPI} {
		w.network.Serve(host, network.Host{Handler: sim})
	}
	w.network.Serve(sageToken, network.Host{Handler: w.short(sim)})
}

func (w *world) serveClara() {
	w.clara.ServeFilesAt("https://" + claraPages)
	w.network.Serve(claraPages, network.Host{Handler: w.clara.Control()})
	shake := w.clara.TLSConfig().GetConfigForClient
	for _, country := range []string{"mx", "br", "co"} {
		w.network.Serve("public-api."+country+".clara.com", network.Host{Handler: w.short(below("/"+country, w.clara.Handler())),
			TLS: func(hello *tls.ClientHelloInfo) (*tls.Config, error) { return shake(hello) }})
	}
}

// below serves a host's paths from below a prefix.
func below(prefix string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { next.ServeHTTP(w, at(r, prefix+r.URL.EscapedPath())) })
}

// at is a request at another path.
func at(r *http.Request, path string) *http.Request {
	out := r.Clone(r.Context())
	u, err := r.URL.Parse(path)
	if err != nil || strings.HasPrefix(path, "//") {
		return r
	}
	u.RawQuery = r.URL.RawQuery
	out.URL = u
	out.RequestURI = u.RequestURI()
	return out
}

// short lets the tokens of a token endpoint live as long as the test wants. The provider's own clock has to follow: pass does
// both.
func (w *world) short(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		seconds := w.life.Load()
		if r.Method != http.MethodPost || !strings.HasSuffix(r.URL.Path, "/token") {
			next.ServeHTTP(rw, r)
			return
		}
		answer := httptest.NewRecorder()
		next.ServeHTTP(answer, r)
		body := answer.Body.Bytes()
		w.spent.Store(network.Caller(r), true)
		var members map[string]json.RawMessage
		if json.Unmarshal(body, &members) == nil && members["expires_in"] != nil && seconds > 0 {
			members["expires_in"] = json.RawMessage(strconv.FormatInt(seconds, 10))
			body, _ = json.Marshal(members) // of what was JSON
		}
		for name, values := range answer.Header() {
			rw.Header()[name] = values
		}
		rw.Header().Set("Content-Length", strconv.Itoa(len(body)))
		rw.WriteHeader(answer.Code)
		_, _ = io.Copy(rw, bytes.NewReader(body))
	})
}

// pass lets time pass at the providers. Of an hour the functions, which have the machine's clock, see as much as a token is
// said to live: afterwards the tokens are dead on both sides.
func (b *bed) pass(d time.Duration) {
	b.ahead.Add(int64(d))
	if seconds := b.life.Load(); d >= time.Hour && seconds > 0 {
		select {
		case <-b.Context().Done():
		case <-time.After(time.Duration(seconds)*time.Second + 100*time.Millisecond):
		}
	}
}
