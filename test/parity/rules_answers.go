package main

import "github.com/isolrun/isol/test/parity/compare"

// answerRules are about what containerd is told.
var answerRules = []compare.Rule{
	{
		Name: "connect tells the task's process", Path: "step/*: connect/*",
		What: "Connect answers the init's process id and the shim's version; runhcs answers its own id for both, and no version",
		Why:  "The field is called task_pid, and other shims fill it so. The version tells an operator what serves a pod that is older than the last update.",
		Link: "operations.md",
	},
	{
		Name: "a second start is refused and no more", Runs: "life/start-twice/*",
		What: "after a second Start was refused, isol's task lives on; runhcs's cannot be deleted any more",
		Why:  "runhcs runs its cleanup of a failed start over the container that runs.",
		Link: "architecture.md",
	},
	{
		Name: "statistics of a VM", Path: "step/*: stats/code", Isol: ok, Runhcs: unknown, Runs: "*/hyperv",
		What: "Stats in a VM: runhcs looks for the process vmmem, which the emulated host does not have",
		Why:  "isol asks the compute service, which knows the VM's memory.",
		Link: "lab.md#what-it-shows-and-what-it-cant",
	},
	{
		Name: "a signal that nobody knows", Path: "step/*: kill */code", Isol: `"InvalidArgument"`, Runhcs: `"FailedPrecondition"`,
		What: "a signal that stands for no console event",
		Why:  "The request is wrong, whatever the task's state.",
		Link: "architecture.md#rules-that-hold-everywhere",
	},
	{
		Name: "processes of a stopped task", Path: "step/*: pids/code", Isol: ok + `%"FailedPrecondition"`, Runhcs: unknown,
		What: "Pids of a task that has stopped",
		Why:  "runhcs asks a handle that it has closed.",
		Link: "architecture.md#rules-that-hold-everywhere",
	},
	{
		Name: "processes of a sandbox in a VM", Runs: "pods/*/hyperv", Path: "step/sandbox: pids/*%call/HcsGetComputeSystemProperties ProcessList%call/GcsGetProperties ProcessList",
		What: "Pids of a Hyper-V pod's sandbox, in which no process of a container runs",
		Why:  "runhcs lists a process id of its own making.",
		Link: "kubernetes.md#what-becomes-of-a-pod",
	},
	{
		Name: "streams of a sandbox in a VM", Runs: "pods/*/hyperv", Path: "step/sandbox: state/streams/*", Isol: "true", Runhcs: "false",
		What: "State of a Hyper-V pod's sandbox names the streams that Create named",
		Why:  "runhcs forgets them.",
		Link: "kubernetes.md#what-becomes-of-a-pod",
	},
	{
		Name: "exec in a sandbox in a VM", Runs: "pods/exec-in-the-sandbox/hyperv", Path: "step/sandbox/e: exec/code", Isol: ok,
		What: "an exec in a Hyper-V pod's sandbox runs in the VM, outside of containers; runhcs has none",
		Why:  "It is how an operator looks into a pod's VM.",
		Link: "kubernetes.md#what-becomes-of-a-pod",
	},
	{
		Name: "an exit code that is lost", Path: "step/*/exitStatus%event/tasks/*/exitStatus", Isol: "255", Runhcs: "4294967295",
		What: "the exit code of a process that was lost with its VM: 255, as containerd says for unknown; runhcs says 4294967295",
		Why:  "containerd's clients know 255 for it.",
		Link: "architecture.md",
	},
}
