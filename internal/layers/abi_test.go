package layers

import (
	"testing"
	"unsafe"
)

// What crosses to vmcompute.dll must have the layout of its C types on 64 bits.
func TestLayout(t *testing.T) {
	for _, c := range []struct {
		name      string
		got, want uintptr
	}{
		{"DriverInfo", unsafe.Sizeof(driverInfo{}), 16},
		{"DriverInfo.Flavour", unsafe.Offsetof(driverInfo{}.flavour), 0},
		{"flavour of the filter driver", filterDriver, 1},
		{"DriverInfo.HomeDir", unsafe.Offsetof(driverInfo{}.home), 8},
		{"WC_LAYER_DESCRIPTOR", unsafe.Sizeof(layerDescriptor{}), 32},
		{"WC_LAYER_DESCRIPTOR.LayerId", unsafe.Offsetof(layerDescriptor{}.id), 0},
		{"WC_LAYER_DESCRIPTOR.Flags", unsafe.Offsetof(layerDescriptor{}.flags), 16},
		{"WC_LAYER_DESCRIPTOR.Path", unsafe.Offsetof(layerDescriptor{}.path), 24},
	} {
		if c.got != c.want {
			t.Errorf("%s is %d, the system has %d", c.name, c.got, c.want)
		}
	}
}
