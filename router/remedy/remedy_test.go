package remedy_test

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"testing"

	"imbrouter/router/remedy"
)

func TestAdd(t *testing.T) {
	for err, want := range map[error]string{
		syscall.EMFILE:    "LimitNOFILE=",
		syscall.ENFILE:    "fs.file-max",
		fs.ErrPermission:  "ReadWritePaths=",
		syscall.EROFS:     "make it writable again",
		fs.ErrNotExist:    "",
		errors.New("odd"): "",
	} {
		cause := &os.PathError{Op: "open", Path: "a", Err: err}
		got := remedy.Add(cause, remedy.MayWrite)
		said, found := strings.CutPrefix(got.Error(), cause.Error()+"; ")
		if !errors.Is(got, err) || found != (want != "") || found && !strings.Contains(said, want) {
			t.Errorf("%v becomes %q, which should say %q", err, got, want)
		}
	}
}
