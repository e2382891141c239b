package dir

import (
	"path"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// selection decides which paths are input. Paths are relative to the folder,
// with "/".
type selection struct {
	include, exclude []string
	recursive        bool
}

// file tells whether a file in a folder that is searched is input.
func (s *selection) file(name string) bool {
	return !hidden(name) && !matches(s.exclude, name) && matches(s.include, name)
}

// dir tells whether a folder, in one that is searched, is searched too.
func (s *selection) dir(name string) bool {
	return s.recursive && !hidden(name) && !matches(s.exclude, name)
}

func hidden(name string) bool { return strings.HasPrefix(path.Base(name), ".") }

// matches tells whether one of the patterns matches. One without a slash is
// matched with the last part of the path alone.
func matches(patterns []string, name string) bool {
	for _, p := range patterns {
		subject := name
		if !strings.Contains(p, "/") {
			subject = path.Base(name)
		}
		if doublestar.MatchUnvalidated(p, subject) {
			return true
		}
	}
	return false
}
