package admin

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"html/template"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path"
	"strconv"
	"strings"
	"time"
)

const (
	// minToken is the length of the shortest token, in bytes: nobody guesses that.
	minToken = 16
	maxToken = 4096
	// cookieName is that of the cookie which a browser has after it has shown the
	// token. Its value is not the token, but made of it.
	cookieName = "imbrouter"
	// loginPath takes the token from a form.
	loginPath = "/login"
	// StaticPath is before the files of a page, which hold nothing of the router:
	// they need no token.
	StaticPath = "/static/"
)

// ReadToken reads the token that config.Admin.TokenFile names.
func ReadToken(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("the token of the admin address: %w; `token_file` in [admin] names its file", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxToken))
	token := strings.TrimSpace(string(text))
	if err == nil && len(token) < minToken {
		err = fmt.Errorf("it has %d characters, and must have %d or more", len(token), minToken)
	}
	if err == nil && strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		err = errors.New("it has characters that are not printable ASCII, or a space in it")
	}
	if err != nil {
		return "", fmt.Errorf("the token of the admin address in %q: %w", path, err)
	}
	return token, nil
}

// gate decides who may ask, and for what.
type gate struct {
	token    string // "": none is needed
	readOnly bool
	local    bool // no name but those of this machine is answered to
	next     http.Handler
	log      *slog.Logger
	tries    tries
}

// guard refuses what a browser asks on behalf of another site: a request that
// changes something, and, on an address of this machine without a token, one for
// a host whose name somebody else has made an address of this machine. It also
// refuses those who have not got the token, and who must not change anything.
func (s *Server) guard(at net.Addr) http.Handler {
	return http.NewCrossOriginProtection().Handler(&gate{
		token: s.options.Token, readOnly: s.options.Daemon.Config().Admin.ReadOnly,
		local: at.Network() != "unix" && s.options.Token == "", next: s.mux, log: s.log,
	})
}

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	asks := r.Method == http.MethodGet || r.Method == http.MethodHead
	admitted, wait := g.admits(r)
	switch clean := path.Clean(r.URL.Path); {
	case g.local && !isLoopback(r.Host):
		http.Error(w, fmt.Sprintf("this is not %q: ask for localhost or 127.0.0.1", r.Host), http.StatusForbidden)
	case g.token != "" && clean == loginPath && r.Method == http.MethodPost:
		g.login(w, r)
	case !admitted && !(asks && strings.HasPrefix(clean+"/", StaticPath)):
		g.refuse(w, r, wait)
	case g.readOnly && !asks:
		http.Error(w, "nothing can be changed here: read_only in [admin] is true", http.StatusForbidden)
	default:
		g.next.ServeHTTP(w, r)
	}
}

// admits tells whether a request has the token, or needs none; or else how long to
// wait before another is looked at.
func (g *gate) admits(r *http.Request) (ok bool, wait time.Duration) {
	if g.token == "" {
		return true, 0
	}
	if bearer, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		return g.isRight(bearer, r)
	}
	cookie, err := r.Cookie(cookieName) // nobody guesses that
	return err == nil && equal(cookie.Value, g.cookie()), 0
}

// isRight tells whether somebody shows the token. After too many wrong ones it is
// not looked at, and there is a time to wait.
func (g *gate) isRight(token string, r *http.Request) (ok bool, wait time.Duration) {
	address := addressOf(r)
	if wait := g.tries.wait(address); wait > 0 {
		return false, wait
	}
	if equal(token, g.token) {
		return true, 0
	}
	if g.tries.wrong(address) {
		g.log.Warn("too many wrong tokens at the admin address; who shows them must wait", "address", address)
	}
	return false, 0
}

// equal takes the same time for all texts of a length.
func equal(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// cookie is what stands for the token in a browser.
func (g *gate) cookie() string {
	mac := hmac.New(sha256.New, []byte(g.token))
	mac.Write([]byte("imbrouter admin cookie"))
	return hex.EncodeToString(mac.Sum(nil))
}

// login takes the token from a form and makes the browser remember it.
func (g *gate) login(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 3*maxToken) // each character may be escaped
	switch ok, wait := g.isRight(strings.TrimSpace(r.PostFormValue("token")), r); {
	case wait > 0:
		showLogin(w, http.StatusTooManyRequests, tooMany(w, wait))
		return
	case !ok:
		showLogin(w, http.StatusUnauthorized, "That is not the token.")
		return
	}
	http.SetCookie(w, &http.Cookie{
		Name: cookieName, Value: g.cookie(), Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: r.TLS != nil,
	})
	http.Redirect(w, r, "./", http.StatusSeeOther)
}

// tooMany says how long to wait, to programs as well.
func tooMany(w http.ResponseWriter, wait time.Duration) string {
	seconds := int(wait/time.Second) + 1
	w.Header().Set("Retry-After", strconv.Itoa(seconds))
	return fmt.Sprintf("Too many wrong tokens came from your address: try again in %d s.", seconds)
}

func (g *gate) refuse(w http.ResponseWriter, r *http.Request, wait time.Duration) {
	switch {
	case wait > 0:
		http.Error(w, tooMany(w, wait), http.StatusTooManyRequests)
		return
	case r.Method == http.MethodGet && strings.Contains(r.Header.Get("Accept"), "text/html"):
		showLogin(w, http.StatusUnauthorized, "")
		return
	}
	w.Header().Set("WWW-Authenticate", "Bearer")
	http.Error(w, "a token is needed: Authorization: Bearer TOKEN; `token_file` in [admin] names the file that has it", http.StatusUnauthorized)
}

func showLogin(w http.ResponseWriter, status int, problem string) {
	Harden(w.Header())
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_ = loginPage.Execute(w, problem) // fails when the client is gone
}

var loginPage = template.Must(template.New("login").Parse(`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>imbrouter</title>
<link rel="icon" href="/static/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="/static/page.css">
<body class="login">
<main>
<h1>imbrouter</h1>
<form method="post" action="/login">
<label for="token">Token</label>
<input id="token" name="token" type="password" autocomplete="current-password" required autofocus>
<button>Sign in</button>
{{with .}}<p class="problem" role="alert">{{.}}</p>{{end}}
</form>
<p class="muted">It is in the file that <code>token_file</code> in <code>[admin]</code> names.</p>
</main>
`))

// Harden sets the headers that keep a page of this server from running or loading
// anything that is not part of it, and from being shown inside another.
func Harden(h http.Header) {
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "+
		"connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
}

func isLoopback(hostPort string) bool {
	host, _, err := net.SplitHostPort(hostPort)
	if err != nil {
		host = strings.Trim(hostPort, "[]")
	}
	return strings.EqualFold(host, "localhost") || net.ParseIP(host).IsLoopback()
}
