package hcs

import (
	"testing"
	"testing/synctest"
	"time"
)

// An operator asks what hangs: calls that are over must be gone, the oldest
// come first, and the young ones can be left out.
func TestCallTable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var table CallTable
		first := table.Begin("HcsStartComputeSystem", "p@vm")
		time.Sleep(time.Minute)
		second := table.Begin("guest Create", "web")
		if open := table.Open(0); len(open) != 2 || open[0].Op != "HcsStartComputeSystem" || open[1].Subject != "web" {
			t.Errorf("open %+v", open)
		}
		if open := table.Open(time.Second); len(open) != 1 || time.Since(open[0].Since) != time.Minute {
			t.Errorf("older than a second: %+v", open)
		}
		first()
		first() // twice is no matter
		second()
		if open := table.Open(0); len(open) != 0 {
			t.Errorf("left %+v", open)
		}
	})
}

// What needs no table need not have one.
func TestNoCallTable(t *testing.T) {
	var table *CallTable
	table.Begin("op", "subject")()
	if open := table.Open(0); open != nil {
		t.Errorf("open %v", open)
	}
}
