package lab

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// PeerSet is the programs that others wrote, built for windows/amd64 from the
// Go module proxy at the versions that test/peers pins.
type PeerSet struct {
	Containerd string // containerd.exe
	Ctr        string // ctr.exe
	Runhcs     string // containerd-shim-runhcs-v1.exe, Microsoft's shim
}

// peerModules are the modules in test/peers, each with the commands to build.
// Two modules, because containerd and runhcs need different versions of hcsshim.
var peerModules = []struct {
	name     string
	commands []string
}{
	{"containerd", []string{
		"github.com/containerd/containerd/v2/cmd/containerd",
		"github.com/containerd/containerd/v2/cmd/ctr",
	}},
	{"runhcs", []string{"github.com/Microsoft/hcsshim/cmd/containerd-shim-runhcs-v1"}},
}

// Peers returns the peers, building what the cache does not hold. A cold build
// takes minutes; progress, which may be nil, gets a line now and then. Programs
// that need the same build wait for the one that makes it.
func Peers(ctx context.Context, progress func(string)) (PeerSet, error) {
	cache, err := cacheDir()
	if err != nil {
		return PeerSet{}, err
	}
	root, err := sourceRoot(ctx)
	if err != nil {
		return PeerSet{}, err
	}
	if progress == nil {
		progress = func(string) {}
	}
	dirs := map[string]string{}
	for _, m := range peerModules {
		module := filepath.Join(root, "test", "peers", m.name)
		dir, err := peerDir(ctx, cache, m.name, module)
		if err != nil {
			return PeerSet{}, err
		}
		err = cached(ctx, dir, func(tmp string) error {
			return goBuild(ctx, module, tmp, "the peers of test/peers/"+m.name, progress, m.commands...)
		})
		if err != nil {
			return PeerSet{}, err
		}
		dirs[m.name] = dir
	}
	return PeerSet{
		Containerd: filepath.Join(dirs["containerd"], "containerd.exe"),
		Ctr:        filepath.Join(dirs["containerd"], "ctr.exe"),
		Runhcs:     filepath.Join(dirs["runhcs"], "containerd-shim-runhcs-v1.exe"),
	}, nil
}

// IsolShim is the file name of isol's shim: a key for Config.Shims.
const IsolShim = "containerd-shim-isol-v1.exe"

// IsolGuest is the file name of the program that isol runs in utility VMs. It
// is looked for beside the shim: a key for Config.Shims.
const IsolGuest = "isol-guest.exe"

// BuildIsolShim builds isol's shim from the tree for windows/amd64 and returns
// its path; IsolGuest lies beside it. progress may be nil.
func BuildIsolShim(ctx context.Context, progress func(string)) (string, error) {
	cache, err := cacheDir()
	if err != nil {
		return "", err
	}
	root, err := sourceRoot(ctx)
	if err != nil {
		return "", err
	}
	if progress == nil {
		progress = func(string) {}
	}
	dir := filepath.Join(cache, "shim", digest([]byte(root)))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("lab: %w", err)
	}
	unlock, err := lockFile(ctx, dir+".lock")
	if err != nil {
		return "", err
	}
	defer unlock()
	err = goBuildWith(ctx, []string{crypto}, root, dir, "isol's shim", progress, "./cmd/containerd-shim-isol-v1", "./cmd/isol-guest")
	return filepath.Join(dir, IsolShim), err
}

// crypto is the crypto module that isol's programs are built with, as the
// Makefile builds them; it says why. Others' programs are built as theirs are.
const crypto = "GOFIPS140=v1.0.0"

// buildFlags are how every Windows program of the lab is built, peers and ours
// alike, so that sizes can be compared.
var buildFlags = []string{"-trimpath", "-ldflags=-s -w"}

// peerDir names the cache folder of a module's programs after all that decides
// their content: the module files, the Go version, the flags.
func peerDir(ctx context.Context, cache, name, module string) (string, error) {
	parts := [][]byte{[]byte(strings.Join(buildFlags, " "))}
	for _, file := range []string{"go.mod", "go.sum"} {
		content, err := os.ReadFile(filepath.Join(module, file))
		if err != nil {
			return "", fmt.Errorf("lab: peers: %w", err)
		}
		parts = append(parts, content)
	}
	cmd := goCommand(ctx, module, "env", "GOVERSION")
	version, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("lab: peers: go env GOVERSION: %w", commandError(err))
	}
	return filepath.Join(cache, "peers", name+"-"+digest(append(parts, version)...)), nil
}

// goBuild builds commands of the module in dir for windows/amd64 into out.
func goBuild(ctx context.Context, dir, out, what string, progress func(string), commands ...string) error {
	return goBuildWith(ctx, nil, dir, out, what, progress, commands...)
}

// goBuildWith is goBuild with more variables in its environment.
func goBuildWith(ctx context.Context, env []string, dir, out, what string, progress func(string), commands ...string) error {
	start := time.Now()
	done := make(chan struct{})
	defer close(done)
	go func() {
		tick := time.NewTicker(15 * time.Second)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				progress(fmt.Sprintf("building %s: %s", what, time.Since(start).Round(time.Second)))
			}
		}
	}()
	args := slices.Concat([]string{"build"}, buildFlags, []string{"-o", out + string(filepath.Separator)}, commands)
	cmd := goCommand(ctx, dir, args...)
	cmd.Env = append(cmd.Env, env...)
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("lab: build %s: %w:\n%s", what, err, text)
	}
	if took := time.Since(start); took > 5*time.Second {
		progress(fmt.Sprintf("built %s in %s", what, took.Round(time.Second)))
	}
	return nil
}

// goCommand is the go tool in that folder, with windows/amd64 as its target and
// none of the caller's workspace or flags.
func goCommand(ctx context.Context, dir string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOOS=windows", "GOARCH=amd64", "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=-buildvcs=false")
	return cmd
}
