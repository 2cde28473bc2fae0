package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"sync"

	runhcsoptions "github.com/Microsoft/hcsshim/cmd/containerd-shim-runhcs-v1/options"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/isolrun/isol/test/hcsemu"
	"github.com/isolrun/isol/test/lab"
	"github.com/isolrun/isol/test/parity/compare"
	"github.com/isolrun/isol/test/parity/driver"
	"github.com/isolrun/isol/test/parity/scenario"
	"github.com/isolrun/isol/test/standin"
)

// folder is where the test keeps its things in the lab.
const folder = `C:\parity`

// actor is a shim with the driver that plays containerd to it.
type actor struct {
	name    compare.Who
	file    string // on this machine
	exe     string // in the lab
	legacy  bool
	driver  *driver.Client
	program *lab.Dialog // the driver; nil until it was started
}

// stage is a lab in which both shims play.
type stage struct {
	*lab.Lab
	actors []*actor
	seen   int // of the emulator's calls
	count  int // of runs
}

// files of the host that scenarios mount.
var files = map[string]string{
	folder + `\data\hello.txt`: "hello from the host\r\n",
	folder + `\more\file.txt`:  "more\r\n",
	folder + `\disk.vhdx`:      "a disk",
}

// openStage boots a lab with both shims and their drivers. The caller closes it.
func openStage(ctx context.Context, progress io.Writer) (_ *stage, err error) {
	say := func(line string) { fmt.Fprintln(progress, line) }
	peers, err := lab.Peers(ctx, say)
	if err != nil {
		return nil, err
	}
	isol, err := lab.BuildIsolShim(ctx, say)
	if err != nil {
		return nil, err
	}
	l, err := lab.Start(ctx, lab.Config{Out: progress, Guests: 2})
	if err != nil {
		return nil, err
	}
	s := &stage{Lab: l, actors: []*actor{
		{name: compare.Isol, file: isol, exe: folder + `\isol\` + lab.IsolShim},
		{name: compare.Runhcs, file: peers.Runhcs, exe: folder + `\runhcs\` + filepath.Base(peers.Runhcs), legacy: true},
	}}
	if err := s.furnish(ctx, filepath.Join(filepath.Dir(isol), lab.IsolGuest)); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// furnish puts programs and files into the lab and starts the drivers. The
// guest tool is the program of isol's that lies beside a shim, as installed.
func (s *stage) furnish(ctx context.Context, guestTool string) error {
	for name, content := range files {
		if err := s.WriteFile(name, []byte(content)); err != nil {
			return err
		}
	}
	if err := s.Build(ctx, folder, "./test/parity/cmd/paritydriver"); err != nil {
		return err
	}
	for _, a := range s.actors {
		own := folder + `\` + string(a.name) + `\`
		if err := errors.Join(s.Install(a.exe, a.file), s.Install(own+lab.IsolGuest, guestTool)); err != nil {
			return err
		}
		var err error
		if a.program, err = s.StartDialog(ctx, folder+`\`+driver.Exe); err != nil {
			return err
		}
		a.driver = standin.NewClient[driver.Request, driver.Reply](a.program.In, a.program.Out)
	}
	return nil
}

func (s *stage) close() error {
	var errs []error
	for _, a := range s.actors {
		if a.program != nil {
			errs = append(errs, a.program.Close())
		}
	}
	return errors.Join(append(errs, s.Close())...)
}

// play runs a scenario with both shims, side by side, and returns what each did.
func (s *stage) play(ctx context.Context, r scenario.Run) (map[compare.Who]*compare.Raw, error) {
	s.count++
	seen := map[compare.Who]*compare.Raw{}
	errs := make([]error, len(s.actors))
	observed := make([]*compare.Raw, len(s.actors))
	var wg sync.WaitGroup
	for i, a := range s.actors {
		wg.Go(func() { observed[i], errs[i] = s.playOne(ctx, a, r, s.count) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("%s: %w", r.ID(), err)
	}
	calls, err := s.Calls(hcsemu.CallFilter{After: s.seen})
	if err != nil {
		return nil, err
	}
	for _, c := range calls {
		s.seen = max(s.seen, c.Seq)
	}
	for i, a := range s.actors {
		observed[i].Calls = callsOf(calls, a)
		seen[a.name] = observed[i]
	}
	return seen, nil
}

// callsOf are the calls by an actor's shim.
func callsOf(calls []hcsemu.Call, a *actor) []hcsemu.Call {
	exe := a.exe[strings.LastIndexByte(a.exe, '\\')+1:]
	var own []hcsemu.Call
	for _, c := range calls {
		if strings.EqualFold(c.Caller.Exe, exe) {
			own = append(own, c)
		}
	}
	return own
}

// playOne runs a scenario with one shim.
func (s *stage) playOne(ctx context.Context, a *actor, r scenario.Run, n int) (*compare.Raw, error) {
	place := scenario.Place{IDs: map[string]string{}, Variables: map[string]string{
		"data": folder + `\data`, "more": folder + `\more`, "disk": folder + `\disk.vhdx`,
	}}
	network, err := s.network(a, r)
	if err != nil {
		return nil, err
	}
	if network != nil {
		place.Namespace, place.Endpoints = network.Namespace, network.Endpoints
	}
	raw := &compare.Raw{Names: map[string]string{}}
	request := driver.Request{Exe: a.exe, Legacy: a.legacy, Steps: r.Steps}
	sandbox := ""
	for _, t := range r.Tasks {
		// Long enough for what is cut from an id: a HostProcess group's user is named by 20 characters of it.
		place.IDs[t.Name] = fmt.Sprintf("parity-%03d-%s-%s-000000000000", n, a.name, t.Name)
		if t.Role == scenario.Sandbox {
			sandbox = t.Name
		}
	}
	for _, t := range r.Tasks {
		task, err := s.prepare(ctx, r, t, place)
		if err != nil {
			return nil, err
		}
		if t.Role == scenario.Container {
			task.Sandbox = sandbox
		}
		request.Tasks = append(request.Tasks, task)
		raw.Name(task, sandbox == t.Name)
	}
	raw.NameNetwork(network)
	if raw.Reply, err = a.driver.Do(request); err != nil {
		return nil, fmt.Errorf("%s: %w", a.name, err)
	}
	if network == nil {
		return raw, nil
	}
	_, err = a.driver.Do(driver.Request{Unnetwork: network})
	if err != nil {
		err = fmt.Errorf("%s: remove the network: %w", a.name, err)
	}
	return raw, err
}

func (s *stage) network(a *actor, r scenario.Run) (*driver.Network, error) {
	if r.Network == "" {
		return nil, nil
	}
	reply, err := a.driver.Do(driver.Request{Network: r.Network})
	if err != nil {
		return nil, fmt.Errorf("make a network: %w", err)
	}
	return reply.Network, nil
}

// prepare makes what containerd has ready before it asks a shim: the folder with
// the spec, and the mounts of the root.
func (s *stage) prepare(ctx context.Context, r scenario.Run, t scenario.Task, place scenario.Place) (driver.Task, error) {
	id := place.IDs[t.Name]
	task := driver.Task{Name: t.Name, ID: id, Bundle: folder + `\bundles\` + id}
	config, err := r.Config(t.Name, place)
	if err != nil {
		return task, err
	}
	if err := s.WriteFile(task.Bundle+`\config.json`, config); err != nil {
		return task, err
	}
	var spec struct{ Process struct{ Terminal bool } }
	if err := json.Unmarshal(config, &spec); err == nil { // a scenario may want it broken
		task.TTY = spec.Process.Terminal
	}
	if task.Rootfs, err = s.Rootfs(ctx, id); err != nil {
		return task, err
	}
	if len(r.Options) > 0 {
		var options runhcsoptions.Options
		if err := protojson.Unmarshal(r.Options, &options); err != nil {
			return task, fmt.Errorf("options: %w", err)
		}
		if task.Options, err = proto.Marshal(&options); err != nil {
			return task, err
		}
	}
	return task, nil
}
