package imb

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"imbrouter/imb/wire"
)

const (
	// locateTimeout bounds a search for a hub.
	locateTimeout = 3 * time.Second
	// locateInterval is how often the question is asked, which may get lost.
	locateInterval = 500 * time.Millisecond
	// maxReadFaults is how many errors of reading are borne between two
	// questions: more than come of questions that nobody took.
	maxReadFaults = 100
)

// LocateTarget tells whether an address, of Options, says that a hub is to be
// looked for; and whom it says to ask, "" for everybody.
func LocateTarget(address string) (ask string, ok bool) {
	if address == "locate" {
		return "", true
	}
	return strings.CutPrefix(address, "locate:")
}

// Locate looks for a hub and returns the address, "host:port", that the first one
// to answer tells. It asks this machine and, with a broadcast, its network, on
// port 4000; or if ask is not "", that alone: a host, another broadcast address,
// another port. It uses IPv4.
//
// It fails with ErrNoHub when none answers within three seconds, or with the
// error of ctx. It believes whoever answers.
func Locate(ctx context.Context, ask string) (address string, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, locateTimeout, ErrNoHub)
	defer cancel()
	targets, err := locateTargets(ctx, ask)
	if err != nil {
		if ctx.Err() != nil {
			err = fmt.Errorf("%w: %w", context.Cause(ctx), err)
		}
		return "", fmt.Errorf("locate a hub: %w", err)
	}
	conn, err := net.ListenUDP("udp4", nil)
	if err != nil {
		return "", fmt.Errorf("locate a hub: %w", err)
	}
	defer conn.Close()
	for {
		asked := askForHub(conn, targets)
		address, err := awaitHub(ctx, conn)
		switch {
		case err == nil:
			return address, nil
		case ctx.Err() != nil:
			err = context.Cause(ctx)
			if asked != nil {
				err = fmt.Errorf("%w: %w", err, asked)
			}
		case errors.Is(err, os.ErrDeadlineExceeded):
			continue
		}
		return "", fmt.Errorf("locate a hub: %w", err)
	}
}

// locateTargets returns whom to ask.
func locateTargets(ctx context.Context, ask string) (targets []*net.UDPAddr, err error) {
	if ask == "" {
		return []*net.UDPAddr{
			{IP: net.IPv4(127, 0, 0, 1), Port: wire.DefaultPort},
			{IP: net.IPv4bcast, Port: wire.DefaultPort},
		}, nil
	}
	host, service, err := net.SplitHostPort(withPort(ask))
	if err != nil {
		return nil, err
	}
	port, err := net.DefaultResolver.LookupPort(ctx, "udp4", service)
	if err != nil {
		return nil, err
	}
	addresses, err := net.DefaultResolver.LookupNetIP(ctx, "ip4", host)
	for _, address := range addresses {
		targets = append(targets, net.UDPAddrFromAddrPort(netip.AddrPortFrom(address, uint16(port))))
	}
	return targets, err
}

// askForHub sends the question. It returns why, if nobody could be asked.
func askForHub(conn *net.UDPConn, targets []*net.UDPAddr) error {
	var failed error
	asked := 0
	for _, target := range targets {
		if _, err := conn.WriteToUDP(wire.AppendHubLocate(nil), target); err != nil {
			failed = err
		} else {
			asked++
		}
	}
	if asked > 0 {
		return nil
	}
	return failed
}

// awaitHub waits for an answer until it is time to ask again, or ctx ends, which
// os.ErrDeadlineExceeded says. Another error is there to stay.
func awaitHub(ctx context.Context, conn *net.UDPConn) (address string, err error) {
	conn.SetReadDeadline(time.Now().Add(locateInterval))
	defer context.AfterFunc(ctx, func() { conn.SetReadDeadline(time.Unix(1, 0)) })()
	buf := make([]byte, wire.MaxDatagram)
	for faults := 0; ; {
		n, err := conn.Read(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return "", err
		}
		if err != nil { // on Windows, that a question found nobody
			if faults++; faults > maxReadFaults {
				return "", err
			}
			continue
		}
		f, err := wire.ParseDatagram(buf[:n])
		if err != nil || f.Command != wire.CmdHubFound {
			continue
		}
		if address, err := wire.ParseHubURI(wire.ParseHubFound(f.Payload)); err == nil {
			return address, nil
		}
	}
}
