package retention

import (
	"io/fs"
	"syscall"
	"time"
)

// changeTime returns when a file's inode changed last.
func changeTime(info fs.FileInfo) time.Time {
	return time.Unix(info.Sys().(*syscall.Stat_t).Ctimespec.Unix())
}
