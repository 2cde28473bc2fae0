package main

import "github.com/isolrun/isol/test/parity/compare"

// networkRules are about namespaces and endpoints.
var networkRules = []compare.Rule{
	{
		Name: "no namespace that nobody asked for", Runs: "network/nothing-named/*",
		What: "a network section that names nothing: runhcs makes a namespace, which has no endpoint unless somebody adds one; isol leaves `Networking.Namespace` out",
		Why:  "The container has no network either way.",
		Link: "isolation.md#what-crosses-the-boundary",
	},
	{
		Name: "a namespace is looked up first", Path: "call/Hcn*Namespace*%call/Hcn*Endpoint*%order/Hcn*", Runs: "network/*%pods/*",
		What: "`HcnEnumerateNamespaces`, `HcnOpenNamespace`, `HcnQueryNamespaceProperties` come before anything is made, and the same of its endpoints; runhcs passes the namespace on in process isolation, and in a VM looks it up before and after its endpoints",
		Why:  "A namespace that is not there is told by its name, before a layer is mounted or a VM booted; the ports of the host that its endpoints publish are crossings.",
		Link: "architecture.md#where-to-find-the-line-that",
	},
	{
		Name: "a shared network's container is looked up first", Path: "step/*/code", Isol: `"FailedPrecondition"`, Runhcs: ok, Runs: "network/shared-with-a-container/*",
		What: "sharing the network of a container that is not there (`networkSharedContainerName`): isol refuses it, runhcs hands the name on, which the emulated HCS does not look up",
		Why:  "What Windows says to such a name is not documented, and would be said after the layers are mounted. A container that was to be beside another must not run alone.",
		Link: "isolation.md#what-crosses-the-boundary",
	},
	{
		Name: "today's calls for a namespace's end", Path: "call/HNSCall *%call/HcnModifyNamespace*%call/HcnDeleteNamespace*%call/HcnCreateNamespace*", Runs: "network/endpoints/*",
		What: "a namespace that the shim made for endpoints: isol chooses its id, takes the endpoints out by `HcnModifyNamespace` and removes it by `HcnDeleteNamespace`; runhcs uses `HNSCall`, the older interface",
		Why:  "The id is in the journal before the namespace is there, so that a crash in between leaves nothing.",
		Link: "operations.md",
	},
	{
		Name: "adapters are taken out of the guest", Path: "call/GcsModifySettings Remove Network*%order/GcsModifySettings Remove Network*%call/GcsModifySettings Remove <nil>%call/HcsModifyComputeSystem Remove VirtualMachine/Devices/NetworkAdapters/*",
		What: "removing an adapter: runhcs's message to the guest names no resource type, the guest refuses it, and neither the adapter nor the guest's namespace is removed before the VM ends",
		Why:  "A guest that lives on must not keep an adapter that its host has taken away.",
		Link: "architecture.md#where-to-find-the-line-that",
	},
	{
		Name: "a namespace without endpoints", Path: "call/GcsModifySettings * NetworkNamespace/message/Request/Settings/Resources", Isol: "[]", Runhcs: none,
		What: "the empty list of endpoints in the message that makes a namespace in the guest",
		Why:  "isol passes on what the network service says; runhcs leaves an empty list out.",
		Link: "architecture.md",
	},
}
