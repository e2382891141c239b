package imbtest

import (
	"bytes"
	_ "embed"
)

var (
	//go:embed testdata/pyimb.client.bin
	pyimbClient []byte
	//go:embed testdata/pyimb.hub.bin
	pyimbHub []byte
)

// PyimbClient returns every byte that the Python client sent in one conversation.
// It set its info (owner 123, "my name"), asked for its unique client id,
// subscribed and published "my federation.my event" as its id 0, and sent on
// it: the strings "This string is sent" and "héllo wörld"; a changeObject
// (action change, object 42, attribute "attr"); and three streams in bodies of
// 16 KiB, "test.bin" (51,200 bytes: 0…255, repeated), "exact.bin" (32,768
// times x, so that its tail is empty) and "empty.bin". Then it unpublished,
// unsubscribed and closed.
//
// A hub delivers all of it back to the connection, because the client
// subscribes to what it publishes.
func PyimbClient() []byte { return bytes.Clone(pyimbClient) }

// PyimbHub returns every byte that a hub sent in the conversation of [PyimbClient]:
// the greeting and the answer with the unique client id, the translation of
// the event, all that was sent on it, and the end of the translation. Unique
// client id 1001, handle 1 and hub event id 0 were that hub's own choice.
func PyimbHub() []byte { return bytes.Clone(pyimbHub) }
