package schema

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

func TestValidate(t *testing.T) {
	system := Validate[ComputeSystem]
	modify := Validate[ModificationRequest]
	service := Validate[ServiceModification]
	for _, c := range []struct {
		name     string
		validate func([]byte, uint32) error
		build    uint32
		doc      string
		want     string // in the error; empty for none
	}{
		{"a container with nothing", system, 17763, `{"Container":{"Processor":{}}}`, ""},
		{"every kind of value", system, 17763, `{"SchemaVersion":{"Major":2,"Minor":1},"ShouldTerminateOnLastHandleClosed":true,
			"Container":{"Storage":{"Layers":[{"Id":"a","Cache":""}]},"RegistryChanges":{"AddValues":[{"Type":"Binary","BinaryValue":"AAE="}]}}}`, ""},
		{"a misspelt field", system, 17763, `{"Container":{"Mapped":[]}}`, `$.Container.Mapped: Container has no such field`},
		{"a field in other case", system, 17763, `{"container":{}}`, `did you mean Container?`},
		{"a field given twice", system, 17763, `{"Owner":"a","Owner":"b"}`, `$.Owner: given twice`},
		{"a map key given twice", system, 17763, `{"VirtualMachine":{"Devices":{"Scsi":{"0":{},"0":{}}}}}`, `$.VirtualMachine.Devices.Scsi.0: given twice`},
		{"a field newer than the build", system, 17763, `{"Container":{"AdditionalDeviceNamespace":{}}}`, `needs Windows build 20348, this is 17763`},
		{"the same on that build", system, 20348, `{"Container":{"AdditionalDeviceNamespace":{}}}`, ""},
		{"a production-only field on an old build", system, 20348, `{"VirtualMachine":{"ComputeTopology":{"Numa":{}}}}`, `needs Windows build 26100`},
		{"a string for a number", system, 17763, `{"Container":{"Memory":{"SizeInMB":"1"}}}`, `$.Container.Memory.SizeInMB: is "1", want an integer of uint64`},
		{"a number out of range", system, 17763, `{"VirtualMachine":{"Chipset":{"Uefi":{"BootThis":{"DiskNumber":65536}}}}}`, `want an integer of uint16`},
		{"a negative unsigned number", system, 17763, `{"Container":{"Memory":{"SizeInMB":-1}}}`, `want an integer of uint64`},
		{"a negative signed number", system, 17763, `{"Container":{"Processor":{"Maximum":-1}}}`, ""},
		{"a fraction", system, 17763, `{"Container":{"Processor":{"Maximum":1.5}}}`, `want an integer of int64`},
		{"a number for a truth value", system, 17763, `{"ShouldTerminateOnLastHandleClosed":1}`, `want true or false`},
		{"a number for a string", system, 17763, `{"Owner":1}`, `is 1, want a string`},
		{"null", system, 17763, `{"Container":null}`, `$.Container: is null, want an object`},
		{"an object for an array", system, 17763, `{"Container":{"MappedPipes":{}}}`, `is an object, want an array`},
		{"an array for an object", system, 17763, `{"Container":[]}`, `is an array, want an object`},
		{"bad base64", system, 17763, `{"Container":{"RegistryChanges":{"AddValues":[{"BinaryValue":"*"}]}}}`, `AddValues[0].BinaryValue: is "*", want base64`},
		{"an unknown enumeration value", system, 17763, `{"Container":{"RegistryChanges":{"AddValues":[{"Type":"Dword"}]}}}`, `RegistryValueType "Dword" is not one of None, String`},
		{"a document cut off", system, 17763, `{"Container":{`, `$.Container: EOF`},
		{"a document cut off in a list", system, 17763, `{"Container":{"MappedPipes":[{}`, `unexpected EOF|EOF`},
		{"two documents", system, 17763, `{}{}`, `more follows the document`},
		{"nothing", system, 17763, ``, `EOF`},
		{"not JSON", system, 17763, `{"Owner"}`, `$`},

		{"a date", Validate[Properties], 17763, `{"Statistics":{"Timestamp":"2026-01-02T03:04:05.678Z"}}`, ""},
		{"a bad date", Validate[Properties], 17763, `{"Statistics":{"Timestamp":"yesterday"}}`, `want a date and time`},
		{"any JSON", Validate[ServiceProperties], 17763, `{"Properties":[{"x":[1]}]}`, ""},
		{"an enumeration value newer than the build", Validate[PropertyQuery], 17763, `{"PropertyTypes":["ICHeartbeatStatus"]}`, `needs Windows build 19041`},

		{"memory of a container", modify, 17763, `{"ResourcePath":"Container/Memory/SizeInMB","RequestType":"Update","Settings":512}`, ""},
		{"memory as text", modify, 17763, `{"ResourcePath":"Container/Memory/SizeInMB","RequestType":"Update","Settings":"512"}`, `$.Settings: is "512"`},
		{"processors before 20H2", modify, 17763, `{"ResourcePath":"Container/Processor","RequestType":"Update","Settings":{"Count":2}}`, `needs Windows build 19042`},
		{"an unknown path", modify, 17763, `{"ResourcePath":"Container/Disk","RequestType":"Add"}`, `$.ResourcePath: no resource has the path "Container/Disk"`},
		{"a disk", modify, 17763, `{"ResourcePath":"` + PathSCSI("df6d0690-79e5-55b6-a5ec-c1e2f77f580a", 0) + `","RequestType":"Add","Settings":{"Type":"VirtualDisk","Path":"C:\\a"}}`, ""},
		{"a disk's removal", modify, 17763, `{"ResourcePath":"` + PathSCSI("g", 3) + `","RequestType":"Remove"}`, ""},
		{"a disk with an adapter's settings", modify, 17763, `{"ResourcePath":"` + PathSCSI("g", 3) + `","RequestType":"Add","Settings":{"EndpointId":"e"}}`, `$.Settings.EndpointId: Attachment has no such field`},
		{"an adapter", modify, 17763, `{"ResourcePath":"` + PathNetworkAdapter("g") + `","RequestType":"Add","Settings":{"EndpointId":"e"}}`, ""},
		{"a packed image", modify, 18362, `{"ResourcePath":"VirtualMachine/Devices/VirtualPMem/Devices/0/Mappings/2","RequestType":"Add","Settings":{"HostPath":"p"}}`, ""},
		{"a packed image before 18362", modify, 17763, `{"ResourcePath":"VirtualMachine/Devices/VirtualPMem/Devices/0/Mappings/2","RequestType":"Add"}`, `needs Windows build 18362`},
		{"a persistent-memory device", modify, 17763, `{"ResourcePath":"VirtualMachine/Devices/VirtualPMem/Devices/1","RequestType":"Add","Settings":{"HostPath":"p"}}`, ""},
		{"an assigned device", modify, 20348, `{"ResourcePath":"` + PathPCI("g") + `","RequestType":"Add","Settings":{"Functions":[{"VirtualFunction":0}]}}`, ""},
		{"a socket service", modify, 17763, `{"ResourcePath":"` + PathHvSocketService("g") + `","RequestType":"Add","Settings":{"AllowWildcardBinds":true}}`, ""},
		{"a pipe", modify, 17763, `{"ResourcePath":"VirtualMachine/Devices/MappedPipes/\\\\.\\pipe\\a","RequestType":"Add"}`, ""},
		{"a pipe with settings", modify, 17763, `{"ResourcePath":"` + PathPipe("a") + `","RequestType":"Add","Settings":{}}`, `takes no settings`},
		{"a prefix alone", modify, 17763, `{"ResourcePath":"` + PathPipe("") + `","RequestType":"Add"}`, `no resource has the path`},

		{"a credential guard instance", service, 17763, `{"PropertyType":"ContainerCredentialGuard","Settings":{"Operation":"AddInstance","OperationDetails":{"Id":"c","Transport":"LRPC"}}}`, ""},
		{"its removal with too much", service, 17763, `{"PropertyType":"ContainerCredentialGuard","Settings":{"Operation":"RemoveInstance","OperationDetails":{"Id":"c","Transport":"LRPC"}}}`, `$.Settings.OperationDetails.Transport`},
		{"a field beside it", service, 17763, `{"PropertyType":"ContainerCredentialGuard","Settings":{"Op":"AddInstance"}}`, `$.Settings.Op`},
		{"another property", service, 17763, `{"PropertyType":"CpuGroup","Settings":{"x":1}}`, ""},
		{"settings of a wrong type", service, 17763, `{"PropertyType":"ContainerCredentialGuard","Settings":1}`, `$: `},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := c.validate([]byte(c.doc), c.build)
			switch {
			case c.want == "" && err != nil:
				t.Fatal(err)
			case c.want == "":
			case err == nil:
				t.Fatalf("passed, want an error with %q", c.want)
			case !containsAny(err.Error(), c.want):
				t.Errorf("error %q, want %q in it", err, c.want)
			case !errors.As(err, new(*ValidationError)):
				t.Errorf("%T, want a ValidationError", err)
			}
		})
	}
}

func containsAny(s, alternatives string) bool {
	for a := range strings.SplitSeq(alternatives, "|") {
		if strings.Contains(s, a) {
			return true
		}
	}
	return false
}

// A zero that is left out means something else: another disk, another value.
func TestZeroIsWritten(t *testing.T) {
	zero, disk := uint32(0), uint16(0)
	for _, c := range []struct {
		name string
		doc  any
		want string
	}{
		{"registry value 0", RegistryValue{Type: RegistryDWord, DWordValue: &zero}, `{"Type":"DWord","DWordValue":0}`},
		{"boot disk 0", UEFIBootEntry{DiskNumber: &disk}, `{"DiskNumber":0}`},
		{"virtual function 0", VirtualPCIFunction{}, `{"VirtualFunction":0}`},
		{"exit code 0", ProcessStatus{Exited: true}, `{"ProcessId":0,"Exited":true,"ExitCode":0,"LastWaitResult":0}`},
		{"no time", Statistics{}, `{}`},
	} {
		got, err := json.Marshal(c.doc)
		if err != nil || string(got) != c.want {
			t.Errorf("%s: %s, %v; want %s", c.name, got, err, c.want)
		}
	}
}

// The emulator gives Validate whatever a client sends.
func FuzzValidate(f *testing.F) {
	f.Add([]byte(`{"Container":{"Storage":{"Layers":[{"Id":"a"}]},"Memory":{"SizeInMB":1}}}`), uint32(17763))
	f.Add([]byte(`{"ResourcePath":"Container/Memory/SizeInMB","Settings":1}`), uint32(20348))
	f.Fuzz(func(t *testing.T, doc []byte, build uint32) {
		if err := Validate[ComputeSystem](doc, build); err == nil {
			if uerr := json.Unmarshal(doc, new(ComputeSystem)); uerr != nil {
				t.Errorf("passed, but does not decode: %v", uerr)
			}
		}
		_ = Validate[ModificationRequest](doc, build) // must not panic
		_ = Validate[ServiceModification](doc, build)
	})
}
