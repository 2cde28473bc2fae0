// Frames in the making, for transport.c only: the fronts see requests and
// replies (transport.h).
#ifndef HCSEMU_FRAME_H
#define HCSEMU_FRAME_H

#include "transport.h"

// frame_begin starts a frame; values are added with the request_ functions.
void frame_begin(struct request *r, BYTE kind, UINT64 id, DWORD code);

// frame_end writes the fields that are known last. r->failed must be S_OK.
void frame_end(struct request *r);

#endif
