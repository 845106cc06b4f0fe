package ident_test

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"strings"
	"testing"

	"connectorvault/shared/ident"
	"connectorvault/shared/secret"
)

func TestNew(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for range 1000 {
		id, err := ident.New(rand.Reader, ident.Entry)
		if err != nil || !ident.Valid(id, ident.Entry) || seen[id] {
			t.Fatalf("minted %q, %v; valid %t, seen %t", id, err, ident.Valid(id, ident.Entry), seen[id])
		}
		seen[id] = true
	}
	id, err := ident.New(bytes.NewReader(make([]byte, 10)), "x_")
	if err != nil || id != "x_0000000000000000" {
		t.Errorf("from zeros: %q, %v", id, err)
	}
}

func TestRandomnessThatEndsIsAnError(t *testing.T) {
	t.Parallel()
	if id, err := ident.New(bytes.NewReader(make([]byte, 9)), "x_"); err == nil || id != "" {
		t.Errorf("minted %q of nine bytes", id)
	}
	if s, err := ident.Secret(bytes.NewReader(make([]byte, 31))); err == nil || !s.IsZero() {
		t.Error("minted a secret of 31 bytes")
	}
	if ticket, err := ident.NewTicket(bytes.NewReader(nil), "t_1", "ar_1"); err == nil || !ticket.Secret.IsZero() {
		t.Error("minted a ticket of nothing")
	}
}

func TestValid(t *testing.T) {
	t.Parallel()
	good := "ve_0123456789abcdef"
	for id, want := range map[string]bool{
		good: true, "ve_zyxwvtsrqpnmkjhg": true,
		"": false, "ve_": false, "0123456789abcdef": false, "con_0123456789abcdef": false,
		good + "0": false, good[:len(good)-1]: false, strings.ToUpper(good): false,
		"ve_0123456789abcdei": false, "ve_0123456789abcdel": false, "ve_0123456789abcdeo": false, "ve_0123456789abcdeu": false,
		"ve_0123456#89abcdef": false, "ve_01234567/9abcdef": false, "ve_ve_0123456789abc": false, "ve_01234567 9abcdef": false,
		"ve_0123456789abcdé": false, "ve_\x000123456789abcde": false,
	} {
		if ident.Valid(id, ident.Entry) != want {
			t.Errorf("Valid(%q) is %t", id, !want)
		}
	}
}

func TestSecret(t *testing.T) {
	t.Parallel()
	a, err := ident.Secret(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	b, err := ident.Secret(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if len(a.Reveal()) != 43 || a.Equal(b) || strings.Trim(a.Reveal(), "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
		t.Error("a secret is not 43 fresh characters that are safe in a URL")
	}
}

func mint(t *testing.T) (tenant, id string, ticket ident.Ticket) {
	t.Helper()
	tenant, err := ident.New(rand.Reader, ident.Tenant)
	if err != nil {
		t.Fatal(err)
	}
	if id, err = ident.New(rand.Reader, ident.Request); err != nil {
		t.Fatal(err)
	}
	if ticket, err = ident.NewTicket(rand.Reader, tenant, id); err != nil {
		t.Fatal(err)
	}
	return tenant, id, ticket
}

func TestTicketComesBack(t *testing.T) {
	t.Parallel()
	tenant, id, ticket := mint(t)
	text := ticket.Text().Reveal()
	if len(text) != 75 {
		t.Errorf("a ticket has %d characters", len(text))
	}
	back, ok := ident.ParseTicket(text, ident.Request)
	if !ok || back.Tenant != tenant || back.ID != id || !back.Secret.Equal(ticket.Secret) {
		t.Errorf("it comes back as %+v, %t", back, ok)
	}
	if printed := fmt.Sprintf("%+v %#v %s", ticket, ticket, ticket.Text()); strings.Contains(printed, ticket.Secret.Reveal()) {
		t.Error("a printed ticket shows its secret")
	}
}

func TestForeignTicketsAreRefused(t *testing.T) {
	t.Parallel()
	_, _, ticket := mint(t)
	text := ticket.Text().Reveal()
	replaced := func(at int, with string) string { return text[:at] + with + text[at+len(with):] }
	for _, bad := range []string{
		"", text[:74], text + "A", " " + text[1:], replaced(0, "U"), replaced(15, "#"), replaced(16, "o"), replaced(31, "/"),
		replaced(40, "+"), replaced(40, "/"), replaced(40, "="), replaced(74, "%"), replaced(10, "é"), strings.ToUpper(text),
	} {
		if _, ok := ident.ParseTicket(bad, ident.Request); ok {
			t.Errorf("%q is taken for a ticket", secret.New(bad))
		}
	}
}
