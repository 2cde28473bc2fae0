package shim

import (
	"context"
	"log/slog"
	"os"
	"runtime/debug"

	"github.com/isolrun/isol/internal/journal"
	"github.com/isolrun/isol/internal/shim/crash"
	"github.com/isolrun/isol/internal/shim/launch"
	"github.com/isolrun/isol/internal/shim/logs"
)

func newManager(m Machine) *launch.Manager {
	version, revision := buildVersion()
	return &launch.Manager{
		Version: version, Revision: revision,
		System: m.System,
		Host:   m.Host,
		Undo:   func() journal.Undoers { return undoers(m) },
		Owner:  Owner,
		Crash:  crash.DefaultDir(os.Getenv),
		Log:    slog.New(logs.New(containerdLog(), slog.LevelInfo)),
	}
}

// undoers releases what the journals of process containers name.
func undoers(m Machine) journal.Undoers {
	return journal.Undoers{
		Origin: origin(),
		Undo: map[journal.Kind]func(context.Context, journal.Record) error{
			journal.KindLayerMount: func(ctx context.Context, r journal.Record) error {
				return m.Layers().Unmount(ctx, r.Name)
			},
			journal.KindScratch: func(_ context.Context, r journal.Record) error {
				return removed(os.Remove(r.Name))
			},
		},
	}
}

// removed forgives what is gone already.
func removed(err error) error {
	if os.IsNotExist(err) {
		return nil
	}
	return err
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
