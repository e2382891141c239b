package dir

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

// TestLargeFiles has bodies come whole through all ways to the disk: that of small
// files, past the system's cache, and the one that is left when that does not go.
func TestLargeFiles(t *testing.T) {
	random := rand.NewChaCha8([32]byte{})
	body := make([]byte, 3*passSize+1234)
	random.Read(body)
	for _, piece := range []int{64 << 10, 100_001, passSize - 1, len(body)} {
		for _, passes := range []bool{true, false} {
			dir := t.TempDir()
			root, err := os.OpenRoot(dir)
			if err != nil {
				t.Fatal(err)
			}
			defer root.Close()
			created, err := rootDisk{root}.Create("a")
			if err != nil {
				t.Fatal(err)
			}
			f := created.(*partialFile)
			f.passes = passes
			for rest := body; len(rest) > 0; {
				n := min(piece, len(rest))
				if k, err := f.Write(rest[:n]); k != n || err != nil {
					t.Fatalf("Write of %d bytes = %d, %v", n, k, err)
				}
				rest = rest[n:]
			}
			if err := f.Sync(); err != nil {
				t.Fatal(err)
			}
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
			got, err := os.ReadFile(filepath.Join(dir, "a"))
			if err != nil || !bytes.Equal(got, body) {
				t.Errorf("in pieces of %d, past the cache %v: %d bytes landed, not the %d that were written; %v",
					piece, passes, len(got), len(body), err)
			}
		}
	}
}
