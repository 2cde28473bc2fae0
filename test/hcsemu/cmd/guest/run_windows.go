package main

import (
	"context"

	"github.com/isolrun/isol/test/hcsemu/silo"
	"github.com/isolrun/isol/test/hcsemu/vm"
)

// run is the guest, with processes of its own kernel.
func run(pool vm.Pool, name string) error {
	return vm.RunGuest(context.Background(), vm.GuestConfig{Name: name, Pool: pool, Runner: silo.NewLocal()})
}
