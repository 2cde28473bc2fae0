package lab

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// prefix is a Wine prefix: a Windows machine with its own kernel objects,
// process ids, registry and pipes.
type prefix struct {
	dir   string
	tools tools
	extra []string // more of its environment
}

// path is where a path of drive C: lies on this machine.
func (p prefix) path(windows string) string {
	rest, found := strings.CutPrefix(strings.ToLower(windows), `c:`)
	if !found {
		return strings.ReplaceAll(windows, `\`, "/")
	}
	rest = windows[len(windows)-len(rest):]
	return filepath.Join(p.dir, "drive_c", strings.ReplaceAll(rest, `\`, "/"))
}

// environment is what every program of the prefix starts with. PATH and the
// like are not handed on: Windows has its own, and a program must not behave
// differently on another developer's machine.
func (p prefix) environment() []string {
	return append([]string{
		"WINEPREFIX=" + p.dir,
		"WINEARCH=win64",
		"WINEDEBUG=-all",
		"WINEDLLOVERRIDES=mscoree=;mshtml=;winemenubuilder.exe=", // neither Mono nor Gecko asks to be installed
		"HOME=" + p.dir,
		"LANG=C.UTF-8",
		"PATH=/usr/bin:/bin",
	}, p.extra...)
}

// command is a Windows program, to be run in the prefix.
func (p prefix) command(ctx context.Context, exe string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, p.tools.wine, append([]string{exe}, args...)...)
	cmd.Env = p.environment()
	cmd.Dir = p.dir
	ownGroup(cmd)
	// A grandchild that keeps an output open must not keep us waiting.
	cmd.WaitDelay = 2 * time.Second
	return cmd
}

// run runs a program of the prefix that is expected to succeed. What it prints
// goes through a file: Wine's own services, which the first program of a prefix
// starts, would hold a pipe open.
func (p prefix) run(ctx context.Context, exe string, args ...string) error {
	out, err := os.CreateTemp("", "lab-")
	if err != nil {
		return fmt.Errorf("lab: %w", err)
	}
	defer os.Remove(out.Name())
	defer out.Close()
	cmd := p.command(ctx, exe, args...)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("lab: %s %s: %w:\n%s", exe, strings.Join(args, " "), err, tail(out.Name(), 20))
	}
	return nil
}

// settle waits until the prefix's server has written the registry and ended,
// which it does once the last program has.
func (p prefix) settle(ctx context.Context) error {
	for _, how := range []string{"-k", "-w"} {
		cmd := exec.CommandContext(ctx, p.tools.wineserver, how)
		cmd.Env = p.environment()
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) { // it exits 1 where no server runs
			return fmt.Errorf("lab: wineserver %s: %w: %s", how, err, out)
		}
	}
	return nil
}

// template returns a prefix that shows the given Windows and has never run
// anything but its setup. It is made once per Wine version and Windows version.
func template(ctx context.Context, cache string, t tools, w Windows, progress func(string)) (string, error) {
	version, err := t.wineVersion(ctx)
	if err != nil {
		return "", err
	}
	base := filepath.Join(cache, "wine", digest([]byte(version)))
	err = cached(ctx, base, func(tmp string) error {
		progress("making a Wine prefix (" + version + ")")
		p := prefix{dir: tmp, tools: t}
		return errors.Join(p.run(ctx, "wineboot.exe", "-i"), p.settle(ctx))
	})
	if err != nil {
		return "", err
	}
	registry := quietServices + w.RegistryFile()
	dir := filepath.Join(cache, "wine", w.Name+"-"+digest([]byte(version), []byte(registry)))
	err = cached(ctx, dir, func(tmp string) error {
		progress("making a " + w.ProductName + " of it")
		if err := clone(base, tmp); err != nil {
			return err
		}
		p := prefix{dir: tmp, tools: t}
		file := p.path(`C:\windows.reg`)
		if err := os.WriteFile(file, []byte(registry), 0o644); err != nil {
			return fmt.Errorf("lab: %w", err)
		}
		return errors.Join(p.run(ctx, "regedit.exe", "/S", `C:\windows.reg`), p.settle(ctx), os.Remove(file))
	})
	return dir, err
}

// quietServices is the head of the registry file: services of Wine that no
// container needs, each some 100 ms of every lab's start, and the order in
// which DLLs are found: ours before Wine's where both have one, as a newer Wine
// does for bcryptprimitives.dll.
const quietServices = "REGEDIT4\r\n\r\n" +
	`[HKEY_LOCAL_MACHINE\System\CurrentControlSet\Services\PlugPlay]` + "\r\n\"Start\"=dword:00000004\r\n\r\n" +
	`[HKEY_LOCAL_MACHINE\System\CurrentControlSet\Services\Eventlog]` + "\r\n\"Start\"=dword:00000004\r\n\r\n" +
	`[HKEY_LOCAL_MACHINE\System\CurrentControlSet\Services\winebus]` + "\r\n\"Start\"=dword:00000004\r\n\r\n" +
	`[HKEY_CURRENT_USER\Software\Wine\DllOverrides]` + "\r\n" +
	"\"bcryptprimitives\"=\"native,builtin\"\r\n" +
	"\"computecore\"=\"native,builtin\"\r\n" +
	"\"vmcompute\"=\"native,builtin\"\r\n" +
	"\"computestorage\"=\"native,builtin\"\r\n" +
	"\"computenetwork\"=\"native,builtin\"\r\n" +
	"\"bindfltapi\"=\"native,builtin\"\r\n\r\n"

// clone makes dst a copy of the prefix src. Files below windows, which no
// program writes in place, are hard links, so that a clone costs neither time
// nor disk; the registry and all else are copied.
func clone(src, dst string) error {
	return filepath.WalkDir(src, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(src, path)
		if err != nil {
			return err
		}
		to := filepath.Join(dst, rel)
		switch {
		case d.IsDir():
			return os.MkdirAll(to, 0o755)
		case d.Type()&fs.ModeSymlink != 0:
			return cloneLink(path, to)
		case !d.Type().IsRegular():
			return nil
		case strings.HasPrefix(rel, "drive_c/windows/"):
			return os.Link(path, to)
		default:
			return copyFile(path, to)
		}
	})
}

// cloneLink copies a link that stays in the prefix (and the drive letters).
// Wine points "Documents" and its like at the user's home: those become
// folders, so that a lab can't write outside itself.
func cloneLink(path, to string) error {
	target, err := os.Readlink(path)
	if err != nil {
		return err
	}
	if filepath.IsAbs(target) && filepath.Base(filepath.Dir(path)) != "dosdevices" {
		return os.MkdirAll(to, 0o755)
	}
	return os.Symlink(target, to)
}

// copyFile replaces dst by a copy of src with its mode. A dst that is a hard
// link is not written through.
func copyFile(src, dst string) error {
	in, err := os.Open(src)
	if err != nil {
		return err
	}
	defer in.Close()
	st, err := in.Stat()
	if err != nil {
		return err
	}
	if err := os.Remove(dst); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	out, err := os.OpenFile(dst, os.O_CREATE|os.O_EXCL|os.O_WRONLY, st.Mode().Perm())
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	if err = errors.Join(err, out.Close()); err != nil {
		return fmt.Errorf("lab: copy %s: %w", src, err)
	}
	// wineboot sets a prefix up again when the time of wine.inf and what the
	// prefix remembers differ; other programs compare times too.
	return os.Chtimes(dst, st.ModTime(), st.ModTime())
}

//go:embed guard.sh
var guardScript string

// guard is the process that ends a lab, whatever becomes of its owner.
type guard struct {
	cmd  *exec.Cmd
	hold io.Closer // closing it tells the guard to act
}

// startGuard starts the guard of the lab in dir.
func startGuard(t tools, dir string) (*guard, error) {
	cmd := exec.Command("/bin/sh", "-c", guardScript, "lab-guard", t.wineserver, dir)
	cmd.Env = []string{"PATH=/usr/bin:/bin"}
	ownSession(cmd) // outlives Ctrl-C and a killed group
	hold, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("lab: guard: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("lab: guard: %w", err)
	}
	return &guard{cmd: cmd, hold: hold}, nil
}

// end makes the guard act and waits for it.
func (g *guard) end() error {
	if err := g.hold.Close(); err != nil {
		return fmt.Errorf("lab: guard: %w", err)
	}
	if err := g.cmd.Wait(); err != nil {
		return fmt.Errorf("lab: processes of the lab may be left: guard: %w", err)
	}
	return nil
}
