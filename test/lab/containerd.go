package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	versionapi "github.com/containerd/containerd/api/services/version/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/emptypb"
)

// Where things are in a lab.
const (
	// ContainerdPipe is where containerd serves its API.
	ContainerdPipe = `\\.\pipe\containerd-containerd`
	// ProgramFolder holds containerd.exe, ctr.exe and the shims.
	ProgramFolder = `C:\Program Files\containerd`
	// ContainerdExe and CtrExe are containerd and its client.
	ContainerdExe = ProgramFolder + `\containerd.exe`
	CtrExe        = ProgramFolder + `\ctr.exe`
	// RootFolder and StateFolder are containerd's.
	RootFolder  = `C:\ProgramData\containerd\root`
	StateFolder = `C:\ProgramData\containerd\state`

	configFile = ProgramFolder + `\config.toml`
	labFolder  = `C:\lab`
	pipeExe    = labFolder + `\labpipe.exe`
)

// containerdConfig is containerd's configuration. The CRI plugin gets a runtime
// per shim, and with cri what pods need.
func containerdConfig(w Windows, cri bool, extra string) string {
	imports := ""
	if cri {
		imports, extra = "imports = ['"+isolConfig+"']\n", handlers(w)+extra
	}
	return `version = 3
` + imports + `root = '` + RootFolder + `'
state = '` + StateFolder + `'

[debug]
  level = 'debug'

[plugins.'io.containerd.server.v1.grpc']
  address = '` + ContainerdPipe + `'

[plugins.'io.containerd.cri.v1.runtime'.containerd]
  default_runtime_name = 'isol'

  [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.isol]
    runtime_type = 'io.containerd.isol.v1'

  [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runhcs]
    runtime_type = 'io.containerd.runhcs.v1'

` + extra
}

// logFile keeps what a server of the lab prints and tells when a text comes by.
type logFile struct {
	name string

	mu      sync.Mutex
	file    *os.File
	pending []byte        // guarded by mu: what may be the start of awaited
	awaited []byte        // guarded by mu: nil once seen
	seen    chan struct{} // closed when awaited came by
}

// openLog appends to the file of that name and awaits a text in what comes.
func openLog(name, awaited string) (*logFile, error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("lab: %w", err)
	}
	return &logFile{name: name, file: f, awaited: []byte(awaited), seen: make(chan struct{})}, nil
}

// Write appends p to the file.
func (l *logFile) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.awaited != nil {
		l.pending = append(l.pending, p...)
		if bytes.Contains(l.pending, l.awaited) {
			l.awaited, l.pending = nil, nil
			close(l.seen)
		} else if keep := len(l.awaited); len(l.pending) > keep {
			l.pending = bytes.Clone(l.pending[len(l.pending)-keep:])
		}
	}
	return l.file.Write(p)
}

// server is a long-running program of the lab.
type server struct {
	process *Process
	log     *logFile
}

// startServer starts a program whose output goes to a log of the lab and waits
// until it says that it is ready.
func (l *Lab) startServer(ctx context.Context, name, ready string, args ...string) (*server, error) {
	log, err := openLog(filepath.Join(l.dir, name+".log"), ready)
	if err != nil {
		return nil, err
	}
	// A server lives as long as the lab, not as long as the call that starts it.
	process, err := l.StartProcess(l.ctx, Command{Args: args, Stdout: log, Stderr: log})
	if err != nil {
		return nil, errors.Join(err, log.file.Close())
	}
	s := &server{process: process, log: log}
	timeout := time.NewTimer(30 * time.Second)
	defer timeout.Stop()
	select {
	case <-log.seen:
		return s, nil
	case <-process.Done():
		err = errors.New("it ended")
	case <-ctx.Done():
		err = ctx.Err()
	case <-timeout.C:
		err = fmt.Errorf("it did not say %q within 30 s", ready)
	}
	return nil, errors.Join(fmt.Errorf("lab: start %s: %w; its log ends:\n%s", name, err, tail(log.name, 20)), s.stop())
}

// stop kills the server and closes its log.
func (s *server) stop() error {
	if s == nil {
		return nil
	}
	return errors.Join(s.process.Kill(), s.log.file.Close())
}

// startContainerd starts containerd and waits until it answers.
func (l *Lab) startContainerd(ctx context.Context) error {
	var err error
	l.containerd, err = l.startServer(ctx, "containerd", "containerd successfully booted",
		ContainerdExe, "--config", configFile)
	if err != nil {
		return err
	}
	conn, err := l.Client(l.ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	_, err = versionapi.NewVersionClient(conn).Version(ctx, &emptypb.Empty{}, grpc.WaitForReady(true))
	if err != nil {
		return errors.Join(fmt.Errorf("lab: containerd does not answer: %w", err), conn.Close())
	}
	context.AfterFunc(l.ctx, func() { conn.Close() })
	l.conn = conn
	return nil
}

// Client returns a gRPC client of containerd, for containerd's API and for CRI.
// The caller closes it. It needs a namespace in the metadata of each call, as
// containerd's API says.
func (l *Lab) Client(ctx context.Context) (*grpc.ClientConn, error) {
	return grpc.NewClient("passthrough:///containerd",
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) {
			return l.Dial(ctx, ContainerdPipe) // as long as the client, not as the attempt to dial
		}))
}

// KillContainerd ends containerd as a crash does: shims and containers live on.
func (l *Lab) KillContainerd() error {
	err := errors.Join(l.conn.Close(), l.containerd.stop())
	l.containerd = nil
	return err
}

// RestartContainerd starts containerd again, after killing the running one if
// there is one, and waits until it answers.
func (l *Lab) RestartContainerd(ctx context.Context) error {
	if l.containerd != nil {
		if err := l.KillContainerd(); err != nil {
			return err
		}
	}
	return l.startContainerd(ctx)
}

// Logs returns what containerd (with the shims' logs, which it forwards) and
// the emulator have printed, each under a heading.
func (l *Lab) Logs() string {
	var b strings.Builder
	for _, name := range []string{"emulator", "containerd"} {
		content, err := os.ReadFile(filepath.Join(l.dir, name+".log"))
		if err != nil {
			fmt.Fprintf(&b, "== %s: %v\n", name, err)
			continue
		}
		fmt.Fprintf(&b, "== %s\n%s\n", name, content)
	}
	if _, err := l.guests.busy(); err != nil {
		fmt.Fprintf(&b, "== guests of virtual machines\n%v\n", err)
	}
	return b.String()
}

// Notable is what of [Lab.Logs] stands beside a failure: the last that are more
// than information, and the very last. Whole logs would bury what failed.
func Notable(logs string) string {
	var odd []string
	for line := range strings.Lines(logs) {
		if !strings.Contains(line, "level=debug") && !strings.Contains(line, "level=info") {
			odd = append(odd, line)
		}
	}
	return fmt.Sprintf("the last warnings and errors:\n%s\nthe last lines:\n%s\n", lastLines(strings.Join(odd, ""), 20), lastLines(logs, 15))
}

// tail returns the last lines of a file, or why it can't be read.
func tail(name string, lines int) string {
	content, err := os.ReadFile(name)
	if err != nil {
		return err.Error()
	}
	return lastLines(string(content), lines)
}

func lastLines(text string, n int) string {
	all := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(all[max(0, len(all)-n):], "\n")
}

var _ io.Writer = (*logFile)(nil)
