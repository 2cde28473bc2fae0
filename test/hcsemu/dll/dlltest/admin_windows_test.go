package dlltest

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/Microsoft/go-winio"
	"github.com/isolrun/isol/test/hcsemu/service"
	"github.com/isolrun/isol/test/hcsemu/wire"
)

// admin makes an administration request of the service.
func admin(t *testing.T, name, argument string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	conn, err := winio.DialPipeContext(ctx, wire.PipeName)
	check(t, err)
	c, err := wire.NewClient(conn, wire.Hello{Token: uint64(time.Now().UnixNano()), PID: uint32(os.Getpid()), DLL: "dlltest"})
	check(t, err)
	defer c.Close()
	reply, err := c.Call(ctx, name, wire.String(argument))
	check(t, err)
	if int32(reply.Result) < 0 {
		t.Fatalf("%s: %#x %v", name, reply.Result, reply.Outs)
	}
	if len(reply.Outs) == 0 {
		return ""
	}
	return reply.Outs[0].Text
}

// awaitHang returns once a fault holds a call.
func awaitHang(t *testing.T, name string) {
	t.Helper()
	for admin(t, service.AdminHanging, name) == "0" {
		time.Sleep(5 * time.Millisecond) // the fault is in another process
	}
}
