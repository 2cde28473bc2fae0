package host

import (
	"bytes"
	"fmt"
	"os"
	"sort"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// PresetNames returns the names that Preset knows, sorted.
func PresetNames() []string {
	names := make([]string, 0, 6)
	for _, p := range presets() {
		names = append(names, p.name)
	}
	sort.Strings(names)
	return names
}

type preset struct {
	name    string
	build   uint32
	edition Edition
	product string
}

func presets() []preset {
	return []preset{
		{"server2016", BuildServer2016, Server, "Windows Server 2016"},
		{"server2019", BuildServer2019, Server, "Windows Server 2019"},
		{"server2022", BuildServer2022, Server, "Windows Server 2022"},
		{"server2025", BuildServer2025, Server, "Windows Server 2025"},
		{"win10", 19045, Client, "Windows 10 22H2"},
		{"win11", 26200, Client, "Windows 11 25H2"},
	}
}

// Preset returns the facts of a typical machine: 8 processors, 32 GB, a
// hypervisor. It reports false for a name it does not know.
func Preset(name string) (Facts, bool) {
	for _, p := range presets() {
		if strings.EqualFold(p.name, name) {
			return Facts{
				Version: Build(p.build), Edition: p.edition, Product: p.product,
				CPUs: 8, MemoryMB: 32 << 10,
				Hypervisor: Yes, HypervisorSource: "preset", Source: "preset " + p.name,
			}, true
		}
	}
	return Facts{}, false
}

// Load returns the facts of a preset or of a TOML file (JSON's field names):
// version = "10.0.20348.2700", edition = "server", cpus, memoryMB, hypervisor.
// Unknown keys are errors, so that a misspelt fact is not taken for unknown.
func Load(nameOrPath string) (Facts, error) {
	if f, ok := Preset(nameOrPath); ok {
		return f, nil
	}
	text, err := os.ReadFile(nameOrPath)
	if err != nil {
		return Facts{}, fmt.Errorf("host facts %q: no file of that name and not one of the presets %s: %w",
			nameOrPath, strings.Join(PresetNames(), ", "), err)
	}
	var f Facts
	d := toml.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return Facts{}, fmt.Errorf("host facts %s: %w", nameOrPath, err)
	}
	if err := f.check(); err != nil {
		return Facts{}, fmt.Errorf("host facts %s: %w", nameOrPath, err)
	}
	f.Source = nameOrPath
	return f, nil
}
