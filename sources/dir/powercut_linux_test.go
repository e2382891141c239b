package dir

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"imbrouter/router/config"
	"imbrouter/router/disktest"
)

// Fault 66: the power fails when files have been sent and dealt with. Each is
// whole afterwards, in the place where it was, and is not sent again.
func TestPowerCut(t *testing.T) {
	for _, after := range []string{afterMove, afterDelete, afterKeep} {
		t.Run(after, func(t *testing.T) {
			disk := disktest.New(t)
			d := newDrop(t)
			d.path = filepath.Join(disk.Path, "drop")
			d.config.Path, d.config.After = d.path, after
			d.config.PollInterval = config.Duration(10 * time.Millisecond)
			d.must(os.Mkdir(d.path, 0o755))
			archived := make(chan struct{}, 100)
			defer func(old func(string)) { step = old }(step)
			step = func(name string) {
				if name == "archived" {
					archived <- struct{}{}
				}
			}
			var want []string
			for cut := range 4 {
				d.build()
				d.start()
				for n := range 3 {
					name, body := fmt.Sprintf("%d/%d/f", cut, n), strings.Repeat(fmt.Sprint(n), 20_000)
					d.write(name, body)
					switch after {
					case afterMove:
						want = append(want, "sent/"+name+"="+body)
					case afterKeep:
						want = append(want, name+"="+body)
					}
				}
				for range 3 {
					<-archived
				}
				disk.PowerOff()
				d.stop()
				disk.PowerOn()
				d.expectTree(want...)
			}
			d.build()
			d.start()
			d.must(os.WriteFile(d.abs("last"), nil, 0o644))
			<-archived
			if n := len(d.sink.got()); n != 4*3+1 {
				t.Errorf("%d files were sent, want %d", n, 4*3+1)
			}
		})
	}
}
