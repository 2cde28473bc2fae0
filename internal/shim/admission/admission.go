// Package admission reads everything that a create depends on and has it
// decided: the request becomes a task that the pod can make, or an error that
// says what is wrong with it. Nothing is changed on the machine.
//
//	bundle ──▶ oci.Read ──▶ oci.Parse ─┐
//	options ──▶ options.Decode ────────┤
//	rootfs ──▶ layers.Resolve ─────────┼──▶ isolation.Decide ──▶ pod.CreateTask
//	           └▶ image facts ─────────┤
//	node's file, host facts, pod ──────┘
//
// The order is that of the cost and of the blame: what the user wrote is
// checked before the disk is read, and the disk before the machine is asked.
package admission

import (
	"fmt"
	"log/slog"
	"sync"

	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/internal/host"
	"github.com/isolrun/isol/internal/isolation"
	"github.com/isolrun/isol/internal/layers"
	"github.com/isolrun/isol/internal/node"
	"github.com/isolrun/isol/internal/oci"
	"github.com/isolrun/isol/internal/options"
	"github.com/isolrun/isol/internal/pod"
)

// Request is a create as the client sent it, in our own types.
type Request struct {
	ID, Namespace string
	Bundle        string
	Rootfs        []layers.Mount
	OptionsType   string // type URL of the runtime options; empty for none
	Options       []byte
	Stdio         pod.StdioConfig
	Pod           *isolation.Plan // plan of the sandbox that this shim runs; nil for none
}

// Reader reads the facts. Its fields are set before use; all its methods may
// be called from any goroutine.
type Reader struct {
	// Probe reads the facts of this machine. It is called once: the facts do
	// not change while a shim lives.
	Probe func() (host.Facts, error)
	// Image reads the facts of an image's layers, topmost first.
	Image func(layers []string) (host.Image, error)
	// NodeConfig is the path of the node's file unless options name another.
	NodeConfig string
	// Source follows a path of the host to where it leads; nil: paths are taken
	// as they are written.
	Source func(path string) (host.Source, error)
	Log    *slog.Logger

	mu       sync.Mutex
	nodePath string // of the node's file that the last create named; guarded by mu

	once    sync.Once
	facts   host.Facts
	factErr error
}

// Host returns the facts of this machine.
func (r *Reader) Host() (host.Facts, error) {
	r.once.Do(func() { r.facts, r.factErr = r.Probe() })
	return r.facts, r.factErr
}

// Admit decides req. Errors: those of the packages it asks, and Unimplemented
// for a plan that isol cannot run yet.
func (r *Reader) Admit(req Request) (pod.CreateTask, error) {
	opts, err := options.Decode(req.OptionsType, req.Options)
	if err != nil {
		return pod.CreateTask{}, err
	}
	in := isolation.Input{ID: req.ID, Namespace: req.Namespace, Options: opts}
	spec, err := oci.Read(req.Bundle)
	if err != nil {
		return pod.CreateTask{}, err
	}
	if in.Request, err = oci.Parse(spec, opts.DefaultAnnotations); err != nil {
		return pod.CreateTask{}, err
	}
	process, err := initProcess(in.Request, req.Stdio.Terminal)
	if err != nil {
		return pod.CreateTask{}, err
	}
	found, err := layers.Resolve(req.Rootfs, in.Request.System.LayerFolders)
	if err != nil {
		return pod.CreateTask{}, err
	}
	if err := r.facing(&in, req.ID, found, req.Pod); err != nil {
		return pod.CreateTask{}, err
	}
	plan, err := isolation.Decide(in)
	if err != nil {
		return pod.CreateTask{}, err
	}
	found.ScratchSize = plan.Container.ScratchMin
	r.tell(req.ID, plan)
	return pod.CreateTask{
		ID: req.ID, Bundle: req.Bundle, Plan: plan, Process: process,
		Layers: found, Rootfs: req.Rootfs, Stdio: req.Stdio,
	}, isolation.Runnable(plan)
}

// initProcess takes the client's word on the terminal: it holds the other end.
func initProcess(req *oci.Request, terminal bool) (oci.Process, error) {
	if req.Process == nil {
		return oci.Process{}, fault.New(fault.InvalidArgument,
			"spec.process is missing: a task needs a process to run")
	}
	process := *req.Process
	process.Terminal = terminal
	return process, nil
}

// facing fills in what the container faces: node, host, image, pod.
func (r *Reader) facing(in *isolation.Input, id string, found layers.Layers, joins *isolation.Plan) (err error) {
	path := r.NodeConfig
	if in.Options.NodeConfig.Set() {
		path = in.Options.NodeConfig.V
	}
	r.mu.Lock()
	r.nodePath = path
	r.mu.Unlock()
	if in.Node, err = node.Read(path); err != nil {
		return err
	}
	if in.Host, err = r.Host(); err != nil {
		return fault.Wrap(err, "read the facts of this machine", "")
	}
	if in.Image, err = r.Image(found.Parents); err != nil {
		return fault.Wrap(err, "read the image of", id)
	}
	if folder := isolation.UVMImage(in.Request, in.Options); folder != "" {
		// The VM boots from there, whatever the image's own layers hold.
		vm, err := r.Image([]string{folder})
		if err != nil {
			return fault.Wrap(err, "read the utility VM in", folder)
		}
		in.Image.UVM, in.Image.UVMSource, in.Image.UVMFolder = vm.UVM, vm.UVMSource, vm.UVMFolder
	}
	if in.Sources, err = r.sources(isolation.HostPaths(in.Request)); err != nil {
		return err
	}
	if in.Request.Role == oci.RoleWorkload {
		in.Pod = joins
		if in.Pod == nil {
			return &fault.Error{Kind: fault.FailedPrecondition,
				Detail: fmt.Sprintf("it joins sandbox %s, which this shim has not created", in.Request.SandboxID),
				Hint:   "create the sandbox first"}
		}
	}
	return nil
}

// AdmitMount decides a mount of a running container by the node's policy of
// now. task is the container's plan, sandbox its pod's, nil outside of a pod.
// Errors: those of isolation.DecideMount.
func (r *Reader) AdmitMount(task, sandbox *isolation.Plan, m oci.Mount) (isolation.Mount, error) {
	r.mu.Lock()
	path := r.nodePath
	r.mu.Unlock()
	config, err := node.Read(path)
	if err != nil {
		return isolation.Mount{}, err
	}
	h := isolation.HotMount{Task: task, Node: config, Mount: m}
	if task.Role == isolation.RoleWorkload {
		h.Pod = sandbox
	}
	if h.Sources, err = r.sources(isolation.HostPaths(&oci.Request{Mounts: []oci.Mount{m}})); err != nil {
		return isolation.Mount{}, err
	}
	mount, crossings, err := isolation.DecideMount(h)
	for _, c := range crossings {
		r.Log.Info("crossing", "id", task.ID, "kind", c.Kind, "host", c.Host, "inside", c.Inside, "write", c.Write, "source", "update")
	}
	return mount, err
}

// sources follows the paths that the request names. One that leads nowhere is
// refused here, by name: the compute service would only say that some path is
// not found.
func (r *Reader) sources(paths []string) (map[string]host.Source, error) {
	if r.Source == nil {
		return nil, nil
	}
	out := make(map[string]host.Source, len(paths))
	for _, path := range paths {
		s, err := r.Source(path)
		if err != nil {
			return nil, &fault.Error{Kind: fault.FailedPrecondition, Op: "look for mount source", Subject: path, Err: err,
				Hint: "it must exist before the container"}
		}
		out[path] = s
	}
	return out, nil
}

func (r *Reader) tell(id string, p *isolation.Plan) {
	for _, reason := range p.Reasons {
		r.Log.Info("decided", "id", id, "decision", reason.Decision, "input", reason.Input, "why", reason.Why)
	}
	for _, o := range p.Overruled {
		r.Log.Info("overruled", "id", id, "input", o.Input, "said", o.Said, "by", o.By)
	}
	for _, c := range p.Crossings {
		r.Log.Info("crossing", "id", id, "kind", c.Kind, "host", c.Host, "inside", c.Inside, "write", c.Write, "source", c.Source)
	}
}
