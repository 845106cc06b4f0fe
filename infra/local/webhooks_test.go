package main

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// receiver is a tenant's endpoint. It takes what is sent to it, and answers as it is told.
type receiver struct {
	*httptest.Server
	t *testing.T

	mu       sync.Mutex
	statuses []int      // guarded by mu; the next answers; then 204
	got      []received // guarded by mu
}

type received struct {
	header http.Header
	body   []byte
}

func newReceiver(t *testing.T, statuses ...int) *receiver {
	r := &receiver{t: t, statuses: statuses}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, in *http.Request) {
		body, _ := io.ReadAll(in.Body)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.got = append(r.got, received{in.Header.Clone(), body})
		status := http.StatusNoContent
		if len(r.statuses) > 0 {
			status, r.statuses = r.statuses[0], r.statuses[1:]
		}
		w.WriteHeader(status)
	}))
	t.Cleanup(r.Close)
	return r
}

// await waits until so many messages have come.
func (r *receiver) await(n int) []received {
	r.t.Helper()
	var got []received
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		r.mu.Lock()
		got = append([]received{}, r.got...)
		r.mu.Unlock()
		if len(got) >= n {
			return got
		}
	}
	r.t.Fatalf("%d messages came, not %d", len(got), n)
	return nil
}

// checkSigned verifies a message with the library that receivers use. The program's clock may have been stepped, so the time is
// left to others.
func (r *receiver) checkSigned(m received, secret string) {
	r.t.Helper()
	verifier, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		r.t.Fatal(err)
	}
	if err := verifier.VerifyIgnoringTimestamp(m.body, m.header); err != nil {
		r.t.Errorf("the signature is not accepted: %v", err)
	}
	if err := verifier.VerifyIgnoringTimestamp(append([]byte(" "), m.body...), m.header); err == nil {
		r.t.Error("a changed body is accepted")
	}
}

// webhook registers the receiver, and returns the webhook's id and its secret.
func (v *vault) webhook(r *receiver) (id, secret string) {
	v.t.Helper()
	a := v.must(201, "POST", "/v1/webhooks", object{"url": r.URL + "/hook"})
	return a.text(v.t, "id"), a.text(v.t, "secret")
}

// awaitWebhook waits until a webhook's record is as it should be.
func (v *vault) awaitWebhook(id, what string, like func(w object) bool) object {
	v.t.Helper()
	var w object
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if w = v.must(200, "GET", "/v1/webhooks/"+id, nil).json(v.t); like(w) {
			return w
		}
	}
	v.t.Fatalf("the webhook is not %s: %v", what, w)
	return nil
}

func lastDelivered(w object) bool {
	last, _ := w["last_delivery"].(object)
	return last["delivered"] == true
}

const loopbackWebhooks = "--allow-loopback-webhooks"

// Who connects an account hears of it at the webhook, in the form that everybody can verify, with what the list of events has.
func TestWebhookHearsOfAnAuthorization(t *testing.T) {
	t.Parallel()
	v := start(t, t.TempDir(), loopbackWebhooks, byItself)
	r := newReceiver(t)
	id, secret := v.webhook(r)
	v.app()
	v.connected("webhooked")
	m := r.await(1)[0]
	r.checkSigned(m, secret)
	if verifier, _ := standardwebhooks.NewWebhook(secret); verifier.Verify(m.body, m.header) != nil {
		t.Error("with its time, the message is not accepted")
	}
	var body struct {
		Type, Timestamp string
		Data            json.RawMessage
	}
	var listed struct{ Items []json.RawMessage }
	if err := json.Unmarshal(m.body, &body); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(v.must(200, "GET", "/v1/events", nil).body, &listed); err != nil {
		t.Fatal(err)
	}
	if len(listed.Items) != 1 || string(listed.Items[0]) != string(body.Data) {
		t.Errorf("the message has\n%s\nthe list\n%s", body.Data, listed.Items)
	}
	event := answer{body: body.Data}
	if body.Type != "authorized" || body.Timestamp != event.text(t, "time") || m.header.Get("webhook-id") != event.text(t, "id") {
		t.Errorf("%s\n%v", m.body, m.header)
	}
	v.awaitWebhook(id, "told", lastDelivered)
	if _, shown := v.must(200, "GET", "/v1/webhooks/"+id, nil).json(t)["secret"]; shown {
		t.Error("the secret is shown again")
	}
}

// An endpoint that fails hears again later, under the same id; and of everything that came meanwhile.
func TestWebhookIsTriedAgain(t *testing.T) {
	t.Parallel()
	v := start(t, t.TempDir(), loopbackWebhooks)
	r := newReceiver(t, 500, 302)
	id, secret := v.webhook(r)
	v.app()
	v.connected("tried again")
	v.schedule()
	r.await(1)
	w := v.awaitWebhook(id, "noted", func(w object) bool { return w["last_delivery"] != nil })
	if w["last_error"] != "The endpoint answered with status 500." {
		t.Errorf("it says %v", w)
	}
	v.advance(6 * time.Second)
	v.schedule()
	r.await(2)
	v.awaitWebhook(id, "noted", func(w object) bool {
		said, _ := w["last_error"].(string)
		return strings.Contains(said, "redirect")
	})
	v.advance(6 * time.Minute)
	v.schedule()
	got := r.await(3)
	w = v.awaitWebhook(id, "told", lastDelivered)
	if w["last_error"] != nil {
		t.Errorf("it says %v", w)
	}
	for _, m := range got {
		r.checkSigned(m, secret)
		if m.header.Get("webhook-id") != got[0].header.Get("webhook-id") || string(m.body) != string(got[0].body) {
			t.Errorf("the same event came otherwise: %v %s", m.header, m.body)
		}
	}
	if got[0].header.Get("webhook-timestamp") == got[2].header.Get("webhook-timestamp") {
		t.Error("a later try has the first one's time")
	}
}

// An endpoint is down, and the program is killed and started anew: the event arrives.
func TestWebhookOutlivesTheProgram(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	v := spawn(t, dir, loopbackWebhooks)
	r := newReceiver(t)
	address := r.Listener.Addr().String()
	id, secret := v.webhook(r)
	r.Close()
	v.app()
	v.connected("outlived")
	v.schedule()
	w := v.awaitWebhook(id, "noted", func(w object) bool { return w["last_delivery"] != nil })
	if w["last_error"] != "The connection to the endpoint failed." {
		t.Errorf("it says %v", w)
	}
	v.kill()

	again := revive(t, address)
	v = spawn(t, dir, loopbackWebhooks)
	v.advance(10 * time.Minute)
	v.schedule()
	again.checkSigned(again.await(1)[0], secret)
	v.awaitWebhook(id, "told", lastDelivered)
	if err := v.stop(); err != nil {
		t.Error(err)
	}
}

// revive serves at the address that a receiver had.
func revive(t *testing.T, address string) *receiver {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	r := newReceiver(t)
	server := &http.Server{Handler: r.Config.Handler, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	return r
}

// An endpoint that wants no more is left alone, until somebody switches it on.
func TestWebhookThatIsGone(t *testing.T) {
	t.Parallel()
	v := start(t, t.TempDir(), loopbackWebhooks)
	r := newReceiver(t, 410)
	id, _ := v.webhook(r)
	event := v.must(202, "POST", "/v1/webhooks/"+id+"/test", nil).text(t, "event")
	v.schedule()
	if got := r.await(1)[0].header.Get("webhook-id"); got != event {
		t.Errorf("%s came, not %s", got, event)
	}
	v.awaitWebhook(id, "switched off", func(w object) bool { return w["disabled"] == true && w["disabled_by"] == "endpoint" })
	checkProblem(t, "a test of what is switched off", v.do("POST", "/v1/webhooks/"+id+"/test", nil), "webhook_disabled")
	v.must(200, "PATCH", "/v1/webhooks/"+id, object{"disabled": false})
	v.must(202, "POST", "/v1/webhooks/"+id+"/test", object{})
	v.schedule()
	r.await(2)
	w := v.awaitWebhook(id, "told", lastDelivered)
	if w["disabled_by"] != nil {
		t.Errorf("%v", w)
	}
}

// A replaced secret signs on for a day: one message, two signatures.
func TestWebhookSecretIsRotated(t *testing.T) {
	t.Parallel()
	v := start(t, t.TempDir(), loopbackWebhooks)
	r := newReceiver(t)
	id, before := v.webhook(r)
	after := v.must(200, "POST", "/v1/webhooks/"+id+"/rotate-secret", nil).text(t, "secret")
	if after == before || !strings.HasPrefix(after, "whsec_") {
		t.Fatal("the secret was not replaced")
	}
	v.must(202, "POST", "/v1/webhooks/"+id+"/test", nil)
	v.schedule()
	m := r.await(1)[0]
	r.checkSigned(m, before)
	r.checkSigned(m, after)
	if n := len(strings.Fields(m.header.Get("webhook-signature"))); n != 2 {
		t.Errorf("%d signatures", n)
	}
	v.advance(24*time.Hour + time.Second)
	v.must(202, "POST", "/v1/webhooks/"+id+"/test", nil)
	v.schedule()
	m = r.await(2)[1]
	r.checkSigned(m, after)
	if n := len(strings.Fields(m.header.Get("webhook-signature"))); n != 1 {
		t.Errorf("%d signatures after a day", n)
	}
}

// Without the flag, this machine is no place for a webhook: not by its form, and not by what is dialled.
func TestWebhooksLeaveThisMachineAlone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	v := start(t, dir)
	r := newReceiver(t)
	checkProblem(t, "a loopback address", v.do("POST", "/v1/webhooks", object{"url": r.URL}), "webhook_url_refused")
	if err := v.stop(); err != nil {
		t.Fatal(err)
	}
	allowed := start(t, dir, loopbackWebhooks)
	id, _ := allowed.webhook(r)
	if err := allowed.stop(); err != nil {
		t.Fatal(err)
	}
	v = start(t, dir)
	v.must(202, "POST", "/v1/webhooks/"+id+"/test", nil)
	v.schedule()
	w := v.awaitWebhook(id, "noted", func(w object) bool { return w["last_delivery"] != nil })
	if w["last_error"] != "The endpoint's address is not on the public internet." || w["failing_since"] == nil {
		t.Errorf("it says %v", w)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.got) != 0 {
		t.Error("it was called")
	}
}

// The secret is in the two answers that hand it over, and nowhere else: no answer, no log, no file, no message.
func TestWebhookCanaries(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	v := spawn(t, dir, loopbackWebhooks)
	s := &secrets{t: t, planted: map[string]string{}, allowed: map[string]bool{}, answered: map[string][]byte{}}
	do := func(method, path string, body any) answer {
		a := v.do(method, path, body)
		head, _ := json.Marshal(a.header)
		s.saw("the answer to "+method+" "+path, append(head, a.body...))
		return a
	}
	r := newReceiver(t, 500, 500)
	made := do("POST", "/v1/webhooks", object{"url": r.URL + "/hook?token=canary-in-the-url-77aa01", "label": "canaries"})
	id := made.text(t, "id")
	s.plant("the first secret", strings.TrimPrefix(made.text(t, "secret"), "whsec_"))
	s.allowed["the first secret in the answer to POST /v1/webhooks"] = true
	rotated := do("POST", "/v1/webhooks/"+id+"/rotate-secret", nil)
	s.plant("the second secret", strings.TrimPrefix(rotated.text(t, "secret"), "whsec_"))
	s.allowed["the second secret in the answer to POST /v1/webhooks/"+id+"/rotate-secret"] = true
	v.app()
	v.connected("canaries")
	v.schedule()
	r.await(1)
	do("POST", "/v1/webhooks/"+id+"/test", nil)
	v.schedule()
	r.await(2)
	do("PATCH", "/v1/webhooks/"+id, object{"label": "renamed"})
	do("PATCH", "/v1/webhooks/"+id, object{"url": "https://user:pass@example.org/"})
	do("GET", "/v1/webhooks/"+id, nil)
	do("GET", "/v1/webhooks", nil)
	do("GET", "/v1/events", nil)
	for _, m := range r.await(2) {
		head, _ := json.Marshal(m.header)
		s.saw("a message", append(head, m.body...))
	}
	if err := v.stop(); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(v.log.String(), "canary-in-the-url") {
		t.Error("a webhook's URL was logged")
	}
	s.saw("the log", []byte(v.log.String()))
	s.files(dir)
	s.check()
}
