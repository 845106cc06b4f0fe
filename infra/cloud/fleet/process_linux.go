package fleet

import (
	"os/exec"
	"runtime"
	"sync"
	"syscall"
)

// starter starts processes that die with this one, stopped ones too: the kernel kills them when the thread ends that started
// them. So one thread starts them all and stays until the end.
type starter struct {
	asks  chan func()
	close func()
}

func newStarter() *starter {
	s := &starter{asks: make(chan func())}
	s.close = sync.OnceFunc(func() { close(s.asks) })
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		for ask := range s.asks {
			ask()
		}
	}()
	return s
}

func (s *starter) start(command *exec.Cmd) error {
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	err := make(chan error)
	s.asks <- func() { err <- command.Start() }
	return <-err
}

// freeze stops the process, as Lambda stops an instance that has nothing to do.
func (i *Instance) freeze() { _ = i.command.Process.Signal(syscall.SIGSTOP) }

// thaw lets it go on.
func (i *Instance) thaw() { _ = i.command.Process.Signal(syscall.SIGCONT) }

func (i *Instance) terminate() { _ = i.command.Process.Signal(syscall.SIGTERM) }
