package event

import (
	"context"
	"fmt"
	"sync"

	"github.com/containerd/containerd/api/services/ttrpc/events/v1"
	"github.com/containerd/containerd/api/types"
	"github.com/containerd/ttrpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Client is the Forwarder to containerd. It connects at the first event, and
// again after a failure.
type Client struct {
	dial func(ctx context.Context) (*ttrpc.Client, error)

	mu     sync.Mutex
	conn   *ttrpc.Client // guarded by mu; nil: not connected
	closed bool          // guarded by mu
}

// NewClient returns a Forwarder over connections that dial makes.
func NewClient(dial func(ctx context.Context) (*ttrpc.Client, error)) *Client {
	return &Client{dial: dial}
}

// Forward implements Forwarder. Only one call at a time is expected.
func (c *Client) Forward(ctx context.Context, e *types.Envelope) error {
	conn, err := c.connection(ctx)
	if err != nil {
		return err
	}
	_, err = events.NewTTRPCEventsClient(conn).Forward(ctx, &events.ForwardRequest{Envelope: e})
	if err == nil {
		return nil
	}
	if st, ok := status.FromError(err); ok {
		// containerd answered, so the connection is good.
		if st.Code() == codes.InvalidArgument {
			return fmt.Errorf("%w: %w", ErrRefused, err)
		}
		return err
	}
	c.drop(conn)
	return err
}

func (c *Client) connection(ctx context.Context) (*ttrpc.Client, error) {
	c.mu.Lock()
	conn, closed := c.conn, c.closed
	c.mu.Unlock()
	if closed {
		return nil, ttrpc.ErrClosed
	}
	if conn != nil {
		return conn, nil
	}
	conn, err := c.dial(ctx)
	if err != nil {
		return nil, fmt.Errorf("connect to containerd: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, fmt.Errorf("%w (%v)", ttrpc.ErrClosed, conn.Close())
	}
	c.conn = conn
	return conn, nil
}

func (c *Client) drop(conn *ttrpc.Client) {
	c.mu.Lock()
	if c.conn == conn {
		c.conn = nil
	}
	c.mu.Unlock()
	_ = conn.Close()
}

// Close implements Forwarder.
func (c *Client) Close() error {
	c.mu.Lock()
	conn := c.conn
	c.conn, c.closed = nil, true
	c.mu.Unlock()
	if conn == nil {
		return nil
	}
	return conn.Close()
}
