package wire

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxDatagram is the largest UDP datagram, in bytes, that the known clients take
// from a hub which they look for.
const MaxDatagram = 450

// AppendHubLocate appends a HUBLocate frame, the UDP question of who looks for a
// hub.
func AppendHubLocate(dst []byte) []byte { return AppendFrame(dst, CmdHubLocate, nil) }

// AppendHubFound appends a HUBFound frame, the UDP answer of a hub. The uri is
// "protocol://server[:port][/path]". The string's length is the frame's size.
func AppendHubFound(dst []byte, uri string) []byte {
	return AppendFrame(dst, CmdHubFound, []byte(uri))
}

// ParseHubFound returns the uri in the payload of a HUBFound frame.
func ParseHubFound(p []byte) string { return string(p) }

// HubURI returns what a hub at a TCP address, "host:port", calls itself in a
// HUBFound frame. The known clients take no notice of the protocol.
func HubURI(address string) string { return "imb://" + address }

// ParseHubURI returns the TCP address, "host:port", of the hub that a uri names.
// Without a port it is DefaultPort.
func ParseHubURI(uri string) (address string, err error) {
	_, rest, ok := strings.Cut(uri, "://")
	rest, _, _ = strings.Cut(rest, "/")
	host, port, err := net.SplitHostPort(rest)
	if err != nil { // without a port
		host, port = rest, strconv.Itoa(DefaultPort)
		if strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]") {
			host = host[1 : len(host)-1]
		}
	}
	n, err := strconv.ParseUint(strings.TrimSpace(port), 10, 16)
	strange := func(r rune) bool {
		return !unicode.IsGraphic(r) || unicode.IsSpace(r) || r == utf8.RuneError || strings.ContainsRune(`[]@\`, r)
	}
	if !ok || err != nil || n == 0 || host == "" || strings.ContainsFunc(host, strange) {
		return "", fmt.Errorf("%w: %.100q is no uri of a hub", ErrMalformed, uri)
	}
	return net.JoinHostPort(host, strconv.FormatUint(n, 10)), nil
}

// ParseDatagram decodes a datagram, which is one frame and nothing else.
func ParseDatagram(p []byte) (Frame, error) {
	if len(p) < HeaderSize || string(p[:len(startMagic)]) != string(startMagic) {
		return Frame{}, fmt.Errorf("%w: a datagram of %d bytes that is no frame", ErrMalformed, len(p))
	}
	f := Frame{Command: Command(le.Uint32(p[8:])), Raw: p}
	n := int(int32(le.Uint32(p[12:])))
	if n < 0 || n > len(p) || FrameSize(n) != len(p) {
		return Frame{}, fmt.Errorf("%w: a datagram of %d bytes with a payload of %d", ErrMalformed, len(p), n)
	}
	f.Payload = p[HeaderSize : HeaderSize+n : HeaderSize+n]
	if end := p[HeaderSize+n:]; n > 0 && string(end) != string(EndMagic) {
		return Frame{}, fmt.Errorf("%w: a datagram that ends in % X", ErrMalformed, end)
	}
	return f, nil
}
