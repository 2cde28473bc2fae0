package journal

import (
	"context"
	"errors"
	"fmt"
	"io"
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
	Undone  []Record // released, in that order
	Left    []Record // still there: the error says why
	Refused []Record // isol would not have made them: the error says why; trying again is no use
	Torn    bool     // the last line was not written to its end; nothing was lost by it
	Damaged []int    // lines that cannot be read: what they named is not known
}

// Read returns what the journal at path still holds, without undoing it. A
// journal that does not exist is empty. Errors: PermissionDenied for a file of
// an account whose word isol does not act on, FailedPrecondition for a newer
// version, Internal for one that is damaged or cannot be read.
func Read(path string) (Content, error) {
	data, err := readFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Content{}, nil
	}
	var c Content
	if err == nil {
		c, err = parse(data)
	}
	return c, fault.Wrap(err, "read journal", path)
}

func readFile(path string) (_ []byte, err error) {
	var f *os.File
	err = whenFree(func() (err error) {
		f, err = os.Open(path)
		return err
	})
	if err != nil {
		return nil, &fault.Error{Kind: fault.Internal, Err: err}
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	switch owner, err := stranger(f); {
	case err != nil:
		return nil, &fault.Error{Kind: fault.Internal, Err: err}
	case owner != "":
		return nil, &fault.Error{Kind: fault.PermissionDenied, Detail: "refused: it belongs to " + owner,
			Hint: "isol acts on journals of the system, of administrators and of its own account: remove the file if you do not know it"}
	}
	data, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	if err != nil {
		return nil, &fault.Error{Kind: fault.Internal, Err: err}
	}
	return data, nil
}

// Check refuses a journal that is not of the task id, or not of the machine
// origin: what it names is another's. Errors: FailedPrecondition.
func (c *Content) Check(id, origin string) error {
	detail, hint := "", ""
	switch o := c.Header.Origin; {
	case c.Header.ID == "":
		return nil // no journal, or none with a whole header: it names nothing
	case c.Header.ID != id:
		detail = fmt.Sprintf("it is of task %q, and this is %q", c.Header.ID, id)
		hint = "what it names is another task's: remove the file if that is gone"
	case o != "" && origin != "" && o != origin:
		detail = fmt.Sprintf("it was written on %q, and this is %q", o, origin)
		hint = "what it names exists on the other machine only: remove the file if that is gone"
	default:
		return nil
	}
	return &fault.Error{Kind: fault.FailedPrecondition, Detail: "refused: " + detail, Hint: hint}
}

// damage is the error of lines that cannot be read.
func (c *Content) damage() error {
	return &fault.Error{Kind: fault.Internal, Detail: fmt.Sprintf("lines %v are damaged: what they named is not cleaned up", c.Damaged), Hint: byHand}
}

// Sift says what a replay for the task id would release, last acquired first,
// and what it would refuse. The error says why, and of damage, too.
func (c *Content) Sift(id string) (release, refuse []Record, err error) {
	var errs []error
	for _, e := range slices.Backward(c.Entries) {
		if err := check(id, e.record); err != nil {
			refuse, errs = append(refuse, e.record), append(errs, err)
			continue
		}
		release = append(release, e.record)
	}
	if len(c.Damaged) > 0 {
		errs = append(errs, c.damage())
	}
	return release, refuse, errors.Join(errs...)
}

// Replay releases, last acquired first, what the journal of task id at path still
// holds, strikes it, and removes the file when nothing is left. A journal that
// does not exist is empty. One failure does not keep the others from being tried;
// when ctx ends, what was not tried stays. Replay is idempotent.
//
// Errors: those of [Read] and [Content.Check], Internal for damaged lines, and
// those of the undoers, joined.
func Replay(ctx context.Context, path, id string, u Undoers) (Report, error) {
	return replay(ctx, &striker{path: path, open: openToAppend}, id, u)
}

func replay(ctx context.Context, s *striker, id string, u Undoers) (Report, error) {
	c, err := Read(s.path)
	if err != nil {
		return Report{}, err
	}
	r := Report{ID: c.Header.ID, Torn: c.Torn, Damaged: c.Damaged}
	if err := c.Check(id, u.Origin); err != nil {
		return r, fault.Wrap(err, "replay journal", s.path)
	}
	var errs []error
	if c.Torn && len(c.Entries) > 0 {
		// Strikes are appended: they must not be glued to half a line.
		if err := whenFree(func() error { return os.Truncate(s.path, c.whole) }); err != nil {
			errs = append(errs, err)
		}
	}
	for _, e := range slices.Backward(c.Entries) {
		if err := check(id, e.record); err != nil {
			errs = append(errs, err)
			r.Refused = append(r.Refused, e.record)
			continue
		}
		if err := u.release(ctx, id, e.record); err != nil {
			errs = append(errs, err)
			r.Left = append(r.Left, e.record)
			continue
		}
		s.strike(e.seq)
		r.Undone = append(r.Undone, e.record)
	}
	if len(c.Damaged) > 0 {
		errs = append(errs, c.damage())
	}
	if len(errs) == 0 {
		errs = append(errs, remove(s.path)) // with what could not be struck
	} else {
		errs = append(errs, s.err)
	}
	return r, fault.Wrap(errors.Join(errs...), "replay journal", s.path)
}

// release releases what a record of id's journal names.
func (u Undoers) release(ctx context.Context, id string, r Record) error {
	if err := check(id, r); err != nil {
		return err
	}
	if err := context.Cause(ctx); err != nil {
		return fault.Wrap(err, "undo "+string(r.Kind), r.Name)
	}
	f := u.Undo[r.Kind]
	if f == nil {
		return fault.New(fault.Unimplemented, "nothing here can undo %s %q", r.Kind, r.Name)
	}
	return fault.Wrap(f(ctx, r), "undo "+string(r.Kind), r.Name)
}

// SettleSystem releases what is outstanding of a compute system, the last
// acquired first, and strikes it: what its owner gave up and has no handle of,
// because a call ended without an answer. Errors: those of the undoers, joined;
// what failed stays outstanding.
func (j *Journal) SettleSystem(ctx context.Context, id string, u Undoers) error {
	j.mu.Lock()
	open := slices.Clone(j.open)
	j.mu.Unlock()
	var errs []error
	for _, e := range slices.Backward(open) {
		if e.record.System != id && (e.record.Kind != KindComputeSystem || e.record.Name != id) {
			continue
		}
		err := u.release(ctx, j.header.ID, e.record)
		if err == nil {
			err = j.Release(e)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// Settle releases what is outstanding in a journal that was closed, the last
// acquired first, and strikes it. It goes by what the journal knows, not by its
// file, which may have gone with the bundle. It may be called again. Errors:
// those of the undoers, joined; what failed stays outstanding.
func (j *Journal) Settle(ctx context.Context, u Undoers) error {
	j.mu.Lock()
	open := slices.Clone(j.open)
	j.mu.Unlock()
	s := &striker{path: j.path, open: openToAppend}
	var errs []error
	for _, e := range slices.Backward(open) {
		if err := u.release(ctx, j.header.ID, e.record); err != nil {
			errs = append(errs, err)
			continue
		}
		j.mu.Lock()
		j.open = slices.DeleteFunc(j.open, func(other *Entry) bool { return other == e })
		j.mu.Unlock()
		s.strike(e.seq)
	}
	if len(errs) == 0 {
		return fault.Wrap(remove(j.path), "settle journal", j.path) // with what could not be struck
	}
	return fault.Wrap(errors.Join(append(errs, s.err)...), "settle journal", j.path)
}

// striker strikes in the journal at path.
type striker struct {
	path string
	open func(path string) (File, error) // to append
	err  error                           // of the first strike that could not be written
}

func openToAppend(path string) (f File, err error) {
	err = whenFree(func() (err error) {
		f, err = os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
		return err
	})
	return f, err
}

// strike notes that a record was released. It appends by itself, since another
// process may replay at the same time; a journal that is gone was finished by
// that one. What cannot be written is not tried again: the record was released
// all the same, and half a line must stay the last.
func (s *striker) strike(seq uint64) {
	if s.err != nil {
		return
	}
	if err := s.write(entryLine{Strike: seq}); err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.err = fault.Wrap(unwritten(err), "strike what was released", "")
	}
}

func (s *striker) write(payload any) error {
	line, err := encode(payload)
	if err != nil {
		return err
	}
	f, err := s.open(s.path)
	if err != nil {
		return err
	}
	_, err = f.Write(line)
	return errors.Join(err, f.Close())
}
