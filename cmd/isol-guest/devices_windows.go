package main

import (
	"fmt"
	"io"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
)

// arrival is how long a device may take to appear after the host has plugged
// it in: the bus driver enumerates it and starts it first.
const arrival = 20 * time.Second

// printDevices prints the location paths of the children of a device.
func printDevices(parent string, out io.Writer) error {
	deadline := time.Now().Add(arrival)
	for {
		paths, err := childPaths(parent)
		if err == nil && len(paths) > 0 {
			for _, p := range paths {
				if _, err := fmt.Fprintln(out, p); err != nil {
					return err
				}
			}
			return nil
		}
		if time.Now().After(deadline) {
			if err == nil {
				err = fmt.Errorf("%s has no device below it", parent)
			}
			return err
		}
		time.Sleep(200 * time.Millisecond)
	}
}

// childPaths returns the location paths of each child.
// https://learn.microsoft.com/windows/win32/api/cfgmgr32/nf-cfgmgr32-cm_get_child
func childPaths(parent string) ([]string, error) {
	id, err := windows.UTF16PtrFromString(parent)
	if err != nil {
		return nil, err
	}
	var node, child uint32
	if err := configured(cmLocateDevNode(&node, id, 0)); err != nil {
		return nil, fmt.Errorf("find %s: %w", parent, err)
	}
	var paths []string
	for err = configured(cmGetChild(&child, node, 0)); err == nil; err = configured(cmGetSibling(&child, child, 0)) {
		found, err := locations(child)
		if err != nil {
			return nil, fmt.Errorf("location of a device below %s: %w", parent, err)
		}
		paths = append(paths, found)
	}
	if err != errNoSuchDevNode {
		return nil, fmt.Errorf("children of %s: %w", parent, err)
	}
	return paths, nil
}

// devicePropertyKey is a DEVPROPKEY.
type devicePropertyKey struct {
	format windows.GUID
	id     uint32
}

// locationPaths is DEVPKEY_Device_LocationPaths of devpkey.h.
var locationPaths = devicePropertyKey{
	format: windows.GUID{Data1: 0xa45c254e, Data2: 0xdf1c, Data3: 0x4efd, Data4: [8]byte{0x80, 0x20, 0x67, 0xd1, 0x46, 0xa8, 0x50, 0xe0}},
	id:     37,
}

// locations returns the first of a device's location paths, which is by PCI.
func locations(node uint32) (string, error) {
	var kind uint32
	var buffer [2048]uint16
	size := uint32(unsafe.Sizeof(buffer))
	err := configured(cmGetDevNodeProperty(node, &locationPaths, &kind, &buffer[0], &size, 0))
	return windows.UTF16ToString(buffer[:]), err
}

// configReturn is a CONFIGRET.
type configReturn uint32

// errNoSuchDevNode is CR_NO_SUCH_DEVNODE of cfgmgr32.h.
const errNoSuchDevNode configReturn = 0x0D

// Error implements error.
func (c configReturn) Error() string { return fmt.Sprintf("CONFIGRET 0x%x", uint32(c)) }

func configured(code uint32) error {
	if code == 0 {
		return nil
	}
	return configReturn(code)
}
