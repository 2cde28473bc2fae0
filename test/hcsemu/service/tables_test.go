package service

import (
	"encoding/binary"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/Microsoft/go-winio/pkg/guid"
	"github.com/google/go-cmp/cmp"
	"github.com/isolrun/isol/test/hcsemu"
	"github.com/isolrun/isol/test/hcsemu/wire"
)

func text(s string) wire.Value { return wire.String(s) }

// A scratch's life through vmcompute.dll, with paths in a home folder as
// containerd passes them.
func TestLayers(t *testing.T) {
	b := newBench(t)
	f := b.front(7, "vmcompute.dll")
	home, scratch := text(`C:\layers\`), text("9")
	id := f.call(hcsemu.OK, "NameToGuid", text("1"))[1]
	if len(id.Blob) != 16 {
		t.Fatalf("NameToGuid: %+v", id)
	}
	parents := []wire.Value{wire.Number(1), id, wire.Number(0), text(`C:\layers\1`)}
	with := func(args ...wire.Value) []wire.Value {
		return append(append([]wire.Value{home, scratch}, args...), parents...)
	}
	f.call(hcsemu.OK, "CreateSandboxLayer", with()...)
	f.call(hcsemu.OK, "ExpandSandboxSize", home, scratch, wire.Number(40<<30))
	f.call(hcsemu.ENotReady, "PrepareLayer", with()...)
	f.call(hcsemu.OK, "ActivateLayer", home, scratch)
	f.call(hcsemu.EInvalidArg, "PrepareLayer", home, scratch, wire.Number(1), wire.Blob([]byte{1}), wire.Number(0), text("x"))
	f.call(hcsemu.EInvalidArg, "PrepareLayer", home, scratch, wire.Number(1<<31))
	f.call(hcsemu.OK, "PrepareLayer", with()...)
	volume := f.call(hcsemu.OK, "GetLayerMountPath", home, scratch)[0].Text
	if !strings.HasPrefix(volume, `\\?\Volume{`) || !strings.HasSuffix(volume, `}\`) {
		t.Errorf("mount path %q is no volume", volume)
	}
	if same := f.call(hcsemu.OK, "GetLayerMountPath", wire.Value{}, text(`C:\layers\9`))[0].Text; same != volume {
		t.Errorf("the same layer without home folder is at %q", same)
	}
	f.call(hcsemu.OK, "UnprepareLayer", home, scratch)
	f.call(hcsemu.OK, "DeactivateLayer", home, scratch)
	f.call(hcsemu.OK, "DestroyLayer", home, scratch)
	b.nothingLeft()
}

// The rest of the layer functions reach the function of the core that they name.
func TestLayerFunctionsAreWired(t *testing.T) {
	b := newBench(t)
	id := wire.Blob(make([]byte, 16))
	parent := []wire.Value{wire.Number(1), id, wire.Number(0), text(`C:\p`)}
	calls := map[string][]wire.Value{
		"CreateLayer":                 {wire.Value{}, text(`C:\a`), text("")},
		"CopyLayer":                   append([]wire.Value{text(`C:\h`), text("a"), text("b")}, parent...),
		"ImportLayer":                 append([]wire.Value{text(`C:\h`), text("a"), text(`C:\from`)}, parent...),
		"ExportLayer":                 append([]wire.Value{text(`C:\h`), text("a"), text(`C:\to`)}, parent...),
		"LayerExists":                 {wire.Value{}, text(`C:\a`)},
		"ProcessBaseImage":            {text(`C:\a`)},
		"ProcessUtilityImage":         {text(`C:\a`)},
		"GetBaseImages":               {},
		"HcsImportLayer":              {text(`C:\a`), text(`C:\b`), text("{}")},
		"HcsExportLayer":              {text(`C:\a`), text(`C:\b`), text("{}"), text("")},
		"HcsDestroyLayer":             {text(`C:\a`)},
		"HcsSetupBaseOSLayer":         {text(`C:\a`), text(`C:\v.vhdx`), text("")},
		"HcsSetupBaseOSVolume":        {text(`C:\a`), text(`C:\v`), text("")},
		"HcsInitializeWritableLayer":  {text(`C:\a`), text("{}"), text("")},
		"HcsAttachLayerStorageFilter": {text(`C:\a`), text("{}")},
		"HcsDetachLayerStorageFilter": {text(`C:\a`)},
		"HcsAttachOverlayFilter":      {text(`C:\a`), text("{}")},
		"HcsDetachOverlayFilter":      {text(`C:\a`), text("{}")},
		"HcsFormatWritableLayerVhd":   {text(`C:\v.vhdx`)},
		"HcsGetLayerVhdMountPath":     {text(`C:\v.vhdx`)},
		"GrantVmAccess":               {text("vm"), text(`C:\v.vhdx`)},
	}
	f := b.front(7, "vmcompute.dll")
	for name, args := range calls {
		reply, err := f.client.Call(t.Context(), name, args...)
		b.ok(err)
		recorded := b.emulator.Calls(hcsemu.CallFilter{Function: name})
		if len(recorded) != 1 || uint32(recorded[0].Code) != reply.Result {
			t.Errorf("%s: reply 0x%08x, record %+v", name, reply.Result, recorded)
		}
	}
}

// A namespace with an endpoint, and every kind's functions.
func TestNetworks(t *testing.T) {
	b := newBench(t)
	f := b.front(7, "computenetwork.dll")
	zero := wire.Number(0)
	id := func(s string) wire.Value {
		g, err := guid.FromString(s)
		b.ok(err)
		raw := g.ToWindowsArray()
		return wire.Blob(raw[:])
	}
	networkID := id("11111111-2222-3333-4444-555555555555")
	network := f.handle()
	f.call(hcsemu.OK, "HcnCreateNetwork", zero, network, networkID, text(`{"Name":"n","Type":"NAT","SchemaVersion":{"Major":2,"Minor":0}}`))
	endpointID := id("22222222-2222-3333-4444-555555555555")
	endpoint := f.handle()
	f.call(hcsemu.OK, "HcnCreateEndpoint", network, endpoint, endpointID, text(`{"Name":"e","SchemaVersion":{"Major":2,"Minor":0}}`))
	got := f.call(hcsemu.OK, "HcnQueryEndpointProperties", endpoint, wire.Value{})
	if !strings.Contains(got[0].Text, "22222222-2222-3333-4444-555555555555") {
		t.Errorf("endpoint %s: the id's bytes are in another order", got[0].Text)
	}
	again := f.handle()
	f.call(hcsemu.OK, "HcnOpenEndpoint", zero, again, endpointID, wire.Value{})
	list := f.call(hcsemu.OK, "HcnEnumerateEndpoints", text(""))
	if !strings.Contains(list[0].Text, "22222222") {
		t.Errorf("endpoints %s", list[0].Text)
	}
	f.call(hcsemu.OK, "HcnCloseEndpoint", again, wire.Value{})
	f.call(hcsemu.OK, "HcnCloseEndpoint", endpoint, wire.Value{})
	f.call(hcsemu.OK, "HcnDeleteEndpoint", endpointID)
	f.call(hcsemu.OK, "HcnCloseNetwork", network, wire.Value{})
	f.call(hcsemu.OK, "HcnDeleteNetwork", networkID)
	for _, name := range []string{"HcnEnumerateNetworks", "HcnEnumerateNamespaces", "HcnEnumerateLoadBalancers", "HcnEnumerateSdnRoutes"} {
		f.call(hcsemu.OK, name, text(""))
	}
	b.nothingLeft()
}

// containerd's mounts go through the bind filter.
func TestBindFilter(t *testing.T) {
	b := newBench(t)
	f := b.front(7, "bindfltapi.dll")
	f.call(hcsemu.OK, "BfSetupFilter", wire.Value{}, wire.Number(0x41), text(`C:\mnt`), text(`C:\src`), text(`C:\not`))
	blob := f.call(hcsemu.OK, "BfGetMappings", wire.Value{}, wire.Number(1), text(`C:\`))[1].Blob
	want := []hcsemu.Binding{{Root: `C:\mnt`, Flags: 0x41, Targets: []string{`C:\src`}}}
	if d := cmp.Diff(want, unpackMappings(blob)); d != "" {
		t.Errorf("mappings (-want +got):\n%s", d)
	}
	f.call(hcsemu.OK, "BfRemoveMapping", wire.Value{}, text(`C:\mnt`))
	f.call(hcsemu.EInvalidArg, "BfRemoveMapping", wire.Value{}, text(`C:\mnt`))
}

// unpackMappings reads what packMappings writes as go-winio does, by offsets.
func unpackMappings(b []byte) []hcsemu.Binding {
	le := binary.LittleEndian
	name := func(length, offset uint32) string {
		units := make([]uint16, length/2)
		for i := range units {
			units[i] = le.Uint16(b[int(offset)+2*i:])
		}
		return string(utf16.Decode(units))
	}
	var list []hcsemu.Binding
	for i := range int(le.Uint32(b[8:])) {
		entry := b[12+20*i:]
		m := hcsemu.Binding{Root: name(le.Uint32(entry), le.Uint32(entry[4:])), Flags: le.Uint32(entry[8:])}
		for j := range int(le.Uint32(entry[12:])) {
			target := b[int(le.Uint32(entry[16:]))+8*j:]
			m.Targets = append(m.Targets, name(le.Uint32(target), le.Uint32(target[4:])))
		}
		list = append(list, m)
	}
	return list
}

// Several roots, several targets, names outside of ASCII, none.
func TestPackMappings(t *testing.T) {
	for name, list := range map[string][]hcsemu.Binding{
		"none": nil,
		"many": {
			{Root: `C:\größe`, Flags: 1, Targets: []string{`C:\a`, `C:\🐳`}},
			{Root: `C:\b`, Targets: []string{`\\?\Volume{1}\`}},
		},
	} {
		b := packMappings(list)
		if d := cmp.Diff(list, unpackMappings(b)); d != "" {
			t.Errorf("%s (-packed +read):\n%s", name, d)
		}
		if got := binary.LittleEndian.Uint32(b); int(got) != len(b) {
			t.Errorf("%s: size %d in the header, %d bytes", name, got, len(b))
		}
	}
}
