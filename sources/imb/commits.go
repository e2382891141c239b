package imb

import "sync"

// commits runs a bounded number of commits side by side. begin and await are
// called from one goroutine.
type commits struct {
	slots   chan struct{}
	mu      sync.Mutex
	pending map[string]chan struct{} // closed when the commit under that key is done
}

func newCommits(parallel int) *commits {
	return &commits{slots: make(chan struct{}, parallel), pending: map[string]chan struct{}{}}
}

// begin runs commit in a goroutine, as soon as there is room. Two with the
// same key run one after the other.
func (c *commits) begin(key string, commit func()) {
	c.await(key)
	c.slots <- struct{}{}
	done := make(chan struct{})
	c.mu.Lock()
	c.pending[key] = done
	c.mu.Unlock()
	go func() {
		commit()
		c.mu.Lock()
		delete(c.pending, key)
		c.mu.Unlock()
		close(done)
		<-c.slots
	}()
}

// await waits for the commit under a key, if there is one.
func (c *commits) await(key string) {
	c.mu.Lock()
	done := c.pending[key]
	c.mu.Unlock()
	if done != nil {
		<-done
	}
}
