package main

import (
	"fmt"
	"slices"

	"github.com/isolrun/isol/test/bench/figure"
)

// floors is what is measured without a shim.
var floors = []figure.Figure{
	{ID: "stdout", Name: "throughput of stdout", Unit: "MB/s", Meaning: "a program that writes to the client's pipe itself"},
	{ID: "relayed", Name: "through a program that only copies", Unit: "MB/s", Meaning: "two pipes, as with a shim: one that reads and writes and does nothing else"},
	{ID: "native", Name: "a native call there and back", Unit: "ms", Digits: 2, Meaning: "a call to the emulator that it answers at once"},
	{ID: "launch", Name: "a Go program that does nothing", Unit: "ms", Digits: 1, Meaning: "from its start to its end"},
	{ID: "launch.up", Name: "until it says so", Unit: "ms", Digits: 1, Meaning: "from its start to its first output"},
	{ID: "memory.container", Name: "its private memory", Unit: "MB", Digits: 1, Meaning: "of a Go program that waits for input"},
	{ID: "memory.own", Name: "of it its own", Unit: "MB", Digits: 1, Meaning: "as the row of that name"},
	{ID: "cpu", Name: "its processor time", Unit: "ms", Digits: 1, Meaning: "from its start until it waits"},
}

// figures are what a run measures, by the ids under which the
// rounds note them. "own" is the shim's own share: the time that the emulator
// spent in the shim's calls, and that the container's processes lived, is taken
// away.
func figures(o options) []figure.Figure {
	of := map[part][]figure.Figure{onHost: slices.Concat(memoryFigures, timeFigures), inVM: vmFigures, crowds: crowdFigures(o.size)}
	all := []figure.Figure{exeFigure}
	for _, p := range allParts {
		if slices.Contains(o.parts, p) {
			all = append(all, of[p]...)
		}
	}
	return all
}

var exeFigure = figure.Figure{ID: "exe", Name: "exe", Unit: "MB", Digits: 2, Goal: 0.6,
	Meaning: "the program's file, both built with -trimpath -ldflags='-s -w'"}

var memoryFigures = []figure.Figure{
	{ID: "memory.idle", Name: "memory, started", Unit: "MB", Digits: 1, Goal: 0.5,
		Meaning: "private dirty memory of the serving process after its start, no container yet"},
	{ID: "memory.container", Name: "memory, one container", Unit: "MB", Digits: 1, Goal: 0.5,
		Meaning: "the same with one container running"},
	{ID: "memory.execs", Name: "memory, after ten execs", Unit: "MB", Digits: 1, Goal: 0.5,
		Meaning: "the same after stats, pids and ten execs"},
	{ID: "memory.polled", Name: "memory, after polling", Unit: "MB", Digits: 1, Goal: 0.5,
		Meaning: "the same after a thousand more stats, as of a container that has been watched for hours"},
	{ID: "memory.own", Name: "… of it the shim's own", Unit: "MB", Digits: 1, Goal: 0.5,
		Meaning: "memory with one container, without what only Wine makes private: the program's read-only image, and 0.94 MiB that Wine 8 touches of the stack of each new thread"},
	{ID: "memory.image", Name: "committed by the program's image", Unit: "MB", Digits: 1, Goal: 0.5,
		Meaning: "its sections that can be written to, touched or not: Windows charges them to each process, Linux does not, so no other row has them"},
	{ID: "threads", Name: "threads, one container", Unit: "",
		Meaning: "threads of the serving process with one container running"},
}

var timeFigures = []figure.Figure{
	{ID: "start", Name: "start to connected", Unit: "ms", Digits: 1,
		Meaning: "from before the start action is run until the pipe that it answers is open; nothing of the emulator is in it"},
	{ID: "start.own", Name: "start to connected, own share", Unit: "ms", Digits: 1, Goal: 0.5,
		Meaning: "without what it takes to launch two Go programs that do nothing, one of them to its end"},
	{ID: "create", Name: "create to started", Unit: "ms", Digits: 1,
		Meaning: "from before Create until Start has answered"},
	{ID: "create.own", Name: "create to started, own share", Unit: "ms", Digits: 2, Goal: 0.5,
		Meaning: "without the emulator's time"},
	{ID: "life", Name: "start to exit to deleted", Unit: "ms", Digits: 1,
		Meaning: "a container that ends by itself: from before Create until Delete has answered"},
	{ID: "life.own", Name: "start to exit to deleted, own share", Unit: "ms", Digits: 2, Goal: 0.5,
		Meaning: "without the emulator's time and the process's life"},
	{ID: "exec", Name: "exec to exit", Unit: "ms", Digits: 1,
		Meaning: "a process of 20 ms with its output on a pipe: from before Exec until the event TaskExit has arrived"},
	{ID: "exec.own", Name: "exec to exit, own share", Unit: "ms", Digits: 2, Goal: 0.5,
		Meaning: "without the emulator's time and the process's life"},
	{ID: "exec.cpu", Name: "processor time of an exec", Unit: "ms", Digits: 2, Goal: 0.5,
		Meaning: "of the shim, from Exec to Delete"},
	{ID: "stats", Name: "stats call", Unit: "ms", Digits: 2,
		Meaning: "one Stats of a running container"},
	{ID: "stats.own", Name: "stats call, own share", Unit: "ms", Digits: 2, Goal: 0.5,
		Meaning: "without the emulator's time"},
	{ID: "stats.cpu", Name: "processor time of a stats call", Unit: "ms", Digits: 3, Goal: 0.5,
		Meaning: "of the shim"},
	{ID: "pids", Name: "pids call", Unit: "ms", Digits: 2,
		Meaning: "one Pids of a running container"},
	{ID: "pids.own", Name: "pids call, own share", Unit: "ms", Digits: 2, Goal: 0.5,
		Meaning: "without the emulator's time"},
	{ID: "connect", Name: "connect call", Unit: "ms", Digits: 2,
		Meaning: "one Connect, which does nothing: what a call costs at least"},
	{ID: "stdout", Name: "throughput of stdout", Unit: "MB/s", Digits: 0, More: true, Goal: 2,
		Meaning: "an exec that writes 64 KiB at a time, from its first byte to the end at the client"},
	{ID: "stdout.cpu", Name: "processor time of 1 MB of stdout", Unit: "ms", Digits: 2, Goal: 0.5,
		Meaning: "of the shim"},
	{ID: "delete", Name: "delete action", Unit: "ms", Digits: 1,
		Meaning: "the program run with delete after the shim's end, when nothing is left"},
	{ID: "delete.own", Name: "delete action, own share", Unit: "ms", Digits: 1, Goal: 0.5,
		Meaning: "without the emulator's time and a Go program that does nothing"},
	{ID: "cpu", Name: "processor time of a container's life", Unit: "ms", Digits: 1, Goal: 0.5,
		Meaning: "what the serving process's threads have run from its start until the container's deletion"},
	{ID: "cpu.own", Name: "processor time of a life, own share", Unit: "ms", Digits: 1, Goal: 0.5,
		Meaning: "without that of a Go program that waits"},
}

var vmFigures = []figure.Figure{
	{ID: "vm.boot", Name: "VM: create to started", Unit: "ms", Digits: 1,
		Meaning: "a container in a utility VM of its own: from before Create until Start has answered; a guest waits for its machine"},
	{ID: "vm.boot.own", Name: "VM: create to started, own share", Unit: "ms", Digits: 1, Goal: 0.5,
		Meaning: "without the emulator's time, the guest's in the bridge's messages, and the wait for the guest's connection; the ways of messages and calls are in it"},
	{ID: "vm.boot.cpu", Name: "VM: processor time of create to started", Unit: "ms", Digits: 1, Goal: 0.5,
		Meaning: "of the shim"},
	{ID: "vm.memory", Name: "VM: memory", Unit: "MB", Digits: 1, Goal: 0.5,
		Meaning: "private dirty memory with a container in a VM"},
	{ID: "vm.exec", Name: "VM: exec to exit", Unit: "ms", Digits: 1,
		Meaning: "as exec to exit, in the VM"},
	{ID: "vm.exec.own", Name: "VM: exec to exit, own share", Unit: "ms", Digits: 2, Goal: 0.5,
		Meaning: "without the guest's time in the bridge's messages, of which one lasts as long as the process; the ways of messages, calls and the event are in it"},
	{ID: "vm.exec.logged", Name: "VM: exec, own share as logged", Unit: "ms", Digits: 2, Limit: 5, Alone: true,
		Meaning: "what isol logs of each exec: from Exec until the process runs, without the wait for the guest's answer"},
	{ID: "vm.exec.cpu", Name: "VM: processor time of an exec", Unit: "ms", Digits: 2, Goal: 0.5,
		Meaning: "of the shim, from Exec to Delete"},
	{ID: "vm.stdout", Name: "VM: throughput of stdout", Unit: "MB/s", Digits: 0, More: true, Goal: 1,
		Meaning: "as throughput of stdout, through hvsockets, which are TCP on the loopback here"},
	{ID: "vm.stdout.cpu", Name: "VM: processor time of 1 MB of stdout", Unit: "ms", Digits: 2, Goal: 1,
		Meaning: "of the shim"},
}

func crowdFigures(n size) []figure.Figure {
	return []figure.Figure{
		{ID: "crowd", Name: fmt.Sprintf("%d shims at once, to started", n.crowd), Unit: "s", Digits: 2,
			Meaning: "so many times start, then as many Create and Start, all at once: until the last has answered"},
		{ID: "crowd.memory", Name: fmt.Sprintf("%d shims at once, memory", n.crowd), Unit: "MB", Digits: 0, Goal: 0.5,
			Meaning: "private dirty memory of all of them, each with its container"},
	}
}
