package dir

import (
	"log/slog"
	"sync"
	"time"

	"imbrouter/router/remedy"
)

// shared are the folders that sinks of this process have open, by path. Two
// sinks have the same one only while one takes the other's place, see
// router.Router.Apply: the streams of the former end in it.
var shared = struct {
	sync.Mutex
	folders map[string]*folder
}{folders: map[string]*folder{}}

// acquire returns the folder of a sink, open, for the caller to release.
func acquire(c *Config, log *slog.Logger) (*folder, error) {
	shared.Lock()
	defer shared.Unlock()
	f := shared.folders[c.Path]
	if f != nil && f.isCurrent() {
		f.limit(c)
	} else {
		var err error
		if f, err = openFolder(c, log); err != nil {
			return nil, remedy.Add(err, remedy.MayWrite)
		}
		shared.folders[c.Path] = f
	}
	f.users++
	return f, nil
}

// limit sets the limits that a configuration gives.
func (f *folder) limit(c *Config) {
	f.incomplete.limit(time.Duration(c.IncompleteMaxAge), int64(c.IncompleteMaxSize))
	f.space.keep.Store(int64(c.MinFree))
	f.marks.limit(c.received())
}

// retain is acquire for a folder that is open.
func (f *folder) retain() {
	shared.Lock()
	defer shared.Unlock()
	f.users++
}

// release closes the folder when nobody uses it any more.
func (f *folder) release() error {
	shared.Lock()
	defer shared.Unlock()
	if f.users--; f.users > 0 {
		return nil
	}
	if path := f.root.Name(); shared.folders[path] == f {
		delete(shared.folders, path)
	}
	return f.close()
}
