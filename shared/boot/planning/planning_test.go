package planning_test

import (
	"slices"
	"strings"
	"testing"

	"connectorvault/shared/boot/environment"
	"connectorvault/shared/boot/planning"
)

func lookup(values map[string]string) environment.Lookup {
	return func(name string) (string, bool) { v, ok := values[name]; return v, ok }
}

// plans is an environment with which the planner starts.
func plans() map[string]string {
	return map[string]string{"AWS_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "canary-aws", "CV_TABLE_RECORDS": "records", "CV_METRICS_NAMESPACE": "ConnectorVault/vault",
		"CV_TABLE_CREDENTIALS": "credentials", "CV_QUEUES_DUE": "amazon=https://sqs/a,sage=https://sqs/s,clara=https://sqs/c", "CV_REFRESHES": "amazon=20,sage=10,clara=5"}
}

func TestThePlannerKnowsProvidersByTheirQueues(t *testing.T) {
	t.Parallel()
	p, err := planning.Load(lookup(plans()))
	if err != nil || !slices.Equal(p.Providers, []string{"amazon", "clara", "sage"}) || p.Workers("amazon") != 20 || p.Workers("sage") != 10 || p.Workers("x") != 0 {
		t.Fatalf("it is %+v, %v", p, err)
	}
	if p.Vault.Sealer != nil || p.Vault.Dates != nil {
		t.Error("it can open something")
	}
	for name, wrong := range map[string][]string{
		"CV_QUEUES_DUE": {"", "amazon", "amazon=", "=u", "amazon=a,amazon=b", "amazon=a,", "amazon=a;sage=b", "amazon=a,dropbox=b"},
		"CV_REFRESHES":  {"", "amazon=20", "amazon=20,sage=0,clara=5", "amazon=20,sage=-1,clara=5", "amazon=20,sage=many,clara=5", "amazon=1,amazon=2,sage=1,clara=1"},
		"AWS_REGION":    {""},
	} {
		for _, value := range wrong {
			values := plans()
			values[name] = value
			if _, err := planning.Load(lookup(values)); err == nil || strings.Contains(err.Error(), "canary") {
				t.Errorf("with %s=%q it starts: %v", name, value, err)
			}
		}
	}
}
