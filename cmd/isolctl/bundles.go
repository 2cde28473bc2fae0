package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/isolrun/isol/internal/journal"
	"github.com/isolrun/isol/internal/shim/launch"
)

// bundleFolders are where containerd keeps bundles, below its state folder: the
// ids of its plugins for tasks and for sandboxes of the Sandbox API, then
// namespace and task or sandbox.
var bundleFolders = []string{"io.containerd.runtime.v2.task", "io.containerd.sandbox.controller.v1.shim"}

// bundle is the folder of one task, or of one sandbox of the Sandbox API.
type bundle struct {
	Namespace, ID string
	Path          string
	Journal       string // path of its journal, which need not be there
}

// bundles lists the bundles below containerd's state folder, ordered by
// namespace and name. The folder must be there; one in which no task ever was
// has none.
func bundles(state string) ([]bundle, error) {
	if _, err := os.Stat(state); err != nil {
		return nil, fmt.Errorf("containerd's state folder: %w (name it with --state, as `state` in containerd's config.toml)", err)
	}
	var found []bundle
	for _, folder := range bundleFolders {
		below, err := bundlesIn(filepath.Join(state, folder))
		if err != nil {
			return nil, err
		}
		found = append(found, below...)
	}
	slices.SortStableFunc(found, func(a, b bundle) int {
		return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.ID, b.ID))
	})
	return found, nil
}

// bundlesIn lists the bundles below the folder of one plugin.
func bundlesIn(root string) ([]bundle, error) {
	namespaces, err := folders(root)
	if err != nil {
		return nil, err
	}
	var found []bundle
	for _, namespace := range namespaces {
		tasks, err := folders(filepath.Join(root, namespace))
		if err != nil {
			return nil, err
		}
		for _, task := range tasks {
			// containerd puts a dot before the name of a bundle that it is
			// about to remove; no id begins with one.
			path := filepath.Join(root, namespace, task)
			found = append(found, bundle{namespace, strings.TrimPrefix(task, "."), path, filepath.Join(path, journal.FileName)})
		}
	}
	return found, nil
}

// kept lists the journals whose bundles are gone as if they were bundles.
func kept(b journal.Backlog) ([]bundle, error) {
	all, err := b.List("", "")
	if err != nil {
		return nil, err
	}
	var found []bundle
	for _, k := range all {
		found = append(found, bundle{k.Namespace, k.ID, filepath.Dir(k.Path), k.Path})
	}
	return found, nil
}

// folders lists the folders in dir. A dir that is not there has none: containerd
// removes them while we look.
func folders(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// address is the pipe of the shim that has the task: that of the task itself,
// or of the sandbox that it belongs to. containerd writes it into the bundle
// (bootstrap.json; versions before 2.0 a file named address); a bundle that has
// neither is one whose shim never answered.
func (b bundle) address() (string, error) {
	text, err := os.ReadFile(filepath.Join(b.Path, "bootstrap.json"))
	if err == nil {
		var params struct {
			Address string `json:"address"`
		}
		if err := json.Unmarshal(text, &params); err != nil || params.Address == "" {
			return "", fmt.Errorf("%s names no pipe", filepath.Join(b.Path, "bootstrap.json"))
		}
		return params.Address, nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		text, err = os.ReadFile(filepath.Join(b.Path, "address"))
	}
	if errors.Is(err, fs.ErrNotExist) {
		return launch.Address(b.Namespace, b.ID)
	}
	return string(text), err
}

// shimRuns says whether somebody serves the task's pipe. An error means that
// nobody knows.
func (m machine) shimRuns(ctx context.Context, b bundle) (bool, error) {
	address, err := b.address()
	if err != nil {
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, dialLimit)
	defer cancel()
	conn, err := m.dial(ctx, address)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("ask the shim: %w", err)
	}
	return true, conn.Close()
}
