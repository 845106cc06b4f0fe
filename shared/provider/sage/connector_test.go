package sage_test

import (
	"reflect"
	"testing"

	"connectorvault/shared/fault"
	"connectorvault/shared/provider/sage"
	"connectorvault/shared/record"
)

func TestCheckConnector(t *testing.T) {
	t.Parallel()
	known := account()
	current, older := shared(), shared("profile", "legacy_v3", "country_code", "GB")
	tests := map[string]struct {
		entry   record.Entry
		account *record.Account
		given   []string
		want    []string // nil: refused
	}{
		"before authorization":      {current, nil, []string{business}, []string{business}},
		"a business of the account": {current, &known, []string{business}, []string{business}},
		"one that has lapsed":       {current, &known, []string{business2}, []string{business2}},
		"upper case, spaces":        {current, &known, []string{" 0123456789ABCDEF0123456789ABCDEF "}, []string{business}},
		"members are not known":     {current, &record.Account{ID: "u"}, []string{business}, []string{business}},
		"none":                      {current, &known, nil, nil},
		"none, not authorized":      {current, nil, nil, nil},
		"two":                       {current, &known, []string{business, business2}, nil},
		"somebody else's":           {current, &known, []string{"00000000000000000000000000000000"}, nil},
		"too short":                 {current, nil, []string{business[1:]}, nil},
		"too long":                  {current, nil, []string{business + "0"}, nil},
		"no id":                     {current, nil, []string{"Example Ltd"}, nil},
		"with hyphens":              {current, nil, []string{"01234567-89ab-cdef-0123-456789abcdef"}, nil},
		"a header's end":            {current, nil, []string{business[:30] + "\r\n"}, nil},
		"the older API":             {older, &record.Account{ID: site}, nil, []string{}},
		"the older API, named":      {older, &record.Account{ID: site}, []string{business}, nil},
	}
	adapter := sage.New(sage.Options{})
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := record.Connector{Settings: map[string][]string{}}
			if test.given != nil {
				c.Settings["business"] = test.given
			}
			err := adapter.CheckConnector(test.entry, test.account, &c)
			problem := fault.As(err)
			switch {
			case test.want != nil && (err != nil || !reflect.DeepEqual(append([]string{}, c.Settings["business"]...), test.want)):
				t.Errorf("got %v, %v", c.Settings, err)
			case test.want == nil && (err == nil || problem.Code != "invalid_field" || problem.Field != "settings.business" || problem.Action == ""):
				t.Errorf("got %+v", *problem)
			}
		})
	}
}
