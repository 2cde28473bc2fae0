// Package e2e runs isol's Windows binary end to end: ctr.exe and containerd.exe,
// unmodified, drive it.
//
// The scenarios need only a [Machine]. Without more, that is the lab on this
// Linux machine; with ISOL_E2E_HOST=1 on Windows it is the host itself, with
// its containerd, and ISOL_E2E_IMAGE names a Windows image that is there. What
// only an emulated machine can do (faults, the record of native calls, the
// ledger) skips on a real one.
package e2e
