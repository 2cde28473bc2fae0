package lab

import (
	"context"
	"embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/isolrun/isol/test/lab/image"
)

//go:embed programs/*.c programs/*.rc
var programSources embed.FS

// programs returns the folder of the image's own programs (programs/*.c) and of
// the two files that carry a Windows version, built once per content.
func programs(ctx context.Context, cache string, t tools, w Windows) (string, error) {
	names, err := programSources.ReadDir("programs")
	if err != nil {
		return "", err
	}
	sources := map[string][]byte{}
	parts := [][]byte{[]byte(w.OSVersion())}
	for _, n := range names {
		content, err := programSources.ReadFile("programs/" + n.Name())
		if err != nil {
			return "", err
		}
		sources[n.Name()] = content
		parts = append(parts, content)
	}
	dir := filepath.Join(cache, "programs", digest(parts...))
	return dir, cached(ctx, dir, func(tmp string) error {
		for name, content := range sources {
			if err := os.WriteFile(filepath.Join(tmp, name), content, 0o644); err != nil {
				return err
			}
		}
		for name := range sources {
			if base, isC := strings.CutSuffix(name, ".c"); isC {
				if err := tool(ctx, tmp, t.gcc, "-Os", "-s", "-Wall", "-Wextra", "-o", base+".exe", name, "-ladvapi32"); err != nil {
					return err
				}
			}
		}
		return versionResource(ctx, tmp, t, w)
	})
}

// versionResource builds the files that say of which Windows an image is:
// ntdll.dll of a container's system and ntoskrnl.exe of a utility VM's. They
// hold a version resource and no code.
func versionResource(ctx context.Context, dir string, t tools, w Windows) error {
	err := tool(ctx, dir, t.windres, "--define", fmt.Sprintf("BUILD=%d", w.Build),
		"--define", fmt.Sprintf("REVISION=%d", w.Revision), "version.rc", "version.o")
	if err != nil {
		return err
	}
	for _, name := range []string{"ntdll.dll", "ntoskrnl.exe"} {
		if err := tool(ctx, dir, t.gcc, "-shared", "-nostdlib", "-Wl,--entry=0", "-s", "-o", name, "version.o"); err != nil {
			return err
		}
	}
	return nil
}

// tool runs a program of the toolchain in dir.
func tool(ctx context.Context, dir, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("lab: %s %s: %w:\n%s", filepath.Base(name), strings.Join(args, " "), err, out)
	}
	return nil
}

// nano makes the lab's image for a Windows version.
// shell is Wine's own cmd.exe.
func nano(ctx context.Context, cache string, t tools, w Windows, shell string) (*image.Image, error) {
	dir, err := programs(ctx, cache, t, w)
	if err != nil {
		return nil, err
	}
	const (
		system   = "Files/Windows/System32/"
		uvm      = "UtilityVM/Files/Windows/System32/"
		firmware = "UtilityVM/Files/EFI/Microsoft/Boot/"
	)
	from := map[string]string{
		system + "cmd.exe":   shell,
		system + "ping.exe":  filepath.Join(dir, "ping.exe"),
		system + "probe.exe": filepath.Join(dir, "probe.exe"),
		system + "ntdll.dll": filepath.Join(dir, "ntdll.dll"),
		uvm + "ntoskrnl.exe": filepath.Join(dir, "ntoskrnl.exe"),
	}
	files := []image.File{
		{Path: firmware + "BCD", Content: []byte("boot configuration of the emulated utility VM\n")},
		{Path: "Files/License.txt", Content: []byte("A container of isol's lab. " + w.ProductName + ", emulated.\n")},
	}
	for path, source := range from {
		content, err := os.ReadFile(source)
		if err != nil {
			return nil, fmt.Errorf("lab: image: %w", err)
		}
		files = append(files, image.File{Path: path, Content: content})
	}
	return image.New(w.Image(), w.imageVersion(), []string{`C:\Windows\System32\cmd.exe`}, files)
}
