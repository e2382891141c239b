package admin

import (
	"errors"
	"io/fs"

	"golang.org/x/sys/windows"
)

// isSocket takes what Windows shows of a socket, a reparse point, for one.
func isSocket(info fs.FileInfo) bool { return info.Mode()&(fs.ModeSocket|fs.ModeIrregular) != 0 }

// isRefused tells whether nobody listens at a socket that is there.
func isRefused(err error) bool { return errors.Is(err, windows.WSAECONNREFUSED) }
