package deadletter_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"imbrouter/router/deadletter"
)

// A letter that was read is written so that it is read as the same.
func FuzzLetter(f *testing.F) {
	f.Add([]byte(`{"id":"1","time":"2026-05-04T03:02:01.123Z","route":"r","sinks":["s"],"error":"","event":"a","kind":"normal","data":"aGk="}`))
	f.Add([]byte(`{"id":"1","time":"2026-05-04T03:02:01Z","kind":"200","raw_event":"6Q=="}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var first, second deadletter.Letter
		if first.UnmarshalJSON(text) != nil || len(first.Error) > 4<<10 {
			return
		}
		text, err := first.MarshalJSON()
		if err == nil {
			err = second.UnmarshalJSON(text)
		}
		if err != nil {
			t.Fatalf("%+v: %s: %v", first, text, err)
		}
		first.Time = first.Time.Truncate(time.Millisecond)
		if diff := cmp.Diff(first, second, cmpopts.EquateEmpty(), cmpopts.EquateApproxTime(0)); diff != "" {
			t.Error(diff)
		}
	})
}
