// Command paritydriver stands in for containerd in the parity test: it starts a
// shim, asks it what a scenario says and tells what came of it. See
// test/parity/driver for what it is asked. It runs in the lab, one beside each shim.
package main
