//go:build !windows

package main

import (
	"context"
	"errors"
	"io"
)

var errNotWindows = errors.New("this is a Windows program: build it with GOOS=windows and run it under Wine")

func dial(context.Context) (io.ReadWriteCloser, error) { return nil, errNotWindows }

func serve(serveOptions, io.Reader, io.Writer) error { return errNotWindows }

func ps([]string, io.Writer) error { return errNotWindows }
