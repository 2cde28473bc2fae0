// Command containerd-shim-isol-v1 is a containerd runtime shim for Windows
// containers. containerd starts it; see internal/shim for what it does and
// docs/architecture.md for how it is built. This file only names the adapters.
package main

import (
	"context"

	"github.com/isolrun/isol/internal/gcs"
	"github.com/isolrun/isol/internal/hcs/computecore"
	"github.com/isolrun/isol/internal/host"
	"github.com/isolrun/isol/internal/job"
	"github.com/isolrun/isol/internal/layers"
	"github.com/isolrun/isol/internal/network"
	"github.com/isolrun/isol/internal/shim"
	"github.com/isolrun/isol/internal/shim/launch"
	"github.com/isolrun/isol/internal/silo"
	"github.com/isolrun/isol/internal/stdio"
	"github.com/isolrun/isol/internal/uvm"
)

func main() {
	shim.Run(context.Background(), shim.Machine{
		Host:     computecore.New,
		Layers:   func() layers.Store { return layers.NewStore(layers.Windows()) },
		Probe:    host.Probe,
		Image:    host.ReadImage,
		Source:   host.ResolveSource,
		Network:  network.Windows(),
		Jobs:     job.Native(),
		Pipes:    stdio.Native(),
		System:   launch.Native(),
		Affinity: silo.Affinity{},
		VM: shim.VMSystem{
			Sockets:    gcs.NewListener,
			TimeZone:   uvm.HostTimeZone,
			NameToGUID: layers.Windows().NameToGUID,
			Tool:       uvm.FindTool(),
		},
	})
}
