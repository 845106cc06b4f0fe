package cloud_test

import (
	"context"
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
}
