package event

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	apievents "github.com/containerd/containerd/api/events"
	events "github.com/containerd/containerd/api/services/ttrpc/events/v1"
	"github.com/containerd/containerd/api/types"
	"github.com/containerd/ttrpc"
	"github.com/containerd/typeurl/v2"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/internal/layers"
	"github.com/isolrun/isol/internal/pod"
)

// sink is a Forwarder that fails as told.
type sink struct {
	mu   sync.Mutex
	got  []*types.Envelope
	fail func(n int, e *types.Envelope) error // n counts the sends
	n    int
	hold chan struct{} // not nil: sends wait for it
}

func (s *sink) Forward(ctx context.Context, e *types.Envelope) error {
	if s.hold != nil {
		select {
		case <-s.hold:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n++
	if s.fail != nil {
		if err := s.fail(s.n, e); err != nil {
			return err
		}
	}
	s.got = append(s.got, e)
	return nil
}

func (s *sink) Close() error { return nil }

func (s *sink) pids(t *testing.T) []uint32 {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	var pids []uint32
	for _, e := range s.got {
		v, err := typeurl.UnmarshalAny(e.Event)
		if err != nil {
			t.Fatal(err)
		}
		pids = append(pids, v.(interface{ GetPid() uint32 }).GetPid())
	}
	return pids
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// Events must come in the order in which they were published, each once, though
// every third send fails.
func TestOrderSurvivesFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{fail: func(n int, _ *types.Envelope) error {
			if n%3 == 0 {
				return errors.New("connection lost")
			}
			return nil
		}}
		q := NewQueue("default", s, quiet())
		var want []uint32
		for i := range uint32(50) {
			q.Publish(pod.TaskStart{ID: "c1", PID: i + 1})
			want = append(want, i+1)
		}
		if err := q.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, s.pids(t)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if err := q.Close(); err != nil {
			t.Error(err)
		}
	})
}

// A containerd that is away for an hour must still get the exit; publishing
// never waits for it.
func TestNothingIsLostWhileContainerdIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		back := time.Now().Add(time.Hour)
		s := &sink{fail: func(int, *types.Envelope) error {
			if time.Now().Before(back) {
				return errors.New("no containerd")
			}
			return nil
		}}
		q := NewQueue("default", s, quiet())
		q.Publish(pod.TaskExit{ID: "c1", ExecID: "c1", PID: 7, ExitStatus: 3, ExitedAt: time.Now()})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := q.Flush(ctx); !fault.Is(err, fault.DeadlineExceeded) || !strings.Contains(err.Error(), "1 events wait") {
			t.Errorf("flush while containerd is away: %v", err)
		}
		time.Sleep(time.Hour)
		if err := q.Flush(t.Context()); err != nil {
			t.Error(err)
		}
		if s.n > 3600/5+20 {
			t.Errorf("%d sends in an hour: the pauses do not grow", s.n)
		}
		if err := q.Close(); err != nil {
			t.Error(err)
		}
	})
}

// An event that containerd refuses must not hold up the others.
func TestRefusedEventIsSkipped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{fail: func(n int, _ *types.Envelope) error {
			if n == 1 {
				return fmt.Errorf("%w: bad topic", ErrRefused)
			}
			return nil
		}}
		q := NewQueue("default", s, quiet())
		q.Publish(pod.TaskStart{ID: "c1", PID: 1})
		q.Publish(pod.TaskStart{ID: "c1", PID: 2})
		if err := q.Flush(t.Context()); err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff([]uint32{2}, s.pids(t)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		_ = q.Close()
	})
}

// Memory is bounded: beyond the limit exits are kept before all else.
func TestOverflowKeepsExits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{hold: make(chan struct{})}
		q := NewQueue("default", s, quiet())
		q.Publish(pod.TaskStart{ID: "c1", PID: 1})
		synctest.Wait() // under way now: not to be dropped
		for i := range Limit - 1 {
			q.Publish(pod.TaskExit{ID: "c1", ExecID: fmt.Sprint(i), PID: 2})
		}
		q.Publish(pod.TaskStart{ID: "c1", PID: 3})
		q.Publish(pod.TaskExit{ID: "c1", ExecID: "last", PID: 4})
		q.Publish(pod.TaskExit{ID: "c1", ExecID: "very last", PID: 5})
		close(s.hold)
		if err := q.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		pids := s.pids(t)
		if len(pids) != Limit || pids[0] != 1 || pids[len(pids)-1] != 5 {
			t.Errorf("%d events, first %d, last %d", len(pids), pids[0], pids[len(pids)-1])
		}
		for _, p := range pids {
			if p == 3 {
				t.Error("a start was kept and an exit lost")
			}
		}
		_ = q.Close()
	})
}

// After Close nothing hangs, and what is lost is said.
func TestCloseWithEventsWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b strings.Builder
		q := NewQueue("default", &sink{hold: make(chan struct{})}, slog.New(slog.NewTextHandler(&b, nil)))
		q.Publish(pod.TaskStart{ID: "c1", PID: 1})
		go func() { time.Sleep(time.Second); _ = q.Close() }()
		if err := q.Flush(t.Context()); !fault.Is(err, fault.Canceled) {
			t.Errorf("flush: %v", err)
		}
		_ = q.Close()
		q.Publish(pod.TaskStart{ID: "c1", PID: 2})
		for _, want := range []string{"lost at the end", "after the end"} {
			if !strings.Contains(b.String(), want) {
				t.Errorf("the log does not say %q:\n%s", want, b.String())
			}
		}
	})
}

// What containerd and its clients decode: topic, type and fields.
func TestEncode(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	cases := []struct {
		event pod.Event
		topic string
		want  any
	}{
		{pod.TaskCreate{ID: "c1", Bundle: `C:\b`, PID: 0, Rootfs: []layers.Mount{{Type: "windows-layer", Source: "s", Options: []string{"rw"}}},
			Stdio: pod.StdioConfig{Stdin: "i", Stdout: "o", Stderr: "e", Terminal: true}}, "/tasks/create",
			&apievents.TaskCreate{ContainerID: "c1", Bundle: `C:\b`, IO: &apievents.TaskIO{Stdin: "i", Stdout: "o", Stderr: "e", Terminal: true},
				Rootfs: []*types.Mount{{Type: "windows-layer", Source: "s", Options: []string{"rw"}}}}},
		{pod.TaskStart{ID: "c1", PID: 5}, "/tasks/start", &apievents.TaskStart{ContainerID: "c1", Pid: 5}},
		{pod.ExecAdded{ID: "c1", ExecID: "e1"}, "/tasks/exec-added", &apievents.TaskExecAdded{ContainerID: "c1", ExecID: "e1"}},
		{pod.ExecStarted{ID: "c1", ExecID: "e1", PID: 6}, "/tasks/exec-started", &apievents.TaskExecStarted{ContainerID: "c1", ExecID: "e1", Pid: 6}},
		{pod.TaskExit{ID: "c1", ExecID: "e1", PID: 6, ExitStatus: 9, ExitedAt: at}, "/tasks/exit",
			&apievents.TaskExit{ContainerID: "c1", ID: "e1", Pid: 6, ExitStatus: 9, ExitedAt: timestamppb.New(at)}},
		{pod.TaskDelete{ID: "c1", ExecID: "e1", PID: 6, ExitStatus: 9, ExitedAt: at}, "/tasks/delete",
			&apievents.TaskDelete{ContainerID: "c1", ID: "e1", Pid: 6, ExitStatus: 9, ExitedAt: timestamppb.New(at)}},
	}
	for _, tc := range cases {
		t.Run(tc.topic, func(t *testing.T) {
			env, err := encode("k8s.io", tc.event, at)
			if err != nil {
				t.Fatal(err)
			}
			if env.Topic != tc.topic || env.Namespace != "k8s.io" || !env.Timestamp.AsTime().Equal(at) {
				t.Errorf("envelope %v", env)
			}
			got, err := typeurl.UnmarshalAny(env.Event)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got, protocmp.Transform()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	if _, err := encode("default", unknown{}, at); err == nil {
		t.Error("an unknown event was encoded")
	}
	q := NewQueue("default", &sink{}, quiet())
	q.Publish(unknown{})
	if err := q.Flush(t.Context()); err != nil {
		t.Error(err)
	}
	_ = q.Close()
}

type unknown struct{}

func (unknown) TaskID() string { return "c1" }

// server is containerd's events service.
type server struct{ err error }

func (s *server) Forward(context.Context, *events.ForwardRequest) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, s.err
}

// The client must dial again after a lost connection, and tell a refusal from a
// failure on the way.
func TestClient(t *testing.T) {
	address := filepath.Join(t.TempDir(), "s")
	svc := &server{}
	start := func() *ttrpc.Server {
		srv, err := ttrpc.NewServer()
		if err != nil {
			t.Fatal(err)
		}
		events.RegisterTTRPCEventsService(srv, svc)
		ln, err := net.Listen("unix", address)
		if err != nil {
			t.Fatal(err)
		}
		go func() { _ = srv.Serve(context.Background(), ln) }()
		return srv
	}
	c := NewClient(func(ctx context.Context) (*ttrpc.Client, error) {
		conn, err := new(net.Dialer).DialContext(ctx, "unix", address)
		if err != nil {
			return nil, err
		}
		return ttrpc.NewClient(conn), nil
	})
	ctx := t.Context()
	e := &types.Envelope{Topic: "/tasks/start"}
	if err := c.Forward(ctx, e); err == nil || !strings.Contains(err.Error(), "connect to containerd") {
		t.Errorf("without containerd: %v", err)
	}
	srv := start()
	if err := c.Forward(ctx, e); err != nil {
		t.Errorf("first: %v", err)
	}
	svc.err = status.Error(codes.InvalidArgument, "bad topic")
	if err := c.Forward(ctx, e); !errors.Is(err, ErrRefused) {
		t.Errorf("refused: %v", err)
	}
	svc.err = status.Error(codes.Unavailable, "starting")
	if err := c.Forward(ctx, e); err == nil || errors.Is(err, ErrRefused) {
		t.Errorf("unavailable: %v", err)
	}
	svc.err = nil
	if err := srv.Close(); err != nil {
		t.Fatal(err)
	}
	// The server may answer one more call while it closes.
	for n := 0; c.Forward(ctx, e) == nil; n++ {
		if n > 1000 {
			t.Fatal("sent to nobody")
		}
	}
	srv = start()
	defer srv.Close()
	if err := c.Forward(ctx, e); err != nil {
		t.Errorf("after a restart: %v", err)
	}
	for range 2 {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := c.Forward(ctx, e); !errors.Is(err, ttrpc.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}
