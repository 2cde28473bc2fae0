package gcs

import (
	"fmt"
	"io"
	"net"
	"sync"
)

// BridgeService is the hvsocket service that a Windows guest dials for the
// bridge (runhcs: gcs/prot WindowsGcsHvsockServiceID).
const BridgeService = "acef5661-84a1-4e44-856b-6245e69f4620"

// firstStdioPort is the first vsock port that stdio listeners use: the one
// after the bridge's own (runhcs: gcs/prot LinuxGcsVsockPort + 1).
const firstStdioPort = 0x40000001

// ServiceID returns the hvsocket service GUID that stands for a vsock port:
// https://learn.microsoft.com/virtualization/hyper-v-on-windows/user-guide/make-integration-service
func ServiceID(port uint32) string {
	return fmt.Sprintf("%08x-facb-11e6-bd58-64006a7986d3", port)
}

// Listener opens the host's side of hvsocket services of one VM.
type Listener interface {
	// Listen listens for connections of the guest to the service. The caller
	// closes the listener.
	Listen(serviceID string) (net.Listener, error)
}

// channel is one stream of a process: the host listens, the guest connects
// once. Reads and writes wait for the connection; Close ends them.
type channel struct {
	l     net.Listener
	ready chan struct{} // closed when conn or err is set

	mu     sync.Mutex
	conn   net.Conn
	err    error
	closed bool
}

func newChannel(l net.Listener) *channel {
	c := &channel{l: l, ready: make(chan struct{})}
	go c.accept()
	return c
}

func (c *channel) accept() {
	conn, err := c.l.Accept()
	// One connection is all there is: nobody else may take the service.
	_ = c.l.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conn, c.err = conn, err
	if c.closed {
		c.err = net.ErrClosed
		if conn != nil {
			_ = conn.Close()
		}
	}
	close(c.ready)
}

func (c *channel) connected() (net.Conn, error) {
	<-c.ready
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.conn, c.err
}

func (c *channel) Read(p []byte) (int, error) {
	conn, err := c.connected()
	if err != nil {
		return 0, err
	}
	return conn.Read(p)
}

func (c *channel) Write(p []byte) (int, error) {
	conn, err := c.connected()
	if err != nil {
		return 0, err
	}
	return conn.Write(p)
}

// CloseWrite ends the process's input and leaves the stream open.
func (c *channel) CloseWrite() error {
	conn, err := c.connected()
	if err != nil {
		return err
	}
	if w, ok := conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return conn.Close()
}

// Close is idempotent; it also ends a wait for the guest's connection.
func (c *channel) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil
	}
	c.closed = true
	if c.conn != nil {
		c.err = net.ErrClosed
		return c.conn.Close()
	}
	return c.l.Close()
}

var _ io.ReadWriteCloser = (*channel)(nil)
