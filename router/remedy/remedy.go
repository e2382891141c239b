// Package remedy says what to do about errors of the system that concern the
// whole program, or the rights of its user, and not the file at hand.
package remedy

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
)

// What to do about them, for who runs the program.
const (
	// OpenFiles is for EMFILE: this process may open no more.
	OpenFiles = "raise LimitNOFILE= of the systemd service, or ulimit -n, or lower parallel, max_streams or max_open"
	// AllOpenFiles is for ENFILE: the machine has no more.
	AllOpenFiles = "raise the sysctl fs.file-max, or end what has so many files open"
	// MayRead and MayWrite are for missing rights.
	MayRead  = "give the user that runs imbrouter the right to read it"
	MayWrite = "give the user that runs imbrouter the right to write there; a systemd service also needs the folder in ReadWritePaths= of its unit"
	// Writable is for a file system that is read-only.
	Writable = "make it writable again; where only a systemd service sees it so, add the folder to ReadWritePaths= of its unit"
)

// Add returns err with what to do about it, where that is known: rights,
// which is MayRead or MayWrite, when those are missing.
func Add(err error, rights string) error {
	switch {
	case errors.Is(err, syscall.EMFILE):
		return fmt.Errorf("%w; %s", err, OpenFiles)
	case errors.Is(err, syscall.ENFILE):
		return fmt.Errorf("%w; %s", err, AllOpenFiles)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w; %s", err, rights)
	case errors.Is(err, syscall.EROFS):
		return fmt.Errorf("%w; %s", err, Writable)
	}
	return err
}
