// Command tenant does for a deployed vault what no route of the API does: it makes tenants and their keys.
//
// The argument: an owner's key makes keys, and the first one has to come from somewhere. It is made by whoever may write
// the stack's table and secrets: its operator, with the credentials and the tools of AWS, and a record of it in CloudTrail.
//
//	tenant create NAME          makes a tenant with its keyring and a first key
//	tenant key TENANT LABEL     makes another key; with --personal-data it may ask for personal data
//	tenant revoke TENANT KEY    ends a key
//	tenant rotate TENANT        adds a key to the keyring; it seals once every function has seen it
//	tenant verify TENANT        checks that the audit trail is as it was written
//
// What it needs comes from the environment: AWS_REGION and credentials, CV_TABLE_RECORDS and CV_SECRET_PREFIX, which
// are outputs of the stack. A new key goes to the standard output, alone, and cannot be had again.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"

	"connectorvault/shared/audit"
	"connectorvault/shared/boot"
	"connectorvault/shared/bundle"
	"connectorvault/shared/ident"
	"connectorvault/shared/keyring"
	"connectorvault/shared/record"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	open := func() (*bundle.Bundle, error) { return boot.Load(os.LookupEnv) }
	err := run(ctx, open, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		_, _ = fmt.Fprintln(os.Stderr, "tenant: "+strings.ReplaceAll(err.Error(), "\n", "; "))
		os.Exit(1)
	}
}

// command is what one word on the command line does, with the arguments after it.
type command struct {
	name string
	args []string // their names, for people
	do   func(o *operator, ctx context.Context, args []string) error
}

var commands = []command{
	{"create", []string{"NAME"}, (*operator).create},
	{"key", []string{"TENANT", "LABEL"}, (*operator).key},
	{"revoke", []string{"TENANT", "KEY"}, (*operator).revoke},
	{"rotate", []string{"TENANT"}, (*operator).rotate},
	{"verify", []string{"TENANT"}, (*operator).verify},
}

// run is main without the process. The vault is opened once it is known what for.
func run(ctx context.Context, open func() (*bundle.Bundle, error), args []string, stdout, stderr io.Writer) error {
	o := &operator{stdout: stdout, stderr: stderr}
	ctx = audit.WithActor(ctx, audit.Actor{Kind: audit.Operator})
	flags := flag.NewFlagSet("tenant", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.BoolVar(&o.personal, "personal-data", false, "the new key may ask for personal data")
	flags.Usage = func() {
		for _, c := range commands {
			_, _ = fmt.Fprintf(stderr, "tenant [flags] %s %s\n", c.name, strings.Join(c.args, " "))
		}
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return err
	}
	for _, c := range commands {
		if flags.Arg(0) != c.name {
			continue
		}
		if flags.NArg() != 1+len(c.args) {
			return fmt.Errorf("%s takes %s", c.name, strings.Join(c.args, " and "))
		}
		var err error
		if o.Bundle, err = open(); err != nil {
			return err
		}
		return c.do(o, ctx, flags.Args()[1:])
	}
	flags.Usage()
	return errors.New("there is no such command")
}

// operator works on an open vault.
type operator struct {
	*bundle.Bundle
	stdout, stderr io.Writer
	personal       bool
}

func (o *operator) say(format string, args ...any) {
	_, _ = fmt.Fprintf(o.stderr, format+"\n", args...)
}

// create makes the keyring before the tenant's record: a tenant that is there can be used.
func (o *operator) create(ctx context.Context, args []string) error {
	id, err := ident.New(o.Random, ident.Tenant)
	if err != nil {
		return err
	}
	if err := o.Keyring.Create(ctx, id); err != nil {
		return err
	}
	if err := o.Vault.CreateTenant(ctx, record.Tenant{ID: id, Name: args[0], CreatedAt: o.Now().UTC()}); err != nil {
		return err
	}
	o.say("The tenant %q is %s. Its first key:", args[0], id)
	return o.mint(ctx, id, "first key")
}

func (o *operator) key(ctx context.Context, args []string) error {
	if err := o.exists(ctx, args[0]); err != nil {
		return err
	}
	return o.mint(ctx, args[0], args[1])
}

func (o *operator) mint(ctx context.Context, tenant, label string) error {
	key, text, err := o.Vault.CreateKey(ctx, record.APIKey{Tenant: tenant, Role: record.Owner, Label: label, PersonalData: o.personal})
	if err != nil {
		return err
	}
	o.say("%s, %q; to end it: tenant revoke %s %s", key.ID, label, tenant, key.ID)
	_, err = fmt.Fprintln(o.stdout, text.Reveal()) // the one time that it is shown
	return err
}

func (o *operator) revoke(ctx context.Context, args []string) error {
	if _, err := o.Vault.Key(ctx, args[0], args[1]); err != nil {
		return fmt.Errorf("the key %s of %s: %w", args[1], args[0], err)
	}
	if err := o.Vault.RevokeKey(ctx, args[0], args[1]); err != nil {
		return err
	}
	o.say("%s has ended. The gateway may let it in for another minute.", args[1])
	return nil
}

func (o *operator) rotate(ctx context.Context, args []string) error {
	if err := o.exists(ctx, args[0]); err != nil {
		return err
	}
	if err := o.Keyring.Rotate(ctx, args[0]); err != nil {
		return err
	}
	o.say("The keyring has a new key, which seals in %s, when every function has it. What older keys sealed still opens.", 2*keyring.Life)
	return nil
}

func (o *operator) exists(ctx context.Context, tenant string) error {
	if _, err := o.Vault.Tenant(ctx, tenant); err != nil {
		return fmt.Errorf("the tenant %s: %w", tenant, err)
	}
	return nil
}
