// Package dlltest runs the DLL fronts as Windows programs use them. Its tests
// for Windows call the DLLs through isol's own adapter, through hcsshim and
// go-winio, and directly; its test for Linux builds the DLLs, the service and
// those tests, and runs them in a Wine prefix of its own. It is skipped, with
// the reason, where Wine or the C compiler is not installed.
package dlltest
