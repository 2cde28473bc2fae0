package oci

import (
	"encoding/json"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// members are those of a specs.Spec, with the ones that a spec for Windows does
// not have kept as they are. encoding/json builds a table for every type that a
// document could hold and keeps it for good: those of Linux and the others are
// two thirds of all, in the shim of every pod. docs/performance.md has the figures.
type members struct {
	Version     string            `json:"ociVersion"`
	Process     *specs.Process    `json:"process,omitempty"`
	Root        *specs.Root       `json:"root,omitempty"`
	Hostname    string            `json:"hostname,omitempty"`
	Domainname  string            `json:"domainname,omitempty"`
	Mounts      []specs.Mount     `json:"mounts,omitempty"`
	Hooks       *json.RawMessage  `json:"hooks,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
	Linux       *json.RawMessage  `json:"linux,omitempty"`
	Solaris     *json.RawMessage  `json:"solaris,omitempty"`
	Windows     *specs.Windows    `json:"windows,omitempty"`
	VM          *json.RawMessage  `json:"vm,omitempty"`
	ZOS         *json.RawMessage  `json:"zos,omitempty"`
	FreeBSD     *json.RawMessage  `json:"freebsd,omitempty"`
}

// decodeWindows decodes the JSON of a spec that is for Windows only. It returns
// false for any other, and for one that is malformed: the caller then decodes
// all of it, and has the error that encoding/json finds.
func decodeWindows(data []byte) (*specs.Spec, bool) {
	var m members
	if err := json.Unmarshal(data, &m); err != nil {
		return nil, false
	}
	for _, other := range []*json.RawMessage{m.Hooks, m.Linux, m.Solaris, m.VM, m.ZOS, m.FreeBSD} {
		if other != nil {
			return nil, false
		}
	}
	return &specs.Spec{
		Version: m.Version, Process: m.Process, Root: m.Root, Hostname: m.Hostname, Domainname: m.Domainname,
		Mounts: m.Mounts, Annotations: m.Annotations, Windows: m.Windows,
	}, true
}
