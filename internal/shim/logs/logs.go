// Package logs brings isol's structured log to containerd and, by option, to a
// file.
//
// isol's packages log with log/slog. containerd's pkg/shim serves a pipe that
// containerd reads and points containerd's own logger at it; [Handler] passes
// slog's records on to that logger, so that they appear in containerd's log
// with their fields. While nobody reads the pipe, what is logged is dropped:
// logging never makes a container wait. The file has no such gap; it is bounded
// in size and number.
package logs

import (
	"context"
	"io"
	"log/slog"

	"github.com/containerd/log"
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

// Handler passes records on to containerd's logger. The zero Handler does not
// work: use New.
type Handler struct {
	to     *log.Entry
	level  slog.Leveler
	fields log.Fields
	group  string
}

// New returns a handler that passes records of level and above on to to.
func New(to *log.Entry, level slog.Leveler) *Handler { return &Handler{to: to, level: level} }

// Enabled implements slog.Handler.
func (h *Handler) Enabled(_ context.Context, l slog.Level) bool { return l >= h.level.Level() }

// Handle implements slog.Handler.
func (h *Handler) Handle(_ context.Context, r slog.Record) error {
	fields := make(log.Fields, len(h.fields)+r.NumAttrs())
	for k, v := range h.fields {
		fields[k] = v
	}
	r.Attrs(func(a slog.Attr) bool {
		addTo(fields, h.group, a)
		return true
	})
	h.to.WithFields(fields).WithTime(r.Time).Log(logrusLevel(r.Level), r.Message)
	return nil
}

// WithAttrs implements slog.Handler.
func (h *Handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	next := *h
	next.fields = make(log.Fields, len(h.fields)+len(attrs))
	for k, v := range h.fields {
		next.fields[k] = v
	}
	for _, a := range attrs {
		addTo(next.fields, h.group, a)
	}
	return &next
}

// WithGroup implements slog.Handler; a group becomes a prefix of the fields.
func (h *Handler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	next := *h
	next.group = h.group + name + "."
	return &next
}

func addTo(fields log.Fields, prefix string, a slog.Attr) {
	v := a.Value.Resolve()
	switch {
	case a.Equal(slog.Attr{}):
	case v.Kind() == slog.KindGroup:
		if a.Key != "" {
			prefix += a.Key + "."
		}
		for _, inner := range v.Group() {
			addTo(fields, prefix, inner)
		}
	case v.Any() == nil || v.Kind() == slog.KindString && v.String() == "":
		// Nothing to say.
	default:
		fields[prefix+a.Key] = v.Any()
	}
}

func logrusLevel(l slog.Level) log.Level {
	switch {
	case l < slog.LevelDebug:
		return log.TraceLevel
	case l < slog.LevelInfo:
		return log.DebugLevel
	case l < slog.LevelWarn:
		return log.InfoLevel
	case l < slog.LevelError:
		return log.WarnLevel
	}
	return log.ErrorLevel
}

// FileOptions bound a log file; zero values take defaults.
type FileOptions struct {
	Path  string
	MaxMB int // size at which a new file begins; 0: 10
	Keep  int // old files that stay; 0: 3
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
	return slog.NewTextHandler(f, &slog.HandlerOptions{Level: level}), f
}
