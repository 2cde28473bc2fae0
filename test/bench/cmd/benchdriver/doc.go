// Command benchdriver stands in for containerd in the benchmark: it starts
// shims and calls them, and says when what happened. See test/bench/driver for
// what it is asked. It runs in the lab.
package main
