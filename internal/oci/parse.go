package oci

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/isolrun/isol/internal/fault"
)

// Parse checks spec and types it. defaults are the annotations that the
// runtime's options give to containers which do not have them (weaker than the
// spec's own); nil for none. Parse changes neither of them.
//
// Errors are fault.InvalidArgument, or fault.Unimplemented for what isol
// does not do; all wrong annotations are in one error.
func Parse(spec *specs.Spec, defaults map[string]string) (*Request, error) {
	if spec == nil || spec.Windows == nil && spec.Linux == nil {
		return nil, invalid("windows", "the spec has neither a windows nor a linux section",
			"a Windows container needs a windows section, a Linux container a linux one")
	}
	r := &Request{Linux: spec.Linux != nil, Written: maps.Clone(spec.Annotations)}
	reader := newAnnotationReader(spec)
	if err := readAnnotations(reader, spec.Annotations, defaults); err != nil {
		return nil, err
	}
	r.Annotations = Values{m: reader.values}
	r.Notes, r.Overruled = reader.notes, reader.overruled
	for _, step := range []func(*specs.Spec) error{
		r.readRole, r.readHostProcess, r.readSystem, r.readResources,
		r.readMounts, r.readDevices, r.readNetwork, r.readLinux, r.readProcess,
	} {
		if err := step(spec); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// newAnnotationReader notes the limits of the spec that annotations are
// compared with.
func newAnnotationReader(spec *specs.Spec) *annotationReader {
	r := new(annotationReader)
	if w := spec.Windows; w != nil && w.Resources != nil {
		if m := w.Resources.Memory; m != nil && m.Limit != nil {
			r.memoryLimit = *m.Limit
		}
		if c := w.Resources.CPU; c != nil && c.Count != nil {
			r.cpuCount = *c.Count
		}
	}
	return r
}

func invalid(subject, detail, hint string) error {
	return &fault.Error{Kind: fault.InvalidArgument, Op: opRead, Subject: subject, Detail: detail, Hint: hint}
}

// readRole groups into pods as runhcs does: both annotations or none.
func (r *Request) readRole(*specs.Spec) error {
	r.Isolation = convert[Isolation](r.Annotations.String(KeyIsolation))
	kind := r.Annotations.String(keyContainerType)
	id := r.Annotations.String(keySandboxID)
	if kind.Set() != id.Set() {
		given, missing := keyContainerType, keySandboxID
		if id.Set() {
			given, missing = missing, given
		}
		return invalid(string(annotationSource(given)), "stands without "+missing, "set both or none")
	}
	switch kind.V {
	case "sandbox":
		r.Role = RoleSandbox
	case "container":
		r.Role = RoleWorkload
	}
	r.SandboxID = id.V
	return nil
}

func convert[T ~string](v Value[string]) Value[T] { return Value[T]{V: T(v.V), Source: v.Source} }

func (r *Request) readHostProcess(*specs.Spec) error {
	r.HostProcess = HostProcess{
		Requested:   r.Annotations.Bool(keyHostProcess),
		InheritUser: r.Annotations.Bool(keyInheritUser),
		Rootfs:      r.Annotations.String(keyRootfsLocation),
		Disabled:    r.Annotations.Bool(keyDisableHostProcess),
	}
	if r.HostProcess.Requested.V {
		return nil
	}
	for _, s := range []Source{sourceIf(r.HostProcess.InheritUser.V, r.HostProcess.InheritUser.Source), r.HostProcess.Rootfs.Source} {
		if s != "" {
			r.note(s, "has no effect without "+keyHostProcess)
		}
	}
	return nil
}

func sourceIf(b bool, s Source) Source {
	if b {
		return s
	}
	return ""
}

func (r *Request) note(input Source, text string) { r.Notes = append(r.Notes, Note{input, text}) }

func (r *Request) readSystem(spec *specs.Spec) error {
	r.System.Hostname = spec.Hostname
	if spec.Root != nil {
		r.System.RootPath = spec.Root.Path
		if spec.Root.Readonly && !r.Linux {
			return invalid("root.readonly", "Windows containers have no read-only root file system", "remove it")
		}
	}
	if spec.Hooks != nil {
		r.note("hooks", "has no effect: a Windows shim runs no hooks")
	}
	w := spec.Windows
	if w == nil {
		return nil
	}
	if w.Servicing {
		return &fault.Error{
			Kind: fault.Unimplemented, Op: opRead, Subject: "windows.servicing",
			Detail: "isol does not start containers to service their image", Hint: "remove it",
		}
	}
	if w.IgnoreFlushesDuringBoot {
		r.note("windows.ignoreFlushesDuringBoot", "has no effect: documents of schema version 2 have no such field")
	}
	if w.HyperV != nil {
		r.HyperV = &HyperV{UtilityVMPath: w.HyperV.UtilityVMPath}
	}
	r.System.LayerFolders = slices.Clone(w.LayerFolders)
	credential, err := credentialSpec(w.CredentialSpec)
	r.System.CredentialSpec = credential
	return err
}

// credentialSpec takes only a string with JSON in it, as the OCI runtime spec's
// users (containerd's CRI, Docker) send it and runhcs wants it.
func credentialSpec(v any) (string, error) {
	const field = "windows.credentialSpec"
	s, ok := v.(string)
	switch {
	case v == nil:
		return "", nil
	case !ok:
		return "", invalid(field, "is not a string", "write the JSON of the credential spec as one string")
	case s == "":
		return "", nil
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal([]byte(s), &object); err != nil || object == nil {
		return "", invalid(field, "is not the JSON of a credential spec", "New-CredentialSpec of Microsoft's CredentialSpec module writes one")
	}
	return s, nil
}

func (r *Request) readDevices(spec *specs.Spec) error {
	if spec.Windows == nil {
		return nil
	}
	for i, d := range spec.Windows.Devices {
		if d.ID == "" || d.IDType == "" {
			return invalid(fmt.Sprintf("windows.devices[%d]", i), fmt.Sprintf("id %q, idType %q: both are needed", d.ID, d.IDType),
				"for example id 5B45201D-F2F2-4F3B-85BB-30FF1F953599, idType class")
		}
		r.Devices = append(r.Devices, Device{IDType: d.IDType, ID: d.ID})
	}
	return nil
}

func (r *Request) readNetwork(spec *specs.Spec) error {
	if spec.Windows == nil || spec.Windows.Network == nil {
		return nil
	}
	n := spec.Windows.Network
	r.Network = Network{
		EndpointIDs:         slices.Clone(n.EndpointList),
		DNSSearch:           slices.Clone(n.DNSSearchList),
		UnqualifiedDNSQuery: n.AllowUnqualifiedDNSQuery,
		SharedContainer:     n.NetworkSharedContainerName,
	}
	if n.NetworkNamespace != "" {
		guid, ok := parseGUID(n.NetworkNamespace)
		if !ok {
			return invalid("windows.network.networkNamespace", fmt.Sprintf("%q is not a GUID", shorten(n.NetworkNamespace)),
				"network namespaces of Windows have a GUID: see Get-HnsNamespace")
		}
		r.Network.NamespaceID = guid
	}
	return nil
}

// namespaceFeatures are the namespaces of Linux that can be shared by path and
// that Windows does not have.
var namespaceFeatures = map[specs.LinuxNamespaceType]Feature{
	specs.PIDNamespace:  FeaturePIDNamespace,
	specs.IPCNamespace:  FeatureIPCNamespace,
	specs.UserNamespace: FeatureUserNamespace,
}

// readLinux records what a linux section asks for and only Linux has.
func (r *Request) readLinux(spec *specs.Spec) error {
	if spec.Linux == nil {
		return nil
	}
	for i, n := range spec.Linux.Namespaces {
		if f, ok := namespaceFeatures[n.Type]; ok && n.Path != "" {
			r.ask(f, fmt.Sprintf("linux.namespaces[%d]", i), string(n.Type)+" "+n.Path)
		}
	}
	for _, key := range sortedKeys(spec.Linux.Sysctl) {
		r.ask(FeatureSysctl, "linux.sysctl["+key+"]", spec.Linux.Sysctl[key])
	}
	return nil
}

func (r *Request) ask(f Feature, where, said string) {
	r.Asks = append(r.Asks, Ask{Feature: f, Where: Source(where), Said: shorten(said)})
}

func (r *Request) readProcess(spec *specs.Spec) error {
	if spec.Process == nil {
		return nil
	}
	p, err := ProcessFromSpec(spec.Process)
	if err != nil {
		return err
	}
	r.Process = p
	if p.CommandLine != "" && len(spec.Process.Args) > 0 {
		r.note("process.args", "has no effect: process.commandLine is there")
	}
	return nil
}
