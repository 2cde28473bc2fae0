package lab

import (
	"context"
	"path/filepath"
	"strings"

	"github.com/isolrun/isol/test/lab/image"
)

// Runtime handlers of a lab with CRI.
const (
	// HandlerProcess and HandlerHyperV are what isolctl config containerd prints.
	HandlerProcess = "isol-process"
	HandlerHyperV  = "isol-hyperv"
	// HandlerProcessShim and HandlerHyperVShim are the same over the Sandbox API.
	HandlerProcessShim = "isol-process-shim"
	HandlerHyperVShim  = "isol-hyperv-shim"
	// HandlerDropInProcess and HandlerDropInHyperV are the names that a node has for
	// Microsoft's shim, with its options, pointed at isol.
	HandlerDropInProcess = "runhcs-wcow-process"
	HandlerDropInHyperV  = "runhcs-wcow-hypervisor"
)

// CallerExe makes calls of CRI for a test: see test/cri.
const CallerExe = labFolder + `\caller.exe`

const (
	isolConfig = ProgramFolder + `\isol.toml`
	// Where containerd looks if nothing is configured.
	cniConfig = ProgramFolder + `\cni\conf\10-lab.conflist`
	cniExe    = ProgramFolder + `\cni\bin\labcni.exe`
)

// network is the CNI configuration of the machine.
const network = `{
  "cniVersion": "1.0.0",
  "name": "lab",
  "plugins": [{
    "type": "labcni", "subnet": "10.88.0.0/16", "gateway": "10.88.0.1",
    "capabilities": {"portMappings": true, "dns": true}
  }]
}
`

// handlers are further runtime handlers beside those of isol.toml. Containerd
// sends options of runhcs's type for runhcs's runtime type alone; with
// runtime_path it starts isol for it.
func handlers(w Windows) string {
	entry := func(name string, lines ...string) string {
		return "[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes." + name + "]\n  " + strings.Join(lines, "\n  ") + "\n"
	}
	const (
		isol     = `runtime_type = 'io.containerd.isol.v1'`
		runhcs   = `runtime_type = 'io.containerd.runhcs.v1'`
		path     = `runtime_path = '` + ProgramFolder + `\` + IsolShim + `'`
		sandbox  = "sandboxer = 'shim'\n  disable_pause_image_pull = true"
		vm       = `pod_annotations = ['io.microsoft.virtualmachine.*', 'io.isol.*']`
		pod      = `pod_annotations = ['io.isol.*']`
		workload = `container_annotations = ['io.microsoft.container.*', 'io.isol.*']`
	)
	options := func(lines ...string) string { return `options = { ` + strings.Join(lines, ", ") + ` }` }
	return entry(HandlerProcessShim, isol, sandbox, pod, workload, options(`isolation = 'process'`)) +
		entry(HandlerHyperVShim, isol, sandbox, vm, workload, options(`isolation = 'hyperv'`)) +
		entry(HandlerDropInProcess, runhcs, path, workload, options(`ScrubLogs = true`)) +
		entry(HandlerDropInHyperV, runhcs, path, vm, workload,
			options(`ScrubLogs = true`, `SandboxIsolation = 1`, `ScaleCpuLimitsToSandbox = true`)) +
		"[plugins.'io.containerd.cri.v1.images'.pinned_images]\n  sandbox = '" + w.PauseImage() + "'\n"
}

// installCRI writes what containerd's CRI plugin needs of a node: the handlers
// as isol's installer writes them, and the network.
func (l *Lab) installCRI(ctx context.Context) error {
	root, err := sourceRoot(ctx)
	if err != nil {
		return err
	}
	if err := l.Install(isolConfig, filepath.Join(root, "cmd", "isolctl", "containerd.toml")); err != nil {
		return err
	}
	return l.WriteFile(cniConfig, []byte(network))
}

// PauseImage is the name of the sandboxes' image: the lab's image, with a
// command that lasts.
func (w Windows) PauseImage() string { return strings.Replace(w.Image(), "nano", "pause", 1) }

// pause makes the sandboxes' image of a Windows from that of its containers.
func pause(img *image.Image, w Windows) (*image.Image, error) {
	return image.New(w.PauseImage(), w.imageVersion(), []string{`C:\Windows\System32\ping.exe`, "-t", "localhost"}, img.Files)
}
