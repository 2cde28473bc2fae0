// Package cri is a CRI client for tests: what the kubelet asks of a node, asked
// of a containerd in the lab, by typed calls.
//
//	test ──▶ [Client] ──lines of JSON──▶ caller.exe ──gRPC over \\.\pipe\…──▶ containerd.exe
//	                                         └──SPDY──▶ its streaming server (exec, attach)
//
// The calls are made by a Windows program beside containerd, test/cri/caller,
// so that pipes, deadlines, cancellation and streams are the real ones. One
// process serves a whole test: starting one takes a while in the lab. It stays
// when containerd restarts; calls wait until it is back.
//
// [Client] has all methods of CRI's runtime and image services, generated, with
// gRPC's codes in their errors; [Client.Exec] and [Client.Attach] are for
// streams. [Pod] is the short way to a pod and its containers.
//
// A Client may be used by several goroutines at the same time. When its
// program ends, all its calls fail with codes.Unavailable and what it said last.
package cri
