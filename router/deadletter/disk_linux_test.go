package deadletter_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"imbrouter/router/deadletter"
	"imbrouter/router/disktest"
)

// A letter that does not fit is told of and leaves nothing behind, and when
// there is room again it goes on.
func TestDiskFull(t *testing.T) {
	disk := disktest.Small(t, "size=256k")
	ballast := filepath.Join(disk, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 128<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	dir := deadletter.Dir(disk, "router.toml")
	s := open(t, dir, deadletter.Options{})
	var added []string
	try := func(size int) error {
		l := deadletter.Letter{Route: "r", Event: fmt.Sprint(len(added)), Data: make([]byte, size)}
		err := s.Add(l)
		if err == nil {
			added = append(added, l.Event)
		}
		return err
	}
	var err error
	for err == nil {
		err = try(3000)
	}
	if !errors.Is(err, unix.ENOSPC) {
		t.Fatalf("on the full disk: %v", err)
	}
	wantEvents(t, dir, "r", added...)
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	if err := try(3000); err != nil {
		t.Errorf("with room again: %v", err)
	}
	wantEvents(t, dir, "r", added...)
}
