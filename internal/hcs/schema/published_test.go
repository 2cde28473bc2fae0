package schema

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// builds of the published schema files, oldest first.
var builds = []struct {
	file  string
	build uint32
}{{"1809", 17763}, {"1903", 18362}, {"2004", 19041}, {"2104", 20348}, {"21H2", 22000}}

// publishedNames lists the definitions behind a Go type that has another name.
// Microsoft numbers a second type of one name ("Memory_2") and renamed most of
// those in the schema of 20348.
var publishedNames = map[string][]string{
	"CPUGroup":                      {"CpuGroup"},
	"ContainerDevice":               {"Device"},
	"ContainerHvSocket":             {"HvSocket", "Container_HvSocket"},
	"ContainerMemory":               {"Memory", "Container_Memory"},
	"ContainerProcessor":            {"Processor", "Container_Processor"},
	"CredentialGuardAddInstance":    {"ContainerCredentialGuardAddInstanceRequest"},
	"CredentialGuardHvSocketConfig": {"ContainerCredentialGuardHvSocketServiceConfig"},
	"CredentialGuardInstance":       {"ContainerCredentialGuardInstance"},
	"CredentialGuardOperation":      {"ContainerCredentialGuardModifyOperation"},
	"CredentialGuardRemoveInstance": {"ContainerCredentialGuardRemoveInstanceRequest"},
	"CredentialGuardRequest":        {"ContainerCredentialGuardOperationRequest"},
	"CredentialGuardState":          {"ContainerCredentialGuardState"},
	"CredentialGuardSystemInfo":     {"ContainerCredentialGuardSystemInfo"},
	"CredentialGuardTransport":      {"ContainerCredentialGuardTransport"},
	"DeviceExtensionNamespace":      {"Namespace"},
	"DeviceExtensions":              {"ContainersDef_Device"},
	"ExitType":                      {"NotificationType"},
	"GuestOS":                       {"GuestOs"},
	"IOVSettings":                   {"IovSettings"},
	"MemoryInformationForVM":        {"MemoryInformationForVm"},
	"ModificationRequest":           {"ModifySettingRequest"},
	"InterruptModerationMode":       {"InterruptModerationMode"},
	"OSType":                        {"OsType"},
	"PMemBackingType":               {"VirtualPMemBackingType"},
	"PMemImageFormat":               {"VirtualPMemImageFormat"},
	"PipePathType":                  {"MappedPipePathType"},
	"ProcessOperation":              {"ModifyOperation"},
	"PropertyQuery":                 {"PropertyQuery_2", "System_PropertyQuery"},
	"PropertyType":                  {"PropertyType_2", "System_PropertyType"},
	"RequestType":                   {"ModifyRequestType"},
	"SCSI":                          {"Scsi"},
	"ServiceModification":           {"ModificationRequest"},
	"ServicePropertyQuery":          {"PropertyQuery", "Service_PropertyQuery"},
	"ServicePropertyType":           {"PropertyType", "GetPropertyType"},
	"Signal":                        {"ProcessSignal"},
	"SystemSummary":                 {"ComputeSystemProperties", "Properties"},
	"UEFI":                          {"Uefi"},
	"UEFIBootDevice":                {"UefiBootDevice"},
	"UEFIBootEntry":                 {"UefiBootEntry"},
	"VMMemory":                      {"VmMemory"},
	"VirtualMachineHvSocket":        {"HvSocket_2", "VirtualMachine_HvSocket"},
	"VirtualMachineMemory":          {"Memory_2", "VirtualMachine_Memory"},
	"VirtualMachineProcessor":       {"Processor_2", "VirtualMachine_Processor"},
	"VirtualPCIDevice":              {"VirtualPciDevice"},
	"VirtualPCIFunction":            {"VirtualPciFunction"},
	"VirtualSMB":                    {"VirtualSmb"},
	"VirtualSMBShare":               {"VirtualSmbShare"},
	"VirtualSMBShareOptions":        {"VirtualSmbShareOptions"},
}

// productionTypes are in no published schema: production.go names who sends them.
var productionTypes = []string{
	"ContainerIsolation", "CrashDumpType", "DebugOptions", "FirmwareFile", "GuestIsolation", "GuestStateFileType",
	"IsolationSettings", "MemoryBackingType", "NUMA", "NUMAProcessors", "NUMASetting", "Plan9ShareFlags", "Range",
	"SecuritySettings", "VirtualSLITType",
}

// productionFields are in no published schema though their type is. Each has a
// source tag.
var productionFields = []string{
	"Attachment.ExtensibleVirtualDiskType", "Chipset.FirmwareFile", "Container.IsolationType", "GuestState.GuestStateFileType",
	"HvSocketServiceConfig.Disabled", "Plan9Share.Flags", "Properties.SystemGUID", "Storage.PrivilegedContainerRootPath",
	"Topology.Numa", "VirtualMachine.DebugOptions", "VirtualMachine.ResourcePartitionId", "VirtualMachine.SecuritySettings",
	"VirtualMachineMemory.Backing", "VirtualMachineMemory.SlitType", "VirtualMachineProcessor.NumaProcessorsSettings",
	"VirtualPCIDevice.PropagateNumaAffinity", "WindowsCrashReporting.DumpType",
}

// productionValues are in no published schema though their enumeration is: a
// comment beside each names who sends it.
var productionValues = []string{"AttachmentType.ExtensibleVirtualDisk"}

// leftOut are published fields that isol has no use for, and that no document
// of the reference has.
var leftOut = []string{
	"AttributionRecord.InjectNonMaskableInterrupt", "AttributionRecord.OperationFailure", "AttributionRecord.VirtualDeviceFailure",
	"CrashReport.CrashStackUnavailable", "CrashReport.PreOSId", "CrashReport.Status",
	"DeviceExtensionNamespace.filesystem", "DeviceExtensionNamespace.hostfiles", "DeviceExtensionNamespace.job",
	"DeviceExtensionNamespace.mountmgr", "DeviceExtensionNamespace.namedpipe", "DeviceExtensionNamespace.network",
	"DeviceExtensionNamespace.registry", "Devices.Battery", "Devices.EnhancedModeVideo", "Devices.FlexibleIov",
	"Devices.KernelIntegration", "Devices.Keyboard", "Devices.Mouse", "Devices.SharedMemory", "Devices.VideoMonitor",
	"Devices.VirtioSerial", "ModificationRequest.GuestRequest", "Properties.ICHeartbeatStatus",
	"Properties.SharedMemoryRegionInfo", "PropertyQuery.FilteredQueries", "ServicePropertyQuery.FilteredQueries",
	// Properties' own fields, which no enumeration answers:
	"SystemSummary.ExitType", "SystemSummary.GuestConnectionInfo", "SystemSummary.ICHeartbeatStatus",
	"SystemSummary.Memory", "SystemSummary.ProcessList", "SystemSummary.PropertyResponses",
	"SystemSummary.SharedMemoryRegionInfo", "SystemSummary.Statistics", "SystemSummary.Stopped",
	"SystemSummary.TerminateOnLastHandleClosed",
	"VirtualMachine.RestoreState", "VirtualMachine.Services",
	"WindowsCrashReport.OsBuildNumber", "WindowsCrashReport.OsMajorVersion", "WindowsCrashReport.OsMinorVersion",
	"WindowsCrashReport.OsProductType", "WindowsCrashReport.OsServicePackMajorVersion",
	"WindowsCrashReport.OsServicePackMinorVersion", "WindowsCrashReport.OsSuiteMask",
}

// roots are the types from which every other is reached.
var roots = []any{
	ComputeSystem{}, ProcessParameters{}, ProcessModifyRequest{}, SignalProcessOptions{}, ProcessStatus{},
	PropertyQuery{}, Properties{}, SystemQuery{}, SystemSummary{}, SystemExitStatus{}, ResultError{},
	ServicePropertyQuery{}, ServiceProperties{}, ServiceModification{}, ModificationRequest{}, ShutdownOptions{},
	BasicInformation{}, QoSCapabilities{}, ProcessorTopology{}, CredentialGuardRequest{}, CredentialGuardAddInstance{},
	CredentialGuardRemoveInstance{}, CredentialGuardSystemInfo{}, ProcessorLimits{}, CrashReport{},
}

type property struct {
	Ref    string `json:"$ref"`
	Type   string
	Format string
	Items  *property
	More   *property `json:"additionalProperties"`
}

type definition struct {
	Properties map[string]property
	Enum       []string
}

type publishedField struct {
	property
	since uint32
}

// published reads the schemas, or skips the test where they are absent.
func published(t *testing.T) []map[string]definition {
	dir := os.Getenv("HCS_SCHEMA_DIR")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "..", "shared", "hcs-schema")
	}
	var all []map[string]definition
	for _, b := range builds {
		raw, err := os.ReadFile(filepath.Join(dir, b.file+".json"))
		if err != nil {
			t.Skipf("Microsoft's published schemas are not here (set HCS_SCHEMA_DIR to their folder): %v", err)
		}
		var file struct{ Definitions map[string]definition }
		if err := json.Unmarshal(raw, &file); err != nil {
			t.Fatal(err)
		}
		all = append(all, file.Definitions)
	}
	return all
}

func namesOf(t reflect.Type) []string {
	if names, ok := publishedNames[t.Name()]; ok {
		return names
	}
	return []string{t.Name()}
}

// fieldsOf merges what all schemas say about t; the first build wins.
func fieldsOf(all []map[string]definition, t reflect.Type) (map[string]publishedField, map[string]uint32) {
	fields, enum := map[string]publishedField{}, map[string]uint32{}
	for i, defs := range all {
		for _, name := range namesOf(t) {
			for p, v := range defs[name].Properties {
				if _, ok := fields[p]; !ok {
					fields[p] = publishedField{v, builds[i].build}
				}
			}
			for _, v := range defs[name].Enum {
				if _, ok := enum[v]; !ok {
					enum[v] = builds[i].build
				}
			}
		}
	}
	return fields, enum
}

// reach returns every named type of this package that roots lead to.
func reach() map[string]reflect.Type {
	found := map[string]reflect.Type{}
	var visit func(reflect.Type)
	visit = func(t reflect.Type) {
		switch t.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Map:
			visit(t.Elem())
			return
		}
		if t.PkgPath() != reflect.TypeFor[Version]().PkgPath() || found[t.Name()] != nil {
			return
		}
		found[t.Name()] = t
		if t.Kind() == reflect.Struct {
			for f := range t.Fields() {
				visit(f.Type)
			}
		}
	}
	for _, r := range roots {
		visit(reflect.TypeOf(r))
	}
	return found
}

// fits says whether the Go type is what the schema says. A schema's "object"
// without properties is any JSON.
func fits(all []map[string]definition, t reflect.Type, p property) bool {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	anyJSON := t.Kind() == reflect.Interface || t == reflect.TypeFor[json.RawMessage]()
	if ref, ok := strings.CutPrefix(p.Ref, "#/definitions/"); ok {
		return anyJSON || slices.Contains(namesOf(t), ref)
	}
	switch p.Type {
	case "boolean":
		return t.Kind() == reflect.Bool
	case "integer":
		return p.Format == "" || t.Kind().String() == p.Format
	case "string":
		switch p.Format {
		case "date-time":
			return t == reflect.TypeFor[time.Time]()
		case "byte":
			return t == reflect.TypeFor[[]byte]()
		}
		return t.Kind() == reflect.String
	case "array":
		return t.Kind() == reflect.Slice && fits(all, t.Elem(), *p.Items)
	case "object":
		if p.More != nil {
			return t.Kind() == reflect.Map && fits(all, t.Elem(), *p.More)
		}
		return anyJSON || t == reflect.TypeFor[HostedSystem]()
	}
	return false
}

// A field with a wrong name or build is sent to a Windows that refuses it.
func TestFieldsAreThePublishedOnes(t *testing.T) {
	all := published(t)
	for name, typ := range reach() {
		if typ.Kind() != reflect.Struct || slices.Contains(productionTypes, name) {
			continue
		}
		fields, _ := fieldsOf(all, typ)
		if len(fields) == 0 {
			t.Errorf("%s: no published schema has %v", name, namesOf(typ))
		}
		for f := range typ.Fields() {
			checkField(t, all, name, f, fields)
			delete(fields, fieldName(f))
		}
		for p := range fields {
			if !slices.Contains(leftOut, name+"."+p) {
				t.Errorf("%s.%s: published, not here and not left out on purpose", name, p)
			}
		}
	}
}

func checkField(t *testing.T, all []map[string]definition, owner string, f reflect.StructField, fields map[string]publishedField) {
	at := owner + "." + fieldName(f)
	want, ok := fields[fieldName(f)]
	source := f.Tag.Get("source")
	switch production := slices.Contains(productionFields, at); {
	case !ok && (!production || source == ""):
		t.Errorf("%s: in no published schema; it needs a source tag and a place in productionFields", at)
	case ok && (production || source != ""):
		t.Errorf("%s: published since %d, so it needs no source", at, want.since)
	case ok && fieldSince(f) != want.since:
		t.Errorf("%s: since %d, published since %d", at, fieldSince(f), want.since)
	case ok && !fits(all, f.Type, want.property):
		t.Errorf("%s: Go type %v, published as %+v", at, f.Type, want.property)
	}
}

// A misspelt value, or one that an older Windows does not know, fails a create.
func TestEnumerationsAreThePublishedOnes(t *testing.T) {
	all := published(t)
	for name, typ := range reach() {
		e, ok := reflect.Zero(typ).Interface().(enumeration)
		if !ok || slices.Contains(productionTypes, name) {
			continue
		}
		_, enum := fieldsOf(all, typ)
		got := map[string]uint32{}
		for _, v := range e.values() {
			if !slices.Contains(productionValues, name+"."+v.text) {
				got[v.text] = v.since
			}
		}
		if !maps.Equal(got, enum) {
			t.Errorf("%s: have %v, published %v", name, got, enum)
		}
	}
}

// The lists above must not outlive what they excuse.
func TestListsNameWhatIsThere(t *testing.T) {
	types := reach()
	for _, name := range productionTypes {
		if types[name] == nil {
			t.Errorf("productionTypes: %s is no type here", name)
		}
	}
	for name := range publishedNames {
		if types[name] == nil {
			t.Errorf("publishedNames: %s is no type here", name)
		}
	}
	fields := map[string]bool{}
	for name, typ := range types {
		if typ.Kind() == reflect.Struct {
			for f := range typ.Fields() {
				fields[name+"."+fieldName(f)] = true
			}
		}
	}
	for _, f := range productionFields {
		if !fields[f] {
			t.Errorf("productionFields: %s is no field here", f)
		}
	}
}

// Validate reads its rules from tags: one that does not parse would let all through.
func TestEveryFieldHasItsTags(t *testing.T) {
	for name, typ := range reach() {
		if typ.Kind() != reflect.Struct {
			continue
		}
		for f := range typ.Fields() {
			if fieldName(f) == "" || fieldSince(f) < 17763 {
				t.Errorf("%s.%s: tag %q lacks a JSON name or a build", name, f.Name, f.Tag)
			}
		}
	}
}
