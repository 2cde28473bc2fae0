package shim

import (
	"log/slog"
	"os"
	"runtime/debug"

	"github.com/isolrun/isol/internal/hcs"
	"github.com/isolrun/isol/internal/job"
	"github.com/isolrun/isol/internal/journal"
	"github.com/isolrun/isol/internal/network"
	"github.com/isolrun/isol/internal/shim/crash"
	"github.com/isolrun/isol/internal/shim/launch"
	"github.com/isolrun/isol/internal/shim/logs"
	"github.com/isolrun/isol/internal/undo"
)

func newManager(m Machine) *launch.Manager {
	version, revision := buildVersion()
	return &launch.Manager{
		Version: version, Revision: revision,
		System:  m.System,
		Host:    func() (hcs.Host, error) { return m.Host(nil) },
		Undo:    func(h hcs.Host) journal.Undoers { return undoers(m, h) },
		Owner:   Owner,
		Backlog: journal.DefaultBacklog(os.Getenv),
		Crash:   crash.DefaultDir(os.Getenv),
		Log:     slog.New(logs.Text(os.Stderr, slog.LevelInfo)),
	}
}

func undoers(m Machine, h hcs.Host) journal.Undoers {
	u := undo.Machine{Host: h, Owner: Owner, Layers: m.Layers(), Networks: network.New(m.Network), Origin: origin()}
	if m.Jobs != nil {
		u.Jobs = job.NewHost(m.Jobs, nil)
	}
	return u.Undoers()
}

// origin identifies this machine in journals.
func origin() string {
	name, err := os.Hostname()
	if err != nil {
		return ""
	}
	return name
}

// buildVersion returns what the Go toolchain stamped into the binary.
func buildVersion() (version, revision string) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown", ""
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			revision = s.Value
		}
	}
	return info.Main.Version, revision
}

func versionText(version, revision string) string {
	if revision == "" {
		return version
	}
	return version + " (" + revision + ")"
}
