package gcstest

import (
	"fmt"
	"net"
	"sync"
)

// Sockets stands for the hvsockets of one VM: the host listens on services,
// the guest dials them, in memory. It implements gcs.Listener.
type Sockets struct {
	mu        sync.Mutex
	listeners map[string]*listener
}

// NewSockets returns sockets without listeners.
func NewSockets() *Sockets { return &Sockets{listeners: map[string]*listener{}} }

// Listen listens for one service. Errors if it is taken.
func (s *Sockets) Listen(serviceID string) (net.Listener, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.listeners[serviceID]; ok {
		return nil, fmt.Errorf("hvsocket service %s is taken", serviceID)
	}
	l := &listener{sockets: s, service: serviceID, conns: make(chan net.Conn, backlog), closed: make(chan struct{})}
	s.listeners[serviceID] = l
	return l, nil
}

// backlog is how many connections wait to be accepted: a guest need not wait
// for its host to accept it.
const backlog = 4

// Dial connects to a service. Errors if nobody listens.
func (s *Sockets) Dial(serviceID string) (net.Conn, error) {
	s.mu.Lock()
	l := s.listeners[serviceID]
	s.mu.Unlock()
	if l == nil {
		return nil, fmt.Errorf("nobody listens on hvsocket service %s", serviceID)
	}
	host, guest := net.Pipe()
	select {
	case l.conns <- host:
	case <-l.closed:
		return nil, fmt.Errorf("hvsocket service %s was closed", serviceID)
	}
	select {
	case <-l.closed:
		l.refuse() // both were ready: nobody accepts it any more
	default:
	}
	return guest, nil
}

// Open returns how many services are listened on: what is left is a leak.
func (s *Sockets) Open() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.listeners)
}

type listener struct {
	sockets *Sockets
	service string
	conns   chan net.Conn
	closed  chan struct{}
	once    sync.Once
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *listener) Close() error {
	l.once.Do(func() {
		l.sockets.mu.Lock()
		delete(l.sockets.listeners, l.service)
		l.sockets.mu.Unlock()
		close(l.closed)
		l.refuse()
	})
	return nil
}

// refuse closes the connections that nobody has accepted.
func (l *listener) refuse() {
	for {
		select {
		case c := <-l.conns:
			c.Close()
		default:
			return
		}
	}
}

func (l *listener) Addr() net.Addr { return addr(l.service) }

type addr string

func (a addr) Network() string { return "hvsock" }
func (a addr) String() string  { return string(a) }
