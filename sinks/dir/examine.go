package dir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/dustin/go-humanize"

	"imbrouter/router/canary"
	"imbrouter/router/config"
)

// Examine implements config.Examiner.
func (c *Config) Examine(context.Context) []config.Finding {
	return canary.Try(c.Path, func(k *canary.Canary) { c.examine(k, rootDisk{k.Root}) })
}

func (c *Config) examine(k *canary.Canary, d disk) {
	k.Report("a whole file gets its name, and never that of another", publishes(k, d),
		`only if_exists = "overwrite" works on such a file system`)
	if info, err := k.Root.Lstat(ownDir); err == nil && info.IsDir() { // else it is made
		there := ownDir + "/" + k.Dir
		err := d.Rename(k.Dir+"/whole", there)
		if err == nil {
			err = k.Root.Remove(there)
		}
		k.Report("files can be moved to and from "+ownDir+"/", err,
			"it must be on the file system of the folder, and the user that runs imbrouter must have the right to write there")
	}
	k.Report("names are durable", d.SyncDir(k.Dir), "")
	free, err := d.Free()
	what := "there is room on the disk"
	if err == nil {
		what = fmt.Sprintf("%s are free on the disk, min_free is %v", humanize.IBytes(uint64(max(free, 0))), c.MinFree)
		if free < int64(c.MinFree) {
			err = errMinFree
		}
	}
	k.Report(what, err, "make room there, or lower min_free")
}

// publishes gives the canary its name as a stream gets it.
func publishes(k *canary.Canary, d disk) error {
	taken := k.Dir + "/taken"
	if err := k.Root.WriteFile(taken, nil, 0o600); err != nil {
		return err
	}
	if err := d.Publish(k.File, taken); !errors.Is(err, fs.ErrExist) {
		if err == nil {
			err = errors.New("a file was overwritten")
		}
		return err
	}
	return d.Publish(k.File, k.Dir+"/whole")
}
