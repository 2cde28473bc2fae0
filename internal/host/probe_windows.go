package host

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/registry"
)

const (
	currentVersionKey = `SOFTWARE\Microsoft\Windows NT\CurrentVersion`
	productOptionsKey = `SYSTEM\CurrentControlSet\Control\ProductOptions`
	servicesKey       = `SYSTEM\CurrentControlSet\Services\`
)

// Probe reads the facts of this machine. It fails only if the build cannot be
// read; any other fact that cannot be read is unknown.
func Probe() (Facts, error) {
	f := Facts{Source: "probe"}
	k, err := registry.OpenKey(registry.LOCAL_MACHINE, currentVersionKey, registry.QUERY_VALUE|registry.WOW64_64KEY)
	if err != nil {
		return Facts{}, fmt.Errorf(`open HKLM\%s: %w`, currentVersionKey, err)
	}
	defer k.Close()
	build, _, err := k.GetStringValue("CurrentBuildNumber")
	if err != nil {
		return Facts{}, fmt.Errorf(`read HKLM\%s\CurrentBuildNumber: %w`, currentVersionKey, err)
	}
	if f.Version, err = ParseVersion(build); err != nil {
		return Facts{}, fmt.Errorf(`read HKLM\%s\CurrentBuildNumber: %w`, currentVersionKey, err)
	}
	if ubr, _, err := k.GetIntegerValue("UBR"); err == nil {
		f.Version.Revision = uint32(ubr)
	}
	f.Product, _, _ = k.GetStringValue("ProductName") // absent: unknown
	f.Edition = probeEdition(k)
	f.CPUs = windows.GetActiveProcessorCount(windows.ALL_PROCESSOR_GROUPS)
	f.MemoryMB = probeMemoryMB()
	f.Hypervisor, f.HypervisorSource = probeHypervisor()
	return f, nil
}

// probeEdition asks ProductOptions first: it is what the kernel uses and has
// three values, WinNT (a client), ServerNT and LanmanNT (a domain controller).
// https://learn.microsoft.com/windows/win32/api/winnt/ns-winnt-osversioninfoexw (wProductType)
func probeEdition(currentVersion registry.Key) Edition {
	if k, err := registry.OpenKey(registry.LOCAL_MACHINE, productOptionsKey, registry.QUERY_VALUE); err == nil {
		defer k.Close()
		switch t, _, _ := k.GetStringValue("ProductType"); t {
		case "WinNT":
			return Client
		case "ServerNT", "LanmanNT":
			return Server
		}
	}
	switch t, _, _ := currentVersion.GetStringValue("InstallationType"); t {
	case "Client":
		return Client
	case "Server", "Server Core", "Nano Server":
		return Server
	}
	return EditionUnknown
}

// memoryStatus is MEMORYSTATUSEX.
// https://learn.microsoft.com/windows/win32/api/sysinfoapi/ns-sysinfoapi-memorystatusex
type memoryStatus struct {
	length    uint32
	load      uint32
	totalPhys uint64
	_         [6]uint64
}

func probeMemoryMB() uint64 {
	proc := windows.NewLazySystemDLL("kernel32.dll").NewProc("GlobalMemoryStatusEx")
	m := memoryStatus{length: uint32(unsafe.Sizeof(memoryStatus{}))}
	if ok, _, _ := proc.Call(uintptr(unsafe.Pointer(&m))); ok == 0 {
		return 0
	}
	return m.totalPhys >> 20
}

// probeHypervisor reads which services are installed, the cheapest evidence
// there is: the Hyper-V role brings vmms, every Windows that can host a
// hypervisor has HvHost. The role may be there with the hypervisor off in
// firmware or not exposed to a nested machine: then HCS says so at create.
func probeHypervisor() (Presence, string) {
	const vmms, hvHost = servicesKey + "vmms", servicesKey + "HvHost"
	if serviceEnabled(vmms) {
		return Yes, `the Hyper-V role is installed (HKLM\` + vmms + ")"
	}
	if !serviceEnabled(hvHost) {
		return No, `neither HKLM\` + vmms + ` nor HKLM\` + hvHost + " is an enabled service"
	}
	return Unknown, `no Hyper-V role (HKLM\` + vmms + "), but the hypervisor's host service is installed"
}

// serviceEnabled reports whether a service is installed and not disabled.
func serviceEnabled(key string) bool {
	const disabled = 4 // SERVICE_DISABLED
	k, err := registry.OpenKey(registry.LOCAL_MACHINE, key, registry.QUERY_VALUE)
	if err != nil {
		return false
	}
	defer k.Close()
	start, _, err := k.GetIntegerValue("Start")
	return err != nil || start != disabled
}
