package lab

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// cacheDir is where peers and prefix templates are kept: $ISOL_LAB_CACHE, or
// isol/lab in the user's cache folder.
func cacheDir() (string, error) {
	if dir := os.Getenv("ISOL_LAB_CACHE"); dir != "" {
		return dir, nil
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("lab: no cache folder, set ISOL_LAB_CACHE: %w", err)
	}
	return filepath.Join(dir, "isol", "lab"), nil
}

// cached returns dir, made by fill unless it is there already. fill gets a
// folder beside dir that becomes dir when it returns nil, so that dir is either
// whole or absent. Programs that ask for the same dir wait for the one that
// makes it.
func cached(ctx context.Context, dir string, fill func(tmp string) error) error {
	if isDir(dir) {
		return nil
	}
	unlock, err := lockFile(ctx, dir+".lock")
	if err != nil {
		return err
	}
	defer unlock()
	if isDir(dir) {
		return nil
	}
	tmp := dir + ".tmp"
	if err := os.RemoveAll(tmp); err != nil {
		return fmt.Errorf("lab: clear a half-made %s: %w", tmp, err)
	}
	if err := os.MkdirAll(tmp, 0o755); err != nil {
		return fmt.Errorf("lab: %w", err)
	}
	if err := fill(tmp); err != nil {
		return errors.Join(err, os.RemoveAll(tmp))
	}
	return os.Rename(tmp, dir)
}

// lockFile takes an exclusive lock on the file of that name, which it creates,
// and returns the function that gives it back. The lock goes with the process.
func lockFile(ctx context.Context, name string) (unlock func(), err error) {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return nil, fmt.Errorf("lab: %w", err)
	}
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("lab: %w", err)
	}
	for {
		locked, err := tryLock(f)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("lab: lock %s: %w", name, err), f.Close())
		}
		if locked {
			return func() { f.Close() }, nil
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("lab: wait for the lock %s: %w", name, ctx.Err()), f.Close())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// digest is a short name for content: the start of the SHA-256 of the parts,
// each with its length, so that no two lists of parts run together.
func digest(parts ...[]byte) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:", len(p))
		h.Write(p)
	}
	return hex.EncodeToString(h.Sum(nil))[:16]
}

func isDir(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.IsDir()
}

// sourceRoot is the folder of isol's module, found from the working folder:
// `go test` and `go run` both start inside the tree.
func sourceRoot(ctx context.Context) (string, error) {
	const module = "github.com/isolrun/isol"
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	if err != nil {
		return "", fmt.Errorf("lab: run me inside a checkout of %s: %w", module, commandError(err))
	}
	return strings.TrimSpace(string(out)), nil
}

// commandError puts what a failed command printed into its error.
func commandError(err error) error {
	var exit *exec.ExitError
	if errors.As(err, &exit) && len(exit.Stderr) > 0 {
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(string(exit.Stderr)))
	}
	return err
}
