package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/isolrun/isol/test/lab"
)

// wineStack is what Wine 8 touches of the stack of every thread that it starts,
// 241 pages; Windows commits a stack as it is used. It is no memory of the shim's.
const wineStack = 241 * 4096

// sample is what a shim costs at one moment.
type sample struct {
	memory  int // bytes that only this process has written to, without the stacks that Wine touches
	threads int
	files   int // that Wine has open for it: handles that are files, pipes or sockets
	handles int // of the compute service, by the ledger
}

// String returns the sample as cells of a table.
func (s sample) String() string {
	return fmt.Sprintf("%8.2f MB  %3d threads  %3d files  %3d HCS handles", float64(s.memory)/1e6, s.threads, s.files, s.handles)
}

// measure looks at the shim of a pod.
func (s *soak) measure(pod string) (sample, error) {
	pid, err := shimOf(pod)
	if err != nil {
		return sample{}, err
	}
	var m sample
	proc := fmt.Sprintf("/proc/%d/", pid)
	threads, err := os.ReadDir(proc + "task")
	if err != nil {
		return m, err
	}
	files, err := os.ReadDir(proc + "fd")
	if err != nil {
		return m, err
	}
	m.threads, m.files = len(threads), len(files)
	dirty, err := privateDirty(proc + "smaps_rollup")
	if err != nil {
		return m, err
	}
	m.memory = dirty - m.threads*wineStack
	ledger, err := s.lab.Ledger()
	for _, e := range ledger {
		if strings.HasSuffix(e.Kind, " handle") && strings.EqualFold(e.Owner.Exe, lab.IsolShim) {
			m.handles++
		}
	}
	return m, err
}

// shimOf returns the process that serves a pod: its command line has the id.
func shimOf(pod string) (int, error) {
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return 0, err
	}
	for _, file := range files {
		line, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		if bytes.Contains(line, []byte(lab.IsolShim)) && bytes.Contains(line, []byte("-id\x00"+pod+"\x00")) && bytes.Contains(line, []byte("\x00serve")) {
			return strconv.Atoi(filepath.Base(filepath.Dir(file)))
		}
	}
	return 0, fmt.Errorf("no process serves pod %s", pod)
}

// privateDirty reads the bytes that only this process has written to: see
// proc_pid_smaps(5).
func privateDirty(name string) (int, error) {
	content, err := os.ReadFile(name)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(content)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "Private_Dirty:" {
			kb, err := strconv.Atoi(f[1])
			return kb << 10, err
		}
	}
	return 0, errors.New(name + " has no Private_Dirty")
}
