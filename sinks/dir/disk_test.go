package dir

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

// TestLargeFiles has bodies come whole that go to the disk while they are written.
func TestLargeFiles(t *testing.T) {
	random := rand.NewChaCha8([32]byte{})
	body := make([]byte, 3*stretch+1234)
	random.Read(body)
	for _, piece := range []int{64 << 10, 100_001, stretch - 1, len(body)} {
		dir := t.TempDir()
		root, err := os.OpenRoot(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer root.Close()
		f, err := rootDisk{root}.Create("a")
		if err != nil {
			t.Fatal(err)
		}
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
			t.Errorf("in pieces of %d: %d bytes landed, not the %d that were written; %v", piece, len(got), len(body), err)
		}
	}
}
