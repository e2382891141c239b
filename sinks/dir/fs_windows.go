package dir

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// hasNoLinks tells whether link failed because the file system has no hard
// links, as FAT and exFAT have none.
func hasNoLinks(err error) bool {
	return errors.Is(err, windows.ERROR_INVALID_FUNCTION) || errors.Is(err, windows.ERROR_NOT_SUPPORTED) ||
		errors.Is(err, errors.ErrUnsupported)
}

// renameNew renames without overwriting: an empty file takes the name first.
// A machine that dies between the two steps leaves it there.
func renameNew(root *os.Root, old, new string) error {
	taken, err := root.OpenFile(new, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	if err := taken.Close(); err != nil {
		return err
	}
	if err := root.Rename(old, new); err != nil {
		return errors.Join(err, root.Remove(new))
	}
	return nil
}

// hasTwoNames tells whether a file has a second hard link.
func hasTwoNames(root *os.Root, name string) bool {
	file, err := root.Open(name)
	if err != nil {
		return false
	}
	defer file.Close()
	var info windows.ByHandleFileInformation
	err = windows.GetFileInformationByHandle(windows.Handle(file.Fd()), &info)
	return err == nil && info.NumberOfLinks > 1
}

func freeSpace(root *os.Root) (int64, error) {
	name, err := windows.UTF16PtrFromString(root.Name())
	if err != nil {
		return 0, err
	}
	var free uint64
	if err := windows.GetDiskFreeSpaceEx(name, &free, nil, nil); err != nil {
		return 0, os.NewSyscallError("GetDiskFreeSpaceEx", err)
	}
	return int64(free), nil
}

var diskErrors = []diskError{
	{windows.ERROR_DISK_FULL, true, "make room there"},
	{windows.ERROR_HANDLE_DISK_FULL, true, "make room there"},
	{windows.ERROR_DISK_QUOTA_EXCEEDED, true, "make room there, or raise the quota"},
	{windows.ERROR_WRITE_PROTECT, false, "make it writable again"},
	{windows.ERROR_IO_DEVICE, false, "the disk may be failing, see the system's log"},
	{windows.ERROR_NOT_READY, false, "connect it again"},
}
