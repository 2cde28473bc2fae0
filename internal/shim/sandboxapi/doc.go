// Package sandboxapi holds the messages of containerd's Sandbox API, version 1,
// without its client.
//
// containerd's own package has the same messages beside a generated gRPC
// client, which brings gRPC and net/http into whatever links it: more than 2 MB
// in every pod's shim for calls that nobody makes. These messages are generated
// from the descriptor of that package (see generate) and are the same on the
// wire, which a test holds.
package sandboxapi

//go:generate go run ./generate sandbox.pb.go

// Name is the name under which the service is asked for.
const Name = "containerd.runtime.sandbox.v1.Sandbox"
