package dir

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestSafeName(t *testing.T) {
	long := strings.Repeat("x", 300)
	tests := []struct {
		name string
		want string
		flat string // "": the same
	}{
		{name: "report.csv", want: "report.csv"},
		{name: "a/b/report.csv", want: "a/b/report.csv", flat: "a%2Fb%2Freport.csv"},
		{name: "Überblick 2026.csv", want: "Überblick 2026.csv"},
		{name: "../x", want: "%2E%2E/x", flat: "%2E.%2Fx"},
		{name: "/etc/x", want: "%/etc/x", flat: "%2Fetc%2Fx"},
		{name: "a/../../b", want: "a/%2E%2E/%2E%2E/b", flat: "a%2F..%2F..%2Fb"},
		{name: `a\..\b`, want: `a%5C..%5Cb`},
		{name: "a\x00b", want: "a%00b"},
		{name: "a\nb", want: "a%0Ab"},
		{name: "\x1b[2J", want: "%1B[2J"},
		{name: "gpj.\u202eexe", want: "gpj.%E2%80%AEexe"},
		{name: "a\u200bb", want: "a%E2%80%8Bb"},
		{name: "a\u00adb", want: "a%C2%ADb"},
		{name: "a\u3164b\ufe0f", want: "a%E3%85%A4b%EF%B8%8F"},
		{name: "a\u2028b", want: "a%E2%80%A8b"},
		{name: "\xff\xfe", want: "%FF%FE"},
		{name: "gr\xfcn", want: "gr%FCn"},
		{name: "\ufffd", want: "\ufffd"},
		{name: "-rf", want: "%2Drf"},
		{name: "a/-rf", want: "a/%2Drf", flat: "a%2F-rf"},
		{name: ".hidden", want: "%2Ehidden"},
		{name: ".imbrouter/lock", want: "%2Eimbrouter/lock", flat: "%2Eimbrouter%2Flock"},
		{name: "IMBROU~1/lock", want: "IMBROU%7E1/lock", flat: "IMBROU%7E1%2Flock"},
		{name: "backup~", want: "backup~"},
		{name: ".", want: "%2E"},
		{name: "..", want: "%2E%2E"},
		{name: "...", want: "%2E.%2E"},
		{name: " a ", want: "%20a%20"},
		{name: "a.", want: "a%2E"},
		{name: "a. .", want: "a. %2E"},
		{name: "NUL", want: "%4EUL"},
		{name: "nul.txt", want: "%6Eul.txt"},
		{name: "NUL .txt", want: "%4EUL .txt"},
		{name: "com1", want: "%63om1"},
		{name: "LPT³.log", want: "%4CPT³.log"},
		{name: "conin$", want: "%63onin$"},
		{name: "COM", want: "COM"},
		{name: "COM10", want: "COM10"},
		{name: "nullable", want: "nullable"},
		{name: "C:evil", want: "C%3Aevil"},
		{name: `*?"<>|`, want: "%2A%3F%22%3C%3E%7C"},
		{name: "100%", want: "100%25"},
		{name: "%2E", want: "%252E"},
		{name: "", want: "%"},
		{name: "%", want: "%25"},
		{name: "/", want: "%/%", flat: "%2F"},
		{name: "a//b", want: "a/%/b", flat: "a%2F%2Fb"},
		{name: long[:200], want: long[:200]},
		{name: long, want: long[:182] + "%+" + "0d4e2ca9e9cbced7"},
		{name: long + ".csv", want: long[:178] + "%+" + "e93a53312f30e8ff" + ".csv"},
		{
			name: strings.Repeat("d/", 15) + "e/f/g", want: strings.Repeat("d/", 15) + "e%2Ff%2Fg",
			flat: strings.Repeat("d%2F", 15) + "e%2Ff%2Fg",
		},
	}
	for _, test := range tests {
		t.Run(fmt.Sprintf("%.40q", test.name), func(t *testing.T) {
			if test.flat == "" {
				test.flat = test.want
			}
			if got := SafeName(test.name, false); got != test.want {
				t.Errorf("SafeName(%q) = %q, want %q", test.name, got, test.want)
			}
			if got := SafeName(test.name, true); got != test.flat {
				t.Errorf("SafeName(%q) flattened = %q, want %q", test.name, got, test.flat)
			}
		})
	}
}

func TestOriginalNameRefuses(t *testing.T) {
	for _, path := range []string{"a%2", "%zz", "a/b%"} {
		if got, err := OriginalName(path); err == nil || errors.Is(err, ErrNameCut) {
			t.Errorf("OriginalName(%q) = %q, %v, want an error about its %%", path, got, err)
		}
	}
	cut := SafeName("dir/"+strings.Repeat("%", 100), false)
	if got, err := OriginalName(cut); !errors.Is(err, ErrNameCut) {
		t.Errorf("OriginalName(%q) = %q, %v, want ErrNameCut", cut, got, err)
	}
}

// hostileNames draws names that are made of what file systems, shells and
// screens take amiss.
func hostileNames() *rapid.Generator[string] {
	piece := rapid.OneOf(
		rapid.SampledFrom([]string{
			"/", "..", ".", "-", " ", "%", "%2E", "%+", "~1", "\\", ":", "\x00", "\n", "\x1b[", "\u202e", "\u200d",
			"\xff", "\xc3", "NUL", "com1", ".txt", ".imbrouter", "é", "e\u0301", "A", "a", "日本", "\U0001F600",
		}),
		rapid.String(),
		rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 4), func(b []byte) string { return string(b) }),
		rapid.Map(rapid.IntRange(1, 250), func(n int) string { return strings.Repeat("x", n) }),
	)
	return rapid.Map(rapid.SliceOfN(piece, 0, 24), func(pieces []string) string { return strings.Join(pieces, "") })
}

func TestSafeNameProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name, flatten := hostileNames().Draw(t, "name"), rapid.Bool().Draw(t, "flatten")
		checkSafe(t, name, flatten)
	})
}

func TestDistinctNamesStayDistinct(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		// Few pieces, so that equal paths would be found were there any.
		names := rapid.Map(
			rapid.SliceOfN(rapid.SampledFrom([]string{"", "/", ".", "%", "2E", "%2E", "%2F", "a", "\x00"}), 0, 4),
			func(pieces []string) string { return strings.Join(pieces, "") })
		a, b, flatten := names.Draw(t, "a"), names.Draw(t, "b"), rapid.Bool().Draw(t, "flatten")
		if a != b && SafeName(a, flatten) == SafeName(b, flatten) {
			t.Fatalf("%q and %q both become %q", a, b, SafeName(a, flatten))
		}
		longA, longB := strings.Repeat("y", 300)+a, strings.Repeat("y", 300)+b
		if a != b && SafeName(longA, true) == SafeName(longB, true) {
			t.Fatalf("%q and %q both become %q", longA, longB, SafeName(longA, true))
		}
	})
}

func FuzzSafeName(f *testing.F) {
	for _, seed := range []string{"", "..", "/etc/passwd", "NUL.txt", "a\x00\u202e\xff%", strings.Repeat("a/", 20)} {
		f.Add(seed, false)
		f.Add(seed, true)
	}
	f.Fuzz(func(t *testing.T, name string, flatten bool) { checkSafe(t, name, flatten) })
}

// checkSafe says everything that holds for the path of any name.
func checkSafe(t interface{ Fatalf(string, ...any) }, name string, flatten bool) {
	safe := SafeName(name, flatten)
	if !filepath.IsLocal(filepath.FromSlash(safe)) || path.Clean(safe) != safe || safe == "." {
		t.Fatalf("SafeName(%q) = %q leads out of the folder or is not clean", name, safe)
	}
	parts := strings.Split(safe, "/")
	if len(parts) > 16 || flatten && len(parts) > 1 {
		t.Fatalf("SafeName(%q) = %q has %d parts", name, safe, len(parts))
	}
	for _, part := range parts {
		if part == "" || len(part) > 200 {
			t.Fatalf("SafeName(%q): part %q has %d bytes", name, part, len(part))
		}
		if strings.ContainsAny(part[:1], ".- ") || strings.ContainsAny(part[len(part)-1:], ". ") {
			t.Fatalf("SafeName(%q): part %q begins or ends in what misleads", name, part)
		}
		if isDevice(part) {
			t.Fatalf("SafeName(%q): part %q is a device", name, part)
		}
	}
	if !utf8.ValidString(safe) || strings.ContainsFunc(safe, func(r rune) bool { return !unicode.IsPrint(r) }) ||
		strings.ContainsAny(safe, `\:*?"<>|`) {
		t.Fatalf("SafeName(%q) = %q is not printable everywhere", name, safe)
	}
	original, err := OriginalName(safe)
	if errors.Is(err, ErrNameCut) && len(name) > 200/3 {
		return
	}
	if err != nil || original != name {
		t.Fatalf("OriginalName(%q) = %q, %v, want %q", safe, original, err, name)
	}
}

// TestSafeNameOnDisk asks the file system itself: every path can be made, and
// stays inside.
func TestSafeNameOnDisk(t *testing.T) {
	for _, name := range []string{
		"../x", "/etc/x", "a/../../b", "\x00", strings.Repeat("x", 300), "\n", "\x1b[2J", "\u202e", "\xff",
		"-rf", ".hidden", "NUL", "C:evil", "", ".", strings.Repeat("\xff/", 40),
	} {
		root, err := os.OpenRoot(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		defer root.Close()
		safe := SafeName(name, false)
		if err := root.MkdirAll(path.Dir(safe), 0o755); err != nil {
			t.Errorf("%q: %v", name, err)
		}
		if err := root.WriteFile(safe, nil, 0o644); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
}
