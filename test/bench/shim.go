package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/containerd/containerd/api/types"

	"github.com/isolrun/isol/test/bench/driver"
	"github.com/isolrun/isol/test/bench/figure"
	"github.com/isolrun/isol/test/hcsemu"
	"github.com/isolrun/isol/test/lab"
	"github.com/isolrun/isol/test/standin"
)

// shim is one of the programs that are compared.
type shim struct {
	name    string // as the report calls it
	version string
	file    string // on this machine
	exe     string // in the lab
	legacy  bool   // reads no BootstrapParams
}

// folder is where the benchmark keeps its things in the lab: each shim in a
// folder of its own, so that several builds of one can be compared.
const folder = `C:\bench`

// idleExe is the program that does nothing.
const idleExe = folder + `\benchidle.exe`

// bench is a lab in which shims are measured.
type bench struct {
	lab     *lab.Lab
	driver  *driver.Client
	program *lab.Dialog // the driver
	samples figure.Samples
	size    size
	trace   io.Writer     // gets marks and the emulator's calls; nil for none
	way     time.Duration // of a native call to the emulator and back
	last    int           // of the emulator's calls that have been read
	nets    []net         // of which the launches are still to be taken away
	phases  []string      // of a VM's boot, as isol's log names them

	parts    []part
	progress io.Writer
	count    int // of the tasks
}

// openBench puts the programs into a lab. The caller closes what it returns.
func openBench(ctx context.Context, l *lab.Lab, shims []shim, n size, trace io.Writer) (*bench, error) {
	b := &bench{lab: l, samples: figure.Samples{}, size: n, trace: trace}
	const commands = "./test/bench/cmd/"
	if err := l.Build(ctx, folder, commands+"benchdriver", commands+"benchidle"); err != nil {
		return nil, err
	}
	for _, s := range shims {
		if err := l.Install(s.exe, s.file); err != nil {
			return nil, err
		}
		info, err := os.Stat(s.file)
		if err != nil {
			return nil, err
		}
		b.samples.Add("exe", s.name, megabytes(float64(info.Size())))
	}
	var err error
	if b.program, err = l.StartDialog(ctx, folder+`\`+driver.Exe); err != nil {
		return nil, err
	}
	b.driver = standin.NewClient[driver.Request, driver.Reply](b.program.In, b.program.Out)
	return b, nil
}

func (b *bench) close() error { return b.program.Close() }

// container is what a task runs.
type container struct {
	args     []string
	isolated bool // by Hyper-V, in a VM of its own
}

// windows is the part of the container's spec that is about Windows.
func (c container) windows() map[string]any {
	w := map[string]any{"layerFolders": nil, "ignoreFlushesDuringBoot": true}
	if c.isolated {
		w["hyperv"] = map[string]any{}
	}
	return w
}

// prepare makes what containerd has ready before it runs a shim: the folder with
// the spec, and the mounts of the root.
func (b *bench) prepare(ctx context.Context, id string, c container) (string, []*types.Mount, error) {
	dir := folder + `\bundles\` + id
	spec, err := json.Marshal(map[string]any{
		"ociVersion": "1.1.0",
		"process":    map[string]any{"args": c.args, "cwd": `C:\`, "user": map[string]any{}},
		"root":       map[string]any{"path": ""},
		"windows":    c.windows(),
	})
	if err != nil {
		return "", nil, err
	}
	if err := b.lab.WriteFile(dir+`\config.json`, spec); err != nil {
		return "", nil, err
	}
	mounts, err := b.lab.Rootfs(ctx, id)
	return dir, mounts, err
}

// imageFile is where a file of the image's only layer lies in the lab.
func imageFile(rootfs []*types.Mount, name string) (string, error) {
	const option = "parentLayerPaths="
	for _, m := range rootfs {
		for _, o := range m.Options {
			text, ok := strings.CutPrefix(o, option)
			if !ok {
				continue
			}
			var layers []string
			if err := json.Unmarshal([]byte(text), &layers); err != nil {
				return "", fmt.Errorf("%s: %w", o, err)
			}
			if len(layers) == 1 {
				return layers[0] + `\Files\` + name, nil
			}
		}
	}
	return "", fmt.Errorf("the mounts %v do not name one parent layer", rootfs)
}

// emulatorCalls returns the emulator's calls by a program since the last time:
// those to the host, and the messages to guests.
func (b *bench) emulatorCalls(exe string) ([]hcsemu.Call, error) {
	found, err := b.lab.Calls(hcsemu.CallFilter{After: b.last})
	if err != nil {
		return nil, err
	}
	var calls []hcsemu.Call
	for _, c := range found {
		b.last = max(b.last, c.Seq)
		if !strings.EqualFold(c.Caller.Exe, exe) {
			continue
		}
		if b.trace != nil {
			fmt.Fprintf(b.trace, "  %s +%-8s %s\n", c.Time.Format("05.0000"), c.Duration.Round(100*time.Microsecond), c.Function)
		}
		calls = append(calls, c)
	}
	return calls, nil
}

// spans are the calls of one process, 0 for all, each with its way there and back.
func (b *bench) spans(calls []hcsemu.Call, pid uint32) []figure.Span {
	var spans []figure.Span
	for _, c := range calls {
		if pid == 0 || c.Caller.PID == pid {
			spans = append(spans, b.span(c))
		}
	}
	return spans
}

func (b *bench) span(c hcsemu.Call) figure.Span {
	return figure.Span{Begin: c.Time.Add(-b.way / 2), End: c.Time.Add(c.Duration + b.way/2)}
}

// creates are the calls of one process that started a process on the host.
func (b *bench) creates(calls []hcsemu.Call, pid uint32) []figure.Span {
	var spans []figure.Span
	for _, c := range calls {
		if c.Caller.PID == pid && c.Function == "HcsCreateProcess" {
			spans = append(spans, b.span(c))
		}
	}
	return spans
}

// guestWaits are the times in which a shim waited for the guest of a machine
// that it had started: until the first message has arrived there.
func guestWaits(calls []hcsemu.Call, pid uint32) []figure.Span {
	var spans []figure.Span
	var started time.Time
	for _, c := range calls { // in the order of their ends
		switch {
		case c.Caller.PID != pid:
		case c.Function == "HcsStartComputeSystem":
			started = c.Time.Add(c.Duration)
		case c.Function == "GcsNegotiateProtocol" && !started.IsZero():
			spans = append(spans, figure.Span{Begin: started, End: c.Time})
		}
	}
	return spans
}

// base is the file name of a Windows path.
func base(path string) string { return path[strings.LastIndex(path, `\`)+1:] }

func megabytes(bytes float64) float64      { return bytes / 1e6 }
func milliseconds(d time.Duration) float64 { return float64(d) / 1e6 }
func length(s driver.Span) time.Duration   { return s.End.Sub(s.Begin) }
