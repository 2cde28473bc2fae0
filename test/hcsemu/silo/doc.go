// Package silo runs a container's processes for real, as the emulator's
// service needs it under Wine: CreateProcess in a job object, with the pipes
// handed to the caller. What a process is to be run as is worked out by plain
// functions ([View]) that are tested anywhere; only *_windows.go touch the
// system.
//
// # What is a container here
//
// A job object and a way to look up paths. The container's C: is what its
// layers hold, topmost first, and below them the C: of the Wine prefix: a
// program is found in the layers' Files folders first, so images can bring their
// own programs, and in the prefix's system32 after them. Registry, object names
// and network are the prefix's own: what isolates a silo is the kernel's work,
// which the lab does not show.
//
// # Streams
//
//	child ── writes ──▶ named pipe ── client end ──▶ caller     output: no copy in between
//	child ◀─ reads ──── anonymous pipe ◀── relay ◀── named pipe ◀── caller     input
//
// The input is relayed because it must outlive the caller's end: it ends when
// HCS is told to close it (HcsModifyProcess), not when the caller's handle goes.
//
// # Console
//
// A process with an emulated console has one output stream, its size at the
// start in LINES and COLUMNS, and Ctrl-C (0x03) in its input is the control
// event. It is no real console: Wine 8.0's pseudo consoles lose what a program
// writes just before it ends and cannot be resized. A change of size is accepted
// and goes no further; the emulator's record shows that it came.
package silo
