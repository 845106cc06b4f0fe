package read

import (
	"fmt"
	"testing"
	"time"

	"connectorvault/shared/record"
)

// However many connectors a tenant reads through, what is remembered of them has an end.
func TestWhatIsRememberedHasAnEnd(t *testing.T) {
	t.Parallel()
	var (
		targets cache
		said    rates
		done    noted
	)
	now := time.Unix(0, 0)
	for i := range 5 * maxTargets {
		name := fmt.Sprint(i)
		one := &target{entry: record.Entry{Tenant: "t", ID: name}, credential: record.Credential{Generation: 1}, fetched: now}
		targets.put(name, one)
		said.learn(name, 1)
		if !done.first("use", one) {
			t.Fatalf("%s was done before", name)
		}
		if targets.get(name, now) != one || said.of(name) != 1 {
			t.Fatalf("%s is not remembered", name)
		}
		if len(targets.targets) > maxTargets || len(said.said) > 4*maxTargets+1 || len(done.last) > 2*maxTargets+1 {
			t.Fatalf("%d targets, %d rates, %d notes", len(targets.targets), len(said.said), len(done.last))
		}
	}
	said.learn("", 1)
	said.learn("x", 0)
	said.learn("x", -1)
	if said.of("x") != 0 || said.of("") != 0 {
		t.Error("a rate that is none is remembered")
	}
}
