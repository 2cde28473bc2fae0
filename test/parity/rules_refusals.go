package main

import "github.com/isolrun/isol/test/parity/compare"

// Codes as differences have them.
const (
	ok      = `"OK"`
	unknown = `"Unknown"`
	died    = `"died"`
)

// refusalRules are about what one shim runs and the other does not, and about
// what both refuse in other words.
var refusalRules = []compare.Rule{
	{
		Name: "not built yet", Path: "step/*/code", Isol: `"Unimplemented"`, Runhcs: ok + "%" + died,
		Runs: "credentials/spec/*%resources/cpu-affinity/*%mounts/sandbox-folder/*%vm/logs-forwarded/*%vm/confidential/*%hostprocess/pod/process%errors/linux/process",
		What: "isol refuses what it does not run yet",
		Why:  "It says so by name at create. What is on the list is taken off it as it is built.",
		Link: "annotations.md",
	},
	{
		Name: "not in the lab", Path: "step/*/code", Isol: ok + `%"Unimplemented"%"InvalidArgument"%"FailedPrecondition"`, Runhcs: unknown,
		Runs: "hostprocess/*%devices/vpci/hyperv",
		What: "what runhcs cannot do on this machine: HostProcess containers, since Wine makes no silos of job objects; devices in a VM, since `device-util.exe` is not here. isol does without both, or refuses what the spec contradicts",
		Why:  "runhcs does not show here what it does on Windows.",
		Link: "lab.md#what-it-shows-and-what-it-cant",
	},
	{
		Name: "the code says what kind of failure", Path: "step/*/code",
		Isol: `"InvalidArgument"%"NotFound"%"FailedPrecondition"%"PermissionDenied"%"Unimplemented"%"AlreadyExists"`, Runhcs: unknown + `%"start failed"`,
		What: "both refuse, isol with the gRPC code of the reason, runhcs with Unknown or by a start action that fails",
		Why:  "Whoever calls can tell a spec that never runs from a machine that is in trouble. runhcs compares the codes of one interface with those of another, and most end as Unknown.",
		Link: "architecture.md#rules-that-hold-everywhere",
	},
	{
		Name: "input that ends runhcs", Path: "step/*/code", Runhcs: died,
		Runs: "options/vm-size/hyperv%options/default-annotations-without-own/process%options/scaled-limits/hyperv%errors/no-windows/process%errors/linux/process%credentials/spec/hyperv%hostprocess/*",
		What: "runhcs panics, isol runs the container or refuses it",
		Why:  "v0.14.1 writes default annotations into a map that is not there, and reads a section of the spec that is not there.",
		Link: "architecture.md#rules-that-hold-everywhere",
	},
	{
		Name: "a mistake in an annotation", Path: "step/*/code", Isol: `"InvalidArgument"`, Runhcs: ok,
		Runs: "containers/misspelt/*%resources/annotation-*/*%vm/switch-misspelt/*%vm/number-misspelt/*%hostprocess/yes-in-another-spelling/*",
		What: "isol refuses a value that does not parse, is out of range, or a key that nobody knows; runhcs logs it and goes on without it",
		Why:  "A limit or a ban that is not in force should be known when it is asked for, not when it was needed.",
		Link: "annotations.md",
	},
	{
		Name: "a request that would be dropped", Path: "step/*/code", Isol: `"InvalidArgument"%"Unimplemented"%"FailedPrecondition"`, Runhcs: ok,
		Runs: "credentials/not-a-string/*%errors/process-missing/*%processes/no-command/*%mounts/pipe-onto-a-folder/*%resources/memory-below-a-megabyte/*%resources/cpu-affinity-empty-mask/*%resources/update-storage/*%mounts/virtual-disk/process%mounts/unknown-type/process",
		What: "isol refuses what runhcs leaves out without a word: an identity that is no text, no command, a pipe mounted onto a folder, a disk or an unknown type of mount taken for a folder, a limit of less than a megabyte, an empty affinity mask, a change of storage limits",
		Why:  "A container that runs with less than was asked for fails far from the cause.",
		Link: "architecture.md#rules-that-hold-everywhere",
	},
	{
		Name: "the default value of an option", Path: "step/*/code", Isol: ok, Runhcs: unknown,
		Runs: "options/isolation-process-over-hyperv/hyperv",
		What: "options that do not speak of isolation: runhcs takes them for PROCESS and refuses a spec that asks for a VM",
		Why:  "In protobuf, PROCESS is also the value of an option that nobody set. isol takes it for not said.",
		Link: "isolation.md#who-decides",
	},
	{
		Name: "the type bind", Path: "step/*/code", Isol: ok, Runhcs: unknown,
		Runs: "mounts/bind/hyperv",
		What: "a mount of type bind in a VM: isol mounts it, runhcs refuses the type",
		Why:  "It is what containerd and nerdctl write into every spec, and in process isolation runhcs takes it.",
		Link: "isolation.md#what-crosses-the-boundary",
	},
	{
		Name: "slashes in a destination", Path: "step/*/code", Isol: ok, Runhcs: unknown, Runs: "mounts/slashes/process",
		What: "a destination with slashes and without a drive: isol mounts it on C:, runhcs hands it on, and the emulated HCS refuses it",
		Why:  "Kubernetes allows it in a pod's spec, and containerd passes it on.",
		Link: "kubernetes.md",
	},
}
