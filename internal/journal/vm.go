package journal

// What a utility VM acquires is written by the VM itself, which knows the
// order. Each of these is Acquire for one kind; strike is called once the thing
// was released.

// VM is for the VM's compute system.
func (j *Journal) VM(id string) (strike func() error, err error) {
	return j.note(Record{Kind: KindComputeSystem, Name: id})
}

// VMScratch is for the VM's own scratch disk.
func (j *Journal) VMScratch(id, path string) (strike func() error, err error) {
	return j.note(Record{Kind: KindVMScratch, Name: path, System: id})
}

// VMAccess is for a file that the VM's worker process is let open.
func (j *Journal) VMAccess(id, path string) (strike func() error, err error) {
	return j.note(Record{Kind: KindVMAccess, Name: path, System: id})
}

func (j *Journal) note(r Record) (strike func() error, err error) {
	e, err := j.Acquire(r)
	if err != nil {
		return nil, err
	}
	return func() error { return j.Release(e) }, nil
}
