package config

import (
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// Admin is the table [admin]: where a router that runs tells how it is.
type Admin struct {
	// Listen is "unix:" and the path of a socket, an address and port such as
	// "127.0.0.1:4080", or "off". Without token_file it must be of this machine
	// only, and who may open the socket, or is on the machine, may look, and do
	// what the page offers. Default a socket in $RUNTIME_DIRECTORY, which
	// systemd sets, or else in state_dir, named after the file.
	Listen string `toml:"listen"`
	// TokenFile is the path of a file with a token, of at least 16 characters,
	// that everyone who asks must have. Default "", none is needed.
	TokenFile string `toml:"token_file"`
	// ReadOnly refuses everything that changes something: uploads, tries again,
	// reloads. Default false.
	ReadOnly bool `toml:"read_only"`
	// MaxUpload is the largest file that may be put into a folder from the
	// page. Default "1GiB".
	MaxUpload Size `toml:"max_upload"`
	// Pprof offers the profiles of net/http/pprof. Default false.
	Pprof bool `toml:"pprof"`

	// ByDefault says that the file does not set Listen. Then it is "off" where
	// the path of a socket would be too long.
	ByDefault bool
}

const (
	// AdminOff is the value of Admin.Listen for no admin address.
	AdminOff = "off"
	// AdminSocket is what Admin.Listen begins with for a Unix socket. An
	// absolute path follows.
	AdminSocket = "unix:"
)

// maxSocketPath is the longest path of a Unix socket, in bytes.
var maxSocketPath = map[bool]int{false: 107, true: 103}[runtime.GOOS == "darwin"]

// admin is called after router, which knows the state_dir.
func (l *loader) admin() {
	table := l.table(l.root, "admin")
	c := &Check{l.document, l.config, []string{"admin"}, table}
	a := Admin{MaxUpload: 1 << 30}
	l.decode(table, c.path, &a)
	a.ByDefault = !c.Defined("listen")
	path, socket := strings.CutPrefix(a.Listen, AdminSocket)
	switch {
	case a.ByDefault:
		path = l.defaultSocket()
		a.Listen = AdminSocket + path
		if len(path) > maxSocketPath {
			a.Listen = AdminOff
			l.warn(l.placeOf("router", "state_dir").value,
				"no admin address: the path of a socket has at most %d bytes, and %q is longer; name one with `listen` in [admin], or \"off\"",
				maxSocketPath, path)
		}
	case socket:
		if path = c.Path("listen", path); len(path) > maxSocketPath {
			c.Errorf("listen", "the path of a socket has at most %d bytes, and %q is longer", maxSocketPath, path)
		}
		a.Listen = AdminSocket + path
	case a.Listen != AdminOff:
		host, _, err := splitAddress(a.Listen, -1)
		if err != nil {
			c.Errorf("listen", `%v; write "unix:PATH", an address and a port of this machine, such as "127.0.0.1:9400", or "off"`, err)
		} else if ip := net.ParseIP(host); host != "localhost" && !ip.IsLoopback() && a.TokenFile == "" {
			c.Errorf("listen", `%q would be open to others; name a token_file, or write "unix:PATH" or an address of this machine only, such as "127.0.0.1:9400"`, a.Listen)
		}
	}
	if c.Defined("token_file") {
		a.TokenFile = c.Path("token_file", a.TokenFile)
	}
	if a.MaxUpload < 1 {
		c.Errorf("max_upload", "must be at least 1B; read_only = true takes no files")
	}
	l.config.Admin = a
}

func (l *loader) defaultSocket() string {
	dir := l.config.Router.StateDir
	if dirs := filepath.SplitList(os.Getenv("RUNTIME_DIRECTORY")); len(dirs) > 0 {
		dir = dirs[0]
	}
	return filepath.Join(dir, strings.TrimSuffix(filepath.Base(l.config.Path), ".toml")+".admin.sock")
}

// LoadAdmin reads only where the router of a file tells how it is. Whatever else
// is wrong in the file does not matter: another version of it may run. The
// error is of type Errors.
func LoadAdmin(path string) (Admin, error) {
	text, err := read(path)
	if err != nil {
		return Admin{}, Errors{{Path: path, Message: err.Error()}}
	}
	l, err := newLoader(path, text)
	if err != nil {
		return Admin{}, err
	}
	l.router()
	l.admin()
	if len(l.problems) > 0 {
		sortProblems(l.problems)
		return Admin{}, Errors(l.problems)
	}
	return l.config.Admin, nil
}

// Type returns the type of a source or sink, of the section "sources" or "sinks".
func (c *Config) Type(section, name string) string {
	parts, _ := c.root[section].(map[string]any)
	part, _ := parts[name].(map[string]any)
	text, _ := part["type"].(string)
	return text
}
