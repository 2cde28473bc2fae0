// Package dll builds the DLL fronts of the emulator: C programs that take the
// place of Windows' own DLLs in a Wine prefix's system32 folder.
//
//	computecore.dll      ┐
//	vmcompute.dll        │ marshal each call to the emulator's service
//	computestorage.dll   ├ over the pipe that test/hcsemu/wire draws
//	computenetwork.dll   │
//	bindfltapi.dll       ┘
//	bcryptprimitives.dll   what Go programs need of Windows that Wine 8.0 lacks
//
// The sources are in src, one transport for all; each front has a list of its
// exports beside it (.def). They know no JSON and hold no state but handles,
// operations and subscriptions: the rules are the emulator's. They are C because
// a DLL in Go would put a second Go runtime into every process that loads it.
//
// # Failure rules
//
// Codes that the fronts give by themselves: HCS_E_SERVICE_NOT_AVAILABLE if
// no service listens, HCS_E_SERVICE_DISCONNECT for calls that were under way
// when it went and for handles of before, HCS_E_OPERATION_TIMEOUT,
// _PENDING and _NOT_STARTED for operations. A lost service is told to every
// callback once. The next call that needs no old handle connects anew.
package dll

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

//go:embed src
var sources embed.FS

// Compiler is the C compiler that Build runs.
const Compiler = "x86_64-w64-mingw32-gcc"

// stampName is the file in the output folder that says what was built.
const stampName = "hcsemu-dlls.sum"

var flags = []string{
	"-shared", "-O2", "-s", "-std=gnu11", "-static-libgcc",
	"-Wall", "-Wextra", "-Werror", "-Wl,--no-insert-timestamp",
}

// product is one DLL: its C sources and what it links with. Its exports are in
// src/<name>.def.
type product struct {
	name    string
	sources []string
	libs    []string
}

var products = []product{
	{"computecore", []string{"computecore.c", "operation.c", "transport.c", "frame.c"}, nil},
	{"vmcompute", []string{"vmcompute.c", "layers.c", "transport.c", "frame.c"}, nil},
	{"computestorage", []string{"computestorage.c", "transport.c", "frame.c"}, nil},
	{"computenetwork", []string{"computenetwork.c", "transport.c", "frame.c"}, nil},
	{"bindfltapi", []string{"bindfltapi.c", "transport.c", "frame.c"}, []string{"ntdll"}},
	{
		"bcryptprimitives",
		[]string{"bcryptprimitives.c", "ntdll.c", "jobs.c", "control_events.c", "host.c", "processes.c", "hvsock.c", "export_table.c"},
		[]string{"advapi32", "ntdll"},
	},
}

// Names returns the file names of the DLLs that Build makes.
func Names() []string {
	var names []string
	for _, p := range products {
		names = append(names, p.name+".dll")
	}
	return names
}

// ErrNoCompiler is matched by Build's error if the compiler is not installed.
var ErrNoCompiler = errors.New(Compiler + " is not installed (Debian: apt-get install gcc-mingw-w64-x86-64)")

// Build compiles the DLLs into outDir, which must exist. A folder that already
// holds what these sources give is left as it is. Several may build into
// different folders at the same time. A failure leaves the old DLLs in place.
func Build(ctx context.Context, outDir string) error {
	compiler, err := exec.LookPath(Compiler)
	if err != nil {
		return ErrNoCompiler
	}
	sum, err := contentHash()
	if err != nil {
		return fmt.Errorf("build DLL fronts: %w", err)
	}
	stamp := filepath.Join(outDir, stampName)
	if upToDate(outDir, stamp, sum) {
		return nil
	}
	work, err := os.MkdirTemp(outDir, "hcsemu-build-")
	if err != nil {
		return fmt.Errorf("build DLL fronts: %w", err)
	}
	defer os.RemoveAll(work)
	if err := os.CopyFS(work, sources); err != nil {
		return fmt.Errorf("build DLL fronts: %w", err)
	}
	for _, p := range products {
		if err := p.build(ctx, compiler, filepath.Join(work, "src")); err != nil {
			return err
		}
	}
	for _, name := range Names() {
		if err := os.Rename(filepath.Join(work, "src", name), filepath.Join(outDir, name)); err != nil {
			return fmt.Errorf("build DLL fronts: %w", err)
		}
	}
	if err := os.WriteFile(stamp, []byte(sum+"\n"), 0o644); err != nil {
		return fmt.Errorf("build DLL fronts: %w", err)
	}
	return nil
}

// build compiles one DLL in the folder of the sources.
func (p product) build(ctx context.Context, compiler, dir string) error {
	args := append([]string{}, flags...)
	args = append(args, "-o", p.name+".dll")
	args = append(args, p.sources...)
	args = append(args, p.name+".def")
	for _, lib := range p.libs {
		args = append(args, "-l"+lib)
	}
	cmd := exec.CommandContext(ctx, compiler, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		first, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
		return fmt.Errorf("build %s.dll: %w: %s", p.name, err, first)
	}
	return nil
}

// contentHash covers everything that Build's result follows from but the
// compiler's version.
func contentHash() (string, error) {
	h := sha256.New()
	fmt.Fprintln(h, flags, products)
	err := fs.WalkDir(sources, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := sources.ReadFile(path)
		if err != nil {
			return err
		}
		fmt.Fprintln(h, path, len(b))
		_, err = h.Write(b)
		return err
	})
	return hex.EncodeToString(h.Sum(nil)), err
}

// upToDate reports whether dir holds all DLLs of the given sum.
func upToDate(dir, stamp, sum string) bool {
	b, err := os.ReadFile(stamp)
	if err != nil || strings.TrimSpace(string(b)) != sum {
		return false
	}
	for _, name := range Names() {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			return false
		}
	}
	return true
}
