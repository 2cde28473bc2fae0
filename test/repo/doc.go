// Package repo holds the repository's own rules as tests: every package and
// exported name is documented, files and functions stay short, packages import
// only what stands below them, annotations are read in one place, and no file
// names the machine it was written on.
package repo
