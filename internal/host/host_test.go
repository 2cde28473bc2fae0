package host

import (
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/isolrun/isol/internal/fault"
)

func TestParseVersion(t *testing.T) {
	for in, want := range map[string]Version{
		"20348": {10, 0, 20348, 0}, "20348.2700": {10, 0, 20348, 2700},
		"10.0.26100": {10, 0, 26100, 0}, "10.0.14393.6800": {10, 0, 14393, 6800}, "6.3.9600": {6, 3, 9600, 0},
	} {
		if got, err := ParseVersion(in); err != nil || got != want {
			t.Errorf("%q: %v, %v; want %v", in, got, err, want)
		}
	}
	for _, in := range []string{"", "0", "10.0.0", "x", "10.0.20348.1.2", "-1", "20348.", "4294967296"} {
		if got, err := ParseVersion(in); err == nil || got.Known() {
			t.Errorf("%q: %v, want an error: a build that is not one must not be compared", in, got)
		}
	}
}

func TestVersionText(t *testing.T) {
	for v, want := range map[Version]string{
		{}: "unknown", Build(0): "unknown", Build(20348): "10.0.20348", {10, 0, 20348, 7}: "10.0.20348.7",
	} {
		text, err := json.Marshal(v)
		if err != nil || string(text) != `"`+want+`"` {
			t.Errorf("%#v: %s, %v", v, text, err)
		}
		var back Version
		if err := json.Unmarshal(text, &back); err != nil || back != v {
			t.Errorf("%s read back: %v, %v", text, back, err)
		}
	}
	if err := new(Version).UnmarshalText([]byte("eleven")); err == nil {
		t.Error("eleven is no version")
	}
}

func TestPresets(t *testing.T) {
	for name, want := range map[string]struct {
		build   uint32
		edition Edition
	}{
		"server2016": {14393, Server}, "server2019": {17763, Server}, "server2022": {20348, Server},
		"server2025": {26100, Server}, "win10": {19045, Client}, "win11": {26200, Client},
	} {
		f, err := Load(strings.ToUpper(name))
		if err != nil || f.Version != Build(want.build) || f.Edition != want.edition || f.Hypervisor != Yes || f.CPUs == 0 || f.MemoryMB == 0 {
			t.Errorf("%s: %+v, %v", name, f, err)
		}
	}
	if n := len(PresetNames()); n != 6 {
		t.Errorf("%d presets, and 6 are tested here", n)
	}
}

func TestLoadFile(t *testing.T) {
	write := func(text string) string {
		t.Helper()
		path := filepath.Join(t.TempDir(), "host.toml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	path := write("version = \"10.0.26100.1742\"\nedition = \"client\"\nproduct = \"P\"\ncpus = 3\nmemoryMB = 7\nhypervisor = \"no\"\nhypervisorSource = \"S\"\nschemas = [\"2.1\"]\n")
	got, err := Load(path)
	want := Facts{Version: Version{10, 0, 26100, 1742}, Edition: Client, Product: "P", CPUs: 3, MemoryMB: 7, Hypervisor: No, HypervisorSource: "S", Schemas: []string{"2.1"}, Source: path}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	if s := got.String(); s != "10.0.26100.1742, P (client)" {
		t.Error(s)
	}
	for name, tc := range map[string]struct{ text, want string }{
		"unknown fact": {"version = \"20348\"\nhypervizor = \"no\"\n", "strict mode"},
		"no version":   {"edition = \"server\"\n", "no version"},
		"edition":      {"version = \"20348\"\nedition = \"home\"\n", "client or server"},
		"hypervisor":   {"version = \"20348\"\nhypervisor = \"maybe\"\n", "yes or no"},
	} {
		if _, err := Load(write(tc.text)); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want an error with %q", name, err, tc.want)
		}
	}
	if _, err := Load("server2030"); err == nil || !strings.Contains(err.Error(), "server2025") {
		t.Errorf("%v: want an error that lists the presets", err)
	}
}

func TestPresenceWords(t *testing.T) {
	for p, want := range map[Presence]string{Unknown: "unknown", Yes: "yes", No: "no"} {
		if p.String() != want {
			t.Errorf("%q", p.String())
		}
	}
}

// Off Windows the probe must say so instead of inventing facts.
func TestProbeElsewhere(t *testing.T) {
	f, err := Probe()
	if runtime.GOOS == "windows" {
		if err != nil || !f.Version.Known() || f.CPUs == 0 || f.MemoryMB == 0 {
			t.Errorf("%+v, %v", f, err)
		}
		return
	}
	if !fault.Is(err, fault.Unimplemented) {
		t.Error(err)
	}
}
