package web_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"imbrouter/imb"
	"imbrouter/imb/imbtest"
	"imbrouter/router/admin"
	"imbrouter/router/admin/web"
	"imbrouter/router/daemon/daemontest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const routes = `
[hub]
listen = "127.0.0.1:0"
[connections.local]
federation = "demo"
[sources.outbox]
type = "dir"
path = "drop"
[sinks.broadcast]
type = "imb"
event = "files"
[routes.send]
from = ["outbox"]
to = ["broadcast"]
[sources.incoming]
type = "imb"
events = ["files", "alarms"]
[sinks.inbox]
type = "dir"
path = "received"
[routes.receive]
from = ["incoming"]
to = ["inbox"]
when = 'kind == "stream" || json.level > 3'
[admin]
listen = "127.0.0.1:0"
`

const token = "a token that nobody guesses"

// site is a router that runs, with its page.
type site struct {
	t      *testing.T
	url    string
	daemon *daemontest.Daemon
	client http.Client
}

// start runs the routes until the test ends. More keys are of [admin].
func start(t *testing.T, key, more string) *site {
	t.Helper()
	s := &site{t: t, daemon: daemontest.Start(t, routes+more, daemontest.Options{})}
	server := admin.New(admin.Options{
		Daemon: s.daemon.Daemon, Reloader: none{}, Version: "v1.2.3", Token: key, Stuck: func() (kind, name string) { return "", "" },
	})
	page := web.New(web.Options{
		Daemon: s.daemon.Daemon, Status: server.Status, Reload: none{}.Reload, Log: s.daemon.Log(),
	})
	server.Handle("/", page)
	l, err := admin.Listen(s.daemon.Config().Admin.Listen)
	if err != nil {
		t.Fatal(err)
	}
	s.url = "http://" + l.Addr().String()
	s.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	transport := &http.Transport{MaxIdleConnsPerHost: 1}
	s.client.Transport = transport
	ctx, cancel := context.WithCancel(context.Background())
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := server.Serve(ctx, l); err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	serving.Go(func() { page.Run(ctx) })
	t.Cleanup(func() { cancel(); serving.Wait(); transport.CloseIdleConnections() })
	server.Enter(admin.Running)
	return s
}

// none is a reloader that finds what is wrong.
type none struct{}

func (none) Request(context.Context) error { return nil }
func (none) Reload(context.Context) (admin.Reload, error) {
	return admin.Reload{Outcome: admin.Refused, Errors: []string{"test.toml:1:1: wrong"}}, nil
}
func (none) Last() *admin.Reload { return nil }
func (none) Loaded() time.Time   { return time.Unix(1234567890, 0) }

// do makes a request, as a browser on the page would, and returns the answer.
func (s *site) do(method, path, body string, headers ...string) (code int, answer string, h http.Header) {
	s.t.Helper()
	request, err := http.NewRequest(method, s.url+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	if method == http.MethodPost {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
		if headers[i] == "Host" {
			request.Host = headers[i+1]
		}
	}
	response, err := s.client.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return response.StatusCode, string(text), response.Header
}

// page returns the page as a browser without JavaScript has it.
func (s *site) page() string {
	s.t.Helper()
	code, text, _ := s.do(http.MethodGet, "/", "")
	if code != http.StatusOK {
		s.t.Fatalf("the page answers %d: %s", code, text)
	}
	return text
}

func (s *site) awaitPage(texts ...string) {
	s.t.Helper()
	for _, text := range texts {
		imbtest.Eventually(s.t, func() bool { return strings.Contains(s.page(), text) }, "the page has %q", text)
	}
}

// form is the body of a form with files, by name, and its Content-Type.
func form(files ...string) (body, contentType string) {
	var text strings.Builder
	w := multipart.NewWriter(&text)
	for i := 0; i < len(files); i += 2 {
		part, _ := w.CreateFormFile("file", files[i])
		_, _ = io.WriteString(part, files[i+1])
	}
	_ = w.Close()
	return text.String(), w.FormDataContentType()
}

func (s *site) put(files ...string) (code int, answer string) {
	s.t.Helper()
	body, contentType := form(files...)
	code, answer, _ = s.do(http.MethodPost, "/put/outbox", body, "Content-Type", contentType)
	return code, answer
}

// A browser without JavaScript has all of it, and what others have chosen is text.
func TestPage(t *testing.T) {
	s := start(t, "", "")
	if code, answer := s.put("<script>.csv", "a,b"); code != http.StatusOK {
		t.Fatalf("put answers %d: %s", code, answer)
	}
	s.awaitPage("received", "%3Cscript%3E.csv", "outbox → broadcast", "folder received/", "demo.files on the hub of this file", "[connections.local]")
	_, _, h := s.do(http.MethodGet, "/", "")
	if policy := h.Get("Content-Security-Policy"); !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") {
		t.Errorf("the policy is %q", policy)
	}
	page := s.page()
	for _, unwanted := range []string{"<script>.csv", "style=", "onclick", "https://"} {
		if strings.Contains(page, unwanted) {
			t.Errorf("the page has %q", unwanted)
		}
	}
	for _, path := range []string{"/static/page.css", "/static/page.js", "/static/icon.svg"} {
		code, text, h := s.do(http.MethodGet, path, "")
		if again, _, _ := s.do(http.MethodGet, path, "", "If-None-Match", h.Get("ETag")); code != http.StatusOK || text == "" || again != http.StatusNotModified {
			t.Errorf("%s answers %d, and then %d", path, code, again)
		}
	}
	for _, path := range []string{"/none", "/static/none", "/static/../page.html"} {
		if code, _, _ := s.do(http.MethodGet, path, ""); code == http.StatusOK {
			t.Errorf("%s answers", path)
		}
	}
}

// A file that two routes bring to one sink has a line of each.
func TestLatestFilesOfTwoRoutesToOneSink(t *testing.T) {
	s := start(t, "", `
[routes.send-too]
from = ["outbox"]
to = ["broadcast"]
`)
	if code, answer := s.put("a.csv", "a"); code != http.StatusOK {
		t.Fatalf("put answers %d: %s", code, answer)
	}
	imbtest.Eventually(t, func() bool {
		page := s.page()
		return strings.Contains(page, ">send</td>") && strings.Contains(page, ">send-too</td>")
	}, "both routes have a line at once")
}

func TestPut(t *testing.T) {
	s := start(t, "", "max_upload = '1KiB'")
	if code, answer := s.put("a.csv", "a", "b.csv", "b"); code != http.StatusOK || !strings.Contains(answer, "a.csv, b.csv") {
		t.Errorf("two files give %d: %s", code, answer)
	}
	imbtest.Eventually(t, func() bool { return s.daemon.Exists("received/a.csv") && s.daemon.Exists("received/b.csv") }, "both are received")
	code, answer := s.put("large.csv", strings.Repeat("x", 1025))
	if code != http.StatusRequestEntityTooLarge || !strings.Contains(answer, "max_upload") {
		t.Errorf("a large file gives %d: %s", code, answer)
	}
	if left, _ := filepath.Glob(s.daemon.Path("drop/.imbrouter/put/*")); len(left) > 0 || s.daemon.Exists("drop/large.csv") {
		t.Errorf("it has left %q", left)
	}
	var many []string
	for i := range 100 {
		many = append(many, fmt.Sprintf("%d.csv", i), "x")
	}
	if code, answer := s.put(many...); code != http.StatusOK {
		t.Errorf("100 files give %d: %s", code, answer)
	}
	many = append(many, "100.csv", "x")
	if code, answer := s.put(many...); code != http.StatusRequestEntityTooLarge || !strings.Contains(answer, "at most 100") {
		t.Errorf("101 files give %d: %s", code, answer)
	}
	if code, answer := s.put(); code != http.StatusConflict || !strings.Contains(answer, "no file") {
		t.Errorf("no file gives %d: %s", code, answer)
	}
	body, contentType := form("a.csv", "a")
	if code, _, _ := s.do(http.MethodPost, "/put/incoming", body, "Content-Type", contentType); code != http.StatusNotFound {
		t.Errorf("a source without a folder gives %d", code)
	}
	code, _, h := s.do(http.MethodPost, "/put/outbox", body, "Content-Type", contentType, "Accept", "text/html")
	if code != http.StatusSeeOther || h.Get("Location") != "/" {
		t.Errorf("a browser without JavaScript gets %d, to %q", code, h.Get("Location"))
	}
}

// What fails is listed, and tried again or removed by buttons.
func TestFailures(t *testing.T) {
	s := start(t, "", "")
	if err := errors.Join(os.MkdirAll(s.daemon.Path("drop/failed"), 0o755),
		os.WriteFile(s.daemon.Path("drop/failed/old.csv"), []byte("old"), 0o644)); err != nil {
		t.Fatal(err)
	}
	client, err := imb.Connect(t.Context(), imb.Options{Address: s.daemon.HubAddress()})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close(t.Context())
	event := client.Event("demo.alarms")
	if err := event.Publish(); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"pump 3 <down>", "pump 4"} {
		if err := event.SignalString(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
	s.awaitPage("old.csv", "pump 3 &lt;down&gt;", "pump 4", "cannot take", "1 route fails")
	ids := regexp.MustCompile(`id="letter-(\w+)"`).FindAllStringSubmatch(s.page(), -1)
	if len(ids) != 2 {
		t.Fatalf("the page has letters %v", ids)
	}
	newest := url.Values{"id": {ids[0][1]}}.Encode()
	for _, tt := range []struct {
		path, form string
		code       int
		answer     string
	}{
		{"/failed/again", "source=outbox&name=old.csv", http.StatusOK, "tried again"},
		{"/failed/again", "source=outbox&name=old.csv", http.StatusConflict, "not among"},
		{"/failed/again", "source=none&name=old.csv", http.StatusConflict, "no source"},
		{"/dead/again", newest, http.StatusConflict, "cannot take"},
		{"/dead/again", "id=none", http.StatusConflict, "no such"},
		{"/dead/remove", newest, http.StatusOK, "removed"},
		{"/reload", "", http.StatusConflict, "test.toml:1:1: wrong"},
	} {
		if code, answer, _ := s.do(http.MethodPost, tt.path, tt.form); code != tt.code || !strings.Contains(answer, tt.answer) {
			t.Errorf("%s %s answers %d: %s", tt.path, tt.form, code, answer)
		}
	}
	imbtest.Eventually(t, func() bool { return s.daemon.Exists("received/old.csv") }, "the file is received")
	if page := s.page(); strings.Contains(page, "pump 4") || !strings.Contains(page, "pump 3") {
		t.Error("not the newest letter is gone")
	}
}

// Another site cannot have a browser do anything here, by any name.
func TestOtherSites(t *testing.T) {
	s := start(t, "", "")
	body, contentType := form("a.csv", "a")
	for _, headers := range [][]string{
		{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "http://evil.example"}, {"Origin", "null"},
		{"Host", "evil.example"}, {"Host", "evil.example", "Sec-Fetch-Site", "same-origin"},
	} {
		code, _, _ := s.do(http.MethodPost, "/put/outbox", body, append(headers, "Content-Type", contentType)...)
		if code != http.StatusForbidden {
			t.Errorf("%q: %d", headers, code)
		}
	}
	for _, path := range []string{"/", "/live", "/tap?event=*&connection=local"} {
		if code, _, _ := s.do(http.MethodGet, path, "", "Host", "evil.example"); code != http.StatusForbidden {
			t.Errorf("%s under another name answers %d", path, code)
		}
	}
	if s.daemon.Exists("drop/a.csv") || s.daemon.Exists("received/a.csv") {
		t.Error("the file is there")
	}
}

func TestReadOnly(t *testing.T) {
	s := start(t, "", "read_only = true")
	if page := s.page(); strings.Contains(page, `method="post"`) {
		t.Error("the page offers what it refuses")
	}
	for _, path := range []string{"/put/outbox", "/failed/again", "/dead/again", "/dead/remove", "/reload", "/api/reload"} {
		if code, answer, _ := s.do(http.MethodPost, path, ""); code != http.StatusForbidden || !strings.Contains(answer, "read_only") {
			t.Errorf("%s answers %d: %s", path, code, answer)
		}
	}
}

func TestToken(t *testing.T) {
	s := start(t, token, "")
	for _, path := range []string{"/", "/live", "/tap", "/metrics", "/api/status", "/healthz", "/static/../", "/static//../api/status"} {
		if code, _, _ := s.do(http.MethodGet, path, ""); code != http.StatusUnauthorized {
			t.Errorf("%s answers %d", path, code)
		}
		if code, _, _ := s.do(http.MethodGet, path, "", "Authorization", "Bearer another", "Cookie", "imbrouter="+token); code != http.StatusUnauthorized {
			t.Errorf("%s answers a wrong token with %d", path, code)
		}
	}
	if code, _, _ := s.do(http.MethodPost, "/reload", ""); code != http.StatusUnauthorized {
		t.Errorf("/reload answers %d", code)
	}
	if code, _, _ := s.do(http.MethodGet, "/static/page.css", ""); code != http.StatusOK {
		t.Errorf("the style of the sign-in answers %d", code)
	}
	if code, text, _ := s.do(http.MethodGet, "/", "", "Accept", "text/html"); code != http.StatusUnauthorized || !strings.Contains(text, `name="token"`) {
		t.Errorf("a browser gets %d: %s", code, text)
	}
	if code, _, _ := s.do(http.MethodGet, "/api/status", "", "Authorization", "Bearer "+token); code != http.StatusOK {
		t.Errorf("the token gets %d", code)
	}
	if code, _, h := s.do(http.MethodPost, "/login", "token=wrong"); code != http.StatusUnauthorized || h.Get("Set-Cookie") != "" {
		t.Errorf("a wrong token signs in: %d", code)
	}
	code, _, h := s.do(http.MethodPost, "/login", url.Values{"token": {token}}.Encode())
	cookie, attributes, _ := strings.Cut(h.Get("Set-Cookie"), ";")
	if code != http.StatusSeeOther || strings.Contains(cookie, token) || !strings.Contains(attributes, "HttpOnly") || !strings.Contains(attributes, "SameSite=Strict") {
		t.Errorf("the sign-in gives %d, %q", code, h.Get("Set-Cookie"))
	}
	if code, _, _ := s.do(http.MethodGet, "/", "", "Cookie", cookie, "Host", "router.example"); code != http.StatusOK {
		t.Errorf("the cookie gets %d", code)
	}
}

// Who shows one wrong token after the other must wait, also with the right one; who
// is signed in goes on.
func TestManyWrongTokens(t *testing.T) {
	s := start(t, token, "")
	right := url.Values{"token": {token}}.Encode()
	_, _, h := s.do(http.MethodPost, "/login", right)
	cookie, _, _ := strings.Cut(h.Get("Set-Cookie"), ";")
	for n := 0; ; n++ {
		code, _, _ := s.do(http.MethodPost, "/login", "token=wrong")
		if code == http.StatusTooManyRequests {
			break
		}
		if n > 20 {
			t.Fatal("wrong tokens may be shown for ever")
		}
	}
	for _, request := range [][]string{
		{http.MethodPost, "/login", right}, {http.MethodGet, "/api/status", "", "Authorization", "Bearer " + token},
	} {
		code, text, h := s.do(request[0], request[1], request[2], request[3:]...)
		if code != http.StatusTooManyRequests || h.Get("Retry-After") == "" || h.Get("Set-Cookie") != "" || !strings.Contains(text, "Too many wrong tokens") {
			t.Errorf("%s answers the right token with %d, %q", request[1], code, text)
		}
	}
	if code, _, _ := s.do(http.MethodGet, "/", "", "Cookie", cookie); code != http.StatusOK {
		t.Errorf("the cookie gets %d", code)
	}
}

// open begins an answer that goes on until the test ends.
func (s *site) open(path, accept string) (*http.Response, *bufio.Scanner) {
	s.t.Helper()
	request, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.url+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	request.Header.Set("Accept", accept)
	response, err := s.client.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { response.Body.Close() })
	return response, bufio.NewScanner(response.Body)
}

func awaitLine(t *testing.T, lines *bufio.Scanner, part string) {
	t.Helper()
	for lines.Scan() {
		if strings.Contains(lines.Text(), part) {
			return
		}
	}
	t.Fatalf("the answer ends before %q: %v", part, lines.Err())
}

func TestLive(t *testing.T) {
	s := start(t, "", "")
	_, lines := s.open("/live", "text/event-stream")
	awaitLine(t, lines, "event: state")
	awaitLine(t, lines, "event: routes")
	if code, answer := s.put("live.csv", "x"); code != http.StatusOK {
		t.Fatalf("put answers %d: %s", code, answer)
	}
	s.page() // has the journal read
	awaitLine(t, lines, "live.csv")
	var refused *http.Response
	for range 16 {
		refused, _ = s.open("/live", "text/event-stream")
	}
	if refused.StatusCode != http.StatusServiceUnavailable || refused.Header.Get("Retry-After") == "" {
		t.Errorf("the 17th viewer gets %d", refused.StatusCode)
	}
}

func TestTap(t *testing.T) {
	s := start(t, "", "")
	_, events := s.open("/tap?connection=local&event=demo.alarms", "text/event-stream")
	awaitLine(t, events, "event: listening")
	_, text := s.open("/tap?connection=local&event=demo.*", "text/html")
	awaitLine(t, text, "Listening to demo.*.")
	client, err := imb.Connect(t.Context(), imb.Options{Address: s.daemon.HubAddress()})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close(t.Context())
	event := client.Event("demo.alarms")
	if err := errors.Join(event.Publish(), event.SignalString(t.Context(), `{"level": 5}`)); err != nil {
		t.Fatal(err)
	}
	awaitLine(t, events, `"event":"demo.alarms","kind":"normal","text":"{\"level\": 5}"`)
	awaitLine(t, text, `"demo.alarms" normal`)
	for range 2 {
		s.open("/tap?connection=local&event=*", "text/event-stream")
	}
	for path, want := range map[string]int{
		"/tap?connection=local&event=*":   http.StatusServiceUnavailable,
		"/tap?connection=local&event=":    http.StatusBadRequest,
		"/tap?connection=local&event=a*b": http.StatusBadRequest,
	} {
		if code, answer, _ := s.do(http.MethodGet, path, ""); code != want {
			t.Errorf("%s answers %d: %s", path, code, answer)
		}
	}
}

func TestTapOfNoConnection(t *testing.T) {
	s := start(t, "", "")
	if code, answer, _ := s.do(http.MethodGet, "/tap?connection=none&event=*", ""); code != http.StatusBadGateway || !strings.Contains(answer, "no connection") {
		t.Errorf("it answers %d: %s", code, answer)
	}
}

// A client that sends nothing more of a file holds up nobody.
func TestPutThatStandsStill(t *testing.T) {
	s := start(t, "", "")
	body, contentType := form("half.csv", strings.Repeat("x", 100_000))
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	request := "POST /put/outbox HTTP/1.1\r\nHost: localhost\r\nContent-Type: " + contentType + "\r\nContent-Length: 100000000\r\n\r\n" + body[:50_000]
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	left := func() int {
		parts, _ := filepath.Glob(s.daemon.Path("drop/.imbrouter/put/*"))
		return len(parts)
	}
	imbtest.Eventually(t, func() bool { return left() == 1 }, "the file has begun")
	if s.daemon.Exists("drop/half.csv") {
		t.Error("half a file is in the folder")
	}
	conn.Close()
	imbtest.Eventually(t, func() bool { return left() == 0 }, "what was begun is removed")
}
