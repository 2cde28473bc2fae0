// Package guest is the agent in an emulated utility VM: it dials the host,
// speaks the guest bridge (protocol version 4) and runs containers and their
// processes with a runner, as the Guest Compute Service does.
//
// It is the counterpart of internal/gcs and shares that package's frames and
// message types, not its logic. That both agree proves little; that
// Microsoft's shim, which knows neither, runs containers in it is what holds
// it up.
//
// # What it checks
//
// As the real agent, it refuses what does not add up: a container over a root
// that was not combined, a mount of a disk that is not attached, a removal of
// what was never added, a document with an unknown field. What is left in it
// when the host has removed everything is a leak of the host's: see
// [Agent.Left].
//
// # States of a container
//
//	        Create         Start           Shutdown*, last process of the silo ended
//	absent ───────▶ created ─────▶ running ─────────────────────────────────────────▶ absent (notified)
package guest
