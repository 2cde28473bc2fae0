package oci

import (
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/isolrun/isol/internal/fault"
)

// podConfigText is PodSandboxConfig as crictl's files write it: JSON under the
// names of the fields in api.proto.
type podConfigText struct {
	Metadata struct {
		Name      string `json:"name"`
		UID       string `json:"uid"`
		Namespace string `json:"namespace"`
	} `json:"metadata"`
	Hostname     string            `json:"hostname"`
	LogDirectory string            `json:"log_directory"`
	Annotations  map[string]string `json:"annotations"`
	PortMappings []struct {
		Protocol      protocolText `json:"protocol"`
		ContainerPort int32        `json:"container_port"`
		HostPort      int32        `json:"host_port"`
		HostIP        string       `json:"host_ip"`
	} `json:"port_mappings"`
	Linux struct {
		Resources struct {
			CPUPeriod   int64 `json:"cpu_period"`
			CPUQuota    int64 `json:"cpu_quota"`
			MemoryBytes int64 `json:"memory_limit_in_bytes"`
		} `json:"resources"`
	} `json:"linux"`
	Windows struct {
		SecurityContext struct {
			HostProcess bool `json:"host_process"`
		} `json:"security_context"`
	} `json:"windows"`
}

// protocolText is a protocol by its name or by its number.
type protocolText string

// UnmarshalJSON implements json.Unmarshaler.
func (p *protocolText) UnmarshalJSON(text []byte) error {
	var name string
	if json.Unmarshal(text, &name) != nil {
		n, err := strconv.Atoi(string(text))
		if err != nil || n < 0 || n >= len(podProtocols) {
			return fmt.Errorf("protocol %s is none of 0 (TCP), 1 (UDP), 2 (SCTP)", text)
		}
		name = podProtocols[n]
	}
	for _, known := range podProtocols {
		if name == known {
			*p = protocolText(name)
			return nil
		}
	}
	return fmt.Errorf("protocol %q is none of TCP, UDP, SCTP", name)
}

// PodConfigFromJSON reads a pod's config from a file of crictl's. Errors are
// fault.InvalidArgument.
func PodConfigFromJSON(text []byte) (*PodConfig, error) {
	var t podConfigText
	if err := json.Unmarshal(text, &t); err != nil {
		return nil, &fault.Error{Kind: fault.InvalidArgument, Op: opPodConfig, Err: err}
	}
	c := &PodConfig{
		Name: t.Metadata.Name, UID: t.Metadata.UID, Namespace: t.Metadata.Namespace,
		Hostname: t.Hostname, LogDirectory: t.LogDirectory, Annotations: t.Annotations,
		HostProcess: t.Windows.SecurityContext.HostProcess,
		Resources:   PodResources(t.Linux.Resources),
	}
	for _, p := range t.PortMappings {
		if p.Protocol == "" {
			p.Protocol = protocolText(podProtocols[0]) // the zero of the enumeration
		}
		c.Ports = append(c.Ports, PodPort{string(p.Protocol), p.ContainerPort, p.HostPort, p.HostIP})
	}
	return c, nil
}
