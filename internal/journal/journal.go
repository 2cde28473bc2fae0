// Package journal keeps undo records: what outlives the process is written
// down before it is acquired and struck after it was released, so that whoever
// comes later (the delete action, the next start, isolctl prune) can clean up
// after a crash at any point.
//
// # File
//
// One journal lies in the bundle of each task. It is text, one record a line:
//
//	crc32c  payload
//	5c1b2a90 {"journal":1,"id":"web-0","origin":"NODE7"}
//	0f35e1d7 {"seq":1,"acquire":{"kind":"compute-system","name":"web-0"}}
//	93ab4410 {"strike":1}
//
// The first payload is the header. Each line is appended by one write. A last
// line that is torn was never acted on (a record is written before its thing is
// acquired) and is ignored. A damaged line elsewhere is skipped and reported:
// the others still tell what to undo, and a lost strike only means undoing
// again what is gone. A version above [Version] is refused, because what a
// newer isol wrote may not mean what this one takes it for.
//
// # When it reaches the disk
//
// The end of the process, however sudden, loses nothing that was written:
// that needs no flush. A crash of the whole machine also ends compute systems,
// mounts and attachments, so their records may be lost with it. Only kinds
// that survive a restart of the machine are flushed to the disk before they
// are acquired. So the create of a container on the host waits for no disk.
//
// On a full disk nothing is acquired, since nobody could clean it up: Acquire
// fails, takes back what it wrote of its line, and the journal goes on. Letting
// go needs no space: a strike that does not fit is undone once more by the next
// replay, and a replay that has released everything removes the file.
//
// # Replay
//
// [Replay] releases the last acquired first. It trusts no one:
//
//	whose                                            else
//	a file of the system's, administrators' or ours  refused (owner_windows.go)
//	a header with the id that the caller expects     refused
//	a header of this machine                         refused
//	a record that isol would have made for the id    not undone, reported (kinds.go)
//
// It may run twice, also at the same time: undoing is idempotent and so is
// striking.
//
// # A new kind of thing to undo
//
// kinds.go has the table and says which four places it takes.
package journal

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/isolrun/isol/internal/fault"
)

// FileName is the name of the journal in a bundle.
const FileName = "isol.journal"

// Version is the version that this package writes and the newest it reads.
const Version = 1

// Record is one thing that outlives the process.
type Record struct {
	Kind   Kind   `json:"kind"`
	Name   string `json:"name"`             // see the table in kinds.go
	System string `json:"system,omitempty"` // compute system that it belongs to, where one does
}

// Header says whose journal it is.
type Header struct {
	ID     string // of the task
	Origin string // of the machine; empty: not said
}

// Entry is an acquired record, to be struck by Release.
type Entry struct {
	seq    uint64
	record Record
}

// Record returns what the entry undoes.
func (e *Entry) Record() Record { return e.record }

// Journal is an open journal. All methods may be called from any goroutine.
type Journal struct {
	path   string
	header Header

	mu   sync.Mutex
	file File // nil once closed. Guarded by mu.
	seq  uint64
	size int64    // of the whole lines in the file. Guarded by mu.
	torn bool     // part of a line follows them. Guarded by mu.
	open []*Entry // acquired and not struck, in order. Guarded by mu.
}

// File is what a journal needs of its file, which it appends to; tests make it
// fail.
type File interface {
	io.WriteCloser
	Sync() error
}

// Create makes the journal at path for a task. Errors: AlreadyExists if there
// is one: it must be replayed first.
func Create(path string, h Header) (*Journal, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, createError(path, err)
	}
	return CreateOn(f, path, h)
}

// CreateOn is Create on a file that is at path, empty and the journal's.
func CreateOn(f File, path string, h Header) (*Journal, error) {
	j := &Journal{path: path, header: h, file: f}
	if err := j.write(headerLine{Journal: Version, ID: h.ID, Origin: h.Origin}, false); err != nil {
		return nil, errors.Join(fault.Wrap(err, "create journal", path), f.Close(), remove(path))
	}
	return j, nil
}

func createError(path string, err error) error {
	if fault.DiskFull(err) {
		return fault.Wrap(unwritten(err), "create journal", path)
	}
	e := &fault.Error{Kind: fault.Internal, Op: "create journal", Subject: path, Err: err}
	if errors.Is(err, fs.ErrExist) {
		e.Kind, e.Hint = fault.AlreadyExists, "a task that ended badly left it: it must be replayed first"
	}
	return e
}

// unwritten is the error of a journal that cannot be written.
func unwritten(err error) error {
	if fault.DiskFull(err) {
		return fault.OutOfSpace(err, "containerd's state")
	}
	return &fault.Error{Kind: fault.Internal, Err: err}
}

// Acquire writes that r is about to be acquired. When it has returned nil, the
// thing may be acquired; on an error it must not be. Errors: InvalidArgument
// for a record that Replay would refuse, ResourceExhausted if the disk is full,
// Internal if it cannot be written for another reason.
func (j *Journal) Acquire(r Record) (*Entry, error) {
	if err := check(j.header.ID, r); err != nil {
		return nil, err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.seq++
	e := &Entry{seq: j.seq, record: r}
	if err := j.write(entryLine{Seq: e.seq, Acquire: &r}, kinds[r.Kind].durable); err != nil {
		return nil, fault.Wrap(err, "write journal", j.path)
	}
	j.open = append(j.open, e)
	return e, nil
}

// Release writes that e was released. It is idempotent. After an error the
// record counts as released here, and a replay would undo it once more.
func (j *Journal) Release(e *Entry) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	i := slices.Index(j.open, e)
	if i < 0 {
		return nil
	}
	j.open = slices.Delete(j.open, i, i+1)
	err := j.write(entryLine{Strike: e.seq}, false)
	if err == nil && j.size > compactSize {
		err = j.compact()
	}
	return fault.Wrap(err, "write journal", j.path)
}

// compactSize is when a journal is written anew with what is outstanding: the
// containers of a pod may be restarted for months, and each leaves two lines
// for each of its disks in the journal of the sandbox.
const compactSize = 64 << 10

// compact replaces the file by a shorter one. Whoever reads it meanwhile sees
// one or the other, whole. j.mu is held.
func (j *Journal) compact() error {
	lines := []any{headerLine{Journal: Version, ID: j.header.ID, Origin: j.header.Origin}}
	for _, e := range j.open {
		lines = append(lines, entryLine{Seq: e.seq, Acquire: &e.record})
	}
	var text []byte
	for _, payload := range lines {
		line, err := encode(payload)
		if err != nil {
			return err
		}
		text = append(text, line...)
	}
	fresh := j.path + ".new"
	if err := writeWhole(fresh, text); err != nil {
		return errors.Join(unwritten(err), remove(fresh)) // the long one goes on
	}
	// Windows replaces no file that is open.
	err := j.file.Close()
	j.file = nil
	if err = errors.Join(err, os.Rename(fresh, j.path)); err == nil {
		j.size = int64(len(text))
	}
	f, openErr := os.OpenFile(j.path, os.O_WRONLY|os.O_APPEND, 0)
	if openErr == nil {
		j.file = f
	}
	return errors.Join(err, openErr)
}

// writeWhole writes a file to the disk.
func writeWhole(path string, text []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Sync(), f.Close())
}

// Outstanding returns what is acquired and not released, in order.
func (j *Journal) Outstanding() []Record {
	j.mu.Lock()
	defer j.mu.Unlock()
	out := make([]Record, len(j.open))
	for i, e := range j.open {
		out[i] = e.record
	}
	return out
}

// Close closes the file, and removes it if nothing is outstanding. It is
// idempotent.
func (j *Journal) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.file == nil {
		return nil
	}
	err := j.file.Close()
	j.file = nil
	if len(j.open) == 0 {
		err = errors.Join(err, remove(j.path))
	}
	return fault.Wrap(err, "close journal", j.path)
}

// write appends one line. j.mu is held, or j is not shared yet.
func (j *Journal) write(payload any, flush bool) error {
	if j.file == nil {
		return fault.New(fault.FailedPrecondition, "the journal is closed")
	}
	line, err := encode(payload)
	if err != nil {
		return err
	}
	if err := j.mend(); err != nil {
		return err
	}
	n, err := j.file.Write(line)
	if err == nil && flush {
		err = j.file.Sync()
	}
	if err != nil {
		j.torn = n > 0
		return errors.Join(unwritten(err), j.mend())
	}
	j.size += int64(n)
	return nil
}

// mend takes back what a failed write has left of its line: the next must not
// be glued to it. By the path, since a file that is appended to cannot be cut on
// Windows.
func (j *Journal) mend() error {
	if !j.torn {
		return nil
	}
	if err := os.Truncate(j.path, j.size); err != nil {
		return fault.New(fault.Internal, "take back half a line: %w", err)
	}
	j.torn = false
	return nil
}

// The pauses between two tries, each twice the one before: half a second in
// all. Who reads or removes a journal has it open for less.
const (
	firstInUsePause = time.Millisecond
	lastInUsePause  = 256 * time.Millisecond
)

// whenFree does something with a file that others may have open for a moment:
// Windows removes none that another reads, lets nobody read one that another
// removes, and those who replay a journal at once do all of that.
func whenFree(do func() error) error {
	for pause := firstInUsePause; ; pause *= 2 {
		err := do()
		if err == nil || !inUse(err) || pause > lastInUsePause {
			return err
		}
		time.Sleep(pause)
	}
}

// remove removes a journal, which need not be there.
func remove(path string) error {
	err := whenFree(func() error { return os.Remove(path) })
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove: %w", err)
	}
	return nil
}
