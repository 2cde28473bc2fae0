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
// that survive a restart of the machine (namespace, user, scratch) are flushed
// to the disk before they are acquired. So a container's create waits for no
// disk.
//
// # Replay
//
// [Replay] releases the last acquired first. It trusts no one: a record that
// names what isol would not have made for this id is not undone but reported
// (see check.go). It may run twice, also at the same time: undoing is idempotent
// and so is striking.
package journal

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"sync"

	"github.com/isolrun/isol/internal/fault"
)

// FileName is the name of the journal in a bundle.
const FileName = "isol.journal"

// Version is the version that this package writes and the newest it reads.
const Version = 1

// Kind is what a record undoes.
type Kind string

// The kinds.
const (
	KindComputeSystem Kind = "compute-system" // Name: system id
	KindLayerMount    Kind = "layer-mount"    // Name: folder of the scratch
	KindAttachment    Kind = "attachment"     // Name: disk file; System: the VM that it is attached to
	KindShare         Kind = "share"          // Name: host path; System: the VM that it is shared with
	KindNamespace     Kind = "namespace"      // Name: GUID of the HCN namespace
	KindScratch       Kind = "scratch"        // Name: file that isol made, in the bundle
	KindUser          Kind = "user"           // Name: local user
)

// survivesRestart reports whether the thing outlives the machine's restart.
func (k Kind) survivesRestart() bool {
	return k == KindNamespace || k == KindScratch || k == KindUser
}

// Record is one thing that outlives the process.
type Record struct {
	Kind   Kind   `json:"kind"`
	Name   string `json:"name"`
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
	file file // nil once closed. Guarded by mu.
	seq  uint64
	open []*Entry // acquired and not struck, in order. Guarded by mu.
}

// file is what a journal needs of its file; tests make it fail.
type file interface {
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
	j := &Journal{path: path, header: h, file: f}
	if err := j.write(headerLine{Journal: Version, ID: h.ID, Origin: h.Origin}, false); err != nil {
		return nil, errors.Join(fault.Wrap(err, "create journal", path), f.Close(), os.Remove(path))
	}
	return j, nil
}

func createError(path string, err error) error {
	e := &fault.Error{Kind: fault.Internal, Op: "create journal", Subject: path, Err: err}
	if errors.Is(err, fs.ErrExist) {
		e.Kind, e.Hint = fault.AlreadyExists, "a task that ended badly left it: it must be replayed first"
	}
	return e
}

// Acquire writes that r is about to be acquired. When it has returned nil, the
// thing may be acquired; on an error it must not be. Errors: InvalidArgument
// for a record that Replay would refuse, ResourceExhausted if it cannot be written.
func (j *Journal) Acquire(r Record) (*Entry, error) {
	if err := check(j.path, j.header.ID, r); err != nil {
		return nil, err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.seq++
	e := &Entry{seq: j.seq, record: r}
	if err := j.write(entryLine{Seq: e.seq, Acquire: &r}, r.Kind.survivesRestart()); err != nil {
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
	return fault.Wrap(j.write(entryLine{Strike: e.seq}, false), "write journal", j.path)
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
	if _, err = j.file.Write(line); err == nil && flush {
		err = j.file.Sync()
	}
	if err != nil {
		return fault.New(fault.ResourceExhausted, "%w", err)
	}
	return nil
}

func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove: %w", err)
	}
	return nil
}
