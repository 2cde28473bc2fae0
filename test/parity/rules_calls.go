package main

import "github.com/isolrun/isol/test/parity/compare"

// callRules are about the calls for a container on the host, and for all.
var callRules = []compare.Rule{
	{
		Name: "a kill needs no callbacks", Path: "call/HcsSetComputeSystemCallback (opened)%call/HcsSetProcessCallback (opened)%call/HcsGetComputeSystemProperties (opened)", Isol: none,
		What: "SIGKILL: `HcsSetComputeSystemCallback`, `HcsGetComputeSystemProperties` and `HcsSetProcessCallback` on the second handle",
		Why:  "The second handle exists because HCS serialises signals per handle: a SIGKILL must not wait behind a SIGTERM. It is closed right after; the first handle has the callback that tells the end, and nobody reads the properties. Three calls less that can hang before a kill.",
		Link: "architecture.md#where-to-find-the-line-that",
	},
	{
		Name: "the delete action asks for its own", Runs: "life/*", Path: "call/HcsEnumerateComputeSystems%call/HcsOpenComputeSystem%call/NetUserDel",
		What: "the delete action: isol asks for systems with this id and its own owner name, the container and the pod's VM (`<id>@vm`), and removes the user of a HostProcess container where its journal names one; runhcs opens the container by its id, and removes a user by the name that one would have",
		Why:  "runhcs can take a container of another runtime with the same id for its own, and asks for the VM by a wrong id.",
		Link: "operations.md",
	},
	{
		Name: "no shutdown of what never ran", Path: "call/HcsShutDownComputeSystem%call/GcsShutdownGraceful%call/GcsShutdownForced%call/HcsTerminateComputeSystem%order/Hcs*%order/*Layer",
		Runs: "life/never-started/*%life/killed-before-start/*%pods/*without-start*/*%processes/exec-before-start/*",
		What: "a container that was never started: runhcs asks it to shut down, isol ends it",
		Why:  "HCS shuts down what runs; there is no process that could take notice.",
		Link: "architecture.md",
	},
	{
		Name: "empty environment variables", Path: "call/*/Environment/EMPTY", Isol: `""`, Runhcs: none,
		What: "a variable whose value is empty: runhcs leaves it out",
		Why:  "The spec names it, and programs ask whether a variable is there.",
		Link: "windows.md",
	},
	{
		Name: "a variable in two spellings", Path: "call/*/Environment/HELLO", Isol: none, Runs: "processes/environment-twice/*",
		What: "a variable that is set twice in other letters: isol passes the last, runhcs both",
		Why:  "Windows does not tell them apart: which of two wins would be chance.",
		Link: "windows.md",
	},
	{
		Name: "registry values of the container", Path: "call/*/RegistryChanges/AddValues", Runhcs: `[{"Key":{"Hive":"System","Name":"ControlSet001\\Control"},"Name":"WaitToKillServiceTimeout","StringValue":"2147483647","Type":"String"}]`,
		Runs: "containers/registry/*",
		What: "the annotation for registry values of a container",
		Why:  "It came after v0.14.1.",
		Link: "annotations.md#container",
	},
	{
		Name: "the size of the scratch", Runs: "resources/storage-size/*", Path: "call/ExpandSandboxSize", Runhcs: none,
		What: "`windows.resources.storage.sandboxSize`: isol expands the scratch, runhcs ignores it",
		Why:  "It is asked for, and nobody else has done it by then.",
		Link: "annotations.md",
	},
}
