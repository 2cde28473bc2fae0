// HCS_PROCESS_INFORMATION, the same in computecore.dll and vmcompute.dll.
// Source: https://learn.microsoft.com/virtualization/api/hcs/reference/hcs_process_information
#ifndef HCSEMU_PROCESS_INFORMATION_H
#define HCSEMU_PROCESS_INFORMATION_H

#include "transport.h"

struct process_information {
    DWORD process_id;
    DWORD reserved;
    HANDLE std_input, std_output, std_error;
};

// read_process_information reads the values after a reply's document: process
// id, and the three handles, which the service has made in this process.
static inline void read_process_information(struct reply *r, struct process_information *info)
{
    info->process_id = (DWORD)reply_number(r);
    info->reserved = 0;
    info->std_input = (HANDLE)(ULONG_PTR)reply_number(r);
    info->std_output = (HANDLE)(ULONG_PTR)reply_number(r);
    info->std_error = (HANDLE)(ULONG_PTR)reply_number(r);
}

static inline void close_process_information(struct process_information *info)
{
    HANDLE *handles[] = {&info->std_input, &info->std_output, &info->std_error};
    for (int i = 0; i < 3; i++) {
        if (*handles[i])
            CloseHandle(*handles[i]);
        *handles[i] = NULL;
    }
}

#endif
