package compare

import (
	"fmt"
	"strings"

	"github.com/isolrun/isol/test/hcsemu"
)

// Translation is a way in which two shims say the same. What is in this list
// is no difference.
type Translation struct{ What, Why string }

// Translations are all of them; docs/parity.md has the list.
var Translations = []Translation{
	{
		"the functions of vmcompute.dll that v0.14.1 calls, and those of computecore.dll",
		"They carry the same names with other parameters: no operation, a result as JSON, a notification where an operation would wait. " +
			"`HcsRegisterComputeSystemCallback` is `HcsSetComputeSystemCallback`, `GrantVmAccess` is `HcsGrantVmAccess`. Operations live in the caller's process and are not in the record.",
	},
	{
		"`HcsGetProcessProperties` after a process's end",
		"The older interface has no exit code in its exit event. Today's has, and today's runhcs does not ask either.",
	},
	{
		"`HcsGetComputeSystemProperties` without a query, twice",
		"The older interface asks once for the handle's cache and once for a machine's `RuntimeId`. One answer has both.",
	},
	{
		"`ActivityId` and `ocsc` of a message to the guest",
		"They tie a message to a trace of the host's. The guest writes them into its log.",
	},
	{
		"a member of `TimeZoneInformation` that is 0, and one that is left out",
		"The guest reads a missing number as 0.",
	},
	{
		"`Flags` of a query to the network service that is 0, and none",
		"0 is the default, no flags.",
	},
	{
		"the order between containers of a pod, and of what follows the end of one",
		"Their lives go on side by side.",
	},
	{
		"when `NameToGuid` is called, when a system's callback is set, when `HcsCloseProcess`, when a kill's own handle to the system is closed, when `GcsWaitForProcess` is sent",
		"Each goes beside the calls around it: that it comes counts, and with what.",
	},
	{
		"ids, GUIDs, process ids, compartments, hardware addresses, pipes and paths that differ from run to run",
		"Each is compared under the name of what it stands for. A GUID that both shims use is compared as it is, so that layer ids and services count.",
	},
}

// unspoken are calls that have no counterpart because of a translation, or that
// are none: what a guest says by itself follows from what it was told.
var unspoken = map[string]bool{"HcsGetProcessProperties": true, "Gcs" + hcsemu.Notification: true}

// functions that are called otherwise in the other interface.
var functions = map[string]string{"GrantVmAccess": "HcsGrantVmAccess"}

// nameOf is a call's function with what of its arguments tells it from others.
func nameOf(function string, args map[string]any) string {
	if other := functions[function]; other != "" {
		function = other
	}
	switch function {
	case "HcsModifyComputeSystem":
		return fmt.Sprintf("%s %v %v", function, at(args, "request", "RequestType"), at(args, "request", "ResourcePath"))
	case "GcsModifySettings":
		request, _ := at(args, "message", "Request").(map[string]any)
		what := at(request, "ResourceType")
		if what == nil {
			what = at(request, "ResourcePath")
		}
		return fmt.Sprintf("%s %v %v", function, at(request, "RequestType"), what)
	case "HcsGetComputeSystemProperties":
		return function + types(at(args, "query", "PropertyTypes"))
	case "GcsGetProperties":
		return function + types(at(args, "message", "Query", "PropertyTypes"))
	case "GcsModifyServiceSettings":
		return fmt.Sprintf("%s %v", function, at(args, "message", "PropertyType"))
	case "HNSCall":
		return fmt.Sprintf("%s %v %v", function, args["method"], args["path"])
	}
	return function
}

// types are the properties that a query asks for.
func types(list any) string {
	text := ""
	all, _ := list.([]any)
	for _, t := range all {
		text += fmt.Sprintf(" %v", t)
	}
	return text
}

// at is a member of a member, nil if one is not there.
func at(v any, path ...string) any {
	for _, name := range path {
		object, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = object[name]
	}
	return v
}

// translate leaves out of arguments what is no difference.
func translate(args map[string]any) any {
	if message, ok := args["message"].(map[string]any); ok {
		delete(message, "ActivityId")
		delete(message, "ocsc")
		numberless(message, "ProcessId")
		if settings, ok := at(message, "Request", "Settings").(map[string]any); ok {
			numberless(settings, "NamespaceId")
		}
		if zone, ok := at(message, "ContainerConfig", "TimeZoneInformation").(map[string]any); ok {
			withoutZeros(zone)
		}
	}
	numberless(args, "pid")
	if query, ok := args["query"].(map[string]any); ok && query["Flags"] == 0.0 {
		delete(query, "Flags")
	}
	return args
}

// numberless leaves open which process or compartment a member names: its number differs from run to run.
func numberless(object map[string]any, member string) {
	if _, ok := object[member]; ok {
		object[member] = "<number>"
	}
}

// withoutZeros removes numbers that are 0, and objects that hold nothing else.
func withoutZeros(object map[string]any) {
	for k, v := range object {
		switch v := v.(type) {
		case float64:
			if v == 0 {
				delete(object, k)
			}
		case map[string]any:
			if withoutZeros(v); len(v) == 0 {
				delete(object, k)
			}
		}
	}
}

// isBareQuery says whether a call asks for a system's basic properties.
func isBareQuery(c Call) bool {
	return strings.TrimSpace(c.Name) == "HcsGetComputeSystemProperties"
}
