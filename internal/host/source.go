package host

// Source is what stands behind a path of the host that a container is to see.
type Source struct {
	Path string // where the path leads, with all links, junctions and substituted drives resolved
	Dir  bool
}
