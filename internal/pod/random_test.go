package pod

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/isolrun/isol/internal/fault"
	"github.com/isolrun/isol/internal/isolation"
	"github.com/isolrun/isol/test/hcsemu"
)

// Clients that ask anything at any time, with calls that fail here and there:
// events keep their order, every error has a kind, and in the end nothing is left.
func TestRandomClients(t *testing.T) {
	for seed := range uint64(30) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			in(t, func(l *lab) {
				l.must(l.pod.Create(l.Context(), l.inPod("p1", isolation.RoleSandbox, "")))
				l.start("p1", "")
				rnd := rand.New(rand.NewPCG(seed, 7))
				for _, f := range []string{"HcsCreateProcess", "HcsSignalProcess", "HcsStartComputeSystem", "HcsShutDownComputeSystem"} {
					l.fault(hcsemu.Fault{Function: f, Nth: 2 + rnd.IntN(10), Action: hcsemu.ActionFail, Code: "0x80370105"})
				}
				requests := map[string]CreateTask{}
				for _, id := range []string{"w1", "w2"} {
					requests[id] = l.inPod(id, isolation.RoleWorkload, "ping -t localhost")
				}
				var wg sync.WaitGroup
				for n := range uint64(6) {
					wg.Go(func() { l.randomClient(rand.New(rand.NewPCG(seed, n)), requests) })
				}
				wg.Wait()
				l.emu.ClearFaults()
				l.must(l.pod.Close(context.Background()))
				l.nothingLeft()
				checkOrder(l)
				l.Log(len(l.events.all()), "events")
			})
		})
	}
}

// randomClient does forty things at random.
func (l *lab) randomClient(rnd *rand.Rand, requests map[string]CreateTask) {
	ctx := l.Context()
	for range 40 {
		id := fmt.Sprint("w", 1+rnd.IntN(2))
		execID := []string{"", "e1", "e2"}[rnd.IntN(3)]
		var err error
		switch rnd.IntN(9) {
		case 0:
			err = l.pod.Create(ctx, requests[id])
		case 1, 2:
			_, err = l.pod.Start(ctx, id, execID)
		case 3:
			err = l.addExec(id, "e1", "ping -t localhost")
		case 4:
			err = l.addExec(id, "e2", "cmd /c exit 1")
		case 5:
			err = l.pod.Kill(ctx, Kill{ID: id, ExecID: execID, Signal: []uint32{9, 15}[rnd.IntN(2)], All: execID == "" && rnd.IntN(2) == 0})
		case 6:
			_, err = l.pod.Delete(ctx, id, execID)
		case 7:
			_, err = l.pod.Stats(ctx, id)
			l.pod.Tasks()
		case 8:
			_, err = l.pod.Pids(ctx, id)
		}
		if err != nil && fault.KindOf(err) == fault.Unknown {
			l.Errorf("an error without a kind: %v", err)
		}
		time.Sleep(time.Duration(rnd.IntN(300)) * time.Millisecond)
	}
}

// checkOrder holds the events against the order that the package promises.
func checkOrder(l *lab) {
	l.Helper()
	running := map[string]bool{} // "task/exec" or "task/task" of what has started and not exited
	created := map[string]bool{}
	for i, line := range l.events.all() {
		what, name, _ := strings.Cut(line, " ")
		name, _, _ = strings.Cut(name, " ")
		id, exec, _ := strings.Cut(name, "/")
		ok := true
		switch what {
		case "create":
			ok, created[id] = !created[id], true
		case "start":
			ok, running[id+"/"+id] = created[id] && !running[id+"/"+id], true
		case "exec-added":
			ok = running[id+"/"+id]
		case "exec-started":
			ok, running[name] = running[id+"/"+id], true
		case "exit":
			ok = created[id] && (running[name] || exec == id)
			delete(running, name)
			for left := range running {
				if exec == id && strings.HasPrefix(left, id+"/") {
					ok = false // an exec outlives its init
				}
			}
		case "delete":
			if exec == "" {
				ok = created[id] && !running[id+"/"+id]
				delete(created, id)
			}
		}
		if !ok {
			l.Errorf("event %d is out of order: %s\n%s", i, line, strings.Join(l.events.all(), "\n"))
			return
		}
	}
}
