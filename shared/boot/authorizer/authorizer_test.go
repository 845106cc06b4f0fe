package authorizer

import (
	"maps"
	"strings"
	"testing"

	"connectorvault/shared/boot/environment"
)

// whole is an environment that lacks nothing.
func whole() map[string]string {
	return map[string]string{"AWS_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "canary-aws", "CV_TABLE_RECORDS": "records",
		"CV_METRICS_NAMESPACE": "ConnectorVault/vault"}
}

func lookup(values map[string]string) environment.Lookup {
	return func(name string) (string, bool) { v, ok := values[name]; return v, ok }
}

// oidc is an environment with an issuer.
func oidc() map[string]string {
	values := whole()
	maps.Copy(values, map[string]string{"CV_TABLE_TRANSIENT": "transient", "CV_OIDC_ISSUERS": "https://a.example/realm,https://b.example", "CV_OIDC_AUDIENCE": "vault",
		"CV_OIDC_TENANT": "t_1000000000000000", "CV_OIDC_ROLE_CLAIM": "groups", "CV_OIDC_ROLES": "all staff=reader,vault=owner"})
	return values
}

func TestTheAuthorizerHasAnIssuerWhereOneIsConfigured(t *testing.T) {
	t.Parallel()
	if p, err := Load(lookup(whole())); err != nil || p.Vault == nil || p.Logger == nil || p.Metrics == nil || p.Issuers != nil {
		t.Errorf("without an issuer: %v, %v", p.Issuers, err)
	}
	empty := oidc()
	empty["CV_OIDC_ISSUERS"] = "" // as the template says that there is none
	if p, err := Load(lookup(empty)); err != nil || p.Issuers != nil {
		t.Errorf("with an empty list: %v, %v", p.Issuers, err)
	}
	if p, err := Load(lookup(oidc())); err != nil || p.Issuers == nil {
		t.Errorf("with two: %v, %v", p.Issuers, err)
	}
	for name, value := range map[string]string{"CV_OIDC_ISSUERS": "https://a.example, https://b.example", "CV_OIDC_AUDIENCE": "", "CV_OIDC_TENANT": "t_1",
		"CV_OIDC_TENANT_CLAIM": "tenant", "CV_OIDC_ROLE_CLAIM": "", "CV_OIDC_ROLES": "vault=root", "CV_TABLE_RECORDS": "", "AWS_REGION": "", "CV_METRICS_NAMESPACE": "", "CV_OIDC_PERSONAL_DATA_VALUE": "x"} {
		spoilt := oidc()
		spoilt[name] = value
		if _, err := Load(lookup(spoilt)); err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s=%q starts: %v", name, value, err)
		}
	}
	spoilt := oidc()
	spoilt["CV_OIDC_ROLES"] = "vault"
	if _, err := Load(lookup(spoilt)); err == nil || !strings.Contains(err.Error(), "CV_OIDC_ROLES") {
		t.Errorf("roles that are none: %v", err)
	}
}
