//go:build !linux

package dir

func (d *folder) renameNew(from, to string) error { return d.renameIfFree(from, to) }
