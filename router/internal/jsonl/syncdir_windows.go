package jsonl

// SyncDir does nothing: Windows has no fsync of a folder, and NTFS keeps its
// names in a journal.
func SyncDir(string) error { return nil }
