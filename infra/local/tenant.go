package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"

	"connectorvault/infra/local/program"
)

// tenantUsage is what `local tenant` says of itself.
const tenantUsage = `Usage: local tenant create NAME     makes a tenant and its first key
       local tenant key ID          makes another key of it
       local tenant delete ID       deletes it with everything it has
       local tenant list            lists the tenants

Flags:`

// runTenant makes and deletes tenants of a data folder. Flags may stand before the words or after them.
func runTenant(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var o program.Options
	var ask program.TenantRequest
	flags := flag.NewFlagSet("tenant", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.Data, "data", ".connectorvault", "`folder` that the program keeps everything in; create makes it when missing")
	flags.StringVar(&o.ReadyFile, "ready-file", "", "`file` that says where the providers are (default: ready.json in the data folder)")
	flags.StringVar(&ask.Request, "request", "", "create: a `name` of this request; a repeat makes no second tenant")
	flags.BoolVar(&ask.AtOnce, "at-once", false, "delete: destroy the keyring first, and tell no provider")
	flags.Usage = func() {
		_, _ = fmt.Fprintln(stderr, tenantUsage)
		flags.PrintDefaults()
	}
	var words []string
	for rest := args; ; {
		if err := flags.Parse(rest); errors.Is(err, flag.ErrHelp) {
			return 0
		} else if err != nil {
			return 1
		}
		if flags.NArg() == 0 {
			break
		}
		words, rest = append(words, flags.Arg(0)), flags.Args()[1:]
	}
	if err := read(&ask, words); err != nil {
		return fail(stderr, err)
	}
	if err := program.AskTenants(ctx, o, ask, stdout, stderr); err != nil {
		return fail(stderr, err)
	}
	return 0
}

// read takes the words of the command line. The first key may ask for personal data, as the owner's of this machine may.
func read(ask *program.TenantRequest, words []string) error {
	if len(words) == 0 {
		return errors.New("say create, key, delete or list")
	}
	switch words[0] {
	case "create":
		ask.Operation, ask.PersonalData = "create", true
	case "key":
		ask.Operation, ask.PersonalData = "mint_key", true
	case "delete", "list":
		ask.Operation = words[0]
	default:
		return fmt.Errorf("there is no command %q; say create, key, delete or list", words[0])
	}
	if ask.AtOnce && ask.Operation != "delete" || ask.Request != "" && ask.Operation != "create" {
		return fmt.Errorf("%s takes no such flag", words[0])
	}
	switch {
	case ask.Operation == "list" && len(words) == 1:
		return nil
	case ask.Operation == "list":
		return errors.New("list takes nothing more")
	case len(words) != 2:
		return fmt.Errorf("%s takes one more word: a name to create, the id of a tenant otherwise", words[0])
	case ask.Operation == "create":
		ask.Name = words[1]
	default:
		ask.Tenant = words[1]
	}
	return nil
}
