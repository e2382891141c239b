package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"syscall"
)

// Listen opens the address of a hub. setting names what sets it, for the error,
// which says what to do.
func Listen(ctx context.Context, address, setting string) (net.Listener, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("the hub cannot listen: %w; %s", err, listenRemedy(err, setting))
	}
	return listener, nil
}

func listenRemedy(err error, setting string) string {
	var unknown *net.DNSError
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return "is another hub running there? " + setting + " sets another address"
	case errors.Is(err, syscall.EADDRNOTAVAIL), errors.As(err, &unknown):
		return setting + ` must be an address of this machine, such as "127.0.0.1:4000", or "0.0.0.0:4000" for all of them`
	case errors.Is(err, fs.ErrPermission):
		return "this user may not have that port; " + setting + " sets another, such as \"127.0.0.1:4000\""
	}
	return setting + " sets another address"
}
