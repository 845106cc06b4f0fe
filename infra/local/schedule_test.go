package main

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"time"
)

// By hand, nothing is done by itself however much time passes, neither by this process nor by another one, and everything that is
// due is done when that is asked for, by the time that it is answered.
func TestByHand(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	v := start(t, dir, loopbackWebhooks)
	other := spawn(t, dir, loopbackWebhooks)
	r := newReceiver(t)
	hook, _ := v.webhook(r)
	v.app()
	entry := v.connected("by hand")
	v.must(200, "GET", "/v1/connectors/"+v.connector(entry)+"/marketplaces", nil)
	v.advance(56 * time.Minute)
	for range 3 { // time enough for whoever would work by itself
		other.advance(time.Minute)
		time.Sleep(300 * time.Millisecond)
	}
	if g := generation(v.shown(entry)); g != 1 {
		t.Errorf("the schedule worked by itself: generation %v", g)
	}
	if last := v.must(200, "GET", "/v1/webhooks/"+hook, nil).json(t)["last_delivery"]; last != nil {
		t.Errorf("the queues were worked off by themselves: %v", last)
	}
	other.schedule()
	if g := generation(v.shown(entry)); g != 2 {
		t.Errorf("the schedule did not work: generation %v", g)
	}
	if !lastDelivered(v.must(200, "GET", "/v1/webhooks/"+hook, nil).json(t)) {
		t.Error("the queues were not worked off")
	}
	other.kill()
	v.schedule()
	v.eventually("the killed process's key is refused", func() bool {
		return v.with(map[string]string{"Authorization": "Bearer " + other.key}, "GET", "/v1/providers", nil).status == http.StatusForbidden
	})
}

// A step is taken by every process when it is answered, whichever made it; and it waits for what a read has set off, which would
// otherwise be as late as the step is long.
func TestAStepIsTakenWhenItIsAnswered(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	v := start(t, dir)
	other := spawn(t, dir)
	v.app()
	entry := v.connected("stepped")
	connector := v.connector(entry)
	read := "/v1/connectors/" + connector + "/marketplaces"
	for n, by := range []*vault{v, other, v, other} {
		by.advance(2 * time.Hour)
		through := []*vault{other, v}[n/2] // the same process, and the other one
		before := v.posts("refresh_token")
		through.must(200, "GET", read, nil)
		if asked := v.posts("refresh_token") - before; asked != 1 {
			t.Errorf("after step %d, a read took %d refreshes: its process has not taken the step", n, asked)
		}
	}
	v.must(200, "GET", read, nil)
	g := generation(v.shown(entry))
	v.advance(56 * time.Minute) // little life is left: a read sets off a refresh, and does not wait for it
	v.fault(object{"name": "hold", "endpoint": "token", "times": 1})
	v.must(200, "GET", read, nil)
	v.eventually("the refresh is at the token endpoint", func() bool { return v.faults()[0]["spent"] == true })
	var stepping sync.WaitGroup
	stepped := make(chan struct{})
	stepping.Go(func() { v.advance(time.Hour); close(stepped) })
	select {
	case <-stepped:
		t.Error("the clock was stepped in the middle of a refresh")
	case <-time.After(300 * time.Millisecond):
	}
	v.sim("DELETE", "/_sim/faults", nil)
	stepping.Wait()
	if now := generation(v.shown(entry)); now != g+1 {
		t.Errorf("the refresh that was under way did not succeed: generation %v after %v", now, g)
	}
}

// What is everybody's is for owners to ask for, and not there unless it is asked for.
func TestWhoMayAskForTheSchedule(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	v := start(t, dir)
	if a := v.with(nil, "POST", "/local/schedule", nil); a.status != http.StatusUnauthorized {
		t.Errorf("without a key: %d", a.status)
	}
	operator := v.must(201, "POST", "/v1/keys", object{"role": "operator", "label": "somebody"}).text(t, "key")
	if a := v.keyed(operator, "POST", "/local/schedule", nil); a.status != http.StatusForbidden {
		t.Errorf("an operator: %d", a.status)
	}
	if err := v.stop(); err != nil {
		t.Fatal(err)
	}
	v = start(t, dir, byItself)
	if a := v.do("POST", "/local/schedule", nil); a.status != http.StatusNotFound {
		t.Errorf("where everything is done by itself: %d", a.status)
	}
	log := &buffer{}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if code := run(ctx, []string{"--listen", "127.0.0.1:0", "--data", t.TempDir(), "--by-hand"}, log, log); code != 1 {
		t.Errorf("by hand without a clock: %d %s", code, log)
	}
}
