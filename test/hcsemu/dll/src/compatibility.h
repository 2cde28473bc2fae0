// What bcryptprimitives.dll changes in a process beside exporting ProcessPrng.
#ifndef HCSEMU_COMPATIBILITY_H
#define HCSEMU_COMPATIBILITY_H

#define WIN32_LEAN_AND_MEAN
#define _WIN32_WINNT 0x0A00
#include <windows.h>

// mend_named_pipes makes a pipe instance without read and write access refuse
// clients, as Windows does.
void mend_named_pipes(void);

// add_hvsock gives the process Hyper-V sockets, if the environment names a
// folder for them (ISOL_HVSOCK_DIR).
void add_hvsock(void);

#endif
