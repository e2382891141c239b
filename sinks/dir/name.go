package dir

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	maxDepth     = 16   // parts of a path; what is deeper goes into the last one
	maxPart      = 200  // bytes; leaves room for numbers and suffixes within the 255 of most file systems
	maxExtension = 16   // bytes of an extension that survives a cut, without its dot
	emptyPart    = "%"  // stands for a part without any characters
	cutMark      = "%+" // before the hash in a part that was cut
)

// ErrNameCut says that a name was too long to be kept whole in a path.
var ErrNameCut = errors.New("the name was cut")

// SafeName returns the slash-separated relative path under which a stream of
// the given name lands. The path is printable, never leads out of the folder
// or into ".imbrouter", means the same on Linux, Windows and macOS, and is
// different for different names. [OriginalName] is its reverse.
//
// Each part between slashes is mapped by itself. Percent-encoded, byte by byte,
// are: invalid UTF-8; control, invisible and other unprintable characters;
// \ : * ? " < > | and %; a dot, dash or space at the start; a dot or space at
// the end; the first letter of a Windows device name, with or without
// extension; a tilde before a digit, which on Windows can name another file by
// its short alias. An empty part becomes a lone %. A part of more than 200
// bytes is cut and ends in %+, 16 hex digits of its SHA-256 and its extension.
// Of more than 16 parts the rest goes into the last one, its slashes encoded;
// with flatten every slash is encoded and the path has one part.
func SafeName(name string, flatten bool) string {
	if flatten {
		return safePart(name)
	}
	parts := strings.SplitN(name, "/", maxDepth)
	for i, part := range parts {
		parts[i] = safePart(part)
	}
	return strings.Join(parts, "/")
}

// OriginalName returns the stream name from which [SafeName] made path, with
// or without flatten. It fails with [ErrNameCut] when a part of the name was
// too long, and when path cannot come from SafeName.
func OriginalName(path string) (string, error) {
	parts := strings.Split(path, "/")
	for i, part := range parts {
		original, err := originalPart(part)
		if err != nil {
			return "", fmt.Errorf("file name %q: %w", part, err)
		}
		parts[i] = original
	}
	return strings.Join(parts, "/"), nil
}

func safePart(part string) string {
	if part == "" {
		return emptyPart
	}
	if encoded, whole := encode(part, maxPart); whole {
		return encoded
	}
	sum := sha256.Sum256([]byte(part))
	mark := cutMark + hex.EncodeToString(sum[:8])
	if i := strings.LastIndexByte(part, '.'); i >= 0 && i < len(part)-1 {
		if extension, whole := encode(part[i+1:], maxExtension); whole {
			mark += "." + extension
		}
	}
	head, _ := encode(part, maxPart-len(mark))
	return head + mark
}

// encode encodes as much of part as fits into limit bytes, and tells whether
// that was the whole.
func encode(part string, limit int) (encoded string, whole bool) {
	const hexDigits = "0123456789ABCDEF"
	out := make([]byte, 0, min(len(part)+16, limit))
	device := isDevice(part)
	for i := 0; i < len(part); {
		r, n := utf8.DecodeRuneInString(part[i:])
		next := i + n
		if safe := isSafe(r, n) &&
			(i > 0 || !device && r != '.' && r != '-' && r != ' ') &&
			(next < len(part) || r != '.' && r != ' ') &&
			(r != '~' || next == len(part) || !isDigit(part[next])); safe {
			if len(out)+n > limit {
				return string(out), false
			}
			out = append(out, part[i:next]...)
		} else {
			if len(out)+3*n > limit {
				return string(out), false
			}
			for _, b := range []byte(part[i:next]) {
				out = append(out, '%', hexDigits[b>>4], hexDigits[b&15])
			}
		}
		i = next
	}
	return string(out), true
}

// isSafe tells whether a character of n bytes can stand for itself, wherever
// in a part it is.
func isSafe(r rune, n int) bool {
	if r == utf8.RuneError && n == 1 {
		return false // a byte that is no UTF-8
	}
	return unicode.IsPrint(r) && !strings.ContainsRune(`/\:*?"<>|%`, r) &&
		!unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

func isDigit(b byte) bool { return '0' <= b && b <= '9' }

// isDevice tells whether Windows takes part for a device, as it does NUL,
// nul.txt and "NUL .txt".
func isDevice(part string) bool {
	base, _, _ := strings.Cut(part, ".")
	base = strings.TrimRight(base, " ")
	if len(base) > len("CONOUT$") {
		return false
	}
	base = strings.ToUpper(base)
	switch base {
	case "CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$":
		return true
	}
	number, isPort := strings.CutPrefix(base, "COM")
	if !isPort {
		number, isPort = strings.CutPrefix(base, "LPT")
	}
	switch number {
	case "¹", "²", "³":
		return isPort
	}
	return isPort && len(number) == 1 && isDigit(number[0])
}

func originalPart(part string) (string, error) {
	if part == emptyPart {
		return "", nil
	}
	if strings.Contains(part, cutMark) {
		return "", ErrNameCut
	}
	out := make([]byte, 0, len(part))
	for i := 0; i < len(part); i++ {
		if part[i] != '%' {
			out = append(out, part[i])
			continue
		}
		if i+3 > len(part) {
			return "", errors.New("a % without two hex digits")
		}
		b, err := hex.DecodeString(part[i+1 : i+3])
		if err != nil {
			return "", errors.New("a % without two hex digits")
		}
		out = append(out, b[0])
		i += 2
	}
	return string(out), nil
}

// shown returns a name from outside as a log line or a text for people can
// hold it: escaped where it is not printable, and not too long.
func shown(name string) string {
	const most = 256
	tail := ""
	if len(name) > most {
		name, tail = name[:most], "…"
	}
	quoted := strconv.Quote(name)
	return quoted[1:len(quoted)-1] + tail
}
