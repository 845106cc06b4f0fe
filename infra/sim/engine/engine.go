// Package engine is what the simulators of providers stand on: one file of state that several processes share, switches
// that make things go wrong, counters of what was asked, and the endpoints by which a test steers all that.
//
// The argument: a test that turns a switch on believes that it fires as often as it said, for nobody else, and that whatever
// is held goes on when it is let go, in whichever process. A simulator that gets that wrong lets a test pass which should
// fail, and nobody looks there. So it is written once, for all simulators. What a provider's switches are called, what they
// may be limited to and what they do, how its tables look and how it refuses, is each simulator's own and not known here.
//
// Nothing here follows the simulated clock: what waits, waits as a network does.
package engine
