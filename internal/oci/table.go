package oci

import (
	"maps"
	"slices"
	"strings"
)

// Type is how the text of an annotation is read.
type Type uint8

// The types.
const (
	TypeBool         Type = iota // what strconv.ParseBool takes: 1, t, T, TRUE, true, True and their opposites
	TypeExactBool                // "true" and nothing else switches on; what strconv.ParseBool takes for false switches off
	TypeUint                     // a whole number in decimal, from Min to Max
	TypeString                   // any text that is not empty
	TypePath                     // an absolute Windows path
	TypeEnum                     // one of Allowed
	TypeGUID                     // a GUID, with or without braces
	TypeCSV                      // texts between commas, none empty; from Allowed where that is not empty
	TypeUintCSV                  // whole numbers between commas, each from Min to Max
	TypeBase64                   // base64 with padding
	TypeRegistry                 // a JSON list of HCS RegistryValue objects
	TypeServiceEntry             // a JSON object; the GUID of the service is the end of the key
)

var typeNames = [...]string{
	TypeBool: "bool", TypeExactBool: `"true"`, TypeUint: "uint", TypeString: "string", TypePath: "path",
	TypeEnum: "one of", TypeGUID: "GUID", TypeCSV: "list", TypeUintCSV: "list of uint", TypeBase64: "base64",
	TypeRegistry: "JSON registry values", TypeServiceEntry: "JSON HvSocketServiceConfig",
}

// String returns the name that the documentation uses.
func (t Type) String() string { return typeNames[t] }

// Modes is a set of the ways in which a container can run.
type Modes uint8

// The modes, as a set.
const (
	ModeProcess       Modes = 1 << iota // Windows container that shares the host's kernel
	ModeHyperVWindows                   // Windows container in a utility VM
	ModeHyperVLinux                     // Linux container in a utility VM
	ModeHostProcess                     // a job on the host, or in the guest of a Hyper-V pod

	ModeAny     = ModeProcess | ModeHyperVWindows | ModeHyperVLinux | ModeHostProcess
	ModeUVM     = ModeHyperVWindows | ModeHyperVLinux
	ModeWindows = ModeProcess | ModeHyperVWindows | ModeHostProcess
)

// String names the modes of the set, between commas.
func (m Modes) String() string {
	if m == ModeAny {
		return "any"
	}
	var names []string
	for _, n := range []struct {
		m    Modes
		name string
	}{{ModeProcess, "process"}, {ModeHyperVWindows, "Hyper-V Windows"}, {ModeHyperVLinux, "Hyper-V Linux"}, {ModeHostProcess, "HostProcess"}} {
		if m&n.m != 0 {
			names = append(names, n.name)
		}
	}
	return strings.Join(names, ", ")
}

// Scope says whose annotation it is.
type Scope uint8

// The scopes.
const (
	ScopeContainer Scope = iota // of each container
	ScopePod                    // of the pod's sandbox, or of a container outside of a pod
)

// String returns "container" or "pod".
func (s Scope) String() string {
	if s == ScopePod {
		return "pod"
	}
	return "container"
}

// Status says what isol does with an annotation.
type Status uint8

// The statuses.
const (
	// StatusHonoured: it does what its row says.
	StatusHonoured Status = iota
	// StatusRefused: isol does not do it, for the reason in Why. A value other
	// than the default is fault.Unimplemented; the default asks for nothing and
	// passes.
	StatusRefused
	// StatusIgnored: it is checked, has no effect by design for the reason in
	// Why, and leaves a note.
	StatusIgnored
)

var statusNames = [...]string{StatusHonoured: "honoured", StatusRefused: "refused", StatusIgnored: "ignored"}

// String returns the word that the documentation uses.
func (s Status) String() string { return statusNames[s] }

// Origin says who defined an annotation.
type Origin uint8

// The origins.
const (
	OriginHcsshim    Origin = iota // Microsoft's hcsshim, pkg/annotations
	OriginInternal                 // Microsoft's hcsshim, internal/annotations: for tests and debugging
	OriginKubernetes               // the CRI of containerd
	OriginIsol                     // this project
)

var originNames = [...]string{
	OriginHcsshim: "hcsshim", OriginInternal: "hcsshim, internal", OriginKubernetes: "containerd CRI", OriginIsol: "isol",
}

// String names the project.
func (o Origin) String() string { return originNames[o] }

// Annotation is one row of the table: all that isol knows about one key.
type Annotation struct {
	Key     string
	Prefix  bool // Key is the beginning of the keys; a GUID follows
	Type    Type
	Unit    string   // of a number: MB, bytes/s, of 10 000, …
	Min     uint64   // numbers: the least allowed, 0 "not said" aside
	Max     uint64   // numbers: the most allowed
	ZeroOff bool     // numbers: 0 is allowed and means "not said"
	Step    uint64   // numbers: a multiple of it, where not 0
	Allowed []string // TypeEnum and TypeCSV: the values
	Default string   // what holds without it, in the words of the value
	Modes   Modes    // where it has an effect
	Scope   Scope
	Since   uint32   // the first Windows build that can do it, where later than 17763
	Feeds   string   // the document field or the behaviour
	Aliases []string // other keys that mean the same: hcsshim's nine deprecated names are Go names of equal keys
	Status  Status
	Why     string // of StatusRefused and StatusIgnored
	Origin  Origin
	Doc     string // what it does, one sentence
}

// Group is a part of the table that belongs together.
type Group struct {
	Name string
	Rows []Annotation
}

// groups is the table. It is data: nothing writes to it.
var groups = []Group{
	{"isol", isolRows},
	{"Pods", podRows},
	{"Container limits", containerLimitRows},
	{"Container", containerRows},
	{"HostProcess", hostProcessRows},
	{"Utility VM: memory", uvmMemoryRows},
	{"Utility VM: processors and NUMA", uvmProcessorRows},
	{"Utility VM: storage, files, devices", uvmDeviceRows},
	{"Utility VM: Windows guest", uvmWindowsRows},
	{"Utility VM: Linux guest", refused(uvmLinuxRows, whyLCOW, ModeHyperVLinux, ScopePod)},
	{"Linux containers", refused(linuxContainerRows, whyLCOW, ModeHyperVLinux, ScopeContainer)},
	{"Confidential pods, Windows", refused(confidentialWindowsRows, whyConf, ModeHyperVWindows, ScopePod)},
	{"Confidential pods, Linux", refused(confidentialLinuxRows, whyConf, ModeHyperVLinux, ScopePod)},
	{"Network and migration", otherRows},
}

// index finds the row of a key; prefixes holds the rows whose Prefix is set.
var index, prefixes = buildIndex()

func buildIndex() (map[string]*Annotation, []*Annotation) {
	m := make(map[string]*Annotation)
	var p []*Annotation
	for g := range groups {
		rows := groups[g].Rows
		for i := range rows {
			a := &rows[i]
			if a.Prefix {
				p = append(p, a)
				continue
			}
			m[a.Key] = a
			for _, alias := range a.Aliases {
				m[alias] = a
			}
		}
	}
	return m, p
}

// Table returns a copy of the annotation table, group by group.
func Table() []Group {
	out := slices.Clone(groups)
	for i := range out {
		out[i].Rows = slices.Clone(out[i].Rows)
	}
	return out
}

// Lookup returns the row of an annotation key.
func Lookup(key string) (Annotation, bool) {
	if a := row(key); a != nil {
		return *a, true
	}
	return Annotation{}, false
}

func row(key string) *Annotation {
	if a := index[key]; a != nil {
		return a
	}
	for _, a := range prefixes {
		if strings.HasPrefix(key, a.Key) {
			return a
		}
	}
	return nil
}

// ownedPrefixes are the name spaces in which an unknown key is an error,
// because whoever wrote it meant the runtime. The whole of io.microsoft. and
// microsoft.com/ is not ours: other programs annotate there too.
var ownedPrefixes = []string{
	"io.isol.",
	"io.microsoft.container.",
	"io.microsoft.virtualmachine.",
	"io.microsoft.lcow.",
	"io.microsoft.wcow.",
	"io.microsoft.migration.",
	"io.microsoft.network.ncproxy",
	"io.microsoft.disable-",
	"microsoft.com/hostprocess-",
	"microsoft.com/disable-hostprocess-",
}

// owned reports whether key lies in a name space of the table. Letter case
// does not matter: IO.Isol.isolation is a misspelled key, not another's.
func owned(key string) bool {
	for _, p := range ownedPrefixes {
		if len(key) >= len(p) && strings.EqualFold(key[:len(p)], p) {
			return true
		}
	}
	return false
}

// knownKeys returns all keys of the table, sorted.
func knownKeys() []string {
	keys := slices.Collect(maps.Keys(index))
	for _, a := range prefixes {
		keys = append(keys, a.Key)
	}
	slices.Sort(keys)
	return keys
}
