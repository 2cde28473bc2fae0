package main

import (
	"bytes"
	"sync"
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
