package stdio

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/isolrun/isol/internal/fault"
)

// Each wrong path must name what was given and what is allowed, with the code
// that makes clients stop retrying.
func TestOpenRefuses(t *testing.T) {
	cases := []struct {
		name string
		cfg  Config
		kind fault.Kind
		says []string
	}{
		{"a terminal has one output", Config{ID: "c1", Terminal: true, Stdout: outPipe, Stderr: errPipe},
			fault.FailedPrecondition, []string{"if using terminal, stderr must be empty", "c1-stderr"}},
		{"a scheme of another kind", Config{Stdout: "file:///C:/log.txt"},
			fault.InvalidArgument, []string{"stdout", `scheme "file"`, "binary:///"}},
		{"a fifo of another system", Config{Stdin: "/run/fifo/1"},
			fault.InvalidArgument, []string{"stdin", "/run/fifo/1", `\\.\pipe\name`}},
		{"a pipe of another machine", Config{Stderr: `\\server\pipe\x`},
			fault.InvalidArgument, []string{"stderr", `server\\pipe`}},
		{"a pipe without a name", Config{Stdout: `\\.\pipe\`},
			fault.InvalidArgument, []string{"names no pipe"}},
		{"a pipe path too long", Config{Stdout: `\\.\pipe\` + strings.Repeat("x", 250)},
			fault.InvalidArgument, []string{"259 characters, the system takes 256"}},
		{"a logger cannot give input", Config{Stdin: "binary:///C:/l.exe"},
			fault.InvalidArgument, []string{"stdin", "binary"}},
		{"two loggers", Config{Stdout: "binary:///C:/a.exe", Stderr: "binary:///C:/b.exe"},
			fault.InvalidArgument, []string{"one logger takes both outputs"}},
		{"a logger beside a pipe", Config{Stdout: "binary:///C:/a.exe", Stderr: errPipe},
			fault.InvalidArgument, []string{"one logger takes both outputs"}},
		{"a logger on another machine", Config{Stdout: "binary://server/share/l.exe"},
			fault.InvalidArgument, []string{"another machine (server)"}},
		{"a logger on another machine, as a path", Config{Stdout: "binary:////server/share/l.exe"},
			fault.InvalidArgument, []string{"another machine"}},
		{"a logger without a program", Config{Stdout: "binary://"},
			fault.InvalidArgument, []string{"no program is named"}},
		{"a logger with a relative path", Config{Stdout: "binary:l.exe"},
			fault.InvalidArgument, []string{"not an absolute path"}},
		{"a logger's query that cannot be read", Config{Stdout: "binary:///C:/l.exe?a=%zz"},
			fault.InvalidArgument, []string{"%zz"}},
		{"a URI that cannot be read", Config{Stdout: "binary://%"},
			fault.InvalidArgument, []string{"invalid URL escape"}},
		{"a logger whose pipe would be too long", Config{ID: strings.Repeat("i", 240), Stdout: "binary:///C:/l.exe"},
			fault.InvalidArgument, []string{"characters, the system takes 256"}},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			_, err := (&Opener{System: newFakeSystem()}).Open(t.Context(), tc.cfg)
			if !fault.Is(err, tc.kind) {
				t.Fatalf("error %v of kind %v, want %v", err, fault.KindOf(err), tc.kind)
			}
			for _, word := range tc.says {
				if !strings.Contains(err.Error(), word) {
					t.Errorf("error %q does not say %q", err, word)
				}
			}
		})
	}
}

// Loggers written for containerd and for runhcs must find what they look for.
func TestLoggerCommand(t *testing.T) {
	const uri = `binary:///C:/log%20dir/logger.exe?id=a%26b&flag&last=1`
	for _, cfg := range []Config{
		{ID: "c1", Namespace: "k8s.io", Stdout: uri, Stderr: uri},
		{ID: "c1", Namespace: "k8s.io", Stdout: uri},
		{ID: "c1", Namespace: "k8s.io", Stderr: uri},
	} {
		p, err := decide(cfg)
		if err != nil {
			t.Fatal(err)
		}
		want := &LoggerCommand{
			Path: `C:\log dir\logger.exe`,
			Args: []string{"id", "a&b", "flag", "last", "1"},
			Env: []string{
				"CONTAINER_ID=c1",
				"CONTAINER_NAMESPACE=k8s.io",
				`CONTAINER_STDOUT=\\.\pipe\binary-c1-stdout`,
				`CONTAINER_STDERR=\\.\pipe\binary-c1-stderr`,
				`CONTAINER_WAIT=\\.\pipe\binary-c1-wait`,
			},
			pipes: [3]string{`\\.\pipe\binary-c1-stdout`, `\\.\pipe\binary-c1-stderr`, `\\.\pipe\binary-c1-wait`},
		}
		if diff := cmp.Diff(want, p.logger, cmp.AllowUnexported(LoggerCommand{})); diff != "" {
			t.Errorf("stdout %q stderr %q (-want +got):\n%s", cfg.Stdout, cfg.Stderr, diff)
		}
	}
}

// An exec's logger must not meet the pipes of its task's.
func TestLoggerOfAnExecHasPipesOfItsOwn(t *testing.T) {
	p, err := decide(Config{ID: "c1", ExecID: "e1", Stdout: "binary:///C:/l.exe"})
	if err != nil {
		t.Fatal(err)
	}
	if want := `\\.\pipe\binary-c1-e1-stdout`; p.logger.pipes[0] != want {
		t.Errorf("pipe %s, want %s", p.logger.pipes[0], want)
	}
}

// Whatever a client sends is refused or understood, never a crash; and what is
// understood names local things only.
func FuzzDecide(f *testing.F) {
	for _, s := range []string{outPipe, "binary:///C:/l.exe?a=b", "binary://host/x", "file:///x", "", `\\srv\pipe\x`, "binary:", "BINARY:///c:/x"} {
		f.Add(s, s, true)
	}
	f.Fuzz(func(t *testing.T, stdout, stderr string, terminal bool) {
		p, err := decide(Config{ID: "c1", Stdout: stdout, Stderr: stderr, Terminal: terminal})
		if err != nil {
			if k := fault.KindOf(err); k != fault.InvalidArgument && k != fault.FailedPrecondition {
				t.Errorf("error %v has kind %v", err, k)
			}
			return
		}
		if p.logger != nil && strings.HasPrefix(strings.ReplaceAll(p.logger.Path, "/", `\`), `\\`) {
			t.Errorf("logger %q is not local", p.logger.Path)
		}
		for _, path := range []string{p.stdout, p.stderr} {
			if path != "" && !strings.HasPrefix(strings.ToLower(path), pipePrefix) {
				t.Errorf("%q is not a local pipe", path)
			}
		}
	})
}
