// Package authorizer starts the function that tells the gateway whose request it is.
//
// The argument: every request waits for it, so it has the tables, the issuers whose tokens are taken, and nothing else: no
// provider, no secret, and no other client of AWS.
package authorizer

import (
	"crypto/rand"
	"log/slog"
	"os"
	"strings"
	"time"

	"connectorvault/shared/boot/environment"
	"connectorvault/shared/issuer"
	"connectorvault/shared/metric"
	"connectorvault/shared/transport"
	"connectorvault/shared/vault"
)

// Parts are what the authorizer stands on.
type Parts struct {
	Vault   *vault.Vault
	Issuers *issuer.Verifier // nil where no issuer is configured
	Logger  *slog.Logger
	Metrics *metric.Recorder
}

// MustLoad makes the parts from the process's environment, or ends the process with what is missing.
func MustLoad() Parts {
	p, err := Load(os.LookupEnv)
	environment.ExitOn(err)
	return p
}

// Load makes the parts.
func Load(lookup environment.Lookup) (Parts, error) {
	v := environment.Of(lookup)
	p := Parts{Issuers: tokenIssuers(v), Logger: environment.Logger(v), Metrics: environment.Metrics(v)}
	p.Vault = vault.New(vault.Config{Items: environment.Tables(v, environment.AWS(v)), Now: time.Now, Random: rand.Reader})
	_ = environment.Tracer(v, p.Logger) // what is done here is too little for spans
	return p, v.Err()
}

// tokenIssuers reads whose tokens are taken.
func tokenIssuers(v *environment.Variables) *issuer.Verifier {
	config := issuer.Config{Audience: v.Get("CV_OIDC_AUDIENCE"), Tenant: v.Get("CV_OIDC_TENANT"), TenantClaim: v.Get("CV_OIDC_TENANT_CLAIM"),
		RoleClaim: v.Get("CV_OIDC_ROLE_CLAIM"), PersonalDataClaim: v.Get("CV_OIDC_PERSONAL_DATA_CLAIM"),
		PersonalDataValue: v.Get("CV_OIDC_PERSONAL_DATA_VALUE"), ConnectorsClaim: v.Get("CV_OIDC_CONNECTORS_CLAIM")}
	names, roles := v.Get("CV_OIDC_ISSUERS"), v.Get("CV_OIDC_ROLES")
	if names == "" {
		return nil
	}
	config.Issuers = strings.Split(names, ",")
	var err error
	if config.Roles, err = issuer.ParseRoles(roles); err != nil {
		v.Wrong("CV_OIDC_ROLES: " + err.Error())
		return nil
	}
	out, err := issuer.New(config, transport.Client(), time.Now)
	if err != nil {
		v.Wrong("CV_OIDC_…: " + err.Error())
	}
	return out
}
