package lab

import (
	"strings"
	"testing"
)

func TestPreset(t *testing.T) {
	for _, w := range Presets() {
		got, err := Preset(w.Name)
		if err != nil || got != w {
			t.Errorf("Preset(%q) = %v, %v", w.Name, got, err)
		}
	}
	_, err := Preset("server2003")
	if err == nil || !strings.Contains(err.Error(), "server2019, server2022, server2025, win10, win11") {
		t.Errorf("Preset of an unknown name: %v; the error must name the known ones", err)
	}
}

// containerd matches images by these: a wrong one makes `ctr run` say that the
// image is not for this platform.
func TestWindowsNames(t *testing.T) {
	for _, test := range []struct {
		windows          Windows
		osVersion, image string
	}{
		{Server2022, "10.0.20348.2966", "lab.test/nano:ltsc2022"},
		{Windows11, "10.0.22631.4751", "lab.test/nano:win11"},
	} {
		if got := test.windows.OSVersion(); got != test.osVersion {
			t.Errorf("%s: OSVersion %q, want %q", test.windows.Name, got, test.osVersion)
		}
		if got := test.windows.Image(); got != test.image {
			t.Errorf("%s: Image %q, want %q", test.windows.Name, got, test.image)
		}
	}
}

// The edition decides the default isolation; it is read from both values.
func TestRegistryFile(t *testing.T) {
	for _, test := range []struct {
		windows Windows
		want    []string
	}{
		{Server2025, []string{`"CurrentBuild"="26100"`, `"CurrentBuildNumber"="26100"`, `"ProductType"="ServerNT"`, `"InstallationType"="Server"`}},
		{Windows10, []string{`"CurrentBuild"="19045"`, `"ProductType"="WinNT"`, `"InstallationType"="Client"`, `"UBR"=dword:000014fb`}},
	} {
		file := test.windows.RegistryFile()
		for _, want := range test.want {
			if !strings.Contains(file, want+"\r\n") {
				t.Errorf("%s: no line %s in\n%s", test.windows.Name, want, file)
			}
		}
	}
}
