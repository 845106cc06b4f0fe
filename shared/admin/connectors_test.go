package admin_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"connectorvault/shared/admin"
	"connectorvault/shared/api"
	"connectorvault/shared/bundle/bundletest"
	"connectorvault/shared/fault"
	"connectorvault/shared/provider"
)

// input is a connector as a request's body has it.
func (b bench) input(body string) (admin.ConnectorInput, error) {
	var in admin.ConnectorInput
	err := json.Unmarshal([]byte(body), &in)
	return in, err
}

func TestASettingIsOneStringOrAList(t *testing.T) {
	b := ownBench(t, bundletest.Businesses)
	e := b.Entry("one", bundletest.OwnClient("client-7")...)
	for settings, want := range map[string]string{
		`{"business":"B1"}`:                                       `{"business":"B1"}`,
		`{"business":["B1"]}`:                                     `{"business":"B1"}`,
		`{"business":null}`:                                       `{}`,
		`{"marketplaces":"M1"}`:                                   `{"marketplaces":["M1"]}`,
		`{"marketplaces":["M1","M2"],"business":"B1"}`:            `{"business":"B1","marketplaces":["M1","M2"]}`,
		`{"resources":"orders","business":"B \u00fc \"quoted\""}`: `{"business":"B ü \"quoted\"","resources":["orders"]}`,
		`{}`:   `{}`,
		`null`: `{}`,
	} {
		in, err := b.input(fmt.Sprintf(`{"name":"c","vault_entry":%q,"settings":%s}`, e.ID, settings))
		b.OK(err)
		made, err := b.Admin.CreateConnector(b.Context(), b.Owner, "", in)
		b.OK(err)
		stored, err := b.Vault.Connector(b.Context(), made.Tenant, made.ID)
		b.OK(err)
		body, err := json.Marshal(api.ConnectorOf(stored).Settings)
		if b.OK(err); string(body) != want {
			t.Errorf("%s is shown as %s; want %s", settings, body, want)
		}
	}
	// An empty list would be for nothing, and could be read as for all.
	for _, name := range []string{"business", "marketplaces", "resources"} {
		in, err := b.input(fmt.Sprintf(`{"name":"c","vault_entry":%q,"settings":{%q:[]}}`, e.ID, name))
		b.OK(err)
		_, err = b.Admin.CreateConnector(b.Context(), b.Owner, "", in)
		if f := b.Fault(err, fault.Invalid, "invalid_field"); f.Field != "settings."+name || f.Action == "" {
			t.Errorf("%s: %+v", name, f)
		}
	}
	for _, settings := range []string{`{"business":1}`, `{"business":{"a":"B1"}}`, `{"business":[1]}`, `{"business":true}`, `[]`, `"B1"`, `{"business":[["B1"]]}`} {
		if in, err := b.input(`{"settings":` + settings + `}`); err == nil {
			t.Errorf("%s is read as %v", settings, in.Settings)
		}
	}
}

func TestASettingWithOneValueTakesOne(t *testing.T) {
	b := ownBench(t, bundletest.Businesses)
	e := b.Entry("one", bundletest.OwnClient("client-7")...)
	with := func(settings map[string][]string) admin.ConnectorInput {
		in := connector("c", e.ID)
		in.Settings = settings
		return in
	}
	_, err := b.Admin.CreateConnector(b.Context(), b.Owner, "", with(map[string][]string{bundletest.SettingBusiness: {"B1", "B2"}}))
	if f := b.Fault(err, fault.Invalid, "invalid_field"); f.Field != "settings.business" {
		t.Errorf("two values: %+v", f)
	}
	c, err := b.Admin.CreateConnector(b.Context(), b.Owner, "key-1", with(map[string][]string{bundletest.SettingBusiness: {"B1"}}))
	b.OK(err)
	in, err := b.input(fmt.Sprintf(`{"name":"c","vault_entry":%q,"settings":{"business":"B1"}}`, e.ID))
	b.OK(err)
	if again, err := b.Admin.CreateConnector(b.Context(), b.Owner, "key-1", in); err != nil || again.ID != c.ID {
		t.Errorf("said as a string it is another: %+v, %v", again, err)
	}
	if !slices.Equal(c.Singles, []string{bundletest.SettingBusiness}) {
		t.Errorf("of one value are %v", c.Singles)
	}
	_, err = b.Admin.UpdateConnector(b.Context(), b.Owner, c.ID, bundletest.Settings(bundletest.SettingBusiness, "B1", "B2"))
	b.Fault(err, fault.Invalid, "invalid_field")
	for range 2 {
		c, err = b.Admin.UpdateConnector(b.Context(), b.Owner, c.ID, bundletest.Settings(bundletest.SettingBusiness, "B2"))
		b.OK(err)
		if !slices.Equal(c.Singles, []string{bundletest.SettingBusiness}) || c.Settings[bundletest.SettingBusiness][0] != "B2" {
			t.Errorf("it is %+v", c)
		}
	}
	_, err = b.Admin.UpdateConnector(b.Context(), b.Alien, c.ID, bundletest.Settings(bundletest.SettingBusiness, "B3"))
	b.Fault(err, fault.NotFound, "not_found")
}

// A resource may be called by a name of the provider's; the connector keeps ours, which is what a read is held against.
func TestAConnectorKeepsAResourceUnderOneName(t *testing.T) {
	b := ownBench(t, func(d *provider.Descriptor) {
		d.Resources = slices.Clone(d.Resources)
		for i := range d.Resources {
			if d.Resources[i].Name == "orders" {
				d.Resources[i].Aliases = []string{"sales_orders", "SalesOrders"}
			}
		}
	})
	e := b.Entry("one", bundletest.OwnClient("client-7")...)
	in := connector("c", e.ID)
	in.Settings = map[string][]string{"resources": {"scarce", "sales_orders", "orders", "SalesOrders"}}
	c, err := b.Admin.CreateConnector(b.Context(), b.Owner, "", in)
	b.OK(err)
	if !slices.Equal(c.Settings["resources"], []string{"orders", "scarce"}) {
		t.Errorf("it is for %v", c.Settings["resources"])
	}
	_, err = b.Admin.UpdateConnector(b.Context(), b.Owner, c.ID, bundletest.Settings("resources", "salesorders"))
	b.Fault(err, fault.Invalid, "invalid_field")
}
