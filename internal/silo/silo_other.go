//go:build !windows

package silo

import "github.com/isolrun/isol/internal/fault"

func setGroups(string, []GroupAffinity) error {
	return fault.New(fault.Unimplemented, "only Windows has job objects")
}
