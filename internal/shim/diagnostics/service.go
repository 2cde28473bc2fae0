package diagnostics

import (
	"context"
	"os"
	"runtime"
	"time"

	"github.com/containerd/ttrpc"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/internal/hcs"
	"github.com/isolrun/isol/internal/pod"
	"github.com/isolrun/isol/internal/uvm"
)

// guestLimit is how long a guest has for its stacks.
const guestLimit = 5 * time.Second

// maxStacks bounds the answer: ttrpc takes messages of 4 MiB.
const maxStacks = 1 << 20

// Service answers the questions. Pod is required.
type Service struct {
	Namespace string
	ID        string // that the shim was started for
	Version   string // of the shim
	Started   time.Time
	Pod       *pod.Pod
	Calls     *hcs.CallTable // nil: none are listed
}

// Register serves the service on server.
func (s *Service) Register(server *ttrpc.Server) {
	server.RegisterService(serviceName, &ttrpc.ServiceDesc{Methods: map[string]ttrpc.Method{
		"Show":   method(s.show),
		"Stacks": method(s.stacks),
	}})
}

// method decodes a question and encodes the answer.
func method[A any](answer func(context.Context, Question) (A, error)) ttrpc.Method {
	return func(ctx context.Context, unmarshal func(any) error) (any, error) {
		var in anypb.Any
		if err := unmarshal(&in); err != nil {
			return nil, fault.New(fault.InvalidArgument, "the question cannot be decoded: %w", err)
		}
		var q Question
		if err := unpack(&in, &q); err != nil {
			return nil, err
		}
		a, err := answer(ctx, q)
		if err != nil {
			return nil, err
		}
		return pack(a)
	}
}

func (s *Service) show(_ context.Context, q Question) (Report, error) {
	infos := s.Pod.Tasks()
	r := Report{
		Version: Version, Namespace: s.Namespace, Pod: s.ID, Shim: s.process(),
		Tasks: tasksOf(infos), Calls: callsOf(s.Calls.Open(q.OlderThan)),
	}
	if vm := vmOf(infos); vm != nil {
		snapshot := vm.Snapshot()
		r.VM = &snapshot
	}
	return r, nil
}

func (s *Service) process() Shim {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return Shim{PID: os.Getpid(), Version: s.Version, Started: s.Started, Goroutines: runtime.NumGoroutine(), HeapBytes: m.HeapAlloc}
}

func (s *Service) stacks(ctx context.Context, _ Question) (Stacks, error) {
	answer := Stacks{Shim: goroutines()}
	vm := vmOf(s.Pod.Tasks())
	if vm == nil {
		return answer, nil
	}
	ctx, cancel := context.WithTimeout(ctx, guestLimit)
	defer cancel()
	text, err := vm.DumpStacks(ctx)
	if err != nil {
		text = "the guest gives no stacks: " + err.Error()
	}
	answer.Guest = text
	return answer, nil
}

// goroutines returns the stacks of all goroutines, of many only the first.
func goroutines() string {
	for size := 64 << 10; ; size *= 2 {
		buf := make([]byte, size)
		if n := runtime.Stack(buf, true); n < size || size >= maxStacks {
			return string(buf[:n])
		}
	}
}

// machine is what a utility VM tells of itself. internal/uvm implements it.
type machine interface {
	Snapshot() uvm.Snapshot
	DumpStacks(ctx context.Context) (string, error)
}

// vmOf returns the pod's utility VM, nil if it has none.
func vmOf(infos []pod.TaskInfo) machine {
	for _, i := range infos {
		if vm, ok := i.VM.(machine); ok {
			return vm
		}
	}
	return nil
}
