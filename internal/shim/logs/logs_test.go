package logs

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/isolrun/isol/internal/fault"
)

func logger(level slog.Level) (*slog.Logger, *bytes.Buffer) {
	var b bytes.Buffer
	return slog.New(Text(&b, level)), &b
}

var times = regexp.MustCompile(`(?m)^time=\S+ `)

// What isol's packages log must be in containerd's log with its level and its
// fields, and what says nothing must not widen the line.
func TestText(t *testing.T) {
	l, b := logger(LevelTrace)
	l = l.With("id", "c1", "exec", "").WithGroup("steps").With("a", 1)
	l.Log(context.Background(), LevelTrace, "call")
	l.Debug("debug", "level", "7")
	l.Info("info", slog.Group("g", "x", true), slog.Group("", "flat", 2), slog.Attr{}, "nothing", nil)
	l.WithGroup("").Warn("warn")
	l.Error("bad", "error", errors.New("broken pipe"))
	want := strings.Join([]string{
		`level=trace msg=call id=c1 steps.a=1`,
		`level=debug msg=debug id=c1 steps.a=1 steps.level=7`,
		`level=info msg=info id=c1 steps.a=1 steps.g.x=true steps.flat=2`,
		`level=warning msg=warn id=c1 steps.a=1`,
		`level=error msg=bad id=c1 steps.a=1 steps.error="broken pipe"`,
		"",
	}, "\n")
	if got := times.ReplaceAllString(b.String(), ""); got != want {
		t.Errorf("got:\n%swant:\n%s", got, want)
	}
}

func TestLevels(t *testing.T) {
	l, b := logger(slog.LevelWarn)
	l.Info("quiet")
	l.Warn("loud")
	if got := times.ReplaceAllString(b.String(), ""); got != "level=warning msg=loud\n" {
		t.Errorf("%q", got)
	}
	for text, want := range map[string]slog.Level{
		"": slog.LevelInfo, "trace": LevelTrace, "debug": slog.LevelDebug, "info": slog.LevelInfo,
		"warn": slog.LevelWarn, "warning": slog.LevelWarn, "error": slog.LevelError, "fatal": slog.LevelError, "panic": slog.LevelError,
	} {
		if got, err := ParseLevel(text); got != want || err != nil {
			t.Errorf("%q: %v %v", text, got, err)
		}
	}
	if _, err := ParseLevel("loud"); !fault.Is(err, fault.InvalidArgument) || !strings.Contains(err.Error(), "trace, debug") {
		t.Errorf("unknown level: %v", err)
	}
}

// The file must take what the level lets through, and stay within its bounds.
func TestFileIsBounded(t *testing.T) {
	dir := t.TempDir()
	h, closer := File(FileOptions{Path: filepath.Join(dir, "isol.log"), MaxMB: 1, Keep: 2}, slog.LevelInfo)
	l := slog.New(h)
	l.Debug("quiet")
	line := strings.Repeat("x", 1<<10)
	for range 5 << 10 {
		l.Info(line)
	}
	if err := closer.Close(); err != nil {
		t.Fatal(err)
	}
	var total int64
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err == nil {
			total += info.Size()
		}
	}
	// lumberjack removes old files in the background: one more may be there.
	if len(entries) < 2 || total > 5<<20 {
		t.Errorf("%d files, %d bytes", len(entries), total)
	}
}
