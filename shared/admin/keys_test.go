package admin_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"connectorvault/shared/admin"
	"connectorvault/shared/bundle/bundletest"
	"connectorvault/shared/fault"
	"connectorvault/shared/record"
)

func number(n int) *int { return &n }

func TestAKeyIsCheckedBeforeItIsMade(t *testing.T) {
	t.Parallel()
	b := bundletest.New(t, bundletest.Options{})
	_, connector := b.Reader()
	later, over := b.Clock.Now().Add(time.Hour).Format(time.RFC3339), b.Clock.Now().Format(time.RFC3339)
	no := "con_1000000000000000"
	many := make([]string, admin.MaxKeyConnectors+1)
	for name, c := range map[string]struct {
		in          admin.KeyInput
		code, field string
	}{
		"an owner":                    {admin.KeyInput{Role: "owner", Label: "x"}, "", ""},
		"a reader of one":             {admin.KeyInput{Role: "reader", Label: "x", Connectors: []string{connector.ID, connector.ID}}, "", ""},
		"personal data":               {admin.KeyInput{Role: "reader", Label: "x", PersonalData: true}, "", ""},
		"a day":                       {admin.KeyInput{Role: "operator", Label: "x", ExpiresInDays: number(1)}, "", ""},
		"a time":                      {admin.KeyInput{Role: "admin", Label: "x", ExpiresAt: &later}, "", ""},
		"no role":                     {admin.KeyInput{Label: "x"}, "invalid_field", "role"},
		"an unknown role":             {admin.KeyInput{Role: "root", Label: "x"}, "invalid_field", "role"},
		"the role of another kind":    {admin.KeyInput{Role: "connector_token", Label: "x"}, "invalid_field", "role"},
		"a role in capitals":          {admin.KeyInput{Role: "Owner", Label: "x"}, "invalid_field", "role"},
		"no label":                    {admin.KeyInput{Role: "owner"}, "invalid_field", "label"},
		"a label that turns the text": {admin.KeyInput{Role: "owner", Label: "x\u202ey"}, "invalid_field", "label"},
		"a long label":                {admin.KeyInput{Role: "owner", Label: strings.Repeat("x", 129)}, "invalid_field", "label"},
		"connectors of an operator":   {admin.KeyInput{Role: "operator", Label: "x", Connectors: []string{connector.ID}}, "invalid_field", "connectors"},
		"none of the connectors":      {admin.KeyInput{Role: "reader", Label: "x", Connectors: []string{}}, "invalid_field", "connectors"},
		"a connector that is not":     {admin.KeyInput{Role: "reader", Label: "x", Connectors: []string{connector.ID, no}}, "not_found", "connectors"},
		"a connector that is no id":   {admin.KeyInput{Role: "reader", Label: "x", Connectors: []string{"con_#"}}, "not_found", "connectors"},
		"too many connectors":         {admin.KeyInput{Role: "reader", Label: "x", Connectors: many}, "invalid_field", "connectors"},
		"an end that is over":         {admin.KeyInput{Role: "owner", Label: "x", ExpiresAt: &over}, "invalid_field", "expires_at"},
		"an end that is none":         {admin.KeyInput{Role: "owner", Label: "x", ExpiresAt: &no}, "invalid_field", "expires_at"},
		"two ends":                    {admin.KeyInput{Role: "owner", Label: "x", ExpiresAt: &later, ExpiresInDays: number(1)}, "invalid_field", "expires_at"},
		"no days":                     {admin.KeyInput{Role: "owner", Label: "x", ExpiresInDays: number(0)}, "invalid_field", "expires_in_days"},
		"days without end":            {admin.KeyInput{Role: "owner", Label: "x", ExpiresInDays: number(99999)}, "invalid_field", "expires_in_days"},
	} {
		key, text, err := b.Admin.CreateKey(t.Context(), b.Owner, "", c.in)
		if c.code == "" {
			p, ok, lookErr := b.Vault.Authenticate(t.Context(), text)
			if err != nil || lookErr != nil || !ok || string(p.Role) != c.in.Role || p.PersonalData != c.in.PersonalData || key.CreatedBy != b.Owner.ID {
				t.Errorf("%s: %+v %v", name, p, err)
			}
			if len(c.in.Connectors) > 0 && fmt.Sprint(p.Connectors) != "["+connector.ID+"]" {
				t.Errorf("%s: it is for %v", name, p.Connectors)
			}
			continue
		}
		if f := fault.As(err); f.Code != c.code || f.Field != c.field || f.Action == "" || !text.IsZero() {
			t.Errorf("%s: %+v", name, f)
		}
	}
	// The grant comes from somebody who has it.
	if _, _, err := b.Admin.CreateKey(t.Context(), b.Clerk, "", admin.KeyInput{Role: "reader", Label: "x", PersonalData: true}); fault.CodeOf(err) != "personal_data_not_granted" {
		t.Errorf("the grant came from nowhere: %v", err)
	}
	// Another tenant's connector is none.
	if _, _, err := b.Admin.CreateKey(t.Context(), b.Alien, "", admin.KeyInput{Role: "reader", Label: "x", Connectors: []string{connector.ID}}); fault.CodeOf(err) != "not_found" {
		t.Errorf("another tenant's connector was found: %v", err)
	}
}

func TestKeysEndWhenTheyShould(t *testing.T) {
	t.Parallel()
	b := bundletest.New(t, bundletest.Options{})
	_, text, err := b.Admin.CreateKey(t.Context(), b.Owner, "", admin.KeyInput{Role: "reader", Label: "x", ExpiresInDays: number(2)})
	b.OK(err)
	b.Clock.Add(48*time.Hour - time.Second)
	if _, ok, err := b.Vault.Authenticate(t.Context(), text); !ok || err != nil {
		t.Errorf("it ended too soon: %v", err)
	}
	b.Clock.Add(time.Second)
	if _, ok, _ := b.Vault.Authenticate(t.Context(), text); ok {
		t.Error("it did not end")
	}
}

// The last key of an owner stays, unless its revoker came with something else.
func TestTheLastOwnerRevokesNotItself(t *testing.T) {
	t.Parallel()
	b := bundletest.New(t, bundletest.Options{})
	if err := b.Admin.RevokeKey(t.Context(), b.Alien, b.Owner.ID); fault.CodeOf(err) != "not_found" {
		t.Errorf("another tenant's key was found: %v", err)
	}
	b.OK(b.Admin.RevokeKey(t.Context(), b.Owner, b.Clerk.ID))
	b.OK(b.Admin.RevokeKey(t.Context(), b.Owner, b.Clerk.ID))
	if err := b.Admin.RevokeKey(t.Context(), b.Owner, b.Owner.ID); fault.CodeOf(err) != "last_owner_key" {
		t.Errorf("the last owner's key is gone: %v", err)
	}
	b.OK(b.Admin.RevokeKey(t.Context(), record.Principal{Tenant: bundletest.Tenant, ID: "oidc_1", Role: record.Owner}, b.Owner.ID))
	if key, err := b.Admin.Key(t.Context(), b.Owner, b.Owner.ID); err != nil || !key.Revoked {
		t.Errorf("it is still there: %v", err)
	}
}

// What a provider's entries hold may be for owners alone to bring, change and remove.
func TestSomeEntriesAreTheOwnersAlone(t *testing.T) {
	t.Parallel()
	b := bundletest.New(t, bundletest.Options{})
	deputy := b.Owner
	deputy.Role = record.Admin
	try := func(p record.Principal, alias string) []error {
		entry, created := b.Admin.CreateEntry(t.Context(), p, "", bundletest.Fields("provider", bundletest.Name, "alias", alias, "environment", "production"))
		if created != nil {
			entry = b.Entry(alias)
		}
		_, changed := b.Admin.UpdateEntry(t.Context(), p, entry.ID, bundletest.Fields("alias", alias+" renamed"))
		return []error{created, changed, b.Admin.DeleteEntry(t.Context(), p, entry.ID)}
	}
	for i, err := range append(try(b.Owner, "one"), try(deputy, "two")...) {
		if err != nil {
			t.Errorf("act %d: %v", i, err)
		}
	}
	b.Adapter.Descriptor().OwnerOnly = true
	for i, err := range try(b.Owner, "three") {
		if err != nil {
			t.Errorf("an owner's act %d: %v", i, err)
		}
	}
	entry := b.Entry("four")
	_, created := b.Admin.CreateEntry(t.Context(), deputy, "", bundletest.Fields("provider", bundletest.Name, "alias", "five", "environment", "production"))
	_, changed := b.Admin.UpdateEntry(t.Context(), deputy, entry.ID, bundletest.Fields("alias", "renamed"))
	deleted := b.Admin.DeleteEntry(t.Context(), deputy, entry.ID)
	_, added := b.Admin.AddClient(t.Context(), deputy, entry.ID, "", bundletest.Fields())
	promoted, removed := b.Admin.PromoteClient(t.Context(), deputy, entry.ID, 2), b.Admin.RemoveClient(t.Context(), deputy, entry.ID, 2)
	for i, err := range []error{created, changed, deleted, added, promoted, removed} {
		if fault.CodeOf(err) != "forbidden" || !strings.Contains(fault.As(err).Action, "owner") {
			t.Errorf("an admin's act %d: %v", i, err)
		}
	}
	if now, err := b.Vault.Entry(t.Context(), entry.Tenant, entry.ID); err != nil || now.Alias != "four" {
		t.Errorf("the entry is %q: %v", now.Alias, err)
	}
	// An admin may use it all the same.
	name := "use"
	if _, err := b.Admin.CreateConnector(t.Context(), deputy, "", admin.ConnectorInput{Name: &name, Entry: &entry.ID}); err != nil {
		t.Error(err)
	}
}

func TestAReaderSeesItsOwnConnectors(t *testing.T) {
	t.Parallel()
	b := bundletest.New(t, bundletest.Options{})
	entry, one := b.Reader()
	two := b.Connector(entry, nil)
	for want, p := range map[int]record.Principal{2: b.Owner, 1: {Tenant: bundletest.Tenant, ID: "key_r", Role: record.Reader, Connectors: []string{two.ID}},
		0: {Tenant: bundletest.Tenant, ID: "key_r", Role: record.Reader, Connectors: []string{""}}} {
		page, err := b.Admin.ListConnectors(t.Context(), p, "", "", "", 10)
		if err != nil || len(page.Items) != want || want == 1 && page.Items[0].ID != two.ID {
			t.Errorf("%d are listed instead of %d (%s and %s): %v", len(page.Items), want, one.ID, two.ID, err)
		}
	}
}
