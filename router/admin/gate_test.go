package admin_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"imbrouter/router/admin"
)

func TestReadToken(t *testing.T) {
	for _, tt := range []struct{ text, token, fault string }{
		{"0123456789abcdef\n", "0123456789abcdef", ""},
		{"  0123456789+/cdef=\r\n", "0123456789+/cdef=", ""},
		{"0123456789abcde\n", "", "it has 15 characters"},
		{"", "", "it has 0 characters"},
		{"0123456789 abcdef", "", "a space in it"},
		{"0123456789\nabcdef", "", "a space in it"},
		{"0123456789abcdéf", "", "not printable ASCII"},
	} {
		path := filepath.Join(t.TempDir(), "token")
		if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		token, err := admin.ReadToken(path)
		if token != tt.token || (err == nil) != (tt.fault == "") {
			t.Errorf("%q gives %q, %v", tt.text, token, err)
		}
		if err != nil && (!strings.Contains(err.Error(), tt.fault) || !strings.Contains(err.Error(), path)) {
			t.Errorf("%q gives %v", tt.text, err)
		}
	}
	if _, err := admin.ReadToken(filepath.Join(t.TempDir(), "none")); err == nil || !strings.Contains(err.Error(), "token_file") {
		t.Errorf("a file that is not there gives %v", err)
	}
}
