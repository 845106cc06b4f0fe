// Package attack_test attacks the running bundle over HTTP, as somebody would who has an account, a key, a link or nothing.
//
// The argument: each defence has a test beside it, and each of those knows the code that it tests. Somebody who attacks
// knows the outside alone: routes, what can be typed, what a browser sends. So here the whole program runs, with three
// tenants in it, and every attack is a line with a name: who attacks, what is sent, what must come back. Of the tenant that is
// attacked nothing may have changed after any of them, and of the secrets that went in or came by, none may have been
// seen anywhere when it is over. What the suite does not know yet it attacks all the same: a new route is taken from
// the table of routes, what there is of a tenant from its lists.
package attack_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// attack is one line: what somebody does, and what must come of it.
type attack struct {
	name   string
	by     string            // whose key or token is shown, by its name in world.keys; "" = nobody's
	send   string            // "METHOD /path"; names in braces are replaced by what world.names has for them
	header map[string]string // besides
	body   any               // strings in it may have names in braces, too
	want   int               // the status
	code   string            // of the problem document; "" when the gateway refuses by itself, or nothing is refused
	never  []string          // what must not be in the answer

	do func(t *testing.T, w *world) // instead of all that, where one request is not an attack
}

// group is what is attacked in one way.
type group struct {
	name    string
	attacks func(w *world) []attack
}

var groups = []group{
	{"another tenant's", foreignIDs},
	{"another tenant's lists", foreignLists},
	{"a role at a route", rolesAtRoutes},
	{"a reader", readers},
	{"a token of an issuer", tokensOfIssuers},
	{"a key", keys},
	{"a state", states},
	{"session fixation", fixation},
	{"a Result URL", resultURLs},
	{"the Appstore door", appstore},
	{"a cursor", cursors},
	{"what is sent", wires},
	{"a webhook", webhooks},
	{"a connector token", connectorTokens},
}

// atLeast is how many attacks there are to be. Fewer are no suite.
const atLeast = 80

func TestAttacks(t *testing.T) {
	t.Parallel()
	s := &secrets{}
	w := begin(t, s)
	names := map[string]bool{}
	t.Run("group", func(t *testing.T) {
		for _, g := range groups {
			attacks := g.attacks(w)
			if len(attacks) == 0 {
				t.Errorf("nothing is attacked in %q", g.name)
			}
			for _, a := range attacks {
				if full := g.name + ": " + a.name; names[full] {
					t.Errorf("there are two attacks called %q", full)
				} else {
					names[full] = true
				}
			}
			t.Run(g.name, func(t *testing.T) {
				t.Parallel()
				for _, a := range attacks {
					t.Run(a.name, func(t *testing.T) {
						t.Parallel()
						w.attack(t, a)
						w.unharmed(t)
					})
				}
			})
		}
	})
	t.Logf("%d attacks were made", len(names))
	if os.Getenv("ATTACKS") == "list" {
		var list []string
		for name := range names {
			list = append(list, name)
		}
		slices.Sort(list)
		t.Log("\n" + strings.Join(list, "\n"))
	}
	if len(names) < atLeast {
		t.Errorf("only %d attacks were made, of at least %d", len(names), atLeast)
	}
	t.Run("nothing went astray", w.astray)
	w.end(t)
	t.Run("no secret was seen", s.check)
}

// attack makes one, and holds what comes back against what must.
func (w *world) attack(t *testing.T, a attack) {
	t.Helper()
	if a.do != nil {
		a.do(t, w)
		return
	}
	method, path, ok := strings.Cut(a.send, " ")
	if !ok {
		t.Fatalf("%q is no request", a.send)
	}
	got := w.ask(t, w.key(t, a.by), method, w.fill(t, path), a.header, w.fillIn(t, a.body))
	w.refused(t, got, a.want, a.code)
	for _, what := range a.never {
		if what = w.fill(t, what); strings.Contains(got.text(), what) {
			t.Errorf("the answer has %q: %.400s", what, got.text())
		}
	}
}

// refused holds an answer against a status and a problem's code.
func (w *world) refused(t *testing.T, got answer, status int, code string) {
	t.Helper()
	if said := got.json()["code"]; got.status != status || code != "" && said != code || code == "" && said != nil {
		t.Errorf("the answer is %d %v, not %d %s: %.400s", got.status, said, status, code, got.body)
	}
	if got.status == 500 {
		t.Errorf("it failed: %.400s", got.body)
	}
}

// fill replaces {names}.
func (w *world) fill(t *testing.T, text string) string {
	t.Helper()
	for {
		from := strings.Index(text, "{")
		to := strings.Index(text, "}")
		if from < 0 || to < from {
			return text
		}
		value, ok := w.names[text[from+1:to]]
		if !ok {
			t.Fatalf("nothing is called %s", text[from:to+1])
		}
		text = text[:from] + value + text[to+1:]
	}
}

// fillIn replaces {names} in a body.
func (w *world) fillIn(t *testing.T, body any) any {
	t.Helper()
	switch b := body.(type) {
	case string:
		return b // sent as it is
	case object:
		out := object{}
		for name, value := range b {
			out[name] = w.fillValue(t, value)
		}
		return out
	default:
		return body
	}
}

func (w *world) fillValue(t *testing.T, value any) any {
	t.Helper()
	switch v := value.(type) {
	case string:
		return w.fill(t, v)
	case []string:
		var out []string
		for _, text := range v {
			out = append(out, w.fill(t, text))
		}
		return out
	case object:
		return w.fillIn(t, v)
	default:
		return value
	}
}

// each makes an attack of every variant of a text.
func each(prefix string, variants map[string]string, with func(name, text string) attack) []attack {
	var out []attack
	for name, text := range variants {
		a := with(name, text)
		a.name = fmt.Sprintf("%s%s", prefix, name)
		out = append(out, a)
	}
	return out
}
