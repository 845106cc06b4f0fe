package cloud_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"connectorvault/infra/local/demo"
)

// The journey of the demo, over the built programs: both doors, three providers, an hour that passes, and new instances of
// every function.
func journey(b *bed) {
	t := b.T
	b.life.Store(12)
	b.feed()
	b.schedule(3 * time.Second)
	owner := b.tenant("Example Trading")
	out := &lines{}
	err := demo.Run(t.Context(), demo.Config{Out: out, Place: &demo.Place{
		URL: publicURL, OwnerKey: owner.key, Controls: map[string]string{"clara": "https://" + claraPages}, Transport: b.network.Transport("browser"),
		Pass:    func(_ context.Context, d time.Duration) error { b.pass(d); return nil },
		Restart: func(context.Context) error { b.fleet.Recycle(); return nil },
	}})
	if err != nil {
		b.keep()
		t.Fatalf("%v\n%s", err, out)
	}
	t.Log(out)
	b.unseen(owner.key)
	b.knownWays()
	b.figures()
}

// figures prints what building and starting the programs came to.
func (b *bed) figures() {
	b.Helper()
	sizes, err := build()
	b.ok(err)
	slices.SortFunc(sizes, func(a, b size) int { return strings.Compare(a.folder, b.folder) })
	text := fmt.Sprintf("%-12s %9s %10s %12s %12s\n", "function", "size", "instances", "init median", "longest")
	for _, s := range sizes {
		var took []time.Duration
		for _, start := range b.fleet.Starts(b.functions[s.folder].ID) {
			took = append(took, start.Init)
		}
		slices.Sort(took)
		if len(took) == 0 {
			text += fmt.Sprintf("%-12s %6.1f MB %10d\n", s.folder, float64(s.bytes)/1e6, 0)
			continue
		}
		text += fmt.Sprintf("%-12s %6.1f MB %10d %9d ms %9d ms\n", s.folder, float64(s.bytes)/1e6, len(took), took[len(took)/2].Milliseconds(), took[len(took)-1].Milliseconds())
	}
	b.Logf("init is from the start of the process to its first question for work\n%s", text)
}
