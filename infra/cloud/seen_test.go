package cloud_test

import (
	"strings"

	amazonsim "connectorvault/infra/sim/amazon"
	sagesim "connectorvault/infra/sim/sage"
)

// unseen fails the test when a secret stands in what the functions wrote.
func (b *bed) unseen(more ...string) {
	b.Helper()
	logs := b.logs()
	for _, secret := range append([]string{amazonsim.SeededClientSecret, sagesim.SeedClientSecret, "Atza|", "Atzr|", "canary-aws", "PRIVATE KEY"}, more...) {
		if at := strings.Index(logs, secret); at >= 0 {
			b.Errorf("a log has a secret that begins with %.8s, near %.200q", secret, logs[max(0, at-100):at])
		}
	}
	if !strings.Contains(logs, `"_aws"`) {
		b.Error("nothing was counted, so no metric was looked at")
	}
	if !strings.Contains(logs, `"level":"INFO"`) {
		b.Error("there are no logs, so nothing was looked for")
	}
}

// knownWays fails the test when somebody reached what is not for them: token endpoints are the token service's alone, and
// nobody reaches what is not of this world.
func (b *bed) knownWays() {
	b.Helper()
	for _, v := range b.network.Strangers() {
		b.Errorf("%s tried to reach %s", v.Caller, v.Host)
	}
	reached := false
	for _, v := range b.network.Visits() {
		if v.Host != amazonToken && v.Host != sageToken {
			continue
		}
		reached = true
		if !strings.HasPrefix(v.Caller, "RefreshFunction-") {
			b.Errorf("%s reached %s", v.Caller, v.Host)
		}
	}
	if !reached {
		b.Error("nobody reached a token endpoint")
	}
	for _, refused := range b.record.Refused() {
		b.Errorf("IAM refused %s", refused)
	}
}
