package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/isolrun/isol/internal/fault"
)

// Backlog is a folder of journals that could not be finished while their
// bundles were there: containerd removes a bundle when its task is deleted,
// whether or not all of it could be released.
//
//	<folder>\<namespace>\<id>\<n>.journal
//
// What lies there is read with the same distrust as in a bundle. Its methods
// may be called from any process, also at the same time.
type Backlog string

const backlogSuffix = ".journal"

// DefaultBacklog returns %ProgramData%\isol\backlog with the variable taken
// from getenv.
func DefaultBacklog(getenv func(string) string) Backlog {
	base := getenv("ProgramData")
	if base == "" {
		base = `C:\ProgramData`
	}
	return Backlog(filepath.Join(base, "isol", "backlog"))
}

// Kept is one journal of a backlog.
type Kept struct {
	Namespace, ID string // of the task
	Path          string
}

// Take moves the journal at path, of a task, into the backlog: it is on the disk
// there before it goes from where it was, in case that both are left it is
// replayed twice. One that is not there any more was finished by another.
func (b Backlog) Take(path, namespace, id string) error {
	for _, name := range []string{namespace, id} {
		if name == "" || name != filepath.Base(name) || strings.Trim(name, ".") == "" {
			return fault.New(fault.InvalidArgument, "keep the journal of %s/%s: a name that no folder can have", namespace, id)
		}
	}
	text, err := readFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	dir := filepath.Join(string(b), namespace, id)
	if err == nil {
		err = place(path, dir, text)
	}
	if err == nil {
		err = remove(path)
	}
	return fault.Wrap(fault.OutOfSpace(err, dir), "keep journal", path)
}

// placeTries is how often a folder is made that another takes away as empty.
const placeTries = 50

// place puts the file at path into dir, under the first number that is free,
// unless another has just moved it. A second name on the same volume takes no
// space, where a full disk has none for a copy of its text.
func place(path, dir string, text []byte) (err error) {
	for range placeTries {
		if err = os.MkdirAll(dir, 0o700); err == nil {
			if firstFree(dir, func(to string) error { return os.Link(path, to) }) == nil {
				return nil
			}
			if _, gone := os.Stat(path); errors.Is(gone, fs.ErrNotExist) {
				return nil
			}
			err = firstFree(dir, func(to string) error { return writeNew(to, text) })
		}
		if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return err
}

// firstFree calls put with one path after the other until it does not say that
// something is there.
func firstFree(dir string, put func(to string) error) error {
	for n := 1; ; n++ {
		err := put(filepath.Join(dir, fmt.Sprint(n)+backlogSuffix))
		if !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
}

// writeNew writes a file to the disk, where none is.
func writeNew(path string, text []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		err = errors.Join(err, os.Remove(path))
	}
	return err
}

// List returns what the backlog holds, of one task if id is not empty, and
// removes the folders of tasks that have nothing in it any more.
func (b Backlog) List(namespace, id string) ([]Kept, error) {
	tasks, err := filepath.Glob(filepath.Join(string(b), or(namespace), or(id)))
	if err != nil {
		return nil, fault.Wrap(err, "read the backlog", string(b))
	}
	var all []Kept
	for _, dir := range tasks {
		entries, err := os.ReadDir(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fault.Wrap(err, "read the backlog", dir)
		}
		if len(entries) == 0 {
			_ = os.Remove(dir)               // fails if another journal has just come
			_ = os.Remove(filepath.Dir(dir)) // fails while another task is there
		}
		for _, e := range entries {
			if strings.HasSuffix(e.Name(), backlogSuffix) {
				all = append(all, Kept{filepath.Base(filepath.Dir(dir)), filepath.Base(dir), filepath.Join(dir, e.Name())})
			}
		}
	}
	return all, nil
}

// or is a pattern for name, or for any if it is empty. No id holds a character
// that means something in a pattern.
func or(name string) string {
	if name == "" {
		return "*"
	}
	return name
}
