package config

import (
	"path/filepath"
	"regexp"
	"strings"
)

// Path returns the absolute path of the folder or file that a key names,
// relative to the folder of the configuration file. It reports one that is
// missing or that can be none.
func (c *Check) Path(key, path string) string {
	if path == "" {
		c.Missing(key)
		return ""
	}
	if strings.ContainsRune(path, 0) {
		c.Errorf(key, "%q holds the character NUL, which no path can", path)
	} else if part := forShells(path); part != "" {
		c.Errorf(key, "%q: %s is not replaced here; write the path out, such as %q", path, part, "/home/me/drop")
	}
	path = filepath.FromSlash(path)
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(c.config.Dir, path)
}

// shellHome and shellVariable are what a shell would put something else for:
// "~" at the start of a path, and a part that is, or begins with,
// "$NAME", "${NAME}" or "%NAME%".
var (
	shellHome     = regexp.MustCompile(`^~(?:[/\\]|$)`)
	shellVariable = regexp.MustCompile(`(?:^|[/\\])(\$[A-Za-z_]\w*|\$\{\w+\}|%\w+%)`)
)

// forShells returns what of a path is meant for a shell, "" for nothing.
func forShells(path string) string {
	if shellHome.MatchString(path) {
		return "~"
	}
	if m := shellVariable.FindStringSubmatch(path); m != nil {
		return m[1]
	}
	return ""
}

// lies tells whether a folder is another or lies below it.
func lies(folder, in string) bool {
	_, ok := below(folder, in)
	return ok
}

// below returns the path of a folder relative to another that it lies in, with
// "/"; "." when it is the same.
func below(folder, in string) (rel string, ok bool) {
	rel, err := filepath.Rel(in, folder)
	return filepath.ToSlash(rel), err == nil && filepath.IsLocal(rel)
}
