// Package logs brings isol's structured log to containerd and, by option, to a
// file.
//
// isol's packages log with log/slog. On Windows a shim serves a pipe from which
// containerd reads the shim's log, and copies it to its own: [Pipe]. While
// nobody reads, what is logged is dropped, but for the first lines, which are
// kept until containerd has dialled; and a reader that takes nothing is given
// up: logging never makes a container wait. The file that options may name has
// no such gap; it is bounded in size and number. While it cannot be written, as on
// a full disk, its lines are lost, and the log of the pipe says so: once, and
// once more when it goes on.
package logs

import (
	"io"
	"log/slog"
	"sync"

	"gopkg.in/natefinch/lumberjack.v2"

	"github.com/isolrun/isol/internal/fault"
)

// LevelTrace is below slog's debug; it shows single calls to the system.
const LevelTrace = slog.Level(-8)

// ParseLevel reads a level as options and containerd spell it.
func ParseLevel(s string) (slog.Level, error) {
	switch s {
	case "trace":
		return LevelTrace, nil
	case "debug":
		return slog.LevelDebug, nil
	case "", "info":
		return slog.LevelInfo, nil
	case "warn", "warning":
		return slog.LevelWarn, nil
	case "error", "fatal", "panic":
		return slog.LevelError, nil
	}
	return 0, fault.New(fault.InvalidArgument, "log level %q: allowed are trace, debug, info, warn, error", s)
}

// Text returns a handler that writes a line of text per record, as containerd's
// own log has them: level=info msg=… key=value. What says nothing (an empty
// string, nil) is left out.
func Text(w io.Writer, level slog.Leveler) slog.Handler {
	return slog.NewTextHandler(w, &slog.HandlerOptions{Level: level, ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		switch v := a.Value; {
		case len(groups) == 0 && a.Key == slog.LevelKey:
			l, _ := v.Any().(slog.Level)
			return slog.String(slog.LevelKey, levelWord(l))
		case v.Kind() == slog.KindString && v.String() == "" || v.Kind() == slog.KindAny && v.Any() == nil:
			return slog.Attr{}
		}
		return a
	}})
}

// levelWord is a level as containerd's log spells it.
func levelWord(l slog.Level) string {
	switch {
	case l < slog.LevelDebug:
		return "trace"
	case l < slog.LevelInfo:
		return "debug"
	case l < slog.LevelWarn:
		return "info"
	case l < slog.LevelError:
		return "warning"
	}
	return "error"
}

// FileOptions bound a log file; zero values take defaults.
type FileOptions struct {
	Path  string
	MaxMB int // size at which a new file begins; 0: 10
	Keep  int // old files that stay; 0: 3
	// Tell is for what cannot be said in the file: that it takes no lines, and
	// that it takes them again; nil: nobody is told.
	Tell *slog.Logger
}

// File returns a handler that writes text lines to a rotating file. The file
// is opened at the first record.
func File(o FileOptions, level slog.Leveler) (slog.Handler, io.Closer) {
	if o.MaxMB == 0 {
		o.MaxMB = 10
	}
	if o.Keep == 0 {
		o.Keep = 3
	}
	f := &lumberjack.Logger{Filename: o.Path, MaxSize: o.MaxMB, MaxBackups: o.Keep}
	if o.Tell == nil {
		o.Tell = slog.New(slog.DiscardHandler)
	}
	return Text(&told{to: f, log: o.Tell.With("path", o.Path)}, level), f
}

// told is a file of which somebody hears when it takes no lines.
type told struct {
	to  io.Writer
	log *slog.Logger

	mu   sync.Mutex
	lost int // lines, since one was taken. Guarded by mu.
}

// Write implements io.Writer.
func (f *told) Write(b []byte) (int, error) {
	n, err := f.to.Write(b)
	f.mu.Lock()
	lost := f.lost
	f.lost++
	if err == nil {
		f.lost = 0
	}
	f.mu.Unlock()
	switch {
	case err != nil && lost == 0:
		f.log.Warn("the log file takes no lines: they are here alone until it does", "error", fault.OutOfSpace(err, "the log file"))
	case err == nil && lost > 0:
		f.log.Info("the log file takes lines again", "lost", lost)
	}
	return n, err
}
