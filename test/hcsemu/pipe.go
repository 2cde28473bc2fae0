package hcsemu

import (
	"io"
	"os"
	"sync"
)

// pipeBuffer is how much a writer gets ahead of its reader, as with a named
// pipe: a process that writes a line and ends does not wait for anyone.
const pipeBuffer = 64 << 10

// pipe is a one-way stream between a scripted process and its caller. Reads
// and writes that wait end when either side closes.
type pipe struct {
	mu          sync.Mutex
	changed     *sync.Cond // of anything below
	buf         []byte     // guarded by mu
	ended       bool       // nothing more will be written; guarded by mu
	readerGone  bool       // guarded by mu
	writerGone  bool       // guarded by mu
	holdWriters bool       // closing the writer does not end the stream; guarded by mu
}

func newPipe() *pipe {
	p := &pipe{}
	p.changed = sync.NewCond(&p.mu)
	return p
}

// end ends the stream: what was written is still read, then comes io.EOF.
func (p *pipe) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	p.changed.Broadcast()
}

// pipeReader and pipeWriter are the two sides.
type (
	pipeReader struct{ *pipe }
	pipeWriter struct{ *pipe }
)

// Read waits for data, the end, or the close of this side.
func (p pipeReader) Read(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.buf) == 0 && !p.ended && !p.readerGone && len(b) > 0 {
		p.changed.Wait()
	}
	switch {
	case p.readerGone:
		return 0, os.ErrClosed
	case len(p.buf) == 0 && p.ended:
		return 0, io.EOF
	}
	n := copy(b, p.buf)
	p.buf = p.buf[n:]
	p.changed.Broadcast()
	return n, nil
}

// Close makes reads and the other side's writes fail.
func (p pipeReader) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.readerGone, p.buf = true, nil
	p.changed.Broadcast()
	return nil
}

// Write waits for room. It fails after the end and once a side has closed.
func (p pipeWriter) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	done := 0
	for {
		switch {
		case p.writerGone:
			return done, os.ErrClosed
		case p.readerGone, p.ended:
			return done, io.ErrClosedPipe
		}
		n := min(len(b)-done, pipeBuffer-len(p.buf))
		p.buf = append(p.buf, b[done:done+n]...)
		done += n
		p.changed.Broadcast()
		if done == len(b) {
			return done, nil
		}
		p.changed.Wait()
	}
}

// Close makes writes of this side fail. It ends the stream unless that is
// someone else's to do (see [RunningProcess.CloseStdin]).
func (p pipeWriter) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.writerGone = true
	if !p.holdWriters {
		p.ended = true
	}
	p.changed.Broadcast()
	return nil
}
