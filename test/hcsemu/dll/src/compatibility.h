// What bcryptprimitives.dll changes in a process beside exporting ProcessPrng.
#ifndef HCSEMU_COMPATIBILITY_H
#define HCSEMU_COMPATIBILITY_H

#define WIN32_LEAN_AND_MEAN
#define _WIN32_WINNT 0x0A00
#include <windows.h>

// mend_ntdll makes functions of ntdll.dll that Go programs use answer as on Windows.
void mend_ntdll(void);

// mend_jobs lets job objects be pinned to processors, which Wine can't.
void mend_jobs(void);

// mend_control_events gives control events that nobody handles Windows' exit code.
void mend_control_events(void);

// mend_host makes functions for accounts, volumes and job objects, which Wine
// has as stubs, ask the emulator.
void mend_host(void);

// mend_processes makes a process that Wine has lost while it started once more.
void mend_processes(void);

// add_hvsock gives the process Hyper-V sockets, if the environment names a
// folder for them (ISOL_HVSOCK_DIR).
void add_hvsock(void);

#endif
