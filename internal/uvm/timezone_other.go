//go:build !windows

package uvm

import "github.com/isolrun/isol/internal/gcs"

// HostTimeZone knows no time zone here; the guest keeps its own.
func HostTimeZone() (*gcs.TimeZoneInformation, error) { return nil, nil }
