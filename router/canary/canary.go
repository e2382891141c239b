// Package canary tries out what the user of this process may do in a folder, by
// doing it with files that nobody takes for anything else.
//
//	findings := canary.Try("/srv/drop", func(c *canary.Canary) {
//		c.Report("files can be renamed", c.Root.Rename(c.File, c.Dir+"/renamed"), "…")
//	})
//
// The files are in a folder whose name begins with [Prefix], which sources leave
// alone, and are gone when Try returns.
package canary

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"imbrouter/router/config"
)

// Prefix begins the name of the canary's folder, and of what it leads out of it.
const Prefix = ".imbrouter-doctor-"

// Canary is a file in a folder of its own, in the folder that is tried out.
type Canary struct {
	Root *os.Root // the folder that is tried out
	Dir  string   // the canary's folder, relative to Root
	File string   // the canary, relative to Root

	findings []config.Finding
}

// Report adds a finding: what was tried, and when err is not nil, what to do
// about it.
func (c *Canary) Report(what string, err error, remedy string) {
	if err != nil && remedy != "" {
		err = fmt.Errorf("%w; %s", err, remedy)
	}
	c.findings = append(c.findings, config.Finding{What: what, Err: err})
}

// mayWrite is the remedy for most of what fails.
const mayWrite = "give the user that runs imbrouter the right to write there"

// Try puts a canary into a folder, lets try do more with it, which may be nil,
// and returns what was found. A folder that does not exist is not made: then it
// is found out whether it could be.
func Try(folder string, try func(*Canary)) []config.Finding {
	c := new(Canary)
	info, err := os.Stat(folder)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		c.Report("it does not exist yet and can be made", probe(folder), mayWrite)
		return c.findings
	case err == nil && !info.IsDir():
		err = errors.New("it is a file; move it away, or choose another path")
	}
	if err == nil {
		c.Root, err = os.OpenRoot(folder)
	}
	if err != nil {
		c.Report("it is a folder that can be opened", err, "")
		return c.findings
	}
	defer c.Root.Close()
	dir, err := os.MkdirTemp(folder, Prefix+"*")
	if err != nil {
		c.Report("files can be made in it", err, mayWrite)
		return c.findings
	}
	c.Dir = filepath.Base(dir)
	c.File = c.Dir + "/canary"
	err = c.write()
	c.Report("files can be made in it and are durable", err, mayWrite+", or make room on the disk")
	if err == nil && try != nil {
		try(c)
	}
	if err := c.Root.RemoveAll(c.Dir); err != nil {
		c.Report("what was made can be removed", err, mayWrite)
	}
	return c.findings
}

// probe tells whether a folder could be made, with one that is removed at once.
func probe(folder string) error {
	parent := filepath.Dir(folder)
	for parent != filepath.Dir(parent) {
		if _, err := os.Stat(parent); !errors.Is(err, fs.ErrNotExist) {
			break
		}
		parent = filepath.Dir(parent)
	}
	dir, err := os.MkdirTemp(parent, Prefix+"*")
	if err != nil {
		return err
	}
	return os.Remove(dir)
}

// write makes the canary, and syncs it and its folder.
func (c *Canary) write() error {
	f, err := c.Root.OpenFile(c.File, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString("canary\n")
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}
