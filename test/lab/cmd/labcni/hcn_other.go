//go:build !windows

package main

import "errors"

var errNotWindows = errors.New("HCN networks exist on Windows only")

func add(config, pod) (result, error) { return result{}, errNotWindows }

func check(pod) error { return errNotWindows }

func del(pod) error { return errNotWindows }
