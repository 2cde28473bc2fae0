package cri

import (
	"context"
	"errors"
	"io"

	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Streams are the ends of a process's streams. The nil ones are not asked for.
type Streams struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Terminal       bool        // then there is no Stderr: a console has one output
	Resize         <-chan Size // of the terminal; nil: its size stays
}

// Exec runs a program in a container, as `kubectl exec -i` does, and returns its
// exit code. The error is for one that did not run.
func (c *Client) Exec(ctx context.Context, container string, args []string, s Streams) (int, error) {
	r, err := c.RuntimeServiceClient.Exec(ctx, &runtime.ExecRequest{
		ContainerId: container, Cmd: args, Tty: s.Terminal,
		Stdin: s.Stdin != nil, Stdout: s.Stdout != nil, Stderr: s.Stderr != nil,
	})
	if err != nil {
		return 0, err
	}
	return c.relay(ctx, r.GetUrl(), s)
}

// Attach joins the streams of a container's first process, until it ends or ctx
// does.
func (c *Client) Attach(ctx context.Context, container string, s Streams) error {
	r, err := c.RuntimeServiceClient.Attach(ctx, &runtime.AttachRequest{
		ContainerId: container, Tty: s.Terminal,
		Stdin: s.Stdin != nil, Stdout: s.Stdout != nil, Stderr: s.Stderr != nil,
	})
	if err == nil {
		_, err = c.relay(ctx, r.GetUrl(), s)
	}
	return err
}

// relay joins streams to a URL of the streaming server until the end.
func (c *Client) relay(ctx context.Context, url string, s Streams) (int, error) {
	k, err := c.lines.start(request{Open: &target{
		URL: url, Stdin: s.Stdin != nil, Stdout: s.Stdout != nil, Stderr: s.Stderr != nil, Terminal: s.Terminal,
	}})
	if err != nil {
		return 0, err
	}
	defer c.lines.cancelOn(ctx, k)()
	ended := make(chan struct{})
	defer close(ended)
	if s.Stdin != nil {
		go c.feed(k, s.Stdin)
	}
	if s.Resize != nil {
		go c.resize(k, s.Resize, ended)
	}
	for {
		a, err := k.get(context.WithoutCancel(ctx))
		if err != nil {
			return 0, err
		}
		if a.End {
			return a.Exit, fromContext(ctx, a.failure())
		}
		for _, part := range []struct {
			to   io.Writer
			data []byte
		}{{s.Stdout, a.Stdout}, {s.Stderr, a.Stderr}} {
			if part.to != nil && len(part.data) > 0 {
				if _, err := part.to.Write(part.data); err != nil {
					return 0, errors.Join(err, c.lines.send(request{ID: k.id, Cancel: true}))
				}
			}
		}
	}
}

// feed sends input until there is no more. One that a call no longer takes is
// dropped by the program.
func (c *Client) feed(k *call, from io.Reader) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 && c.lines.send(request{ID: k.id, Input: buf[:n]}) != nil {
			return
		}
		if err != nil {
			_ = c.lines.send(request{ID: k.id, EndInput: true})
			return
		}
	}
}

// resize sends sizes until the call has ended.
func (c *Client) resize(k *call, sizes <-chan Size, ended <-chan struct{}) {
	for {
		select {
		case size, ok := <-sizes:
			if !ok || c.lines.send(request{ID: k.id, Resize: &size}) != nil {
				return
			}
		case <-ended:
			return
		}
	}
}
