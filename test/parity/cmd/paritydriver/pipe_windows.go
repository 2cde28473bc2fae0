package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"

	"github.com/Microsoft/go-winio"
)

// pipe is a stream of a process, served as containerd's clients serve it.
type pipe struct {
	path     string
	listener net.Listener
	over     chan struct{} // closed when nobody writes any more, or nobody came

	mu     sync.Mutex
	conn   net.Conn     // guarded by mu
	output bytes.Buffer // guarded by mu
}

func newPipe(name string, input bool) (*pipe, error) {
	p := &pipe{path: `\\.\pipe\isol-parity-` + name, over: make(chan struct{})}
	var err error
	if p.listener, err = winio.ListenPipe(p.path, nil); err != nil {
		return nil, err
	}
	go p.serve(input)
	return p, nil
}

func (p *pipe) serve(input bool) {
	defer close(p.over)
	conn, err := p.listener.Accept()
	if err != nil {
		return // closed: nobody came
	}
	p.mu.Lock()
	p.conn = conn
	p.mu.Unlock()
	if input {
		return
	}
	buffer := make([]byte, 32<<10)
	for {
		n, err := conn.Read(buffer)
		p.mu.Lock()
		p.output.Write(buffer[:n])
		p.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (p *pipe) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.output.String()
}

// write gives input to the process.
func (p *pipe) write(text string) error {
	if !poll(func() bool { p.mu.Lock(); defer p.mu.Unlock(); return p.conn != nil }) {
		return fmt.Errorf("nobody reads the input")
	}
	p.mu.Lock()
	conn := p.conn
	p.mu.Unlock()
	_, err := io.WriteString(conn, text)
	return err
}

// expect waits until the output has the text.
func (p *pipe) expect(text string) error {
	if !poll(func() bool { return strings.Contains(p.text(), text) }) {
		return fmt.Errorf("%q did not come; the output is %q", text, p.text())
	}
	return nil
}

func (p *pipe) close() {
	_ = p.listener.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conn != nil {
		_ = p.conn.Close()
	}
}
