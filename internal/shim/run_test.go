package shim

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	task "github.com/containerd/containerd/api/runtime/task/v3"
	"github.com/containerd/containerd/api/types"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/isolrun/isol/internal/hcs"
	"github.com/isolrun/isol/internal/hcs/schema"
	"github.com/isolrun/isol/internal/host"
	"github.com/isolrun/isol/internal/layers"
	"github.com/isolrun/isol/internal/shim/launch"
	"github.com/isolrun/isol/internal/stdio"
)

// childEnv makes this test binary the shim's binary: its value is the command
// line, with | between arguments.
const childEnv = "SHIM_TEST_ARGS"

// emptyHost is a machine without systems.
type emptyHost struct{ absentHost }

func (emptyHost) List(context.Context, schema.SystemQuery) ([]schema.SystemSummary, error) {
	return nil, nil
}

// child runs the shim as main does. Only delete may ask for the machine.
func child(args []string) {
	os.Args = append([]string{"containerd-shim-isol-v1.exe"}, args...)
	loaded := errors.New("HCS was loaded")
	Run(context.Background(), Machine{
		Host: func(*hcs.CallTable) (hcs.Host, error) {
			if args[len(args)-1] != "delete" {
				panic(loaded)
			}
			return emptyHost{absentHost{loaded}}, nil
		},
		Layers: func() layers.Store { return layers.NewStore(layers.Windows()) },
		Probe:  func() (host.Facts, error) { panic(loaded) },
		Image:  host.ReadImage,
		Pipes:  stdio.Native(),
		System: launch.Native(),
	})
}

// runChild runs the shim's binary and returns what it wrote and its code.
func runChild(t *testing.T, stdin []byte, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+strings.Join(args, "|"), "ProgramData="+t.TempDir())
	cmd.Stdin = bytes.NewReader(stdin)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// What containerd reads on stdout must be exactly the answer, and a failure
// must be a sentence and a code.
func TestRun(t *testing.T) {
	common := []string{"-namespace", "default", "-address", "a", "-publish-binary", "b"}
	bundle := t.TempDir()
	options, err := proto.Marshal(&anypb.Any{TypeUrl: "runtimeoptions.v1.Options", Value: []byte("x")})
	if err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		name  string
		stdin []byte
		args  []string
		code  int
		check func(t *testing.T, stdout, stderr string)
	}{
		{"version", nil, []string{"-version"}, 0, func(t *testing.T, stdout, _ string) {
			if !strings.HasPrefix(stdout, "io.containerd.isol.v1 ") {
				t.Errorf("%q", stdout)
			}
		}},
		{"info loads nothing and echoes the options", options, []string{"-info"}, 0, func(t *testing.T, stdout, _ string) {
			var info types.RuntimeInfo
			if err := proto.Unmarshal([]byte(stdout), &info); err != nil || info.Name != launch.Name || info.Options.GetTypeUrl() != "runtimeoptions.v1.Options" {
				t.Errorf("%v %v", &info, err)
			}
		}},
		{"delete of nothing", nil, append(common, "-id", "c1", "-bundle", bundle, "delete"), 0, func(t *testing.T, stdout, stderr string) {
			var resp task.DeleteResponse
			if err := proto.Unmarshal([]byte(stdout), &resp); err != nil || resp.ExitStatus != 255 || resp.ExitedAt == nil {
				t.Errorf("%v %v; %s", &resp, err, stderr)
			}
		}},
		{"start with noise on stdin", []byte("\xff\xff"), append(common, "-id", "c1", "start"), 1, func(t *testing.T, _, stderr string) {
			if !strings.Contains(stderr, "stdin of start") {
				t.Errorf("%q", stderr)
			}
		}},
		{"start of an id that a pipe cannot hold", nil, append(common, "-id", `a\b`, "start"), 1, func(t *testing.T, stdout, stderr string) {
			if stdout != "" || !strings.Contains(stderr, "pipe cannot hold") {
				t.Errorf("%q %q", stdout, stderr)
			}
		}},
		{"unknown flag", nil, []string{"-nonsense"}, 1, func(t *testing.T, _, stderr string) {
			if !strings.Contains(stderr, "nonsense") {
				t.Errorf("%q", stderr)
			}
		}},
		{"serve with noise on stdin", []byte("\xff\xff"), append(common, "-id", "c1", "serve"), 1, func(t *testing.T, _, stderr string) {
			if !strings.Contains(stderr, "stdin of serve") {
				t.Errorf("%q", stderr)
			}
		}},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			stdout, stderr, code := runChild(t, tc.stdin, tc.args...)
			if code != tc.code {
				t.Errorf("exit code %d, want %d: %s", code, tc.code, stderr)
			}
			tc.check(t, stdout, stderr)
		})
	}
}

// A log file that the options name must be written beside containerd's log.
func TestLogFileByOption(t *testing.T) {
	path := filepath.Join(t.TempDir(), "isol.log")
	l := newLab(t, withOptions(t, "log_level = \"debug\"\nlog_file = '"+path+"'"))
	if _, err := l.tasks.State(t.Context(), &task.StateRequest{ID: "c1"}); err == nil {
		t.Fatal("a task out of nothing")
	}
	text, err := os.ReadFile(path)
	if err != nil || !strings.Contains(string(text), "method=State") {
		t.Errorf("%q %v", text, err)
	}
}
