package image

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	contentapi "github.com/containerd/containerd/api/services/content/v1"
	imagesapi "github.com/containerd/containerd/api/services/images/v1"
	leasesapi "github.com/containerd/containerd/api/services/leases/v1"
	snapshotsapi "github.com/containerd/containerd/api/services/snapshots/v1"
	"github.com/containerd/containerd/api/types"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// snapshotter is containerd's for process and Hyper-V containers on Windows.
const snapshotter = "windows"

// unpackKey has the part by which containerd's Windows snapshotter knows a
// snapshot that an image is being unpacked into: such a one gets no scratch
// disk and is committed as it is.
const unpackKey = "extract-lab "

// Store places images into a containerd.
type Store struct {
	Conn grpc.ClientConnInterface    // to containerd
	Path func(windows string) string // where a path of containerd's lies for us
}

// Put stores the image in a namespace of containerd's: blobs, the committed
// snapshot, and last the image's record, so that an image that is listed is
// whole. What is there already is left as it is.
func (s Store) Put(ctx context.Context, namespace string, img *Image) error {
	ctx = metadata.AppendToOutgoingContext(ctx, "containerd-namespace", namespace)
	ctx, release, err := s.lease(ctx)
	if err != nil {
		return fmt.Errorf("store %s: lease: %w", img.Name, err)
	}
	labels := map[string]string{
		"containerd.io/gc.ref.content.0": img.Config.Digest.String(),
		"containerd.io/gc.ref.content.1": img.Layer.Digest.String(),
	}
	configLabels := map[string]string{"containerd.io/gc.ref.snapshot." + snapshotter: img.ChainID()}
	err = errors.Join(
		s.blob(ctx, img.Layer, nil),
		s.blob(ctx, img.Config, configLabels),
		s.blob(ctx, img.Manifest, labels),
	)
	if err == nil {
		err = s.snapshot(ctx, img)
	}
	if err == nil {
		err = s.record(ctx, img)
	}
	if err = errors.Join(err, release()); err != nil {
		return fmt.Errorf("store %s in namespace %s: %w", img.Name, namespace, err)
	}
	return nil
}

// lease keeps containerd's garbage collector from what we have stored while
// nothing refers to it yet.
func (s Store) lease(ctx context.Context) (context.Context, func() error, error) {
	leases := leasesapi.NewLeasesClient(s.Conn)
	const id = "lab-image"
	if _, err := leases.Create(ctx, &leasesapi.CreateRequest{ID: id}); ignoreExists(err) != nil {
		return nil, nil, err
	}
	leased := metadata.AppendToOutgoingContext(ctx, "containerd-lease", id)
	return leased, func() error {
		_, err := leases.Delete(ctx, &leasesapi.DeleteRequest{ID: id})
		return err
	}, nil
}

// blob writes one blob into the content store.
func (s Store) blob(ctx context.Context, b Blob, labels map[string]string) error {
	stream, err := contentapi.NewContentClient(s.Conn).Write(ctx)
	if err != nil {
		return fmt.Errorf("content: %w", err)
	}
	request := &contentapi.WriteContentRequest{
		Ref: "lab-" + b.Digest.String(), Total: b.Size, Expected: b.Digest.String(), Labels: labels,
	}
	// One message of containerd's may carry 16 MiB.
	for chunk := range slices.Chunk(b.Content, 1<<20) {
		request.Action, request.Data = contentapi.WriteAction_WRITE, chunk
		if err := exchange(stream, request); err != nil {
			return fmt.Errorf("content %s: %w", b.Digest, err)
		}
		request.Offset += int64(len(chunk))
	}
	request.Action, request.Data = contentapi.WriteAction_COMMIT, nil
	if err := exchange(stream, request); err != nil {
		return fmt.Errorf("content %s: %w", b.Digest, err)
	}
	return stream.CloseSend()
}

// exchange sends one write and reads its answer. A blob that is there already
// answers the first write with AlreadyExists.
func exchange(stream contentapi.Content_WriteClient, request *contentapi.WriteContentRequest) error {
	if err := stream.Send(request); err != nil {
		_, answer := stream.Recv() // Send says only that the stream has ended
		return ignoreExists(answer)
	}
	_, err := stream.Recv()
	return ignoreExists(err)
}

// snapshot fills a snapshot with the image's files and commits it under the
// chain id, with the disks that Windows makes when it unpacks a base layer.
func (s Store) snapshot(ctx context.Context, img *Image) error {
	snapshots := snapshotsapi.NewSnapshotsClient(s.Conn)
	_, err := snapshots.Stat(ctx, &snapshotsapi.StatSnapshotRequest{Snapshotter: snapshotter, Key: img.ChainID()})
	if status.Code(err) != codes.NotFound {
		return err
	}
	key := unpackKey + img.ChainID()
	prepared, err := snapshots.Prepare(ctx, &snapshotsapi.PrepareSnapshotRequest{Snapshotter: snapshotter, Key: key})
	if err != nil {
		return fmt.Errorf("prepare a snapshot: %w", err)
	}
	dir, err := layerFolder(prepared.GetMounts())
	if err == nil {
		err = Write(s.Path(dir), img.Files)
	}
	if err == nil {
		_, err = snapshots.Commit(ctx, &snapshotsapi.CommitSnapshotRequest{Snapshotter: snapshotter, Name: img.ChainID(), Key: key})
	}
	if err != nil {
		_, removed := snapshots.Remove(ctx, &snapshotsapi.RemoveSnapshotRequest{Snapshotter: snapshotter, Key: key})
		return errors.Join(fmt.Errorf("fill a snapshot: %w", err), removed)
	}
	return nil
}

// layerFolder is where the snapshotter wants the layer.
func layerFolder(mounts []*types.Mount) (string, error) {
	if len(mounts) != 1 || mounts[0].GetType() != "windows-layer" {
		return "", fmt.Errorf("the snapshotter answered %v, one windows-layer mount was expected", mounts)
	}
	return mounts[0].GetSource(), nil
}

// Disks are the files that Windows adds when it makes a base layer of unpacked
// files, as hcsshim's ConvertToBaseLayer relies on it. Those of the utility VM
// are only made where the layer has one.
var disks = []string{"blank-base.vhdx", "blank.vhdx", "UtilityVM/SystemTemplateBase.vhdx", "UtilityVM/SystemTemplate.vhdx"}

// Write lays the files of a layer and its disks out in dir.
func Write(dir string, files []File) error {
	for _, f := range files {
		if err := writeFile(filepath.Join(dir, filepath.FromSlash(f.Path)), f.Content); err != nil {
			return err
		}
	}
	for _, name := range disks {
		file := filepath.Join(dir, filepath.FromSlash(name))
		if _, err := os.Stat(filepath.Dir(file)); err != nil {
			continue
		}
		// Its size is that of an empty dynamic disk; no one here reads it as one.
		if err := writeFile(file, append([]byte("vhdxfile"), make([]byte, 4<<10)...)); err != nil {
			return err
		}
	}
	return nil
}

func writeFile(name string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return os.WriteFile(name, content, 0o755)
}

// record makes the image known under its name. The label makes it one that the
// CRI plugin lists.
func (s Store) record(ctx context.Context, img *Image) error {
	images := imagesapi.NewImagesClient(s.Conn)
	record := &imagesapi.Image{
		Name:   img.Name,
		Labels: map[string]string{"io.cri-containerd.image": "managed"},
		Target: &types.Descriptor{MediaType: img.Manifest.MediaType, Digest: img.Manifest.Digest.String(), Size: img.Manifest.Size},
	}
	_, err := images.Create(ctx, &imagesapi.CreateImageRequest{Image: record})
	if status.Code(err) == codes.AlreadyExists {
		_, err = images.Update(ctx, &imagesapi.UpdateImageRequest{Image: record})
	}
	return err
}

// ignoreExists is err unless it says that the thing is there already.
func ignoreExists(err error) error {
	if status.Code(err) == codes.AlreadyExists {
		return nil
	}
	return err
}
