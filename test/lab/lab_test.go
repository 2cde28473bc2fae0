package lab_test

import (
	"testing"
	"time"

	"github.com/isolrun/isol/test/lab"
)

func TestBoot(t *testing.T) {
	lab.Require(t)
	start := time.Now()
	l, err := lab.Start(t.Context(), lab.Config{Out: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	t.Log("start", time.Since(start))
	defer func() { t.Log(l.Close(), time.Since(start)) }()
	for _, args := range [][]string{{"version"}, {"images", "ls"}, {"snapshots", "ls"}, {"content", "ls"}} {
		r, err := l.Ctr(t.Context(), args...)
		t.Logf("%v %v %s%s", time.Since(start), err, r.Stdout, r.Stderr)
	}
}
