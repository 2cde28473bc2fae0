//go:build !windows

package main

import (
	"errors"

	"github.com/isolrun/isol/test/hcsemu/vm"
)

func run(vm.Pool, string) error {
	return errors.New("this is a Windows program: build it with GOOS=windows and run it under Wine")
}
