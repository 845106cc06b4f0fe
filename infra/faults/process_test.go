package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"connectorvault/infra/local/program"
)

// process is the program, running as a process of its own.
type process struct {
	bed    *bed
	cmd    *exec.Cmd
	orders io.WriteCloser
	log    *logbook
	done   chan struct{} // closed when it has ended
	err    error         // how; read after done
	client *http.Client
	program.Ready

	mu    sync.Mutex
	words []word // guarded by mu
}

var processes atomic.Int64

// start starts a process on the bed's store and waits until it serves. It ends with the test.
func (b *bed) start(s spec) *process {
	b.Helper()
	s.Data, s.Endpoints, s.Token, s.DynamoDB = b.dir, b.endpoints, b.token, b.dynamodb
	s.Ready = filepath.Join(b.dir, fmt.Sprintf("ready-%d.json", processes.Add(1)))
	if s.RescueInterval == 0 {
		s.RescueInterval = 300 * time.Millisecond // it is waited for in the machine's time
	}
	text, err := json.Marshal(s)
	b.ok(err)
	p := &process{bed: b, log: &logbook{}, done: make(chan struct{}), client: loopback(200)}
	p.cmd = exec.Command(os.Args[0])
	p.cmd.Env = append(os.Environ(), asProcess+"="+string(text))
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	ours, theirs, err := os.Pipe()
	b.ok(err)
	p.cmd.ExtraFiles = []*os.File{theirs}
	p.orders, err = p.cmd.StdinPipe()
	b.ok(err)
	b.ok(p.cmd.Start())
	_ = theirs.Close()
	go p.hear(ours)
	go func() { p.err = p.cmd.Wait(); close(p.done) }()
	b.Cleanup(p.kill)
	b.eventually("the process serves", func() bool {
		if p.ended() {
			b.Fatalf("the process ended (%v):\n%s", p.err, p.log)
		}
		body, err := os.ReadFile(s.Ready)
		return err == nil && json.Unmarshal(body, &p.Ready) == nil
	})
	return p
}

// hear collects what the process says until it ends.
func (p *process) hear(from *os.File) {
	defer func() { _ = from.Close() }()
	lines := bufio.NewScanner(from)
	for lines.Scan() {
		var w word
		if json.Unmarshal(lines.Bytes(), &w) == nil {
			p.mu.Lock()
			p.words = append(p.words, w)
			p.mu.Unlock()
		}
	}
}

// said returns what the process has said of one kind.
func (p *process) said(what string) []word {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []word
	for _, w := range p.words {
		if w.What == what {
			out = append(out, w)
		}
	}
	return out
}

// order gives an order and waits until it is obeyed.
func (p *process) order(text string) {
	p.bed.Helper()
	before := len(p.said("heard"))
	_, err := io.WriteString(p.orders, text+"\n")
	p.bed.ok(err)
	p.bed.eventually("the process obeys", func() bool { return len(p.said("heard")) > before })
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// kill is SIGKILL: no deferred call runs, no lease is ended.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
	p.client.CloseIdleConnections()
}

// stop is SIGTERM. It returns how the process ended.
func (p *process) stop() error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	<-p.done
	return p.err
}

// answer is what a caller of the program gets.
type answer struct {
	status int
	after  string // Retry-After
	body   []byte
}

// code is the code of a refusal.
func (a answer) code() string {
	var problem struct {
		Code string `json:"code"`
	}
	_ = json.Unmarshal(a.body, &problem)
	return problem.Code
}

func (a answer) String() string { return fmt.Sprintf("%d %.300s", a.status, a.body) }

// read is a caller's read of an entry's contacts.
func (p *process) read(ctx context.Context, e entry) (answer, error) {
	return p.get(ctx, "/v1/connectors/"+e.connector+"/contacts")
}

func (p *process) get(ctx context.Context, path string) (answer, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, p.URL+path, nil)
	if err != nil {
		return answer{}, err
	}
	r.Header.Set("Authorization", "Bearer "+p.OwnerKey)
	got, err := p.client.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = got.Body.Close() }()
	body, err := io.ReadAll(got.Body)
	return answer{got.StatusCode, got.Header.Get("Retry-After"), body}, err
}

// mustRead is read, for what has to be answered, with whatever.
func (p *process) mustRead(e entry) answer {
	p.bed.Helper()
	a, err := p.read(p.bed.Context(), e)
	if err != nil {
		p.bed.Fatalf("a read got no answer: %v\n%s", err, p.log)
	}
	return a
}

// loopback is a client that no proxy comes between.
func loopback(connections int) *http.Client {
	return &http.Client{Timeout: 2 * time.Minute, Transport: &http.Transport{Proxy: nil, MaxIdleConnsPerHost: connections}}
}

// logbook collects what a process writes.
type logbook struct {
	mu sync.Mutex
	b  bytes.Buffer // guarded by mu
}

func (l *logbook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logbook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
