package vm

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Pool is a folder in which guests that wait for a machine are offered, one
// file each:
//
//	<folder>/ready/<name>    waits; the file holds its address
//	<folder>/taken/<name>    belongs to a machine; gone when the machine is
//
// Taking one is a rename, so that of several only one gets it. Any process that
// sees the folder may use it, under Wine or not.
type Pool string

// look is how often Take and Gone look again.
const look = 10 * time.Millisecond

func (p Pool) ready(name string) string { return filepath.Join(string(p), "ready", name) }
func (p Pool) taken(name string) string { return filepath.Join(string(p), "taken", name) }

// Open makes the folders.
func (p Pool) Open() error {
	return errors.Join(os.MkdirAll(p.ready(""), 0o755), os.MkdirAll(p.taken(""), 0o755))
}

// Offer says that the guest of that name waits at address. Names that begin
// with a dot are not guests'.
func (p Pool) Offer(name, address string) error {
	half := p.ready("." + name)
	if err := os.WriteFile(half, []byte(address), 0o644); err != nil {
		return fmt.Errorf("offer guest %s: %w", name, err)
	}
	if err := os.Rename(half, p.ready(name)); err != nil {
		return fmt.Errorf("offer guest %s: %w", name, err)
	}
	return nil
}

// Take waits for a guest and makes it the caller's, who gives it up with Drop.
func (p Pool) Take(ctx context.Context) (name, address string, _ error) {
	tick := time.NewTicker(look)
	defer tick.Stop()
	for {
		name, address, refused, err := p.tryTake()
		if err != nil || name != "" {
			return name, address, err
		}
		select {
		case <-ctx.Done():
			return "", "", errors.Join(fmt.Errorf("no guest is ready in %s: %w", string(p), ctx.Err()), refused)
		case <-tick.C:
		}
	}
}

// tryTake returns no name if no guest is ready; refused says of which it was not
// allowed to take.
func (p Pool) tryTake() (name, address string, refused, err error) {
	entries, err := os.ReadDir(p.ready(""))
	if err != nil {
		return "", "", nil, fmt.Errorf("pool of guests: %w", err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		// It fails for whoever is slower, and not only because the file has gone:
		// Windows denies it access while the faster one reads what it has taken.
		if err := os.Rename(p.ready(e.Name()), p.taken(e.Name())); err != nil {
			refused = errors.Join(refused, err)
			continue
		}
		content, err := os.ReadFile(p.taken(e.Name()))
		if err != nil {
			return "", "", nil, fmt.Errorf("take guest %s: %w", e.Name(), err)
		}
		return e.Name(), strings.TrimSpace(string(content)), nil, nil
	}
	return "", "", refused, nil
}

// Drop gives up a guest that Take returned: it is to end. One that waits is
// withdrawn. It is idempotent.
func (p Pool) Drop(name string) error {
	for _, file := range []string{p.ready(name), p.taken(name)} {
		if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("drop guest %s: %w", name, err)
		}
	}
	return nil
}

// Waiting says whether the guest of that name is offered, Taken whether it
// belongs to a machine.
func (p Pool) Waiting(name string) bool { return isFile(p.ready(name)) }

// Taken says whether the guest of that name belongs to a machine.
func (p Pool) Taken(name string) bool { return isFile(p.taken(name)) }

func isFile(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
