package demo

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// site is a few pages that behave like those of a journey.
func site(t *testing.T) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	page := func(path, body string) {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(body)) })
	}
	page("/form", `<title>T</title><h1>Fill
		it <b>in</b></h1><form method="post" action="/sent?a=1"><input name="text" value="one &amp; two"><input name="" value="x"><input type="submit" name="no" value="n">
		<select name="pick"><option value="first">1<option value="second">2</select><button name="go" value="yes">Go</button><button name="go" value="no">No</button></form>`)
	page("/bare", `<title>Bare page</title><form></form>`)
	page("/none", `<p>nothing`)
	mux.HandleFunc("POST /sent", func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		http.SetCookie(w, &http.Cookie{Name: "c", Value: "1", Path: "/"})
		if r.Header.Get("Origin") != "http://"+r.Host || r.PostForm.Encode() != "go=yes&pick=first&text=one+%26+two" {
			http.Error(w, "<h1>not what a browser sends: "+r.PostForm.Encode()+"</h1>", http.StatusBadRequest)
			return
		}
		http.Redirect(w, r, "/there", http.StatusSeeOther)
	})
	mux.HandleFunc("GET /there", func(w http.ResponseWriter, r *http.Request) {
		if _, err := r.Cookie("c"); err != nil {
			w.WriteHeader(http.StatusForbidden)
		}
		_, _ = w.Write([]byte("<h1>Arrived</h1>"))
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server
}

func TestTheBrowserSubmitsAFormAndKeepsItsCookies(t *testing.T) {
	t.Parallel()
	server, b := site(t), newBrowser(nil)
	if err := b.open(t.Context(), server.URL+"/form"); err != nil || b.heading() != "Fill it in" {
		t.Fatalf("%q %v", b.heading(), err)
	}
	if err := b.submit(t.Context()); err != nil || b.heading() != "Arrived" || b.address() != server.URL+"/there" {
		t.Fatalf("%q at %s: %v", b.heading(), b.address(), err)
	}
}

func TestTheBrowserSaysWhereItIsStuck(t *testing.T) {
	t.Parallel()
	server := site(t)
	for path, want := range map[string]string{"/bare": "no button", "/none": "no form"} {
		b := newBrowser(nil)
		if err := b.open(t.Context(), server.URL+path); err != nil {
			t.Fatal(err)
		}
		if err := b.submit(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", path, err)
		}
	}
	b := newBrowser(nil)
	if err := b.open(t.Context(), server.URL+"/there?code=canary"); err == nil || !strings.Contains(err.Error(), "Arrived") || strings.Contains(err.Error(), "canary") {
		t.Errorf("a refusal is %v", err)
	}
}

func TestAProblemIsToldInItsOwnWords(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`{"code":"alias_taken","detail":"Taken.","action":"Choose another."}`: "409 alias_taken: Taken. Choose another.",
		`{"message":"Forbidden"}`: "the answer is 409 Forbidden",
		`<html>`:                  "the answer is 409 ",
	} {
		if got := problemOf(409, []byte(body)); got.Error() != want {
			t.Errorf("%s: %q", body, got)
		}
	}
}

// Not parallel, as the next one: a test that forks meanwhile would hold the script open, and Linux runs no file that
// somebody has open for writing.
func TestAProgramThatEndsIsNotWaitedFor(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the program is a shell script")
	}
	dir := t.TempDir()
	program := filepath.Join(dir, "program")
	if err := os.WriteFile(program, []byte("#!/bin/sh\necho 'the port is taken' >&2\nexit 3\n"), 0o700); err != nil { //nolint:gosec // a program must be executable
		t.Fatal(err)
	}
	var out, log bytes.Buffer
	err := Run(t.Context(), Config{Program: program, Data: dir, Out: &out, Log: &log})
	if err == nil || !strings.Contains(err.Error(), "ended instead of serving") || !strings.Contains(log.String(), "the port is taken") {
		t.Errorf("%v; the log has %q", err, log.String())
	}
	if err := Run(t.Context(), Config{Program: filepath.Join(dir, "nowhere"), Data: dir, Out: &out, Log: &log}); err == nil {
		t.Error("a program that is not there runs")
	}
}

func TestAStepThatFailsIsNamed(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the program is a shell script")
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"code":"invalid_field","detail":"No.","action":"Try."}`))
	}))
	t.Cleanup(server.Close)
	dir := t.TempDir()
	program := filepath.Join(dir, "program")
	// It says that it is ready, where the demo looks for it, and runs until it is asked to stop.
	script := "#!/bin/sh\ntrap 'exit 0' INT\nprintf '{\"url\":\"" + server.URL + "\",\"owner_key\":\"k\"}' > '" + dir + "/ready.tmp'\n" +
		"mv '" + dir + "/ready.tmp' '" + dir + "/demo-ready.json'\nwhile true; do sleep 0.05; done\n"
	if err := os.WriteFile(program, []byte(script), 0o700); err != nil { //nolint:gosec // a program must be executable
		t.Fatal(err)
	}
	var out, log bytes.Buffer
	err := Run(t.Context(), Config{Program: program, Data: dir, Out: &out, Log: &log})
	if err == nil || err.Error() != "step 1, register the application that you have at Amazon: 400 invalid_field: No. Try." {
		t.Errorf("%v", err)
	}
}
