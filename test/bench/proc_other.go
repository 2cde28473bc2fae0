//go:build !linux

package main

import (
	"errors"
	"time"
)

// errNotLinux: the lab, and with it the benchmark, needs Linux.
var errNotLinux = errors.New("processes are measured on Linux only")

func findProcess(string, string) (int, error)  { return 0, errNotLinux }
func ownMemory(int) (float64, error)           { return 0, errNotLinux }
func privateMemory(int) (float64, error)       { return 0, errNotLinux }
func committedImage(int) (float64, error)      { return 0, errNotLinux }
func processorTime(int) (time.Duration, error) { return 0, errNotLinux }
func threads(int) (int, error)                 { return 0, errNotLinux }
