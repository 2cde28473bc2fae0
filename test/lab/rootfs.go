package lab

import (
	"context"
	"errors"
	"fmt"
	"io"

	snapshotsapi "github.com/containerd/containerd/api/services/snapshots/v1"
	"github.com/containerd/containerd/api/types"
	"google.golang.org/grpc/metadata"
)

// snapshotter is containerd's for Windows layers.
const snapshotter = "windows"

// collectorsRoot is the label of what containerd's garbage collector leaves alone.
// It runs after a hundred changes, and no container of containerd's refers to
// these snapshots:
// https://github.com/containerd/containerd/blob/main/docs/garbage-collection.md
const collectorsRoot = "containerd.io/gc.root"

// Rootfs prepares a writable snapshot of the lab's one image in containerd's
// namespace "default" and returns its mounts, which are what containerd hands a
// shim as the root of a container. The key must be new.
func (l *Lab) Rootfs(ctx context.Context, key string) ([]*types.Mount, error) {
	ctx = metadata.AppendToOutgoingContext(ctx, "containerd-namespace", "default")
	client := snapshotsapi.NewSnapshotsClient(l.conn)
	parent, err := committed(ctx, client)
	if err != nil {
		return nil, fmt.Errorf("lab: rootfs: %w", err)
	}
	prepared, err := client.Prepare(ctx, &snapshotsapi.PrepareSnapshotRequest{
		Snapshotter: snapshotter, Key: key, Parent: parent, Labels: map[string]string{collectorsRoot: "lab"},
	})
	if err != nil {
		return nil, fmt.Errorf("lab: rootfs: %w", err)
	}
	return prepared.GetMounts(), nil
}

// committed names the one committed snapshot: the image's.
func committed(ctx context.Context, client snapshotsapi.SnapshotsClient) (string, error) {
	stream, err := client.List(ctx, &snapshotsapi.ListSnapshotsRequest{Snapshotter: snapshotter})
	if err != nil {
		return "", err
	}
	var names []string
	for {
		page, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return "", err
		}
		for _, s := range page.GetInfo() {
			if s.GetKind() == snapshotsapi.Kind_COMMITTED {
				names = append(names, s.GetName())
			}
		}
	}
	if len(names) != 1 {
		return "", fmt.Errorf("there are the snapshots %q, that of one image was expected", names)
	}
	return names[0], nil
}
