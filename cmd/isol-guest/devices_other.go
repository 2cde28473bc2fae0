//go:build !windows

package main

import (
	"errors"
	"io"
)

func printDevices(string, io.Writer) error {
	return errors.New("only Windows has a device tree")
}
