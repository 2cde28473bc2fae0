package admission

import (
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/internal/isolation"
	"github.com/isolrun/isol/internal/layers"
	"github.com/isolrun/isol/internal/oci"
	"github.com/isolrun/isol/internal/options"
	"github.com/isolrun/isol/internal/pod"
)

// Sandbox is the create of a sandbox as the client of the Sandbox API sent it.
type Sandbox struct {
	ID, Namespace string
	Bundle        string
	Rootfs        []layers.Mount // CRI sends none
	NetworkID     string         // what CRI calls the path of the network namespace; on Windows its GUID
	Annotations   map[string]string
	ConfigType    string // type URL of CRI's pod config; empty for none
	Config        []byte
	OptionsType   string // type URL of the runtime options that the shim was started with
	Options       []byte
}

// AdmitSandbox decides a sandbox. The pod config becomes the spec that
// containerd would have written for a pause container, and from there on the
// way is that of [Reader.Admit]. Without a pod config the spec is the bundle's
// config.json, which ` + "`ctr sandboxes run`" + ` writes.
func (r *Reader) AdmitSandbox(req Sandbox) (pod.CreateTask, error) {
	opts, err := options.Decode(req.OptionsType, req.Options)
	if err != nil {
		return pod.CreateTask{}, err
	}
	in := isolation.Input{ID: req.ID, Namespace: req.Namespace, Options: opts, Bare: true}
	spec, ports, left, err := sandboxSpec(req, opts)
	if err != nil {
		return pod.CreateTask{}, err
	}
	in.Ports = ports
	if in.Request, err = oci.Parse(spec, opts.DefaultAnnotations); err != nil {
		return pod.CreateTask{}, err
	}
	found := layers.Layers{Scratch: req.Bundle} // where the VM's scratch is made
	if len(req.Rootfs) > 0 {
		if found, err = layers.Resolve(req.Rootfs, nil); err != nil {
			return pod.CreateTask{}, err
		}
	}
	if err := r.facing(&in, req.ID, found, nil); err != nil {
		return pod.CreateTask{}, err
	}
	plan, err := isolation.Decide(in)
	if err != nil {
		return pod.CreateTask{}, err
	}
	for _, key := range left {
		r.Log.Warn("an annotation of the pod has no effect: pod_annotations does not let it through", "id", req.ID, "annotation", key)
	}
	r.tell(req.ID, plan)
	return pod.CreateTask{ID: req.ID, Bundle: req.Bundle, Plan: plan, Layers: found, Rootfs: req.Rootfs}, isolation.Runnable(plan)
}

// sandboxSpec makes the sandbox's spec. ports are those of the pod's config,
// left the pod's annotations that were not let through.
func sandboxSpec(req Sandbox, opts options.Options) (spec *specs.Spec, ports []oci.PodPort, left []string, err error) {
	if req.ConfigType == "" {
		spec, err := oci.Read(req.Bundle)
		if fault.Is(err, fault.NotFound) {
			return nil, nil, nil, &fault.Error{Kind: fault.InvalidArgument, Op: "create sandbox", Subject: req.ID,
				Detail: "there is neither a pod config in the request nor a config.json in the bundle", Hint: "send CRI's PodSandboxConfig as the options"}
		}
		if err != nil {
			return nil, nil, nil, err
		}
		return oci.SandboxSpec(spec, req.ID, req.NetworkID, req.Annotations), nil, nil, nil
	}
	config, err := oci.PodConfigFromAny(req.ConfigType, req.Config)
	if err != nil {
		return nil, nil, nil, err
	}
	spec, left = config.Spec(opts.AllowedPodAnnotations())
	return oci.SandboxSpec(spec, req.ID, req.NetworkID, req.Annotations), config.Ports, left, nil
}
