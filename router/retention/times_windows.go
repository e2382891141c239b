package retention

import (
	"io/fs"
	"syscall"
	"time"
)

// changeTime returns when a file was made: a listing tells no more.
func changeTime(info fs.FileInfo) time.Time {
	return time.Unix(0, info.Sys().(*syscall.Win32FileAttributeData).CreationTime.Nanoseconds())
}
