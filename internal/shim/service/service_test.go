package service

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"
	"testing"

	taskv2 "github.com/containerd/containerd/api/runtime/task/v2"
	task "github.com/containerd/containerd/api/runtime/task/v3"
	"github.com/containerd/ttrpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/internal/hcs"
)

// Each kind of fault must reach the client as its code, however it is wrapped;
// ttrpc alone would send UNKNOWN.
func TestErrorMapping(t *testing.T) {
	cases := []struct {
		name string
		err  error
		code codes.Code
	}{
		{"nothing", nil, codes.OK},
		{"a plain error", errors.New("x"), codes.Unknown},
		{"a file that is missing is not a task that is missing", fs.ErrNotExist, codes.Unknown},
		{"wrapped", fault.Wrap(fmt.Errorf("a: %w", fault.New(fault.NotFound, "x")), "b", "c"), codes.NotFound},
		{"a deadline of ours", fmt.Errorf("x: %w", context.DeadlineExceeded), codes.DeadlineExceeded},
		{"a client that hung up", context.Canceled, codes.Canceled},
		{"HCS is away", &hcs.Error{Op: "HcsStart", ID: "c1", Err: hcs.ErrDisconnected}, codes.Unavailable},
		{"HCS refuses the image", &hcs.Error{Op: "HcsStart", ID: "c1", Err: hcs.ErrImageMismatch}, codes.FailedPrecondition},
		{"a request that cannot be decoded", status.Error(codes.Internal, "ttrpc: error unmarshalling"), codes.Internal},
		{"InvalidArgument", fault.New(fault.InvalidArgument, "x"), codes.InvalidArgument},
		{"AlreadyExists", fault.New(fault.AlreadyExists, "x"), codes.AlreadyExists},
		{"FailedPrecondition", fault.New(fault.FailedPrecondition, "x"), codes.FailedPrecondition},
		{"PermissionDenied", fault.New(fault.PermissionDenied, "x"), codes.PermissionDenied},
		{"Unimplemented", fault.New(fault.Unimplemented, "x"), codes.Unimplemented},
		{"ResourceExhausted", fault.New(fault.ResourceExhausted, "x"), codes.ResourceExhausted},
		{"Internal", fault.New(fault.Internal, "x"), codes.Internal},
		{"a kind of the future", fault.New(fault.Kind(200), "x"), codes.Unknown},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			got := toStatus(tc.err)
			if status.Code(got) != tc.code {
				t.Errorf("%v, want %v", got, tc.code)
			}
			if tc.err != nil && !strings.Contains(got.Error(), tc.err.Error()) {
				t.Errorf("%q lost the sentence %q", got, tc.err)
			}
		})
	}
}

// A panic in one call must be that call's error, not the pod's end.
func TestInterceptorCatchesPanics(t *testing.T) {
	var b bytes.Buffer
	seen := 0
	intercept := Interceptor(slog.New(slog.NewTextHandler(&b, nil)), func() { seen++ })
	info := &ttrpc.UnaryServerInfo{FullMethod: "/containerd.task.v3.Task/Kill"}
	unmarshal := func(v any) error {
		v.(*task.KillRequest).ID = "c1"
		v.(*task.KillRequest).ExecID = "e1"
		return nil
	}
	_, err := intercept(t.Context(), unmarshal, info, func(_ context.Context, unmarshal func(any) error) (any, error) {
		if err := unmarshal(&task.KillRequest{}); err != nil {
			return nil, err
		}
		panic("nil map")
	})
	if status.Code(err) != codes.Internal || !strings.Contains(err.Error(), "Kill c1") {
		t.Errorf("error %v", err)
	}
	for _, want := range []string{"nil map", "service_test.go", "method=Kill", "exec=e1", "took="} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the log does not say %q:\n%s", want, &b)
		}
	}
	_, err = Interceptor(slog.New(slog.DiscardHandler), nil)(t.Context(), unmarshal, info,
		func(context.Context, func(any) error) (any, error) { return "ok", nil })
	if err != nil || seen != 1 {
		t.Errorf("error %v, seen %d", err, seen)
	}
}

// One table serves both versions: that is right as long as their messages have
// the same fields.
func TestVersionsAreTheSameOnTheWire(t *testing.T) {
	v2 := taskv2.File_runtime_task_v2_shim_proto
	v3 := task.File_runtime_task_v3_shim_proto
	if a, b := v2.Messages().Len(), v3.Messages().Len(); a != b {
		t.Fatalf("%d and %d messages", a, b)
	}
	for i := range v2.Messages().Len() {
		a := v2.Messages().Get(i)
		b := v3.Messages().ByName(a.Name())
		if b == nil {
			t.Errorf("%s is not in version 3", a.Name())
			continue
		}
		if x, y := fields(a), fields(b); x != y {
			t.Errorf("%s:\n%s%s", a.Name(), x, y)
		}
	}
	methods := (&Service{}).methods()
	for _, file := range []protoreflect.FileDescriptor{v2, v3} {
		for i := range file.Services().Get(0).Methods().Len() {
			name := string(file.Services().Get(0).Methods().Get(i).Name())
			if methods[name] == nil {
				t.Errorf("%s has no method %s", file.Package(), name)
			}
		}
	}
}

func fields(m protoreflect.MessageDescriptor) string {
	var b strings.Builder
	for i := range m.Fields().Len() {
		f := m.Fields().Get(i)
		fmt.Fprintf(&b, "%d %s %s %s", f.Number(), f.Name(), f.Kind(), f.Cardinality())
		if f.Message() != nil {
			fmt.Fprintf(&b, " %s", strings.TrimPrefix(string(f.Message().FullName()), string(m.ParentFile().Package())))
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// A request that cannot be decoded must not reach the method.
func TestMethodRefusesWhatItCannotDecode(t *testing.T) {
	called := false
	call := method(func(context.Context, *task.StateRequest) (*task.StateResponse, error) {
		called = true
		return &task.StateResponse{}, errors.New("x")
	}, func() *task.StateRequest { return &task.StateRequest{} })
	if _, err := call(t.Context(), func(any) error { return errors.New("bad bytes") }); err == nil || called {
		t.Errorf("error %v, called %v", err, called)
	}
	if resp, err := call(t.Context(), func(any) error { return nil }); err == nil || resp != nil {
		t.Errorf("an answer beside an error: %v %v", resp, err)
	}
}
