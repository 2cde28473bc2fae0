package hcsemu

// Scripted is a [Runner] whose programs are Go functions.
type Scripted struct{ Runner }

// NewScripted returns a Scripted with the usual programs: echo, exit, ping, more and others.
func NewScripted() *Scripted { return &Scripted{} }
