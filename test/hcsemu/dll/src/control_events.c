// The default of control events (Ctrl-C and its like): Windows ends the process
// with STATUS_CONTROL_C_EXIT, Wine 8.0 with 0, which looks like success.
// Handlers are asked in the reverse order of their registration, so this one,
// registered before main, comes last before Wine's own.
// Source: https://learn.microsoft.com/windows/console/handlerroutine
#include "compatibility.h"

static BOOL WINAPI end_process(DWORD event)
{
    (void)event;
    ExitProcess(0xC000013A); // STATUS_CONTROL_C_EXIT
}

void mend_control_events(void)
{
    SetConsoleCtrlHandler(end_process, TRUE);
}
