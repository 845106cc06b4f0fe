//go:build !linux

package fleet

import "os/exec"

// Elsewhere processes are started, and neither stopped nor asked to end. The bundle is built for Linux, and so are its tests
// as programs.
type starter struct{}

func newStarter() *starter { return &starter{} }

func (*starter) start(command *exec.Cmd) error { return command.Start() }

func (*starter) close() {}

func (*Instance) freeze() {}

func (*Instance) thaw() {}

func (*Instance) terminate() {}
