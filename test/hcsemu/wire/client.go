package wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
)

// ErrLost is matched by the error of a call whose connection ended before the reply.
var ErrLost = errors.New("the connection to the emulator's service was lost")

// Client makes calls over one connection in [RoleCalls], as the DLL fronts do
// in C. Its methods may be called from any goroutine.
type Client struct {
	conn    io.ReadWriteCloser
	writeMu sync.Mutex // one frame at a time; above mu

	mu      sync.Mutex
	last    uint64
	pending map[uint64]chan Reply // nil once the connection was lost
}

// NewClient says hello on conn, which it owns from now on, and returns a
// client once the service has agreed.
func NewClient(conn io.ReadWriteCloser, hello Hello) (*Client, error) {
	hello.Role = RoleCalls
	reply, err := greet(conn, hello)
	if err == nil && int32(reply.Result) < 0 {
		err = fmt.Errorf("the emulator's service refused the connection: 0x%08x", reply.Result)
	}
	if err != nil {
		_ = conn.Close() // the first error says more
		return nil, err
	}
	c := &Client{conn: conn, pending: map[uint64]chan Reply{}}
	go c.read()
	return c, nil
}

func greet(conn io.ReadWriter, hello Hello) (Reply, error) {
	if err := Write(conn, hello.Frame()); err != nil {
		return Reply{}, err
	}
	f, err := Read(conn)
	if err != nil {
		return Reply{}, err
	}
	return ParseReply(f)
}

// Call calls a function and waits for its reply. A reply whose result is a
// failure is no error.
func (c *Client) Call(ctx context.Context, name string, args ...Value) (Reply, error) {
	answer := make(chan Reply, 1)
	c.mu.Lock()
	if c.pending == nil {
		c.mu.Unlock()
		return Reply{}, ErrLost
	}
	c.last++
	id := c.last
	c.pending[id] = answer
	c.mu.Unlock()

	if err := c.write(Request{Call: id, Name: name, Args: args}.Frame()); err != nil {
		return Reply{}, fmt.Errorf("%w: %w", ErrLost, err)
	}
	select {
	case reply, ok := <-answer:
		if !ok {
			return Reply{}, ErrLost
		}
		return reply, nil
	case <-ctx.Done():
		return Reply{}, context.Cause(ctx)
	}
}

func (c *Client) write(f *Frame) error {
	c.writeMu.Lock()
	defer c.writeMu.Unlock()
	return Write(c.conn, f)
}

// read hands replies to their calls until the connection ends.
func (c *Client) read() {
	for {
		f, err := Read(c.conn)
		if err != nil {
			break
		}
		reply, err := ParseReply(f)
		if err != nil {
			break
		}
		c.mu.Lock()
		answer := c.pending[reply.Call]
		delete(c.pending, reply.Call)
		c.mu.Unlock()
		if answer != nil {
			answer <- reply
		}
	}
	c.mu.Lock()
	lost := c.pending
	c.pending = nil
	c.mu.Unlock()
	for _, answer := range lost {
		close(answer)
	}
	_ = c.conn.Close() // it has ended
}

// Close ends the connection; calls that wait get ErrLost.
func (c *Client) Close() error { return c.conn.Close() }
