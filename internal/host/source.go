package host

// Source is what stands behind a path of the host that a container is to see:
// where the path leads, with all links, junctions and substituted drives
// resolved.
type Source struct {
	Path   string // by drive or share, as people and plans name it
	Volume string // by the GUID of its volume, which stays when drives change; Path on a share
	Dir    bool
}
