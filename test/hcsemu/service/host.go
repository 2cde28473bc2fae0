package service

import (
	"context"
	"encoding/binary"

	"github.com/isolrun/isol/test/hcsemu"
	"github.com/isolrun/isol/test/hcsemu/wire"
)

// hostHandlers are the functions of the host itself that src/host.c replaces.
// Each has its texts and then a number.
func hostHandlers() map[string]handler {
	return map[string]handler{
		"SetVolumeMountPointW":    numbered(onPair((*client).SetVolumeMountPoint)),
		"DeleteVolumeMountPointW": numbered(onText((*client).DeleteVolumeMountPoint)),
		"CreateSymbolicLinkW":     numbered(onPair((*client).CreateSymbolicLink)),
		"NetLocalGroupGetInfo":    numbered(onText((*client).NetLocalGroupGetInfo)),
		"NetUserAdd":              numbered(onPair((*client).NetUserAdd)),
		"NetUserDel":              numbered(onText((*client).NetUserDel)),
		"NetLocalGroupAddMembers": numbered(onPair((*client).NetLocalGroupAddMembers)),
		"LogonUserW":              logonUser,
		"SetInformationJobObject": setJob,
	}
}

// numbered reads the number that ends such a call and means nothing for most.
func numbered(h handler) handler {
	return func(c *call, a *wire.Args) work {
		w := h(c, a)
		a.Number()
		return w
	}
}

func logonUser(c *call, a *wire.Args) work {
	domain, name, password, kind := a.Text(), a.Text(), a.Text(), a.Uint32()
	return func(ctx context.Context) ([]wire.Value, error) {
		return nil, c.client.LogonUser(ctx, domain, name, password, kind)
	}
}

// setJob names what a class sets, as far as tests look at it. The structures are
// those of 64-bit Windows.
// https://learn.microsoft.com/windows/win32/api/winnt/ns-winnt-jobobject_extended_limit_information
func setJob(c *call, a *wire.Args) work {
	name, class, b := a.Text(), a.Uint32(), a.Blob()
	le := binary.LittleEndian
	settings := hcsemu.Args{}
	switch {
	case class == 9 && len(b) == 144:
		settings["flags"], settings["memory"] = le.Uint32(b[16:]), le.Uint64(b[120:])
	case class == 14 && len(b) >= 16:
		settings["mask"], settings["group"] = le.Uint64(b), le.Uint16(b[8:])
	case class == 15 && len(b) == 8:
		settings["flags"], settings["value"] = le.Uint32(b), le.Uint32(b[4:])
	}
	return func(ctx context.Context) ([]wire.Value, error) {
		return nil, c.client.SetJobInformation(ctx, name, class, settings)
	}
}
