package diagnostics

import (
	"context"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/containerd/ttrpc"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/internal/hcs"
	"github.com/isolrun/isol/internal/isolation"
	"github.com/isolrun/isol/internal/pod"
)

// serve serves register on a socket and returns a function that connects to it.
func serve(t *testing.T, register func(*ttrpc.Server)) func() net.Conn {
	t.Helper()
	server, err := ttrpc.NewServer()
	if err != nil {
		t.Fatal(err)
	}
	register(server)
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(context.Background(), l) }()
	t.Cleanup(func() {
		server.Close()
		<-served
	})
	return func() net.Conn {
		conn, err := net.Dial("unix", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		return conn
	}
}

// canned is a method that answers what it is told, without a pod.
func canned[A any](name string, answer func(Question) (A, error)) func(*ttrpc.Server) {
	return func(s *ttrpc.Server) {
		s.RegisterService(serviceName, &ttrpc.ServiceDesc{Methods: map[string]ttrpc.Method{
			name: method(func(_ context.Context, q Question) (A, error) { return answer(q) }),
		}})
	}
}

// What the shim knows reaches the operator whole, and so does the question.
func TestQuestionAndReport(t *testing.T) {
	exit := uint32(3)
	want := Report{
		Version: Version, Pod: "p", Namespace: "k8s.io", Shim: Shim{PID: 7, Goroutines: 9},
		Tasks: []Task{{
			Process: Process{ID: "web", State: "stopped", Exit: &exit},
			Plan:    &isolation.Plan{ID: "web", Mode: isolation.ModeHyperV, Crossings: []isolation.Crossing{{Host: `C:\data`}}},
			Phases:  []hcs.Span{{Phase: hcs.PhaseCreate, Took: 3 * time.Millisecond, Waited: time.Millisecond}},
		}},
	}
	dial := serve(t, canned("Show", func(q Question) (Report, error) {
		if q.OlderThan != time.Minute {
			t.Errorf("question %+v", q)
		}
		return want, nil
	}))
	got, err := Show(t.Context(), dial(), Question{OlderThan: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	if got.Tasks[0].Plan.Mode != isolation.ModeHyperV || got.Tasks[0].Plan.Crossings[0].Host != `C:\data` || *got.Tasks[0].Exit != 3 ||
		got.Tasks[0].Phases[0] != want.Tasks[0].Phases[0] || got.Shim != want.Shim {
		t.Errorf("report %+v", got)
	}
}

// A shim that is older, or not isol's, must be told apart from one that fails.
func TestShimWithoutDiagnostics(t *testing.T) {
	dial := serve(t, func(*ttrpc.Server) {})
	if _, err := Show(t.Context(), dial(), Question{}); !fault.Is(err, fault.Unimplemented) || !strings.Contains(err.Error(), "older version") {
		t.Errorf("error %v", err)
	}
	dial = serve(t, canned("Stacks", func(Question) (Stacks, error) { return Stacks{}, fault.New(fault.Internal, "no") }))
	if _, err := AskStacks(t.Context(), dial()); err == nil || fault.Is(err, fault.Unimplemented) {
		t.Errorf("error %v", err)
	}
}

// A message of another kind, or one that cannot be read, is an error with words.
func TestMessagesThatAreNot(t *testing.T) {
	var q Question
	for _, m := range []*anypb.Any{{}, {TypeUrl: "other", Value: []byte("{}")}, {TypeUrl: typeURL, Value: []byte("{")}} {
		if err := unpack(m, &q); !fault.Is(err, fault.InvalidArgument) {
			t.Errorf("%v: %v", m, err)
		}
	}
}

// The stacks name the goroutine that asks: an empty text would look like an idle shim.
func TestGoroutines(t *testing.T) {
	if text := goroutines(); !strings.Contains(text, "TestGoroutines") {
		t.Errorf("stacks:\n%s", text)
	}
}

// The states of the tasks are isol's own, and an exit shows only once there is one.
func TestTasks(t *testing.T) {
	tasks := tasksOf([]pod.TaskInfo{{
		State: pod.State{ID: "web", Name: "exiting", Status: pod.StatusRunning, PID: 5},
		Execs: []pod.State{{ExecID: "e1", Name: "stopped", Status: pod.StatusStopped, ExitStatus: 2}},
	}})
	if tasks[0].State != "exiting" || tasks[0].Exit != nil || *tasks[0].Execs[0].Exit != 2 || tasks[0].Execs[0].ID != "e1" {
		t.Errorf("tasks %+v", tasks)
	}
}
