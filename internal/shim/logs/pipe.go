package logs

import (
	"net"
	"sync"
	"time"
)

const (
	// maxEarly is how much is kept until the first reader comes.
	maxEarly = 16 << 10
	// readerLimit is how long a reader may take nothing.
	readerLimit = time.Second
)

// Pipe is the log as containerd reads it: an [io.Writer] whose bytes go to the
// reader that dialled last. containerd dials when it starts the shim, and again
// when it was restarted.
type Pipe struct {
	listener net.Listener

	mu     sync.Mutex
	reader net.Conn // guarded by mu; nil while nobody reads
	early  []byte   // what the first reader has missed. Guarded by mu; nil once there was one
}

// NewPipe takes readers from l, which it owns.
func NewPipe(l net.Listener) *Pipe {
	p := &Pipe{listener: l, early: make([]byte, 0, 512)}
	go p.accept()
	return p
}

// accept ends with the listener.
func (p *Pipe) accept() {
	for {
		reader, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		p.drop()
		p.reader = reader
		if len(p.early) > 0 {
			p.send(p.early)
		}
		p.early = nil
		p.mu.Unlock()
	}
}

// Write implements io.Writer. It never fails: a log that cannot be written has
// nowhere to say so.
func (p *Pipe) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.reader != nil:
		p.send(b)
	case p.early != nil && len(p.early)+len(b) <= maxEarly:
		p.early = append(p.early, b...)
	}
	return len(b), nil
}

// send gives the reader up if it does not take b. The caller holds mu.
func (p *Pipe) send(b []byte) {
	err := p.reader.SetWriteDeadline(time.Now().Add(readerLimit))
	if err == nil {
		_, err = p.reader.Write(b)
	}
	if err != nil {
		p.drop()
	}
}

// drop hangs up on the reader. The caller holds mu.
func (p *Pipe) drop() {
	if p.reader != nil {
		_ = p.reader.Close() // it is of no more use, however it ends
		p.reader = nil
	}
}

// Close hangs up and takes no more readers.
func (p *Pipe) Close() error {
	err := p.listener.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drop()
	p.early = nil
	return err
}
