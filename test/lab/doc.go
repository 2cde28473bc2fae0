// Package lab boots the real Windows container stack on a Linux machine.
//
// A [Lab] is one emulated Windows machine: a Wine prefix of its own, with the
// emulator of the Host Compute Service (test/hcsemu) below and the programs
// that others wrote above: containerd.exe, ctr.exe and, beside our shim,
// Microsoft's runhcs shim. What is real and what is emulated is told in
// docs/lab.md.
//
//	peers  ──┐                         built once per module content
//	programs ┼─> template ──> clone ──> emulator ──> containerd ──> image
//	fronts ──┘   (cached)     (per lab, hard links)
//
// # Lifetime
//
// [Start] returns a running lab or an error and nothing left. [Lab.Close] ends
// every process of the lab's prefix, by asking the prefix's own wineserver and
// then, for what is left, by process id; it removes the lab's folder. A guard
// process does the same when the test program dies before Close. No other
// prefix is touched.
//
// # Concurrency
//
// Several labs run side by side, in one program or in many: each has its own
// prefix, and a prefix is a kernel (process ids, registry, pipes). What they
// share is the cache, which is written under file locks and never changed once
// written. All methods of Lab may be called from several goroutines, except
// Close, RestartContainerd and KillContainerd, which one goroutine at a time
// may call.
//
// # Failure
//
// A missing program or package is a [*MissingError], whose text is one line
// with the command that mends it; tests skip on it, [Require] does that. What
// fails later is an error that holds the tail of the log that explains it.
package lab
