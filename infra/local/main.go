// Command local runs the whole bundle on one machine: every function behind a stand-in for API Gateway, EventBridge and
// the queues, with embedded storage and simulated providers.
//
//	go run ./infra/local          serves it, until Ctrl-C
//	go run ./infra/local tenant   makes and deletes tenants of a data folder
//	go run ./infra/local demo     walks through the main job, prints what happens, and exits
//	go run ./infra/local audit verify    checks that the audit trail is as it was written
//	go run ./infra/local restored    readies a data folder that was put back from a copy
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"connectorvault/infra/local/demo"
	"connectorvault/infra/local/program"
	"connectorvault/infra/local/restored"
	"connectorvault/infra/local/trail"
)

func main() {
	// The program's heap is small, so collecting it at twice its size is collecting it all the time.
	debug.SetGCPercent(400)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is main without the process: it returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if len(args) > 0 && args[0] == "demo" {
		return runDemo(ctx, args[1:], stdout, stderr)
	}
	if len(args) > 0 && args[0] == "tenant" {
		return runTenant(ctx, args[1:], stdout, stderr)
	}
	if len(args) > 0 && args[0] == "audit" {
		return runAudit(ctx, args[1:], stdout, stderr)
	}
	if len(args) > 0 && args[0] == "restored" {
		return runRestored(ctx, args[1:], stdout, stderr)
	}
	options, err := parse(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		return fail(stderr, err)
	}
	if err := program.Run(ctx, options, stdout, stderr); err != nil {
		return fail(stderr, err)
	}
	return 0
}

func runAudit(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("audit verify", flag.ContinueOnError)
	flags.SetOutput(stderr)
	data := flags.String("data", ".connectorvault", "`folder` that keeps everything")
	against := flags.String("against", "", "`file` with what an earlier run printed: no chain may have gone back since")
	if len(args) == 0 || args[0] != "verify" {
		return fail(stderr, errors.New("audit has one command: audit verify"))
	}
	if err := flags.Parse(args[1:]); errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil {
		return 1
	}
	if err := trail.Verify(ctx, *data, *against, stdout); err != nil {
		return fail(stderr, err)
	}
	return 0
}

func runRestored(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("restored", flag.ContinueOnError)
	flags.SetOutput(stderr)
	data := flags.String("data", ".connectorvault", "`folder` that was put back, before a program serves it")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil {
		return 1
	}
	if flags.NArg() > 0 {
		return fail(stderr, errors.New("restored takes nothing but its flag"))
	}
	if err := restored.Ready(ctx, *data, stdout); err != nil {
		return fail(stderr, err)
	}
	return 0
}

// fail says in one line what is wrong.
func fail(stderr io.Writer, err error) int {
	_, _ = fmt.Fprintln(stderr, "connector vault: "+strings.ReplaceAll(err.Error(), "\n", "; "))
	return 1
}

func parse(args []string, stderr io.Writer) (program.Options, error) {
	var o program.Options
	flags := flag.NewFlagSet("local", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.Listen, "listen", "127.0.0.1:8080", "`address` to serve on; port 0 takes a free one")
	flags.StringVar(&o.Data, "data", ".connectorvault", "`folder` that keeps everything between runs; made when missing")
	flags.BoolVar(&o.Simulators, "simulators", true, "run simulated providers and use them instead of the real ones")
	flags.StringVar(&o.Endpoints, "endpoints", "", "`file` with addresses that replace providers' own: {\"amazon\": {\"consent\": URL, \"token\": URL, \"api\": {\"na\": URL, \"eu\": URL, \"fe\": URL}}, \"sage\": {\"authorize\", \"token\", \"revoke\", \"api\", \"legacy_token\", \"legacy_api\": URL}}")
	flags.StringVar(&o.OIDC, "oidc", "", "`file` that says which issuer's tokens let in besides keys: {\"issuers\": [URL], \"audience\", \"role_claim\", \"roles\": {VALUE: ROLE}, \"personal_data_claim\", \"personal_data_value\", \"connectors_claim\"}")
	flags.Func("providers", "`names` of those at which accounts may be connected, joined by commas (default: all)", func(names string) error {
		o.Providers = strings.Split(names, ",")
		return nil
	})
	flags.StringVar(&o.AmazonModels, "amazon-models", "", "`folder` of Amazon's OpenAPI files: the simulator then answers as Amazon's static sandbox")
	flags.BoolVar(&o.Clock, "clock", false, "take POST /local/clock {\"advance\": \"3600s\"}, which steps the time of everything")
	flags.BoolVar(&o.ByHand, "by-hand", false, "with --clock: the schedule, the queues and the housekeeping do nothing until POST /local/schedule, which answers when they have done what was due")
	flags.StringVar(&o.ReadyFile, "ready-file", "", "`file` to write url, owner key and simulators to, once serving (default: ready.json in the data folder)")
	flags.BoolVar(&o.LoopbackWebhooks, "allow-loopback-webhooks", false, "let webhooks lead to http and https addresses of 127.0.0.1 and [::1]")
	flags.BoolVar(&o.Verbose, "verbose", false, "log every request")
	flags.StringVar(&o.Metrics, "metrics", "", "`file` to add the lines of metrics to, as the functions write them on AWS")
	flags.Usage = func() {
		_, _ = fmt.Fprintln(stderr, "Usage: local [flags]        serve the whole bundle\n       local demo           show the main job from beginning to end\n       local tenant ...     make and delete tenants; local tenant --help says more\n       local audit verify   check that the audit trail is as it was written\n       local restored       ready a data folder that was put back from a copy\n\nFlags:")
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if o.ByHand && !o.Clock {
		return o, errors.New("--by-hand needs --clock: without it, nothing would ever be done by itself")
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("there is no command %q; use demo, tenant, audit or restored, or flags alone to serve", flags.Arg(0))
	}
	return o, nil
}

func runDemo(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	flags.SetOutput(stderr)
	data := flags.String("data", "", "`folder` to use and keep (default: a temporary one, removed at the end)")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil {
		return 1
	}
	self, err := os.Executable()
	if err != nil {
		return fail(stderr, err)
	}
	if err := demo.Run(ctx, demo.Config{Program: self, Data: *data, Out: stdout, Log: stderr}); err != nil {
		return fail(stderr, fmt.Errorf("the demo stopped: %w", err))
	}
	return 0
}
