// Package disktest gives a test a disk of its own: a small one, which is soon
// full, or one from which the power can be taken. Both need Linux and root; a
// test that cannot have its disk is skipped with the reason.
//
//	disk := disktest.Small(t, "size=256k") // the path of an empty folder
//
//	disk := disktest.New(t) // its files are below disk.Path
//	…
//	disk.PowerOff()
//	… // close what is open there
//	disk.PowerOn()
package disktest
