package lab

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/isolrun/isol/test/hcsemu/dll"
)

// EmulatorExe is the emulator: its service and the commands that query it.
const EmulatorExe = labFolder + `\hcsemu.exe`

const system32 = `C:\windows\system32`

// buildOurs builds what this tree gives to a lab: programs and the emulator's
// DLLs. It is built anew each time, which costs little where nothing changed.
// The result maps places in a lab to files, which stay as they are until
// release is called.
func buildOurs(ctx context.Context, cache string, progress func(string)) (files map[string]string, release func(), err error) {
	root, err := sourceRoot(ctx)
	if err != nil {
		return nil, nil, err
	}
	dir := filepath.Join(cache, "ours", digest([]byte(root)))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, nil, fmt.Errorf("lab: %w", err)
	}
	unlock, err := lockFile(ctx, dir+".lock")
	if err != nil {
		return nil, nil, err
	}
	err = goBuild(ctx, root, dir, "the lab's own programs", progress, "./test/lab/cmd/labpipe")
	if err == nil {
		err = dll.Build(ctx, dir)
	}
	if err != nil {
		unlock()
		return nil, nil, fmt.Errorf("lab: %w", err)
	}
	files = map[string]string{
		pipeExe: filepath.Join(dir, "labpipe.exe"),
	}
	for _, name := range dll.Names() {
		// DLLs come from system32 only: fact 7 of docs/lab.md.
		files[system32+`\`+name] = filepath.Join(dir, name)
	}
	return files, unlock, nil
}

func (l *Lab) startEmulator(ctx context.Context) error { return nil }
