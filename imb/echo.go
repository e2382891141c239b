package imb

// Echoes tells whether the hub of the present connection hands back what a
// client sends on an event that it subscribes itself, as every known hub does.
// It is false without a connection, and until an echo has been seen.
func (c *Client) Echoes() bool {
	n := c.live.Load()
	return n != nil && n.flush.hasEchoed()
}

func (f *flusher) hasEchoed() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.byEcho
}
