//go:build !windows

package pod

import "errors"

var errNotWindows = errors.New("HCN networks exist on Windows only")

// Add fails: this is not Windows.
func Add() (Network, error) { return Network{}, errNotWindows }

// Del fails: this is not Windows.
func Del(Network) error { return errNotWindows }
