package oci

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/opencontainers/runtime-spec/specs-go"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/isolrun/isol/internal/fault"
)

// podConfigType is the type under which containerd sends the options of a
// sandbox: CRI's PodSandboxConfig, whose package has had this name since
// Kubernetes 1.23.
const podConfigType = "runtime.v1.PodSandboxConfig"

const opPodConfig = "read pod config"

// PodConfig is what of CRI's PodSandboxConfig a Windows pod without a pause
// container needs. It is read from the wire field by field: the real type would
// bring gRPC and the whole of CRI into every pod's shim. A test holds it against
// that type.
type PodConfig struct {
	Name, UID, Namespace string
	Hostname             string
	LogDirectory         string
	Annotations          map[string]string
	Ports                []PodPort
	HostProcess          bool
	Resources            PodResources
}

// PodPort is a port mapping. CRI hands it to the CNI plugins, which make a
// policy of the pod's endpoint of it.
type PodPort struct {
	Protocol      string // TCP, UDP, SCTP
	ContainerPort int32
	HostPort      int32 // 0: none
	HostIP        string
}

// PodResources are limits of a pod as a whole. CRI has only one type for them,
// whose section is called linux on every system.
type PodResources struct {
	CPUPeriod   int64 // microseconds; 0: not said
	CPUQuota    int64 // microseconds of each period; 0 or less: no limit
	MemoryBytes int64 // 0 or less: no limit
}

// MemoryMB returns the memory limit in whole megabytes, 0 for none.
func (r PodResources) MemoryMB() uint64 {
	if r.MemoryBytes <= 0 {
		return 0
	}
	return uint64(r.MemoryBytes) / mib
}

// Processors returns the whole processors that the quota is worth, 0 for no
// limit.
func (r PodResources) Processors() uint64 {
	period := r.CPUPeriod
	if period <= 0 {
		period = 100_000 // the kubelet's own
	}
	if r.CPUQuota <= 0 {
		return 0
	}
	return uint64((r.CPUQuota-1)/period + 1)
}

// PodConfigFromAny decodes the options of a sandbox. Errors are
// fault.InvalidArgument.
func PodConfigFromAny(typeURL string, value []byte) (*PodConfig, error) {
	if kind := typeURL[strings.LastIndexByte(typeURL, '/')+1:]; kind != podConfigType {
		return nil, &fault.Error{Kind: fault.InvalidArgument, Op: opPodConfig,
			Detail: fmt.Sprintf("the options are of type %q", typeURL), Hint: "allowed is " + podConfigType}
	}
	if len(value) > MaxSpecSize {
		return nil, &fault.Error{Kind: fault.InvalidArgument, Op: opPodConfig, Detail: fmt.Sprintf("larger than %d MiB", MaxSpecSize>>20)}
	}
	c := new(PodConfig)
	if err := c.read(value); err != nil {
		return nil, &fault.Error{Kind: fault.InvalidArgument, Op: opPodConfig, Err: err}
	}
	return c, nil
}

// The numbers below are those of
// https://github.com/kubernetes/cri-api/blob/v0.37.0/pkg/apis/runtime/v1/api.proto

func (c *PodConfig) read(value []byte) error {
	linux := wireMessage{name: "linux", messages: map[protowire.Number]func([]byte) error{5: c.Resources.read}}
	security := wireMessage{name: "security_context", numbers: map[protowire.Number]func(uint64){
		3: func(n uint64) { c.HostProcess = n != 0 },
	}}
	return wireMessage{
		name:    "PodSandboxConfig",
		strings: map[protowire.Number]*string{2: &c.Hostname, 3: &c.LogDirectory},
		messages: map[protowire.Number]func([]byte) error{
			1: wireMessage{name: "metadata", strings: map[protowire.Number]*string{1: &c.Name, 2: &c.UID, 3: &c.Namespace}}.read,
			5: c.readPort,
			7: c.readAnnotation,
			8: linux.read, // the kubelet sends it on Windows too
			9: wireMessage{name: "windows", messages: map[protowire.Number]func([]byte) error{1: security.read}}.read,
		},
	}.read(value)
}

// podProtocols are CRI's, by their numbers.
var podProtocols = [...]string{"TCP", "UDP", "SCTP"}

func (c *PodConfig) readPort(value []byte) error {
	var protocol uint64
	var p PodPort
	err := wireMessage{
		name:    "port_mappings",
		strings: map[protowire.Number]*string{4: &p.HostIP},
		numbers: map[protowire.Number]func(uint64){
			1: func(n uint64) { protocol = n },
			2: func(n uint64) { p.ContainerPort = int32(n) },
			3: func(n uint64) { p.HostPort = int32(n) },
		},
	}.read(value)
	if err != nil {
		return err
	}
	if protocol >= uint64(len(podProtocols)) {
		return fmt.Errorf("port_mappings: protocol %d is none of %s", protocol, strings.Join(podProtocols[:], ", "))
	}
	p.Protocol = podProtocols[protocol]
	c.Ports = append(c.Ports, p)
	return nil
}

// readAnnotation reads one entry of the map.
func (c *PodConfig) readAnnotation(value []byte) error {
	var key, text string
	err := wireMessage{name: "annotations", strings: map[protowire.Number]*string{1: &key, 2: &text}}.read(value)
	if c.Annotations == nil {
		c.Annotations = make(map[string]string)
	}
	c.Annotations[key] = text
	return err
}

func (r *PodResources) read(value []byte) error {
	return wireMessage{name: "resources", numbers: map[protowire.Number]func(uint64){
		1: func(n uint64) { r.CPUPeriod = int64(n) },
		2: func(n uint64) { r.CPUQuota = int64(n) },
		4: func(n uint64) { r.MemoryBytes = int64(n) },
	}}.read(value)
}

// wireMessage says where the fields of a message go, by their number. A field
// that is not there is newer than isol, or none of its business.
type wireMessage struct {
	name     string
	strings  map[protowire.Number]*string
	numbers  map[protowire.Number]func(uint64)
	messages map[protowire.Number]func([]byte) error
}

func (m wireMessage) read(message []byte) error {
	for len(message) > 0 {
		number, kind, n := protowire.ConsumeTag(message)
		if n >= 0 {
			message = message[n:]
			n = protowire.ConsumeFieldValue(number, kind, message)
		}
		if n < 0 {
			return fmt.Errorf("%s: %w", m.name, protowire.ParseError(n))
		}
		if err := m.field(number, kind, message[:n]); err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		message = message[n:]
	}
	return nil
}

// field takes over one value. One of another wire type than the field's is not
// the field: protobuf skips it too.
func (m wireMessage) field(number protowire.Number, kind protowire.Type, value []byte) error {
	switch kind {
	case protowire.VarintType:
		if set := m.numbers[number]; set != nil {
			n, _ := protowire.ConsumeVarint(value) // ConsumeFieldValue has read it before
			set(n)
		}
	case protowire.BytesType:
		text, _ := protowire.ConsumeBytes(value)
		if to := m.strings[number]; to != nil {
			if !utf8.Valid(text) {
				return fmt.Errorf("field %d is not UTF-8", number)
			}
			*to = string(text)
		}
		if read := m.messages[number]; read != nil {
			return read(text)
		}
	}
	return nil
}

// DefaultPodAnnotations are the patterns of annotations that a pod's author may
// set if the runtime's options do not say otherwise: what `isolctl config
// containerd` prints for containerd's own way of making pods.
func DefaultPodAnnotations() []string { return []string{"io.microsoft.virtualmachine.*", "io.isol.*"} }

// Spec returns the spec of the pod's sandbox as containerd would have written
// it for a pause container, but that there is none: no process and no root. So
// a pod means the same whichever of containerd's ways makes it.
//
// Of the pod's annotations only those count that a pattern of allowed matches:
// containerd filters them where it writes a spec, and hands over all of them
// where it does not. left are those that would have meant something to isol.
func (c *PodConfig) Spec(allowed []string) (spec *specs.Spec, left []string) {
	annotations := make(map[string]string, len(c.Annotations)+1)
	for _, key := range slices.Sorted(maps.Keys(c.Annotations)) {
		switch {
		case matches(allowed, key):
			annotations[key] = c.Annotations[key]
		case row(key) != nil:
			left = append(left, key)
		}
	}
	annotations[keyHostProcess] = strconv.FormatBool(c.HostProcess)
	return &specs.Spec{
		Version: specs.Version, Hostname: c.Hostname, Annotations: annotations,
		Windows: &specs.Windows{Resources: c.Resources.spec()},
	}, left
}

// SandboxSpec makes spec that of sandbox id, in the given network namespace if
// there is one: what containerd's CRI adds to the spec of a pause container.
// annotations are those of the request, stronger than the spec's own. spec is
// changed; it is the caller's.
func SandboxSpec(spec *specs.Spec, id, namespace string, annotations map[string]string) *specs.Spec {
	all := maps.Clone(spec.Annotations)
	if all == nil {
		all = make(map[string]string, len(annotations)+2)
	}
	maps.Copy(all, annotations)
	all[keyContainerType], all[keySandboxID] = "sandbox", id
	spec.Annotations = all
	if namespace != "" && spec.Windows != nil {
		if spec.Windows.Network == nil {
			spec.Windows.Network = new(specs.WindowsNetwork)
		}
		spec.Windows.Network.NetworkNamespace = namespace
	}
	return spec
}

// matches is containerd's rule for pod_annotations: path.Match.
func matches(patterns []string, key string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		ok, err := path.Match(p, key)
		return ok && err == nil
	})
}

func (r PodResources) spec() *specs.WindowsResources {
	out := new(specs.WindowsResources)
	if r.MemoryBytes > 0 {
		limit := uint64(r.MemoryBytes)
		out.Memory = &specs.WindowsMemoryResources{Limit: &limit}
	}
	if n := r.Processors(); n > 0 {
		out.CPU = &specs.WindowsCPUResources{Count: &n}
	}
	return out
}
