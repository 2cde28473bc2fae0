// Operations of computecore.dll: the client's side of an asynchronous call.
//
//	HcsCreateOperation      call returned S_OK          reply, or connection lost
//	───────▶ FRESH ───────────────────────▶ PENDING ─────────────────▶ DONE
//	           ▲                                                        │
//	           └──────────────── used for another call ─────────────────┘
//
// An operation is freed when its handle is closed and no call is pending.
#ifndef HCSEMU_OPERATION_H
#define HCSEMU_OPERATION_H

#include "process_information.h"

// HCS_OPERATION_TYPE.
// Source: https://learn.microsoft.com/virtualization/api/hcs/reference/hcsoperationtype
enum operation_type {
    OPERATION_NONE = -1,
    OPERATION_ENUMERATE = 0,
    OPERATION_CREATE = 1,
    OPERATION_START = 2,
    OPERATION_SHUTDOWN = 3,
    OPERATION_PAUSE = 4,
    OPERATION_RESUME = 5,
    OPERATION_SAVE = 6,
    OPERATION_TERMINATE = 7,
    OPERATION_MODIFY = 8,
    OPERATION_GET_PROPERTIES = 9,
    OPERATION_CREATE_PROCESS = 10,
    OPERATION_SIGNAL_PROCESS = 11,
    OPERATION_GET_PROCESS_INFO = 12,
    OPERATION_GET_PROCESS_PROPERTIES = 13,
    OPERATION_MODIFY_PROCESS = 14,
    OPERATION_CRASH = 15,
};

typedef struct operation *HCS_OPERATION;
typedef void(CALLBACK *HCS_OPERATION_COMPLETION)(HCS_OPERATION operation, void *context);

// operation_start sends the call r on behalf of an operation. It fails at once
// if the operation is pending or the service is not there.
HRESULT operation_start(HCS_OPERATION operation, struct request *r, enum operation_type type, HANDLE_VALUE system,
                        HANDLE_VALUE process);

#endif
