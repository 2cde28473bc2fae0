package gcs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/isolrun/isol/internal/hcs"
	"github.com/isolrun/isol/internal/hcs/schema"
)

// container is a container in the VM, as hcs.Compute.
type container struct {
	guest *Guest
	id    string
	done  chan struct{}
	once  sync.Once
	exit  error // written before done is closed
}

var _ hcs.Compute = (*container)(nil)

// end reports the container's end once.
func (c *container) end(err error) {
	c.once.Do(func() {
		c.exit = err
		close(c.done)
	})
}

func (c *container) base() RequestBase { return RequestBase{ContainerID: c.id} }

func (c *container) ID() string { return c.id }

func (c *container) Start(ctx context.Context) error {
	req := c.base()
	return c.guest.call(ctx, ProcStart, c.id, &req, &ResponseBase{})
}

func (c *container) Shutdown(ctx context.Context) error  { return c.stop(ctx, ProcShutdownGraceful) }
func (c *container) Terminate(ctx context.Context) error { return c.stop(ctx, ProcShutdownForced) }

// stop asks the guest to end the container. A guest that no longer knows it
// has ended it: its notification may still be on the way.
func (c *container) stop(ctx context.Context, proc Procedure) error {
	select {
	case <-c.done:
		return c.guest.failed(proc, c.id, hcs.ErrAlreadyStopped)
	default:
	}
	req := c.base()
	err := c.guest.call(ctx, proc, c.id, &req, &ResponseBase{})
	if errors.Is(err, hcs.ErrNotFound) {
		return c.guest.failed(proc, c.id, hcs.ErrAlreadyStopped)
	}
	return err
}

func (c *container) Properties(ctx context.Context, query schema.PropertyQuery) (*schema.Properties, error) {
	var resp PropertiesResponse
	if err := c.guest.call(ctx, ProcGetProperties, c.id, &PropertiesRequest{c.base(), Embedded{query}}, &resp); err != nil {
		return nil, err
	}
	props := new(schema.Properties)
	if err := json.Unmarshal([]byte(resp.Properties), props); err != nil {
		return nil, c.guest.failed(ProcGetProperties, c.id, fmt.Errorf("%w: the properties cannot be decoded: %w", hcs.ErrUnknown, err))
	}
	return props, nil
}

func (c *container) Modify(ctx context.Context, req *schema.ModificationRequest) error {
	return c.guest.call(ctx, ProcModifySettings, c.id, &ModifyRequest{c.base(), req}, &ResponseBase{})
}

func (c *container) CreateProcess(ctx context.Context, params *schema.ProcessParameters) (hcs.Process, error) {
	return c.guest.execute(ctx, c.id, params)
}

func (c *container) Done() <-chan struct{} { return c.done }

func (c *container) Exit() error { return c.exit }

// Close forgets the container; the guest keeps it until it has ended.
func (c *container) Close() error {
	c.guest.unregister(c)
	c.end(c.guest.failed(ProcStart, c.id, hcs.ErrClosed))
	return nil
}
