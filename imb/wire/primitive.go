package wire

import (
	"fmt"
	"math"
)

// AppendInt32 appends v as four little-endian bytes.
func AppendInt32(dst []byte, v int32) []byte { return le.AppendUint32(dst, uint32(v)) }

// AppendUint32 appends v as four little-endian bytes.
func AppendUint32(dst []byte, v uint32) []byte { return le.AppendUint32(dst, v) }

// AppendInt64 appends v as eight little-endian bytes.
func AppendInt64(dst []byte, v int64) []byte { return le.AppendUint64(dst, uint64(v)) }

// AppendFloat64 appends v as an IEEE 754 double, little-endian.
func AppendFloat64(dst []byte, v float64) []byte {
	return le.AppendUint64(dst, math.Float64bits(v))
}

// AppendBool appends v as one byte, 0 or 1.
func AppendBool(dst []byte, v bool) []byte {
	if v {
		return append(dst, 1)
	}
	return append(dst, 0)
}

// AppendString appends the length of s in bytes as an int32, then s.
func AppendString[T string | []byte](dst []byte, s T) []byte {
	dst = le.AppendUint32(dst, uint32(len(s)))
	return append(dst, s...)
}

// A Decoder reads the fields of a payload one after the other. The first field
// that does not fit sets an error, after which every read returns a zero value;
// so a sequence of reads needs one check, of Err or End, at its end:
//
//	d := wire.NewDecoder(payload)
//	id, name := d.Int32(), d.String()
//	if err := d.End(); err != nil { … }
type Decoder struct {
	rest []byte
	err  error
}

// NewDecoder returns a Decoder of p. It neither copies nor changes p.
func NewDecoder(p []byte) Decoder { return Decoder{rest: p} }

func (d *Decoder) take(n int, what string) []byte {
	if d.err != nil {
		return nil
	}
	if n > len(d.rest) {
		d.err = fmt.Errorf("%w: %s needs %d bytes, %d left", ErrMalformed, what, n, len(d.rest))
		d.rest = nil
		return nil
	}
	p := d.rest[:n:n]
	d.rest = d.rest[n:]
	return p
}

// Int32 reads a signed 32-bit integer.
func (d *Decoder) Int32() int32 { return int32(d.Uint32()) }

// Uint32 reads an unsigned 32-bit integer.
func (d *Decoder) Uint32() uint32 {
	if p := d.take(4, "an int32"); p != nil {
		return le.Uint32(p)
	}
	return 0
}

// Int64 reads a signed 64-bit integer.
func (d *Decoder) Int64() int64 {
	if p := d.take(8, "an int64"); p != nil {
		return int64(le.Uint64(p))
	}
	return 0
}

// Float64 reads an IEEE 754 double.
func (d *Decoder) Float64() float64 {
	if p := d.take(8, "a float64"); p != nil {
		return math.Float64frombits(le.Uint64(p))
	}
	return 0
}

// Bool reads one byte, which is 0 or 1.
func (d *Decoder) Bool() bool {
	p := d.take(1, "a bool")
	if p != nil && p[0] > 1 {
		d.err = fmt.Errorf("%w: a bool that is %d", ErrMalformed, p[0])
		d.rest = nil
		return false
	}
	return p != nil && p[0] == 1
}

// Bytes reads a length-prefixed byte string without copying it.
func (d *Decoder) Bytes() []byte {
	n := d.Int32()
	if d.err != nil {
		return nil
	}
	if n < 0 {
		d.err = fmt.Errorf("%w: a string of negative length %d", ErrMalformed, n)
		d.rest = nil
		return nil
	}
	return d.take(int(n), "a string")
}

// String reads a length-prefixed string; it may hold any bytes.
func (d *Decoder) String() string { return string(d.Bytes()) }

// Rest returns all bytes that are left, without copying them.
func (d *Decoder) Rest() []byte {
	rest := d.rest
	d.rest = nil
	return rest
}

// Err returns the first error, or nil.
func (d *Decoder) Err() error { return d.err }

// End returns the first error, or one that tells of bytes left unread, or nil.
func (d *Decoder) End() error {
	if d.err == nil && len(d.rest) > 0 {
		return fmt.Errorf("%w: %d bytes left over", ErrMalformed, len(d.rest))
	}
	return d.err
}
