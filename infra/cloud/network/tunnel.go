package network

import (
	"net"
	"sync"
)

// tunnel is this end of one, which knows who made it and where it leads.
type tunnel struct {
	net.Conn
	visit  Visit
	closed func()
}

// Close implements net.Conn.
func (t *tunnel) Close() error {
	t.closed()
	return t.Conn.Close()
}

// tunnels is a listener that accepts what is offered to it.
type tunnels struct {
	waiting chan net.Conn
	ended   chan struct{}
	end     func()
	at      net.Addr
}

func newTunnels(at net.Addr) tunnels {
	t := tunnels{waiting: make(chan net.Conn), ended: make(chan struct{}), at: at}
	t.end = sync.OnceFunc(func() { close(t.ended) })
	return t
}

func (t tunnels) offer(c net.Conn) {
	select {
	case t.waiting <- c:
	case <-t.ended:
		_ = c.Close()
	}
}

// Accept implements net.Listener.
func (t tunnels) Accept() (net.Conn, error) {
	select {
	case c := <-t.waiting:
		return c, nil
	case <-t.ended:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (t tunnels) Close() error { t.end(); return nil }

// Addr implements net.Listener.
func (t tunnels) Addr() net.Addr { return t.at }
