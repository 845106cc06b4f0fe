package amazon_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"connectorvault/shared/fault"
	"connectorvault/shared/provider/amazon"
	"connectorvault/shared/record"
	"connectorvault/shared/secret"
)

func TestNormalize(t *testing.T) {
	t.Parallel()
	type settings = map[string]string
	tests := map[string]struct{ given, want settings }{
		"marketplace":        {settings{"marketplace": "DE"}, settings{"marketplace": "DE", "region": "eu", "account_type": "seller"}},
		"UK is GB":           {settings{"marketplace": "uk"}, settings{"marketplace": "GB", "region": "eu", "account_type": "seller"}},
		"marketplace id":     {settings{"marketplace": "A1VC38T7YXB528"}, settings{"marketplace": "JP", "region": "fe", "account_type": "seller"}},
		"both":               {settings{"marketplace": "MX", "region": " NA "}, settings{"marketplace": "MX", "region": "na", "account_type": "seller"}},
		"region na":          {settings{"region": "na"}, settings{"marketplace": "US", "region": "na", "account_type": "seller"}},
		"region eu":          {settings{"region": "EU"}, settings{"marketplace": "GB", "region": "eu", "account_type": "seller"}},
		"region fe, vendor":  {settings{"region": "fe", "account_type": "Vendor"}, settings{"marketplace": "JP", "region": "fe", "account_type": "vendor"}},
		"vendor in Belgium":  {settings{"marketplace": "be", "account_type": "vendor"}, settings{"marketplace": "BE", "region": "eu", "account_type": "vendor"}},
		"an empty region":    {settings{"marketplace": "SG", "region": ""}, settings{"marketplace": "SG", "region": "fe", "account_type": "seller"}},
		"spaces around them": {settings{"marketplace": " se ", "account_type": " seller "}, settings{"marketplace": "SE", "region": "eu", "account_type": "seller"}},
	}
	adapter := amazon.New(amazon.Options{})
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := record.Entry{Settings: test.given}
			if err := adapter.Normalize(&e); err != nil {
				t.Fatal(err)
			}
			if !maps.Equal(e.Settings, test.want) || e.APIEnvironment != record.Production {
				t.Errorf("got %v %s, want %v", e.Settings, e.APIEnvironment, test.want)
			}
		})
	}
}

func TestNormalizeRefuses(t *testing.T) {
	t.Parallel()
	type settings = map[string]string
	tests := map[string]struct {
		given       settings
		side        record.APIEnvironment
		code, field string
	}{
		"nothing":             {nil, "", "invalid_field", "marketplace"},
		"unknown marketplace": {settings{"marketplace": "XX"}, "", "unknown_marketplace", "marketplace"},
		"unknown region":      {settings{"region": "apac"}, "", "invalid_field", "region"},
		"not together":        {settings{"marketplace": "DE", "region": "na"}, "", "region_mismatch", "region"},
		"account type":        {settings{"marketplace": "DE", "account_type": "buyer"}, "", "invalid_field", "account_type"},
		"another setting":     {settings{"marketplace": "DE", "country": "DE"}, "", "invalid_field", "country"},
		"another side":        {settings{"marketplace": "DE"}, "staging", "invalid_field", "api_environment"},
	}
	adapter := amazon.New(amazon.Options{})
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := record.Entry{Settings: test.given, APIEnvironment: test.side}
			problem := fault.As(adapter.Normalize(&e))
			if problem.Kind != fault.Invalid || problem.Code != test.code || problem.Field != test.field || problem.Action == "" {
				t.Errorf("got %+v", *problem)
			}
		})
	}
}

// The table has the marketplaces, and regions hold them as Amazon does (Amazon facts 2.2).
func TestRegions(t *testing.T) {
	t.Parallel()
	got := map[string]string{}
	for _, r := range amazon.New(amazon.Options{}).Descriptor().Regions {
		var codes []string
		for _, m := range r.Marketplaces {
			codes = append(codes, m.Country)
		}
		got[r.Code] = strings.Join(slices.Sorted(slices.Values(codes)), " ")
	}
	want := map[string]string{"na": "BR CA MX US", "eu": "AE BE DE EG ES FR GB IE IN IT NL PL SA SE TR ZA", "fe": "AU JP SG"}
	if !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestValidateApp(t *testing.T) {
	t.Parallel()
	const app, client = "amzn1.sp.solution.00000000-0000-4000-8000-000000000001", "amzn1.application-oa2-client.0123456789abcdef"
	const value = "amzn1.oa2-cs.v1.0123456789abcdef"
	tests := map[string]struct {
		fields map[string]string
		secret string
		field  string // "" = taken
	}{
		"newer application":  {map[string]string{"application_id": app, "client_id": client}, value, ""},
		"older application":  {map[string]string{"application_id": "amzn1.sellerapps.app.00000000-0000-4000-8000-000000000001", "client_id": client}, value, ""},
		"older secret":       {map[string]string{"application_id": app, "client_id": client}, "0123456789abcdef", ""},
		"no application":     {map[string]string{"client_id": client}, value, "application_id"},
		"the client instead": {map[string]string{"application_id": client, "client_id": client}, value, "application_id"},
		"not a uuid":         {map[string]string{"application_id": "amzn1.sp.solution.x", "client_id": client}, value, "application_id"},
		"no client":          {map[string]string{"application_id": app}, value, "client_id"},
		"not a client":       {map[string]string{"application_id": app, "client_id": "me"}, value, "client_id"},
		"no secret":          {map[string]string{"application_id": app, "client_id": client}, "", "client_secret"},
		"space in a secret":  {map[string]string{"application_id": app, "client_id": client}, value + " ", "client_secret"},
		"secret in public":   {map[string]string{"application_id": app, "client_id": client, "client_secret": value}, value, "client_secret"},
	}
	adapter := amazon.New(amazon.Options{})
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			secrets := map[string]secret.Text{}
			if test.secret != "" {
				secrets["client_secret"] = secret.New(test.secret)
			}
			err := adapter.ValidateApp(test.fields, secrets)
			if test.field == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			problem := fault.As(err)
			if problem.Code != "invalid_field" || problem.Field != test.field || problem.Action == "" {
				t.Errorf("got %+v", *problem)
			}
			if strings.Contains(problem.Error()+problem.Action, value) {
				t.Error("the secret was said")
			}
		})
	}
	err := adapter.ValidateApp(map[string]string{"application_id": app, "client_id": client},
		map[string]secret.Text{"client_secret": secret.New(value), "password": secret.New("x")})
	if fault.As(err).Field != "password" {
		t.Errorf("got %v", err)
	}
}

func TestCheckConnector(t *testing.T) {
	t.Parallel()
	adapter := amazon.New(amazon.Options{})
	account := &record.Account{Members: []record.Member{{ID: "A1PA6795UKMFR9"}, {ID: "AMZNEXTRA"}}}
	tests := map[string]struct {
		account *record.Account
		given   []string
		want    []string
		code    string
	}{
		"codes and ids":     {nil, []string{"de", "A13V1IB3VIYZZH", "UK", "DE"}, []string{"A1PA6795UKMFR9", "A13V1IB3VIYZZH", "A1F83G8C2ARO7P"}, ""},
		"of the account":    {account, []string{"DE", "AMZNEXTRA"}, []string{"A1PA6795UKMFR9", "AMZNEXTRA"}, ""},
		"not the account's": {account, []string{"FR"}, nil, "invalid_field"},
		"another region":    {nil, []string{"US"}, nil, "region_mismatch"},
		"unknown":           {nil, []string{"XX"}, nil, "unknown_marketplace"},
		"none":              {nil, []string{}, nil, "invalid_field"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := record.Connector{Settings: map[string][]string{"marketplaces": test.given, "resources": {"orders"}}}
			err := adapter.CheckConnector(german(t), test.account, &c)
			if test.code != "" {
				if problem := fault.As(err); problem.Code != test.code || problem.Field != "marketplaces" {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil || !slices.Equal(c.Settings["marketplaces"], test.want) || len(c.Settings["resources"]) != 1 {
				t.Errorf("got %v, %v", c.Settings, err)
			}
		})
	}
	c := record.Connector{}
	if err := adapter.CheckConnector(german(t), nil, &c); err != nil || len(c.Settings) != 0 {
		t.Errorf("without settings: %v, %v", c.Settings, err)
	}
}
