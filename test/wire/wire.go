// Package wire holds the test that clients built with gogo/protobuf understand
// isol: containerd 1.6 and the hcsshim types that it asserts. Package gogo below
// it is such a client, in a module of its own; docs/adr/0001 says why the shim
// itself uses google.golang.org/protobuf.
package wire
