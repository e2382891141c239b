// Package share lets callers who want the same done at the same time share the
// doing of it, such as the fsync of a folder in which each of them has made a
// file.
//
//	var syncs share.Group
//	err := syncs.Do("received", func() error { return syncDir("received") })
package share

import "sync"

// Group runs what its callers want, one after the other for each key. The zero
// value is ready for use, and safe for concurrent use.
type Group struct {
	mu   sync.Mutex
	next map[string]*turn // by what runs now; nil where nobody waits
}

// turn is a run to come.
type turn struct {
	lead chan struct{} // has room for one: who takes from it runs for all
	done chan struct{} // closed when err is final
	err  error
}

// Do returns when a run for key that began after the call has ended, with its
// error. It is the run of do or that of another caller, so all that have the
// same key must want the same.
func (g *Group) Do(key string, do func() error) error {
	g.mu.Lock()
	if g.next == nil {
		g.next = map[string]*turn{}
	}
	t, running := g.next[key]
	if !running {
		g.next[key] = nil
		g.mu.Unlock()
		return g.run(key, do)
	}
	if t == nil {
		t = &turn{lead: make(chan struct{}, 1), done: make(chan struct{})}
		g.next[key] = t
	}
	g.mu.Unlock()
	select {
	case <-t.lead:
		t.err = g.run(key, do)
		close(t.done)
	case <-t.done:
	}
	return t.err
}

// run runs do, and then lets one of those who came meanwhile run theirs.
func (g *Group) run(key string, do func() error) error {
	err := do()
	g.mu.Lock()
	defer g.mu.Unlock()
	if t := g.next[key]; t != nil {
		g.next[key] = nil
		t.lead <- struct{}{}
	} else {
		delete(g.next, key)
	}
	return err
}
