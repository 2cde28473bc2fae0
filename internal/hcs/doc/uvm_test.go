package doc

import (
	"encoding/json"
	"testing"

	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/internal/hcs/schema"
	"github.com/isolrun/isol/internal/isolation"
)

// The document of a VM is what production sends: each of its fields has a VM
// somewhere that does not boot without it.
func TestUVM(t *testing.T) {
	f := UVMFacts{
		Owner: "containerd-shim-isol-v1.exe", OSFiles: `C:\snapshots\1\UtilityVM\Files`, Scratch: `C:\snapshots\9\vm\sandbox.vhdx`,
	}
	for _, tc := range []struct {
		name   string
		plan   isolation.UVM
		builds []uint32
	}{
		{"uvm-minimal", isolation.UVM{
			ID: "pod@vm", MemoryMB: 1024, Processor: isolation.Processor{Count: 2}, AllowOvercommit: true,
		}, []uint32{17763, 20348, 26100}},
		{"uvm-full", isolation.UVM{
			ID: "pod@vm", MemoryMB: 2048, Processor: isolation.Processor{Count: 4, Limit: 50000}, DeferredCommit: true,
			Storage: isolation.StorageQoS{IOPS: 500, Bandwidth: 10 << 20}, ConsolePipe: `\\.\pipe\console`, DumpDirectory: `C:\dumps`,
			Dump: &isolation.Dump{Folder: `C:\dumps`, Type: 2, Count: 3}, NoDirectMap: true, NoCompartments: true, ForwardLogs: true,
			Registry:     []isolation.RegistryValue{{Hive: "System", Key: `ControlSet001\Control`, Name: "Zero", Type: "DWord"}},
			ServiceTable: map[string]json.RawMessage{"11111111-2222-3333-4444-555555555555": json.RawMessage(`{"AllowWildcardBinds":true}`)},
		}, []uint32{17763, 20348, 26100}},
		{"uvm-2022", isolation.UVM{
			ID: "pod@vm", MemoryMB: 1024, Processor: isolation.Processor{Count: 2, Weight: 200}, AllowOvercommit: true, ColdDiscardHint: true,
			CPUGroup: "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee", Partition: "99999999-8888-7777-6666-555555555555", LowMMIOGapMB: 128, HighMMIOBaseMB: 65536, HighMMIOGapMB: 512,
		}, []uint32{20348, 26100}},
		{"uvm-numa-sizes", isolation.UVM{
			ID: "pod@vm", MemoryMB: 4096, Processor: isolation.Processor{Count: 8},
			NUMA: &isolation.NUMA{NodeProcessors: 4, NodeMemoryMB: 2048, Preferred: []uint32{0, 1}},
		}, []uint32{26100}},
		{"uvm-numa-nodes", isolation.UVM{
			ID: "pod@vm", MemoryMB: 4096, Processor: isolation.Processor{Count: 8},
			NUMA: &isolation.NUMA{Nodes: []isolation.NUMANode{{Physical: 0, Processors: 6, MemoryMB: 3072}, {Physical: 1, Processors: 2, MemoryMB: 1024}}},
		}, []uint32{26100}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			doc, err := UVM(&tc.plan, f)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, tc.name, doc)
			valid[schema.ComputeSystem](t, doc, tc.builds...)
		})
	}
}

// A plan that cannot become a document is refused, not shortened.
func TestUnfitUVM(t *testing.T) {
	if _, err := UVM(nil, UVMFacts{}); !fault.Is(err, fault.Internal) {
		t.Errorf("no VM in the plan: %v", err)
	}
	bad := &isolation.UVM{ServiceTable: map[string]json.RawMessage{"x": json.RawMessage("{")}}
	if _, err := UVM(bad, UVMFacts{}); !fault.Is(err, fault.InvalidArgument) {
		t.Errorf("service table that is no JSON: %v", err)
	}
}
