package service

import (
	"context"
	"encoding/binary"
	"unicode/utf16"

	"github.com/isolrun/isol/test/hcsemu"
	"github.com/isolrun/isol/test/hcsemu/wire"
)

// networkHandlers is the product of computenetwork.dll's five kinds and seven functions.
func networkHandlers() map[string]handler {
	table := map[string]handler{}
	for _, kind := range []hcsemu.NetworkKind{
		hcsemu.Network, hcsemu.Endpoint, hcsemu.Namespace, hcsemu.LoadBalancer, hcsemu.Route,
	} {
		name := string(kind)
		table["HcnEnumerate"+name+"s"] = enumerateObjects(kind)
		table["HcnCreate"+name] = makeObject(kind, true)
		table["HcnOpen"+name] = makeObject(kind, false)
		table["HcnModify"+name] = onHandle((*client).ModifyNetworkObject)
		table["HcnQuery"+name+"Properties"] = asksHandle((*client).QueryNetworkObject)
		table["HcnDelete"+name] = deleteObject(kind)
		table["HcnClose"+name] = drops((*client).CloseNetworkObject)
	}
	return table
}

func enumerateObjects(kind hcsemu.NetworkKind) handler {
	return func(c *call, a *wire.Args) work {
		query := a.Text()
		return func(ctx context.Context) ([]wire.Value, error) {
			list, err := c.client.EnumerateNetworkObjects(ctx, kind, query)
			return []wire.Value{optional(list)}, err
		}
	}
}

// makeObject is create and open; both send the same arguments.
func makeObject(kind hcsemu.NetworkKind, create bool) handler {
	return func(c *call, a *wire.Args) work {
		parent, number, id, settings := c.link.handle(a.Number()), a.Number(), textOfGUID(a.Blob()), a.Text()
		return func(ctx context.Context) ([]wire.Value, error) {
			var h hcsemu.Handle
			var err error
			if create {
				h, err = c.client.CreateNetworkObject(ctx, kind, parent, id, settings)
			} else {
				h, err = c.client.OpenNetworkObject(ctx, kind, id)
			}
			if err == nil {
				c.link.put(number, h)
			}
			return nil, err
		}
	}
}

func deleteObject(kind hcsemu.NetworkKind) handler {
	return func(c *call, a *wire.Args) work {
		id := textOfGUID(a.Blob())
		return func(ctx context.Context) ([]wire.Value, error) {
			return nil, c.client.DeleteNetworkObject(ctx, kind, id)
		}
	}
}

func filterHandlers() map[string]handler {
	return map[string]handler{
		"BfSetupFilter":   setupFilter,
		"BfRemoveMapping": onPair((*client).RemoveMapping),
		"BfGetMappings":   mappings,
	}
}

func setupFilter(c *call, a *wire.Args) work {
	job, flags, root, target := a.Text(), a.Uint32(), a.Text(), a.Text()
	var exceptions []string
	for _, v := range a.Rest() {
		exceptions = append(exceptions, v.Text)
	}
	return func(ctx context.Context) ([]wire.Value, error) {
		return nil, c.client.SetupFilter(ctx, job, flags, root, target, exceptions)
	}
}

// mappings answers with the buffer that BfGetMappings fills. The flags and the
// root choose a volume, and the lab's prefix has one.
func mappings(c *call, a *wire.Args) work {
	job := a.Text()
	a.Rest()
	return func(ctx context.Context) ([]wire.Value, error) {
		list, err := c.client.Mappings(ctx, job)
		return []wire.Value{{}, wire.Blob(packMappings(list))}, err
	}
}

// packMappings lays mappings out as the bind filter does. Source: go-winio,
// pkg/bindfilter/bind_filter.go, which reads it: a header of size, status and
// count; entries of root length, root offset, flags, count and offset of
// targets; targets of length and offset. Lengths are bytes of UTF-16, offsets
// count from the start.
func packMappings(list []hcsemu.Binding) []byte {
	const headerSize, entrySize, targetSize = 12, 20, 8
	le := binary.LittleEndian
	targets := 0
	for _, m := range list {
		targets += len(m.Targets)
	}
	fixed := headerSize + entrySize*len(list) + targetSize*targets
	entries, places := make([]byte, 0, fixed), make([]byte, 0, targetSize*targets)
	var names []byte
	place := func(dst []byte, name string) []byte {
		at := fixed + len(names)
		for _, u := range utf16.Encode([]rune(name)) {
			names = le.AppendUint16(names, u)
		}
		return le.AppendUint32(le.AppendUint32(dst, uint32(fixed+len(names)-at)), uint32(at))
	}
	for _, m := range list {
		entries = place(entries, m.Root)
		entries = le.AppendUint32(entries, m.Flags)
		entries = le.AppendUint32(entries, uint32(len(m.Targets)))
		entries = le.AppendUint32(entries, uint32(headerSize+entrySize*len(list)+len(places)))
		for _, target := range m.Targets {
			places = place(places, target)
		}
	}
	out := le.AppendUint32(nil, uint32(fixed+len(names)))
	out = le.AppendUint32(out, 0)
	out = le.AppendUint32(out, uint32(len(list)))
	out = append(out, entries...)
	out = append(out, places...)
	return append(out, names...)
}
