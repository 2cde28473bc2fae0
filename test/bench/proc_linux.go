package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Wine runs each Windows process as a process of Linux's, whose command line is
// the Windows one. What Linux says of it is what the shim costs: Wine copies
// the program's image into private memory, as far as it is touched.

// findProcess returns the Linux process that serves a task: its command line
// has the shim's program and the task's id.
func findProcess(exe, id string) (int, error) {
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return 0, err
	}
	var found []int
	for _, file := range files {
		line, err := os.ReadFile(file)
		if err != nil { // it has ended
			continue
		}
		if !bytes.Contains(line, []byte(exe)) || !bytes.Contains(line, []byte("-id\x00"+id+"\x00")) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil {
			return 0, err
		}
		found = append(found, pid)
	}
	if len(found) != 1 {
		return 0, fmt.Errorf("%d processes run %s for %s, one was expected: %v", len(found), exe, id, found)
	}
	return found[0], nil
}

// privateMemory returns the bytes of memory that only this process has:
// private pages that were written to. See proc_pid_smaps(5).
func privateMemory(pid int) (float64, error) {
	file, err := os.Open(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0, err
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) == 3 && fields[0] == "Private_Dirty:" {
			kb, err := strconv.ParseFloat(fields[1], 64)
			return kb * 1024, err
		}
	}
	return 0, fmt.Errorf("%s: no Private_Dirty: %w", file.Name(), lines.Err())
}

// imageBase is where Go's programs for Windows are loaded (and Wine does load
// them there), and imageEnd is beyond any shim's end.
const (
	imageBase = 0x140000000
	imageEnd  = 0x150000000
)

// touchedStack is what Wine 8 touches of the stack of every thread that it
// starts: 241 pages. A C program that starts threads which sleep shows it.
const touchedStack = 241 * 4096

// ownMemory returns what is left of a process's private memory without what
// only Wine makes private: Windows shares the read-only parts of a program
// among all that run it, and commits a thread's stack as it is used.
func ownMemory(pid int) (float64, error) {
	file, err := os.Open(fmt.Sprintf("/proc/%d/smaps", pid))
	if err != nil {
		return 0, err
	}
	defer file.Close()
	own, image := 0.0, false
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if begin, _, ok := strings.Cut(fields[0], "-"); ok && len(fields) >= 5 {
			at, err := strconv.ParseUint(begin, 16, 64)
			if err != nil {
				return 0, fmt.Errorf("%s: %q: %w", file.Name(), lines.Text(), err)
			}
			image = at >= imageBase && at < imageEnd && !strings.Contains(fields[1], "w")
		} else if fields[0] == "Private_Dirty:" && !image {
			kb, err := strconv.ParseFloat(fields[1], 64)
			if err != nil {
				return 0, fmt.Errorf("%s: %q: %w", file.Name(), lines.Text(), err)
			}
			own += kb * 1024
		}
	}
	n, err := threads(pid)
	return own - float64(n)*touchedStack, errors.Join(lines.Err(), err)
}

// committedImage returns the bytes of the program's sections that can be written
// to. Windows commits them in each process, whether they are touched or not.
func committedImage(pid int) (float64, error) {
	name := fmt.Sprintf("/proc/%d/maps", pid)
	text, err := os.ReadFile(name)
	if err != nil {
		return 0, err
	}
	total := 0.0
	for line := range strings.Lines(string(text)) {
		var begin, end uint64
		var access string
		if _, err := fmt.Sscanf(line, "%x-%x %s", &begin, &end, &access); err != nil {
			return 0, fmt.Errorf("%s: %q: %w", name, line, err)
		}
		if begin >= imageBase && begin < imageEnd && strings.Contains(access, "w") {
			total += float64(end - begin)
		}
	}
	if total == 0 {
		return 0, fmt.Errorf("%s: no program at %#x", name, uint64(imageBase))
	}
	return total, nil
}

// processorTime returns what the threads of a process have run so far. It is
// the scheduler's count of nanoseconds (sched(7), CONFIG_SCHED_INFO): the one of
// /proc/pid/stat is in hundredths of a second, which is as much as a
// container's whole life takes. Threads that have ended are not in it; Go
// programs end none.
func processorTime(pid int) (time.Duration, error) {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil {
		return 0, err
	}
	total := time.Duration(0)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil { // the thread has ended
			continue
		}
		fields := strings.Fields(string(text))
		if len(fields) != 3 {
			return 0, fmt.Errorf("%s: %q", file, text)
		}
		ns, err := strconv.ParseInt(fields[0], 10, 64)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", file, err)
		}
		total += time.Duration(ns)
	}
	if total == 0 {
		return 0, fmt.Errorf("process %d: no thread has a schedstat", pid)
	}
	return total, nil
}

// threads returns the number of a process's threads.
func threads(pid int) (int, error) {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("process %d has ended", pid)
	}
	return len(files), err
}
