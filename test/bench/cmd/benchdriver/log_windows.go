package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"sync"
	"time"

	"github.com/Microsoft/go-winio"
)

// logged is what a shim has logged so far.
type logged struct {
	mu  sync.Mutex
	all bytes.Buffer // guarded by mu
}

// Write implements io.Writer.
func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.Write(p)
}

func (l *logged) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.String()
}

// log returns the log of a task's shim.
func (d *drive) log(id string) *logged {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.logs[id] == nil {
		d.logs[id] = &logged{}
	}
	return d.logs[id]
}

// read takes a shim's log as containerd does, from when the shim serves it
// until the shim ends.
func (l *logged) read(id string) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for {
		conn, err := winio.DialPipeContext(ctx, `\\.\pipe\containerd-shim-`+namespace+"-"+id+"-log")
		switch {
		case err == nil:
			_, _ = io.Copy(l, conn) // until the shim ends
			_ = conn.Close()
			return
		case !errors.Is(err, fs.ErrNotExist):
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}
