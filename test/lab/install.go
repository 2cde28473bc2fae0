package lab

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Install copies a file of this machine into the lab, and makes its folder.
func (l *Lab) Install(to, from string) error {
	name := l.Path(to)
	err := os.MkdirAll(filepath.Dir(name), 0o755)
	if err == nil {
		err = copyFile(from, name)
	}
	if err != nil {
		return fmt.Errorf("lab: install %s: %w", to, err)
	}
	return nil
}

// WriteFile writes a file in the lab, and makes its folder.
func (l *Lab) WriteFile(to string, content []byte) error {
	name := l.Path(to)
	err := os.MkdirAll(filepath.Dir(name), 0o755)
	if err == nil {
		err = os.WriteFile(name, content, 0o644)
	}
	if err != nil {
		return fmt.Errorf("lab: write %s: %w", to, err)
	}
	return nil
}

// Build builds programs of isol's tree into a folder of the lab, and makes the
// folder. A program is named by its own folder, from the root of the tree:
// "./cmd/isolctl" becomes isolctl.exe.
func (l *Lab) Build(ctx context.Context, folder string, programs ...string) error {
	root, err := sourceRoot(ctx)
	if err != nil {
		return err
	}
	out := l.Path(folder)
	if err := os.MkdirAll(out, 0o755); err != nil {
		return fmt.Errorf("lab: %w", err)
	}
	return goBuild(ctx, root, out, strings.Join(programs, ", "), func(string) {}, programs...)
}
