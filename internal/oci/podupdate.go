package oci

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/isolrun/isol/internal/fault"
)

// PodUpdateKey is the extension of a sandbox under which containerd's CRI keeps
// the limits that a pod was given after it was made.
const PodUpdateKey = "updated-resources"

// podUpdateType is the end of the type URL of that extension: JSON of a Go type
// of containerd's (internal/cri/server/podsandbox, UpdatedResources).
const podUpdateType = "io.containerd.cri.v1/UpdatedResources"

const opPodUpdate = "read pod update"

// PodUpdateFromAny decodes the limits that a pod is to have from now on: the
// sum of its containers'. Errors are fault.InvalidArgument.
func PodUpdateFromAny(typeURL string, value []byte) (PodResources, error) {
	if !strings.HasSuffix("/"+typeURL, "/"+podUpdateType) {
		return PodResources{}, &fault.Error{Kind: fault.InvalidArgument, Op: opPodUpdate,
			Detail: fmt.Sprintf("extension %s is of type %q", PodUpdateKey, typeURL), Hint: "allowed is " + podUpdateType}
	}
	var update struct {
		Resources *struct {
			CPUPeriod   int64 `json:"cpu_period"`
			CPUQuota    int64 `json:"cpu_quota"`
			MemoryLimit int64 `json:"memory_limit_in_bytes"`
		}
	}
	if err := json.Unmarshal(value, &update); err != nil {
		return PodResources{}, jsonError(opPodUpdate, PodUpdateKey, value, err)
	}
	if update.Resources == nil {
		return PodResources{}, &fault.Error{Kind: fault.InvalidArgument, Op: opPodUpdate, Detail: "it names no resources"}
	}
	r := update.Resources
	return PodResources{CPUPeriod: r.CPUPeriod, CPUQuota: r.CPUQuota, MemoryBytes: r.MemoryLimit}, nil
}
