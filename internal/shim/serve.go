package shim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"

	bootapi "github.com/containerd/containerd/api/runtime/bootstrap/v1"
	"github.com/containerd/log"
	"github.com/containerd/ttrpc"
	"google.golang.org/protobuf/proto"

	"github.com/isolrun/isol/internal/hcs"
	"github.com/isolrun/isol/internal/network"
	"github.com/isolrun/isol/internal/node"
	"github.com/isolrun/isol/internal/options"
	"github.com/isolrun/isol/internal/pod"
	"github.com/isolrun/isol/internal/shim/admission"
	"github.com/isolrun/isol/internal/shim/crash"
	"github.com/isolrun/isol/internal/shim/diagnostics"
	"github.com/isolrun/isol/internal/shim/event"
	"github.com/isolrun/isol/internal/shim/launch"
	"github.com/isolrun/isol/internal/shim/logs"
	"github.com/isolrun/isol/internal/shim/service"
)

// serve serves the Task API until the shim shall end. start is told as soon as
// the pipes are there: what else a shim needs is made while containerd connects,
// and calls wait for it in the pipe.
func serve(ctx context.Context, m Machine, flags launch.Flags) error {
	input, err := io.ReadAll(io.LimitReader(os.Stdin, maxStdin))
	if err != nil {
		return fmt.Errorf("read stdin: %w", err)
	}
	var params bootapi.BootstrapParams
	if err := proto.Unmarshal(input, &params); err != nil {
		return fmt.Errorf("stdin of serve: %w", err)
	}
	logListener, err := m.System.Listen(launch.LogPipe(flags.Namespace, flags.ID))
	if err != nil {
		return fmt.Errorf("serve the log: %w", err)
	}
	listener, err := m.System.Listen(flags.Socket)
	if err != nil {
		return fmt.Errorf("serve the API: %w", err)
	}
	if err := launch.Ready(); err != nil {
		return fmt.Errorf("tell start that the pipes are there: %w", err)
	}
	logPipe := logs.NewPipe(logListener)
	log.L.Logger.SetOutput(logPipe) // ttrpc's log
	end := newEnding()
	s, err := newServer(m, flags, &params, logPipe, end)
	if err == nil {
		served := make(chan error, 1)
		go func() { served <- s.Serve(ctx, listener) }()
		select {
		case err = <-served:
		case <-end.done:
			err = end.err
		}
	}
	if err != nil {
		slog.New(logs.Text(logPipe, slog.LevelError)).Error("the shim ends", "error", err)
	}
	return errors.Join(err, listener.Close(), logPipe.Close())
}

// newServer makes what serves the API. Its log goes to out, and what must be
// given up at the end is included in end.
func newServer(m Machine, flags launch.Flags, params *bootapi.BootstrapParams, out io.Writer, end *ending) (*ttrpc.Server, error) {
	opts, optErr := options.Decode(launch.Options(params))
	log := newLog(out, opts, flags, end).With("namespace", flags.Namespace)
	if optErr != nil {
		log.Warn("the runtime options cannot be read; the create will say so", "error", optErr)
	}
	watchCrash(flags, log, end)

	calls := &hcs.CallTable{}
	system, err := m.Host(calls)
	if err != nil {
		log.Error("the compute service cannot be loaded; every create will say so", "error", err)
		system = absentHost{err}
	}
	reader := &admission.Reader{Probe: m.Probe, Image: m.Image, Source: m.Source, NodeConfig: node.DefaultPath(os.Getenv), Log: log}
	facts, err := reader.Host()
	if err != nil {
		log.Error("the facts of this machine cannot be read; every create will say so", "error", err)
	}
	events := event.NewQueue(flags.Namespace, event.NewClient(dialer(m.System, params)), log)
	end.include(func(context.Context) error { return events.Close() })
	networks := network.New(m.Network)
	p, err := pod.New(pod.Config{
		ID: flags.ID, Owner: Owner, HostBuild: facts.Version.Build, Undo: undoers(m, system),
		Host: system, Layers: m.Layers(), VMs: newVMs(m.VM, system, networks, facts.Version.Build, calls, log), Jobs: newJobs(m.Jobs, log), Networks: networks, Affinity: m.Affinity, Source: sourceOf(m), Events: events,
		Stdio: newStdio(m.Pipes, flags.Namespace, opts, log), Log: log,
	})
	if err != nil {
		return nil, err
	}
	watch := newWatch(end, log)
	server, err := ttrpc.NewServer(ttrpc.WithUnaryServerInterceptor(service.Interceptor(log, watch.stop)))
	if err != nil {
		return nil, err
	}
	s := &service.Service{
		Namespace: flags.Namespace, Version: versionText(buildVersion()),
		Pod: p, Admit: reader, Events: events, Exit: end.begin, Log: log,
	}
	s.OptionsType, s.Options = launch.Options(params)
	s.Register(server)
	d := &diagnostics.Service{Namespace: flags.Namespace, ID: flags.ID, Version: s.Version, Started: time.Now(), Pod: p, Calls: calls}
	d.Register(server)
	return server, nil
}

// dialer connects to containerd's events service.
func dialer(system launch.System, params *bootapi.BootstrapParams) func(context.Context) (*ttrpc.Client, error) {
	address := params.ContainerdTtrpcAddress
	if address == "" {
		address = os.Getenv(launch.Env)
	}
	return func(ctx context.Context) (*ttrpc.Client, error) {
		if address == "" {
			return nil, errors.New("containerd named no events service: neither in the bootstrap parameters nor in " + launch.Env)
		}
		conn, err := system.Dial(ctx, address)
		if err != nil {
			return nil, err
		}
		return ttrpc.NewClient(conn), nil
	}
}

// newLog makes the log as flags and options want it.
func newLog(out io.Writer, opts options.Options, flags launch.Flags, end *ending) *slog.Logger {
	level := slog.LevelInfo
	if flags.Debug {
		level = slog.LevelDebug
	}
	if opts.Log.Level.Set() {
		// Decode has checked the word.
		if l, err := logs.ParseLevel(opts.Log.Level.V); err == nil {
			level = l
		}
	}
	var handler slog.Handler = logs.Text(out, level)
	if opts.Log.File.Set() && opts.Log.File.V != "" {
		file, closer := logs.File(logs.FileOptions{
			Path: opts.Log.File.V, MaxMB: int(opts.Log.FileMaxMB.V), Keep: int(opts.Log.FileKeep.V), Tell: slog.New(handler),
		}, level)
		end.include(func(context.Context) error { return closer.Close() })
		handler = slog.NewMultiHandler(handler, file)
	}
	return slog.New(handler)
}

func watchCrash(flags launch.Flags, log *slog.Logger, end *ending) {
	unwatch, err := crash.DefaultDir(os.Getenv).Watch(flags.Namespace, flags.ID)
	if err != nil {
		log.Warn("crash files are not kept as they should", "error", err)
	}
	if unwatch != nil {
		end.include(func(context.Context) error { return unwatch() })
	}
}

// idleWatch ends a shim that nobody calls.
type idleWatch struct {
	timer *time.Timer
	once  sync.Once
}

func newWatch(end *ending, log *slog.Logger) *idleWatch {
	return &idleWatch{timer: time.AfterFunc(IdleLimit, func() {
		log.Error("nobody called since the start: the containerd that started this shim has gone", "waited", IdleLimit)
		end.begin()
	})}
}

// stop ends the watch for good; it is called at every call.
func (w *idleWatch) stop() { w.once.Do(func() { w.timer.Stop() }) }
