package lab

import (
	"fmt"
	"slices"
	"strings"
)

// Windows is the version and edition of Windows that a lab shows to the
// programs in it.
type Windows struct {
	Name        string // the preset's name: "server2022"
	ProductName string // what the registry calls it: "Windows Server 2022 Datacenter"
	Build       int    // 20348
	Revision    int    // the update build revision, the last part of os.version
	Server      bool   // Server or client edition: decides the default isolation
	Unsaid      bool   // of an image: its manifest does not say its version, so containerd takes it on every host
}

// The versions of Windows that isol supports.
// Builds are those of https://learn.microsoft.com/windows/release-health/release-information,
// https://learn.microsoft.com/windows/release-health/windows11-release-information and
// https://learn.microsoft.com/windows/release-health/windows-server-release-info.
var (
	Server2019 = Windows{Name: "server2019", ProductName: "Windows Server 2019 Datacenter", Build: 17763, Revision: 6659, Server: true}
	Server2022 = Windows{Name: "server2022", ProductName: "Windows Server 2022 Datacenter", Build: 20348, Revision: 2966, Server: true}
	Server2025 = Windows{Name: "server2025", ProductName: "Windows Server 2025 Datacenter", Build: 26100, Revision: 2894, Server: true}
	// The registry of Windows 11 still says Windows 10.
	Windows10 = Windows{Name: "win10", ProductName: "Windows 10 Pro", Build: 19045, Revision: 5371}
	Windows11 = Windows{Name: "win11", ProductName: "Windows 10 Pro", Build: 22631, Revision: 4751}
)

// Presets returns the known versions, servers first, oldest first.
func Presets() []Windows {
	return []Windows{Server2019, Server2022, Server2025, Windows10, Windows11}
}

// Preset returns the version of that name.
func Preset(name string) (Windows, error) {
	all := Presets()
	if i := slices.IndexFunc(all, func(w Windows) bool { return w.Name == name }); i >= 0 {
		return all[i], nil
	}
	names := make([]string, 0, len(all))
	for _, w := range all {
		names = append(names, w.Name)
	}
	return Windows{}, fmt.Errorf("lab: no Windows version %q: known are %s", name, strings.Join(names, ", "))
}

// OSVersion is the version as image manifests spell it: "10.0.20348.2966".
func (w Windows) OSVersion() string {
	return fmt.Sprintf("10.0.%d.%d", w.Build, w.Revision)
}

// imageVersion is the version that an image's manifest says.
func (w Windows) imageVersion() string {
	if w.Unsaid {
		return ""
	}
	return w.OSVersion()
}

// Image is the name of the lab's image for this version:
// "lab.test/nano:ltsc2022". Its host does not exist: nothing is ever pulled.
func (w Windows) Image() string {
	return "lab.test/nano:" + strings.Replace(w.Name, "server", "ltsc", 1)
}

// RegistryFile is the part of a .reg file, without its first line, that makes a Wine prefix show this
// version. RtlGetVersion follows from the next process on.
func (w Windows) RegistryFile() string {
	product, installation := "WinNT", "Client"
	if w.Server {
		product, installation = "ServerNT", "Server"
	}
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\r\n", args...) }
	line(`[HKEY_LOCAL_MACHINE\Software\Microsoft\Windows NT\CurrentVersion]`)
	line(`"CurrentVersion"="6.3"`)
	line(`"CurrentBuild"="%d"`, w.Build)
	line(`"CurrentBuildNumber"="%d"`, w.Build)
	line(`"CurrentMajorVersionNumber"=dword:0000000a`)
	line(`"CurrentMinorVersionNumber"=dword:00000000`)
	line(`"UBR"=dword:%08x`, w.Revision)
	line(`"ProductName"="%s"`, w.ProductName)
	line(`"InstallationType"="%s"`, installation)
	line("")
	line(`[HKEY_LOCAL_MACHINE\System\CurrentControlSet\Control\ProductOptions]`)
	line(`"ProductType"="%s"`, product)
	return b.String()
}
