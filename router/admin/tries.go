package admin

import (
	"net"
	"net/http"
	"sync"
	"time"
)

const (
	// maxWrong is how many wrong tokens an address may show in a row, and
	// wrongPause after how long one of them is forgotten.
	maxWrong   = 10
	wrongPause = 6 * time.Second
	// maxTriers is how many addresses are told apart. More than these count as one.
	maxTriers = 1000
	// triesTold is how often the log tells of wrong tokens.
	triesTold = time.Minute
)

// tries bounds how often tokens are guessed. It is safe for concurrent use.
type tries struct {
	mu        sync.Mutex
	forgotten map[string]time.Time // by address: when all its wrong tokens will be
	told      time.Time
}

// wait returns how long an address must wait before it may show a token again.
func (t *tries) wait(address string) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	return max(0, max(0, time.Until(t.forgotten[t.known(address)]))-(maxWrong-1)*wrongPause)
}

// wrong notes that an address has shown a wrong token, and tells whether the log is
// to say that it must wait now.
func (t *tries) wrong(address string) (tell bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	for other, forgotten := range t.forgotten {
		if !forgotten.After(now) {
			delete(t.forgotten, other)
		}
	}
	if t.forgotten == nil {
		t.forgotten = map[string]time.Time{}
	}
	address = t.known(address)
	last := t.forgotten[address]
	if last.Before(now) {
		last = now
	}
	t.forgotten[address] = last.Add(wrongPause)
	if t.forgotten[address].Sub(now) <= (maxWrong-1)*wrongPause || now.Sub(t.told) < triesTold {
		return false
	}
	t.told = now
	return true
}

// known returns an address that is told apart, or "" for all others.
func (t *tries) known(address string) string {
	if _, ok := t.forgotten[address]; !ok && len(t.forgotten) >= maxTriers {
		return ""
	}
	return address
}

// addressOf returns the address of who asks, without the port.
func addressOf(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil { // of a socket
		return r.RemoteAddr
	}
	return host
}
