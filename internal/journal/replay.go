package journal

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"github.com/isolrun/isol/internal/fault"
)

// Undoers says how to release what records name.
type Undoers struct {
	// Origin identifies this machine: a journal of another is refused. Empty,
	// here or in the journal, means not checked.
	Origin string
	// Undo releases by kind. Each must be idempotent: what is gone is no error.
	Undo map[Kind]func(ctx context.Context, r Record) error
}

// Report is what a replay did.
type Report struct {
	ID      string
	Undone  []Record // released and struck, in that order
	Left    []Record // still there: the error says why
	Torn    bool     // the last line was not written to its end; nothing was lost by it
	Damaged []int    // lines that cannot be read: what they named is not known
}

// Read returns what the journal at path still holds, without undoing it. A
// journal that does not exist is empty.
func Read(path string) (Content, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Content{}, nil
	}
	if err != nil {
		return Content{}, &fault.Error{Kind: fault.Internal, Op: "read journal", Subject: path, Err: err}
	}
	c, err := parse(data)
	return c, fault.Wrap(err, "read journal", path)
}

// Replay releases, last acquired first, what the journal at path still holds,
// strikes it, and removes the file when nothing is left. A journal that does
// not exist is empty. One failure does not keep the others from being tried;
// when ctx ends, what was not tried stays. Replay is idempotent.
//
// Errors: FailedPrecondition for a journal of a newer version or of another
// machine, Internal for one that is damaged, and those of the undoers, joined.
func Replay(ctx context.Context, path string, u Undoers) (Report, error) {
	c, err := Read(path)
	if err != nil {
		return Report{}, err
	}
	r := Report{ID: c.Header.ID, Torn: c.Torn, Damaged: c.Damaged}
	if o := c.Header.Origin; o != "" && u.Origin != "" && o != u.Origin {
		return r, &fault.Error{Kind: fault.FailedPrecondition, Op: "replay journal", Subject: path,
			Detail: fmt.Sprintf("it was written on %q, this is %q", o, u.Origin),
			Hint:   "what it names exists on the other machine only: remove the file if that is gone"}
	}
	var errs []error
	if c.Torn && len(c.Entries) > 0 {
		// Strikes are appended: they must not be glued to half a line.
		if err := os.Truncate(path, c.whole); err != nil {
			errs = append(errs, err)
		}
	}
	for _, e := range slices.Backward(c.Entries) {
		if err := undo(ctx, path, c.Header.ID, e, u); err != nil {
			errs = append(errs, err)
			r.Left = append(r.Left, e.record)
			continue
		}
		r.Undone = append(r.Undone, e.record)
	}
	if len(c.Damaged) > 0 {
		errs = append(errs, fault.New(fault.Internal, "lines %v are damaged: what they named is not cleaned up", c.Damaged))
	}
	if len(errs) == 0 {
		errs = append(errs, remove(path))
	}
	return r, fault.Wrap(errors.Join(errs...), "replay journal", path)
}

// undo releases one entry and strikes it.
func undo(ctx context.Context, path, id string, e *Entry, u Undoers) error {
	if err := check(path, id, e.record); err != nil {
		return err
	}
	if err := context.Cause(ctx); err != nil {
		return fault.Wrap(err, "undo "+string(e.record.Kind), e.record.Name)
	}
	f := u.Undo[e.record.Kind]
	if f == nil {
		return fault.New(fault.Unimplemented, "nothing here can undo %s %q", e.record.Kind, e.record.Name)
	}
	if err := f(ctx, e.record); err != nil {
		return fault.Wrap(err, "undo "+string(e.record.Kind), e.record.Name)
	}
	return strike(path, e.seq)
}

// strike appends by itself, since another process may replay at the same time.
// A journal that is gone was finished by that one.
func strike(path string, seq uint64) (err error) {
	line, err := encode(entryLine{Strike: seq})
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	_, err = f.Write(line)
	return err
}
