package access_test

import (
	"strings"
	"testing"

	"connectorvault/shared/access"
	"connectorvault/shared/fault"
	"connectorvault/shared/record"
)

// who has each right, by the first letters of owner, admin, operator (P), reader, and the holder of a connector token (C).
var who = map[access.Right]string{
	access.SeeProviders:     "OAPRC",
	access.SeeApps:          "OA",
	access.RegisterApps:     "O",
	access.SeeEntries:       "OAP",
	access.SeeEntry:         "OAPC",
	access.CreateEntries:    "OAC",
	access.ChangeEntries:    "OA",
	access.DeleteEntries:    "OAC",
	access.Authorize:        "OAPC",
	access.Validate:         "OAPC",
	access.Refresh:          "OAP",
	access.Check:            "OAP",
	access.SeeConnectors:    "OAPR",
	access.CreateConnectors: "OAC",
	access.ChangeConnectors: "OA",
	access.Preflight:        "OAPC",
	access.ReadData:         "OAPR",
	access.AskForData:       "OAP",
	access.SeeEvents:        "OAP",
	access.SeeKeys:          "O",
	access.ManageKeys:       "O",
	access.SeeTokens:        "OA",
	access.ManageTokens:     "OA",
	access.GuardedEntries:   "O",
	access.AdoptTokens:      "O",
}

var letters = map[record.Role]string{record.Owner: "O", record.Admin: "A", record.Operator: "P", record.Reader: "R", record.TokenHolder: "C"}

func TestEachRoleHasItsRights(t *testing.T) {
	t.Parallel()
	for right, want := range who {
		for role, letter := range letters {
			p := record.Principal{Tenant: "t_1000000000000000", ID: "key_1000000000000001", Role: role}
			err := access.Need(p, right)
			if may := access.May(role, right); may != strings.Contains(want, letter) || may != (err == nil) {
				t.Errorf("%s may %s: %t, %v", role, right, may, err)
			}
			if err == nil {
				continue
			}
			f := fault.As(err)
			if f.Kind != fault.Forbidden || f.Code != "forbidden" || !strings.Contains(f.Detail, string(right)) || !strings.Contains(f.Detail, string(role)) ||
				!strings.Contains(f.Action, "owner") || strings.Contains(f.Action, string(role)) {
				t.Errorf("%s is told of %s: %+v", role, right, f)
			}
		}
	}
}

func TestNobodyHasWhatNobodyWasGiven(t *testing.T) {
	t.Parallel()
	p := record.Principal{Tenant: "t_1000000000000000", ID: "key_1000000000000001", Role: record.Owner}
	for name, c := range map[string]struct {
		change func(*record.Principal)
		right  access.Right
	}{
		"no right":             {func(*record.Principal) {}, ""},
		"an unknown right":     {func(*record.Principal) {}, "everything"},
		"an unknown role":      {func(p *record.Principal) { p.Role = "root" }, access.ReadData},
		"no role":              {func(p *record.Principal) { p.Role = "" }, access.ReadData},
		"a role in capitals":   {func(p *record.Principal) { p.Role = "OWNER" }, access.ReadData},
		"no tenant":            {func(p *record.Principal) { p.Tenant = "" }, access.ReadData},
		"no name":              {func(p *record.Principal) { p.ID = "" }, access.ReadData},
		"a connector token":    {func(p *record.Principal) { p.Role = "connector_token" }, access.ReadData},
		"a role in its plural": {func(p *record.Principal) { p.Role = "owners" }, access.ReadData},
	} {
		q := p
		c.change(&q)
		if err := access.Need(q, c.right); fault.CodeOf(err) != "forbidden" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := access.Need(record.Principal{Tenant: "t", ID: "k", Role: "<script>"}, access.ReadData); strings.Contains(err.Error(), "script") {
		t.Errorf("what a stranger calls itself is repeated: %v", err)
	}
}

func TestSomeReadersReadSomeConnectors(t *testing.T) {
	t.Parallel()
	all, some := record.Principal{}, record.Principal{Connectors: []string{"con_1", "con_2"}}
	for id, want := range map[string]bool{"con_1": true, "con_2": true, "con_3": false, "": false, "con_": false, "con_1,con_2": false} {
		if err := access.NeedConnector(some, id); (err == nil) != want || err != nil && fault.CodeOf(err) != "forbidden" {
			t.Errorf("%q: %v", id, err)
		}
		if err := access.NeedConnector(all, id); err != nil {
			t.Errorf("%q is kept from somebody who may read all: %v", id, err)
		}
	}
}
