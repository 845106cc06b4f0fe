package engine_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"connectorvault/infra/sim/engine"
	"connectorvault/infra/sim/engine/enginetest"
)

func wantMode(t *testing.T, path string, want os.FileMode) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != want {
		t.Errorf("%s has the mode %v, want %v (%v)", path, info.Mode(), want, err)
	}
}

// ask sends a body to an endpoint as JSON.
func ask(serve http.Handler, method, target, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json; charset=utf-8")
	w := httptest.NewRecorder()
	serve.ServeHTTP(w, r)
	return w
}

func wantAnswer(t *testing.T, w *httptest.ResponseRecorder, status int, body string) {
	t.Helper()
	if w.Code != status || w.Body.String() != body || w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("%d %s %v, want %d %s", w.Code, w.Body, w.Header(), status, body)
	}
}

func TestWhatAnEndpointAnswers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		answer any
		err    error
		status int
		body   string
	}{
		{nil, nil, http.StatusNoContent, ""},
		{map[string]int{"n": 1}, nil, http.StatusOK, `{"n":1}`},
		{"thrown away", errors.New("no"), http.StatusBadRequest, `{"error":"no"}`},
		{nil, fmt.Errorf("project: %w", engine.ErrNotFound), http.StatusNotFound, `{"error":"project: not found"}`},
	} {
		wantAnswer(t, ask(engine.Endpoint(func(*http.Request) (any, error) { return c.answer, c.err }), "GET", "/", ""), c.status, c.body)
	}
	none := engine.Items(func(context.Context) ([]int, error) { return nil, nil })
	wantAnswer(t, ask(none, "GET", "/", ""), http.StatusOK, `{"items":[]}`)
	broken := engine.Act(func(context.Context) error { return errors.New("broken") })
	wantAnswer(t, ask(broken, "DELETE", "/", ""), http.StatusBadRequest, `{"error":"broken"}`)
}

func TestABodyIsReadStrictly(t *testing.T) {
	t.Parallel()
	name := engine.Decoded(func(_ context.Context, f flaw) (string, error) { return f.Name, nil })
	wantAnswer(t, ask(name, "POST", "/", `{"name":"reset"}`), http.StatusOK, `"reset"`)
	wantAnswer(t, ask(name, "POST", "/", `{"nam":"reset"}`), http.StatusBadRequest, `{"error":"decoding the body: json: unknown field \"nam\""}`)
	loosely := engine.Endpoint(func(r *http.Request) (any, error) {
		f, err := engine.DecodeLoosely[flaw](r)
		return f.Name, err
	})
	wantAnswer(t, ask(loosely, "POST", "/", `{"name":"reset","nam":1}`), http.StatusOK, `"reset"`)

	for _, serve := range []http.Handler{name, loosely} {
		form := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(`{"name":"reset"}`))
		form.Header.Set("Content-Type", "text/plain")
		w := httptest.NewRecorder()
		serve.ServeHTTP(w, form)
		wantAnswer(t, w, http.StatusBadRequest, `{"error":"the content type must be application/json"}`)
		if w := ask(serve, "POST", "/", `{"name":"`+strings.Repeat("x", 64<<10)+`"}`); w.Code != http.StatusBadRequest {
			t.Errorf("a body without end was read: %d", w.Code)
		}
	}
}

func TestSwitchesOverHTTP(t *testing.T) {
	t.Parallel()
	p := open(t, file(t))
	post := engine.Endpoint(func(r *http.Request) (any, error) {
		many, err := engine.DecodeMany[flaw](r)
		if err != nil {
			return nil, err
		}
		return engine.Each(r.Context(), many, p.switches.Set)
	})
	wantAnswer(t, ask(post, "POST", "/", `{"name":"reset","times":2}`), http.StatusOK, `{"items":[{"id":1,"name":"reset","times":2}]}`)
	wantAnswer(t, ask(post, "POST", "/", ` [{"name":"slow","delay_ms":5},{"name":"hold"}]`), http.StatusOK,
		`{"items":[{"id":2,"name":"slow","delay_ms":5},{"id":3,"name":"hold"}]}`)
	wantAnswer(t, ask(post, "POST", "/", `[]`), http.StatusOK, `{"items":[]}`)
	wantAnswer(t, ask(post, "POST", "/", `[{"nam":"slow"}]`), http.StatusBadRequest, `{"error":"decoding the body: json: unknown field \"nam\""}`)
	wantAnswer(t, ask(p.switches.Clearing(), "DELETE", "/?name=slow", ""), http.StatusNoContent, "")
	if list := p.list(); len(list) != 2 {
		t.Errorf("%+v", list)
	}
	wantAnswer(t, ask(p.switches.Clearing(), "DELETE", "/", ""), http.StatusNoContent, "")
	if list := p.list(); len(list) != 0 {
		t.Errorf("%+v", list)
	}
}

func TestALedgerIsReadByPieces(t *testing.T) {
	t.Parallel()
	p := open(t, file(t))
	for i, who := range []string{"ann", "bob", "ann", "ann"} {
		if _, err := p.state.ExecContext(t.Context(), `INSERT INTO lines(who, what) VALUES(?, ?)`, who, []string{"good", "bad"}[i/3]); err != nil {
			t.Fatal(err)
		}
	}
	counters := func(context.Context) (int, error) { return 4, nil }
	serve := engine.Endpoint(func(r *http.Request) (any, error) {
		after, limit, err := engine.Window(r)
		if err != nil {
			return nil, err
		}
		filters := []engine.Filter{{Column: "who", Value: r.FormValue("who")}, {Column: "what", Value: r.FormValue("what")}}
		list, err := engine.Lines(r.Context(), p.state, `SELECT seq FROM lines`, filters, after, limit, func(scan func(...any) error) (int, error) {
			var seq int
			return seq, scan(&seq)
		})
		if err != nil {
			return nil, err
		}
		return engine.Summed(r.Context(), list, counters)
	})
	for query, want := range map[string]string{
		"":                     `{"items":[1,2,3,4],"counters":4}`,
		"?after=1&limit=2":     `{"items":[2,3],"counters":4}`,
		"?who=ann&limit=2":     `{"items":[1,3],"counters":4}`,
		"?who=ann&what=bad":    `{"items":[4],"counters":4}`,
		"?who=ann&after=4":     `{"items":[],"counters":4}`,
		"?who=ann'%20OR%201=1": `{"items":[],"counters":4}`,
	} {
		wantAnswer(t, ask(serve, "GET", "/"+query, ""), http.StatusOK, want)
	}
	wantAnswer(t, ask(serve, "GET", "/?after=x", ""), http.StatusBadRequest, `{"error":"after is no number"}`)
	wantAnswer(t, ask(serve, "GET", "/?limit=x", ""), http.StatusBadRequest, `{"error":"limit is no number"}`)
}

// behind serves a handler behind a front, over a real connection.
func behind(t *testing.T, p *process, serve http.HandlerFunc) *httptest.Server {
	t.Helper()
	log := slog.New(slog.NewTextHandler(p.log, nil))
	front := engine.Front{Log: log, Watch: p.switches.Watch, Status: http.StatusTeapot,
		Internal: func(w http.ResponseWriter, r *http.Request, doing string, err error) {
			engine.Failed(w, r, log, doing, err)
		}}
	server := httptest.NewServer(front.Observe(serve))
	t.Cleanup(server.Close)
	return server
}

func TestWhatTheFrontMakesOfAHandler(t *testing.T) {
	t.Parallel()
	p := open(t, file(t))
	p.set(flaw{Name: "reset"})
	server := behind(t, p, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/panic":
			panic("a canary of the handler")
		case "/error":
			panic(errors.New("a canary of an error"))
		case "/leave":
			engine.HangUp()
		case "/empty":
			engine.WriteBody(w, http.StatusNoContent, nil)
		case "/watched":
			engine.WriteBody(w, http.StatusAccepted, fmt.Append(nil, p.switches.SurelyOff(r.Context(), "status"), p.switches.SurelyOff(r.Context(), "reset")))
		}
	})
	ask := func(path string) (int, string, error) {
		status, _, text, err := enginetest.Send(t.Context(), server.Client(), http.MethodGet, server.URL+path, nil, "")
		return status, text, err
	}
	const failed = "the simulator itself failed; see its log\n"
	lines := []string{"path=/leave status=418"}
	for path, want := range map[string]struct {
		status int
		text   string
		logged string
	}{
		"/panic": {500, failed, "a canary of the handler"}, "/error": {500, failed, "a canary of an error"},
		"/empty": {204, "", "path=/empty status=204"}, "/watched?secret=canary": {202, "true false", "path=/watched status=202"},
		"/nothing": {200, "", "path=/nothing status=418"},
	} {
		status, text, err := ask(path)
		if status != want.status || text != want.text || err != nil {
			t.Errorf("%s: %d %q %v", path, status, text, err)
		}
		lines = append(lines, want.logged)
	}
	if status, _, err := ask("/leave"); err == nil {
		t.Errorf("the connection was not closed: %d", status)
	}
	if err := p.state.Close(); err != nil {
		t.Fatal(err)
	}
	if status, text, err := ask("/watched"); status != 500 || text != failed || err != nil {
		t.Errorf("without its state: %d %q %v", status, text, err)
	}
	server.Close() // a line is written after the answer
	for _, line := range lines {
		if !strings.Contains(p.log.String(), line) {
			t.Errorf("no %q in the log", line)
		}
	}
	if strings.Contains(p.log.String(), "secret") {
		t.Error("the query is in the log")
	}
}

func TestRandomBytes(t *testing.T) {
	t.Parallel()
	const n = 64
	source := bytes.NewReader(bytes.Repeat([]byte{1, 2}, n))
	random := engine.NewRandom(iotest.OneByteReader(source))
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			if b := random.Bytes(2); !bytes.Equal(b, []byte{1, 2}) {
				t.Errorf("two draws were mixed: %v", b)
			}
		})
	}
	all.Wait()
	func() {
		defer func() {
			if recover() == nil {
				t.Error("an exhausted source gave something")
			}
		}()
		random.Bytes(1)
	}()
	if a, b := engine.NewRandom(nil).Bytes(16), engine.NewRandom(nil).Bytes(16); bytes.Equal(a, b) {
		t.Error("the machine's own source repeats itself")
	}
	if got := engine.FormatUUID(bytes.Repeat([]byte{0xff}, 16)); got != "ffffffff-ffff-4fff-afff-ffffffffffff" {
		t.Error(got)
	}
}

func TestAPageIsWrittenWholeOrNotAtAll(t *testing.T) {
	t.Parallel()
	log := &enginetest.Log{}
	page := engine.NewPage(fstest.MapFS{
		"pages/frame.html": {Data: []byte(`<main>{{template "body" .}}</main>`)},
		"pages/one.html":   {Data: []byte(`{{define "body"}}{{.Name}}{{end}}`)},
	}, "one.html")
	render := func(data any) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		page.Render(w, slog.New(slog.NewTextHandler(log, nil)), http.StatusAccepted, data)
		return w
	}
	w := render(map[string]string{"Name": "<b>"})
	wantAnswer(t, w, http.StatusAccepted, "<main>&lt;b&gt;</main>")
	if w.Header().Get("X-Frame-Options") != "DENY" || w.Header().Get("Content-Type") != "text/html; charset=utf-8" {
		t.Error(w.Header())
	}
	if w := render(struct{}{}); w.Code != http.StatusInternalServerError || strings.Contains(w.Body.String(), "<main>") ||
		!strings.Contains(log.String(), "rendering a page") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestParametersAreAppendedInOrder(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"https://a.example/x":         "https://a.example/x?z=1+2&a=%26",
		"https://a.example/x?b=%20#f": "https://a.example/x?b=%20&z=1+2&a=%26#f",
	} {
		got, err := engine.WithQuery(address, "z", "1 2", "a", "&")
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Error(diff, err)
		}
	}
	if _, err := engine.WithQuery("http://[", "a", "b"); err == nil {
		t.Error("no address was taken for one")
	}
}
