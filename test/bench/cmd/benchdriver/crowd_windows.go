package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"

	"github.com/isolrun/isol/test/bench/driver"
)

// each does f for all of a crowd at once, with a reply for each.
func each(r driver.Request, f func(r driver.Request, m *marks) error) error {
	errs := make([]error, len(r.Crowd))
	var wg sync.WaitGroup
	for i, member := range r.Crowd {
		wg.Go(func() {
			one := r
			one.ID, one.Bundle, one.Rootfs = member.ID, member.Bundle, member.Rootfs
			if err := f(one, newMarks()); err != nil {
				errs[i] = fmt.Errorf("%s: %w", member.ID, err)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// crowd starts many shims at once, and then all their containers.
func (d *drive) crowd(ctx context.Context, r driver.Request, m *marks) error {
	m.at(driver.Begin)
	err := each(r, func(r driver.Request, m *marks) error { return d.start(ctx, r, m) })
	if err != nil {
		return err
	}
	m.at(driver.Connected)
	err = each(r, func(r driver.Request, m *marks) error {
		client, err := d.shim(r.ID)
		if err != nil {
			return err
		}
		return d.create(ctx, client, r, m)
	})
	m.at(driver.Started)
	return err
}

// disperse ends a crowd.
func (d *drive) disperse(ctx context.Context, r driver.Request, m *marks) error {
	m.at(driver.Begin)
	r.Kill = true
	err := each(r, func(r driver.Request, m *marks) error {
		client, err := d.shim(r.ID)
		if err != nil {
			return err
		}
		return errors.Join(d.finish(ctx, client, r, m), d.shutdown(ctx, client, r, m))
	})
	m.at(driver.Ended)
	return err
}

// nameToGUID is a call that the emulator answers out of its arguments.
var nameToGUID = windows.NewLazySystemDLL("vmcompute.dll").NewProc("NameToGuid")

// native times calls of no consequence, call by call.
func native(r driver.Request, m *marks) error {
	name, err := windows.UTF16PtrFromString("bench")
	if err != nil {
		return err
	}
	if err := nameToGUID.Find(); err != nil {
		return err
	}
	for range r.Count {
		var id windows.GUID
		span := driver.Span{Begin: time.Now()}
		if code, _, _ := nameToGUID.Call(uintptr(unsafe.Pointer(name)), uintptr(unsafe.Pointer(&id))); code != 0 {
			return fmt.Errorf("NameToGuid: %#x", code)
		}
		span.End = time.Now()
		m.Calls = append(m.Calls, span)
	}
	return nil
}
