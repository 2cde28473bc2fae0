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
	"github.com/containerd/containerd/v2/pkg/shutdown"
	"github.com/containerd/containerd/v2/plugins"
	"github.com/containerd/log"
	"github.com/containerd/plugin"
	"github.com/containerd/plugin/registry"
	"github.com/containerd/ttrpc"
	"google.golang.org/protobuf/proto"

	"github.com/isolrun/isol/internal/node"
	"github.com/isolrun/isol/internal/options"
	"github.com/isolrun/isol/internal/pod"
	"github.com/isolrun/isol/internal/shim/admission"
	"github.com/isolrun/isol/internal/shim/crash"
	"github.com/isolrun/isol/internal/shim/event"
	"github.com/isolrun/isol/internal/shim/launch"
	"github.com/isolrun/isol/internal/shim/logs"
	"github.com/isolrun/isol/internal/shim/service"
)

// serve registers the plugin from which pkg/shim gets its service.
func serve(ctx context.Context, m Machine, flags launch.Flags) error {
	input, err := io.ReadAll(io.LimitReader(os.Stdin, maxStdin))
	if err != nil {
		return fmt.Errorf("read stdin: %w", err)
	}
	var params bootapi.BootstrapParams
	if err := proto.Unmarshal(input, &params); err != nil {
		return fmt.Errorf("stdin of serve: %w", err)
	}
	registry.Register(&plugin.Registration{
		Type:     plugins.TTRPCPlugin,
		ID:       "isol",
		Requires: []plugin.Type{plugins.InternalPlugin},
		InitFn: func(ic *plugin.InitContext) (any, error) {
			sd, err := ic.GetByID(plugins.InternalPlugin, "shutdown")
			if err != nil {
				return nil, err
			}
			return newServer(ctx, m, flags, &params, sd.(shutdown.Service))
		},
	})
	return nil
}

// server is what pkg/shim serves: the service and its interceptor.
type server struct {
	*service.Service
	intercept ttrpc.UnaryServerInterceptor
}

// UnaryServerInterceptor implements pkg/shim's TTRPCServerUnaryOptioner.
func (s *server) UnaryServerInterceptor() ttrpc.UnaryServerInterceptor { return s.intercept }

// newServer makes all that serve needs. What must be given up at the end is
// registered with sd.
func newServer(ctx context.Context, m Machine, flags launch.Flags, params *bootapi.BootstrapParams, sd shutdown.Service) (*server, error) {
	opts, optErr := options.Decode(launch.Options(params))
	log := newLog(opts, flags, sd).With("namespace", flags.Namespace)
	if optErr != nil {
		log.Warn("the runtime options cannot be read; the create will say so", "error", optErr)
	}
	watchCrash(flags, log, sd)

	system, err := m.Host()
	if err != nil {
		log.Error("the compute service cannot be loaded; every create will say so", "error", err)
		system = absentHost{err}
	}
	reader := &admission.Reader{Probe: m.Probe, Image: m.Image, NodeConfig: node.DefaultPath(os.Getenv), Log: log}
	facts, err := reader.Host()
	if err != nil {
		log.Error("the facts of this machine cannot be read; every create will say so", "error", err)
	}
	events := event.NewQueue(flags.Namespace, event.NewClient(dialer(m.System, params)), log)
	sd.RegisterCallback(func(context.Context) error { return events.Close() })
	p, err := pod.New(pod.Config{
		ID: flags.ID, Owner: Owner, HostBuild: facts.Version.Build, Origin: origin(),
		Host: system, Layers: m.Layers(), VMs: newVMs(m.VM, system, log), Affinity: m.Affinity, Events: events,
		Stdio: newStdio(m.Pipes, flags.Namespace, opts, log), Log: log,
	})
	if err != nil {
		return nil, err
	}
	watch := newWatch(ctx, sd, log)
	version, revision := buildVersion()
	return &server{
		Service: &service.Service{
			Namespace: flags.Namespace, Version: versionText(version, revision),
			Pod: p, Admit: reader, Events: events, Exit: sd.Shutdown, Log: log,
		},
		intercept: service.Interceptor(log, watch.stop),
	}, nil
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
func newLog(opts options.Options, flags launch.Flags, sd shutdown.Service) *slog.Logger {
	level := slog.LevelInfo
	if flags.Debug {
		level = slog.LevelDebug
	}
	if opts.Log.Level.Set() {
		// Decode has checked the word.
		if l, err := logs.ParseLevel(opts.Log.Level.V); err == nil {
			level = l
		}
		if err := log.SetLevel(level); err != nil {
			containerdLog().WithError(err).Warn("setting the log level failed")
		}
	}
	var handler slog.Handler = logs.New(containerdLog(), level)
	if opts.Log.File.Set() && opts.Log.File.V != "" {
		file, closer := logs.File(logs.FileOptions{
			Path: opts.Log.File.V, MaxMB: int(opts.Log.FileMaxMB.V), Keep: int(opts.Log.FileKeep.V),
		}, level)
		sd.RegisterCallback(func(context.Context) error { return closer.Close() })
		handler = slog.NewMultiHandler(handler, file)
	}
	return slog.New(handler)
}

func watchCrash(flags launch.Flags, log *slog.Logger, sd shutdown.Service) {
	end, err := crash.DefaultDir(os.Getenv).Watch(flags.Namespace, flags.ID)
	if err != nil {
		log.Warn("crash files are not kept as they should", "error", err)
	}
	if end != nil {
		sd.RegisterCallback(func(context.Context) error { return end() })
	}
}

// idleWatch ends a shim that nobody calls.
type idleWatch struct {
	timer *time.Timer
	once  sync.Once
}

func newWatch(ctx context.Context, sd shutdown.Service, log *slog.Logger) *idleWatch {
	return &idleWatch{timer: time.AfterFunc(IdleLimit, func() {
		if ctx.Err() == nil {
			log.Error("nobody called since the start: the containerd that started this shim has gone", "waited", IdleLimit)
			sd.Shutdown()
		}
	})}
}

// stop ends the watch for good; it is called at every call.
func (w *idleWatch) stop() { w.once.Do(func() { w.timer.Stop() }) }
