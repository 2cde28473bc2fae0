// Command cni makes what a CNI plugin makes for a pod, with the library that
// the real ones use: a network and endpoints, two of them in a namespace.
//
//	cni add            makes them and prints their ids as JSON
//	cni del IDS        removes what add printed
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/isolrun/isol/test/e2e/cni/pod"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "cni:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 1 && args[0] == "add":
		n, err := pod.Add()
		if err != nil {
			return err
		}
		return json.NewEncoder(os.Stdout).Encode(n)
	case len(args) == 2 && args[0] == "del":
		var n pod.Network
		if err := json.Unmarshal([]byte(args[1]), &n); err != nil {
			return fmt.Errorf("the ids: %w", err)
		}
		return pod.Del(n)
	}
	return errors.New("usage: cni add | cni del IDS")
}
