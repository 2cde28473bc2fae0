package main

import (
	"bytes"
	"context"
	"fmt"
	"sync"
)

// logged is what a shim has logged so far.
type logged struct {
	mu   sync.Mutex
	all  bytes.Buffer  // guarded by mu
	more chan struct{} // closed when more has come, and replaced; guarded by mu
}

// Write implements io.Writer.
func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.more)
	l.more = make(chan struct{})
	return l.all.Write(p)
}

// lines returns the whole lines, and what is closed when more have come.
func (l *logged) lines() ([]byte, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	text := l.all.Bytes()
	return bytes.Clone(text[:bytes.LastIndexByte(text, '\n')+1]), l.more
}

// wait returns the lines once the text is in one of them: a shim answers before
// what it has logged about it has come.
func (l *logged) wait(ctx context.Context, text string) (string, error) {
	for {
		lines, more := l.lines()
		if bytes.Contains(lines, []byte(text)) {
			return string(lines), nil
		}
		select {
		case <-more:
		case <-ctx.Done():
			return "", fmt.Errorf("%q is not in the shim's log: %w", text, ctx.Err())
		}
	}
}

// log returns the log of a task's shim.
func (d *drive) log(id string) *logged {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.logs[id] == nil {
		d.logs[id] = &logged{more: make(chan struct{})}
	}
	return d.logs[id]
}
