package logs

import (
	"bytes"
	"context"
	"errors"
	"io"
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

// A full disk must neither end the shim's log nor fill it with complaints: the
// log that containerd reads has every line, one that says what is the matter and
// what to do, and one that says how many lines the file lacks.
func TestFileOnFullDisk(t *testing.T) {
	var pipe, file bytes.Buffer
	disk := &fullDisk{to: &file, full: true}
	here := Text(&pipe, slog.LevelInfo)
	l := slog.New(slog.NewMultiHandler(here, Text(&told{to: disk, log: slog.New(here).With("path", "isol.log")}, slog.LevelInfo)))
	for range 3 {
		l.Info("line")
	}
	disk.full = false
	l.Info("last")
	want := `level=info msg=line
level=warning msg="the log file takes no lines: they are here alone until it does" path=isol.log error="` + fault.ErrDiskFull.Error() + ` (free space on the volume of the log file)"
level=info msg=line
level=info msg=line
level=info msg=last
level=info msg="the log file takes lines again" path=isol.log lost=3
`
	if got := times.ReplaceAllString(pipe.String(), ""); got != want {
		t.Errorf("containerd reads:\n%s\nwant:\n%s", got, want)
	}
	if got := times.ReplaceAllString(file.String(), ""); got != "level=info msg=last\n" {
		t.Errorf("the file has %q", got)
	}
}

type fullDisk struct {
	to   io.Writer
	full bool
}

func (d *fullDisk) Write(b []byte) (int, error) {
	if d.full {
		return 0, fault.ErrDiskFull
	}
	return d.to.Write(b)
}

// What the option names cannot be a file at all: the shim works on.
func TestFileThatCannotBe(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(file, "isol.log")
	var pipe bytes.Buffer
	h, closer := File(FileOptions{Path: path, Tell: slog.New(Text(&pipe, slog.LevelInfo))}, slog.LevelInfo)
	l := slog.New(h)
	l.Info("one")
	l.Info("two")
	if n := strings.Count(pipe.String(), "takes no lines"); n != 1 || !strings.Contains(pipe.String(), path) {
		t.Errorf("told %d times: %s", n, &pipe)
	}
	if err := closer.Close(); err != nil {
		t.Error(err)
	}
}
