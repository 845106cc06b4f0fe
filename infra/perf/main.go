// Command perf measures the bundle on this machine and prints the figures of docs/performance.md.
//
//	go run ./infra/perf
//
// It starts the local program as a process of its own, with an upstream of 2 KB in place of Amazon's API, and beside it,
// in the same run, a bare reverse proxy on the same upstream: what a read costs is the difference. Times on one machine
// are worth what their ratio is worth; figures of different runs are not to be compared.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	programs "connectorvault/infra/build"
)

const clients = 8

func main() {
	length := flag.Duration("for", 5*time.Second, "how long each load lasts")
	proxy := flag.String("proxy", "", "run as the bare reverse proxy to this `URL`")
	flag.Parse()
	err := error(nil)
	if *proxy != "" {
		err = serveProxy(*proxy)
	} else {
		err = measure(context.Background(), *length)
	}
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "perf:", err)
		os.Exit(1)
	}
}

func measure(ctx context.Context, length time.Duration) (err error) {
	dir, err := os.MkdirTemp("", "connector-vault-perf-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	fmt.Printf("%s, %s/%s, %d processors\n\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
	if err := sizes(ctx, dir); err != nil {
		return err
	}
	program := filepath.Join(dir, "local")
	if err := build(ctx, program, "./infra/local"); err != nil {
		return err
	}
	if err := starts(ctx, program, dir); err != nil {
		return err
	}
	return reads(ctx, program, dir, length)
}

// functions are the Lambdas, as their folders are named.
var functions = []string{"admin", "authorizer", "callback", "notify", "read", "refresh", "tenant", "validate"}

// sizes builds every function as it is deployed.
func sizes(ctx context.Context, dir string) error {
	fmt.Println("Stripped arm64 binaries, as deployed:")
	for _, name := range functions {
		path := filepath.Join(dir, name)
		if err := programs.Function(ctx, ".", name, "arm64", path); err != nil {
			return err
		}
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		fmt.Printf("  %-10s %5.1f MB\n", name, float64(info.Size())/1e6)
	}
	fmt.Println()
	return nil
}

func build(ctx context.Context, path, what string) error {
	command := exec.CommandContext(ctx, "go", "build", "-ldflags=-s -w", "-o", path, what) //nolint:gosec // our own packages
	command.Stderr = os.Stderr
	return command.Run()
}

// starts measures from the start of the process to the ready file, on an empty folder and on a kept one.
func starts(ctx context.Context, program, dir string) error {
	fmt.Println("Start to ready, the program with its simulators (11 starts each):")
	for _, kind := range []string{"empty data folder", "kept data folder"} {
		var times []time.Duration
		for n := range 11 {
			data := filepath.Join(dir, "starts", fmt.Sprint(kind, n))
			if kind == "kept data folder" {
				data = filepath.Join(dir, "starts", "kept")
			}
			began := time.Now()
			v, err := startVault(ctx, program, data)
			if err != nil {
				return err
			}
			times = append(times, time.Since(began))
			if err := v.stop(); err != nil {
				return err
			}
		}
		slices.Sort(times)
		fmt.Printf("  %-18s median %s, worst %s\n", kind, round(times[len(times)/2]), round(times[len(times)-1]))
	}
	fmt.Println()
	return nil
}

func round(d time.Duration) time.Duration { return d.Round(time.Millisecond) }

// reads loads the read route and the bare proxy, one after the other, twice.
func reads(ctx context.Context, program, dir string, length time.Duration) error {
	upstream, err := startUpstream()
	if err != nil {
		return err
	}
	defer upstream.close()
	v, err := startVault(ctx, program, filepath.Join(dir, "reads"))
	if err != nil {
		return err
	}
	path, err := v.connect(ctx, "list-prep-details?mskus=A") // Amazon states no rate for it
	if err != nil {
		return errors.Join(err, v.stop())
	}
	if err := v.stop(); err != nil {
		return err
	}
	endpoints := filepath.Join(dir, "endpoints.json")
	body := fmt.Sprintf(`{"amazon": {"api": {"na": %q}}}`, upstream.url)
	if err := os.WriteFile(endpoints, []byte(body), 0o600); err != nil {
		return err
	}
	fmt.Printf("Reads at %d clients for %s, upstream of %d bytes (it answers at once):\n", clients, length, len(upstream.body))
	fmt.Printf("  %-34s %10s %12s %10s %10s\n", "", "reads/s", "CPU a read", "median", "99 %")
	for range 2 {
		if err := loadVault(ctx, program, filepath.Join(dir, "reads"), endpoints, path, length); err != nil {
			return err
		}
		if err := loadProxy(ctx, upstream.url, length); err != nil {
			return err
		}
	}
	return nil
}

func loadVault(ctx context.Context, program, data, endpoints, path string, length time.Duration) error {
	v, err := startVault(ctx, program, data, "--endpoints", endpoints)
	if err != nil {
		return err
	}
	got := load(ctx, v.ready.URL+path, v.ready.OwnerKey, length)
	if err := v.stop(); err != nil {
		return err
	}
	return got.print("GET /v1/connectors/…/{resource}", v.command)
}

func loadProxy(ctx context.Context, upstream string, length time.Duration) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	p, err := startProxy(ctx, self, upstream)
	if err != nil {
		return err
	}
	got := load(ctx, p.url+"/prep", "", length)
	if err := p.stop(); err != nil {
		return err
	}
	return got.print("a bare reverse proxy", p.command)
}

// result is what a load showed.
type result struct {
	times []time.Duration
	wrong atomic.Int64
	took  time.Duration
}

// load asks for one address from several clients at once.
func load(ctx context.Context, address, key string, length time.Duration) *result {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: clients}, Timeout: 10 * time.Second}
	got := &result{}
	began := time.Now()
	var all sync.WaitGroup
	var mu sync.Mutex
	for range clients {
		all.Go(func() {
			var times []time.Duration
			for time.Since(began) < length {
				at := time.Now()
				if !ask(ctx, client, address, key) {
					got.wrong.Add(1)
				}
				times = append(times, time.Since(at))
			}
			mu.Lock()
			got.times = append(got.times, times...)
			mu.Unlock()
		})
	}
	all.Wait()
	got.took = time.Since(began)
	return got
}

func ask(ctx context.Context, client *http.Client, address, key string) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return false
	}
	if key != "" {
		request.Header.Set("Authorization", "Bearer "+key)
	}
	response, err := client.Do(request)
	if err != nil {
		return false
	}
	_, err = io.Copy(io.Discard, response.Body)
	return errors.Join(err, response.Body.Close()) == nil && response.StatusCode == http.StatusOK
}

// print tells a load's figures. The processor's time is the whole process's, from its start to its end.
func (r *result) print(what string, command *exec.Cmd) error {
	n := len(r.times)
	if n == 0 || r.wrong.Load() > 0 {
		return fmt.Errorf("%s: %d of %d answers were wrong", what, r.wrong.Load(), n)
	}
	slices.Sort(r.times)
	cpu := (command.ProcessState.UserTime() + command.ProcessState.SystemTime()) / time.Duration(n)
	fmt.Printf("  %-34s %10.0f %12s %10s %10s\n", what, float64(n)/r.took.Seconds(), cpu.Round(time.Microsecond),
		r.times[n/2].Round(10*time.Microsecond), r.times[n*99/100].Round(10*time.Microsecond))
	return nil
}

// serveProxy is the thing to compare with: net/http's own reverse proxy, with connections kept.
func serveProxy(target string) error {
	u, err := url.Parse(target)
	if err != nil {
		return err
	}
	handler := &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(u) },
		Transport: &http.Transport{MaxIdleConnsPerHost: 50},
	}
	return serveUntilTold(handler)
}

// sample is an upstream's answer of 2 KB, shaped like Amazon's.
func sample() string {
	row := `{"msku":"SKU-%04d","labelOwnerConstraint":"NONE_ONLY","prepCategory":"NONE","prepTypes":["ITEM_NO_PREP"],"allOwnersConstraint":"MUST_MATCH"}`
	var rows []string
	for size := 0; size < 1950; {
		rows = append(rows, fmt.Sprintf(row, len(rows)))
		size += len(rows[0]) + 1
	}
	return `{"mskuPrepDetails":[` + strings.Join(rows, ",") + `]}`
}
