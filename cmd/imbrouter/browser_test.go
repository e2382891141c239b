package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	cdpinput "github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"imbrouter/imb"
	"imbrouter/imb/hub"
	"imbrouter/imb/imbtest"
)

// tab is a page of the router in a browser.
type tab struct {
	t    *testing.T
	ctx  context.Context
	base string // where the router is

	mu      sync.Mutex
	console []string // what it should not have told
	outside []string // requests to elsewhere
}

// openTab opens the page of a router in Chromium, and fails the test at its end
// when there was an error in the console or a request to elsewhere.
func openTab(t *testing.T, base string) *tab {
	t.Helper()
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("no chromium is installed:", err)
	}
	if testing.Short() {
		t.Skip("a browser takes long")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(chromium), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.UserDataDir(t.TempDir()),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true),
	)
	ctx, cancelBrowser := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(cancelBrowser)
	ctx, cancelTab := chromedp.NewContext(ctx)
	t.Cleanup(cancelTab)
	ctx, cancelTimeout := context.WithTimeout(ctx, 2*patience)
	t.Cleanup(cancelTimeout)
	b := &tab{t: t, ctx: ctx, base: base}
	b.do(chromedp.Navigate("about:blank")) // starts the browser
	messages, requests := chromedp.Console(ctx), chromedp.Events(ctx, network.RequestWillBeSent)
	var listening sync.WaitGroup
	listening.Go(func() {
		for m, err := range messages {
			if err != nil {
				return
			}
			if m.Type == chromedp.ConsoleError || m.Type == chromedp.ConsoleWarning || m.IsException() {
				b.mu.Lock()
				b.console = append(b.console, m.String())
				b.mu.Unlock()
			}
		}
	})
	listening.Go(func() {
		for e, err := range requests {
			if err != nil {
				return
			}
			if !strings.HasPrefix(e.Request.URL, base) {
				b.mu.Lock()
				b.outside = append(b.outside, e.Request.URL)
				b.mu.Unlock()
			}
		}
	})
	t.Cleanup(func() {
		cancelTab()
		listening.Wait()
		for _, m := range b.console {
			t.Errorf("the console has %s", m)
		}
		for _, url := range b.outside {
			t.Errorf("the page asks for %s", url)
		}
	})
	b.do(chromedp.Navigate(base))
	b.await(`document.querySelector("#pill").textContent === "running"`)
	return b
}

func (b *tab) do(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, actions...); err != nil {
		b.t.Fatal(err)
	}
}

func evaluate[T any](b *tab, expression string) T {
	b.t.Helper()
	value, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatalf("%s: %v", expression, err)
	}
	return value
}

// await waits until an expression is true in the page.
func (b *tab) await(expression string) {
	b.t.Helper()
	eventually(b.t, func() bool { return evaluate[bool](b, "!!("+expression+")") }, "in the page: %s; it has:\n%s", expression,
		lazy(func() string { return evaluate[string](b, "document.body.innerText") }))
}

// lazy is text that is made when it is printed.
type lazy func() string

func (l lazy) String() string { return l() }

// look gives the browser a window of a size, in a color scheme.
func (b *tab) look(width, height int64, scheme string) {
	b.t.Helper()
	b.do(chromedp.EmulateViewport(width, height), command(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
	}))
}

func command[P, R any](c cdp.Command[P, R], params P) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, c, params)
		return err
	})
}

// drop drops a file on an element, as from a file manager.
func (b *tab) drop(selector, path string) {
	b.t.Helper()
	at := evaluate[[]float64](b, fmt.Sprintf(`(() => {
		const e = document.querySelector(%q);
		e.scrollIntoView({ block: "center" });
		const r = e.getBoundingClientRect();
		return [r.x + r.width / 2, r.y + r.height / 2];
	})()`, selector))
	data := &cdpinput.DragData{Items: []*cdpinput.DragDataItem{}, Files: []string{path}, DragOperationsMask: 1}
	for _, kind := range []cdpinput.DispatchDragEventType{"dragEnter", "dragOver", "drop"} {
		b.do(command(cdpinput.DispatchDragEvent, cdpinput.DispatchDragEventParams{Type: kind, X: at[0], Y: at[1], Data: data}))
	}
}

// pageSite is a router with a page: the quickstart with a hub of its own, and a
// route for signals. Both routes have the same expression.
func pageSite(t *testing.T, when, extra string) (s *site, router *process, url string) {
	t.Helper()
	s = newSite(t)
	s.writePage(when, extra)
	router = s.start("router", "run", "page.toml")
	url = router.await(`page=(http://127\.0\.0\.1:\d+/)`)[1]
	router.awaitReady()
	return s, router, url
}

func (s *site) writePage(when, extra string) {
	s.t.Helper()
	if when != "" {
		when = "when = '" + when + "'"
	}
	s.write("page.toml", `# Alarms of the plant are shown, and its reports collected.

[hub]
listen = "127.0.0.1:0"

[admin]
listen = "127.0.0.1:0"

[connections.plant]         # no address: the hub above
federation = "plant"

[sources.outbox]
type = "dir"
path = "drop"

[sinks.broadcast]
type = "imb"
connection = "plant"
event = "reports"

[routes.send]
from = ["outbox"]
to = ["broadcast"]
`+when+`

[sources.incoming]
type = "imb"
connection = "plant"
events = ["reports"]

[sinks.inbox]
type = "dir"
path = "received"

[routes.receive]
from = ["incoming"]
to = ["inbox"]

[sources.alarms]
type = "imb"
connection = "plant"
events = ["alarms.*"]

[sinks.print]
type = "log"

[routes.alarms]
from = ["alarms"]
to = ["print"]
`+when+"\n"+extra)
}

// publish returns an event of a hub to send on.
func publish(t *testing.T, hub, name string) *imb.Event {
	t.Helper()
	e := connect(t, hub).FullEvent(name)
	if err := e.Publish(); err != nil {
		t.Fatal(err)
	}
	return e
}

func TestPageDropsAFile(t *testing.T) {
	t.Parallel()
	s, _, url := pageSite(t, "", "")
	b := openTab(t, url)
	b.do(command(network.EmulateNetworkConditionsByRule, network.EmulateNetworkConditionsByRuleParams{
		MatchedNetworkConditions: []*network.Conditions{{UploadThroughput: 8e6, DownloadThroughput: -1}},
	}))
	body := randomBytes("report.bin", 12_000_000)
	sum := sha256.Sum256(body)
	path := filepath.Join(t.TempDir(), "report.bin")
	if err := os.WriteFile(path, body, 0o600); err != nil {
		t.Fatal(err)
	}
	evaluate[bool](b, `(() => {
		window.seen = [];
		new MutationObserver(() => {
			const bar = document.querySelector(".puts progress");
			if (bar) window.seen.push(bar.value / bar.max);
		}).observe(document.querySelector(".puts"), { subtree: true, childList: true, attributes: true });
		return true;
	})()`)
	b.drop(".drop", path)
	b.await(`window.seen.some((part) => part > 0 && part < 1)`)
	b.await(`document.querySelector(".puts")?.textContent.includes("in the folder")`)
	for _, outcome := range []string{"sent", "received"} {
		b.await(fmt.Sprintf(`[...document.querySelectorAll("#files tbody tr")].some((row) =>
			row.querySelector(".outcome").textContent.trim() === %q &&
			row.querySelector(".name").textContent === "report.bin" &&
			row.querySelector(".hash").textContent === %q)`, outcome, hex.EncodeToString(sum[:])))
	}
	s.dropped["report.bin"] = sum
	s.awaitReceived([]string{"report.bin"})
	s.received()
}

func TestPageRetriesWhatFailed(t *testing.T) {
	t.Parallel()
	s, router, url := pageSite(t, "json.level > 0", "")
	b := openTab(t, url)
	failing := func(route string) string {
		return fmt.Sprintf(`document.querySelector("#route-%s.bad .reason")`, route)
	}
	button := func(label string) string {
		return fmt.Sprintf(`[...document.querySelectorAll("#failed button")].find((b) => b.textContent === %q)`, label)
	}

	s.drop("a.csv", 100)
	e := publish(t, router.hubAddress(), "plant.alarms.pump3")
	if err := e.SignalString(t.Context(), "pump 3 is down"); err != nil {
		t.Fatal(err)
	}
	for _, route := range []string{"send", "alarms"} {
		b.await(failing(route) + `?.textContent.includes("level")`)
	}
	b.await(`document.title.includes("2 routes fail")`)
	for _, text := range []string{"a.csv", "pump 3 is down"} {
		b.await(fmt.Sprintf(`document.querySelector("#failed")?.textContent.includes(%q)`, text))
	}

	s.writePage("true", "")
	b.do(chromedp.Click("#configuration summary"), chromedp.Click("#configuration button"))
	b.await(`document.querySelector("#notice").textContent.includes("Taken: route")`)
	b.await(`document.querySelector("#configuration details[open] pre").textContent.includes("true")`)
	for _, route := range []string{"send", "alarms"} {
		b.await(failing(route)) // until it is tried again
	}
	for range 2 {
		b.await(button("Retry"))
		left := evaluate[int](b, `document.querySelectorAll("#failed li").length`)
		b.do(chromedp.Click("#failed li button"))
		b.await(fmt.Sprintf(`document.querySelectorAll("#failed li").length < %d`, left))
	}
	b.await(`!document.querySelector("#failed") && !document.querySelector(".box.bad") && document.querySelector("#pill").textContent === "running"`)
	s.awaitReceived([]string{"a.csv"})
}

func TestPageTaps(t *testing.T) {
	t.Parallel()
	_, router, url := pageSite(t, "", "")
	b := openTab(t, url)
	b.do(chromedp.SetValue("#tap-event", "plant.alarms.*"), chromedp.SendKeys("#tap-event", "\r"))
	b.await(`document.querySelector("#tap-lines").textContent.includes("Listening to plant.alarms.*")`)
	e := publish(t, router.hubAddress(), "plant.alarms.pump3")
	if err := e.SignalString(t.Context(), "<b>down</b>"); err != nil {
		t.Fatal(err)
	}
	b.await(`[...document.querySelectorAll("#tap-lines div")].some((line) =>
		line.querySelector(".event")?.textContent === "plant.alarms.pump3" && line.textContent.includes("<b>down</b>"))`)
	b.do(chromedp.Click("#tap-button"))
	b.await(`document.querySelector("#tap-lines").textContent.includes("Stopped.")`)
}

// TestPageIsLight keeps the page small; what it tells of the time depends on the
// machine.
func TestPageIsLight(t *testing.T) {
	t.Parallel()
	const most = 64 << 10 // bytes
	_, _, url := pageSite(t, "", "")
	b := openTab(t, url)
	b.await(`performance.getEntriesByName("first-contentful-paint").length > 0`)
	weight := evaluate[int](b, `[...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")]
		.reduce((sum, entry) => sum + entry.encodedBodySize, 0)`)
	t.Logf("%d bytes, first paint after %.0f ms", weight,
		evaluate[float64](b, `performance.getEntriesByName("first-contentful-paint")[0].startTime`))
	if weight < 1<<10 || weight > most {
		t.Errorf("the page has %d bytes, more than %d", weight, most)
	}
}

// looks are the windows in which the page is checked and shown.
var looks = []struct {
	name          string
	width, height int64
	scheme        string
}{
	{"page", 1120, 860, "light"}, // for README
	{"light", 1280, 900, "light"},
	{"dark", 1280, 900, "dark"},
	{"phone", 390, 844, "light"},
	{"phone-dark", 390, 844, "dark"},
	{"wide", 2200, 1200, "dark"},
}

// TestPageLooks fills the page, and checks with axe-core that everybody can use it.
// IMBROUTER_TEST_SCREENSHOTS names a folder for pictures, one of which is in README.
func TestPageLooks(t *testing.T) {
	axe, shots := findAxe(), os.Getenv("IMBROUTER_TEST_SCREENSHOTS")
	if axe == "" && shots == "" {
		t.Skip("NODE_PATH does not lead to the npm package axe-core")
	}
	t.Parallel()
	addr, _ := imbtest.StartHub(t, hub.Options{})
	proxy := imbtest.NewProxy(t, addr)
	s, router, url := pageSite(t, `source != "alarms" || json.level >= 3`, fmt.Sprintf(`
[connections.city]
address = %q
federation = "city"
[sources.maps]
type = "dir"
path = "maps"
[sinks.city]
type = "imb"
connection = "city"
event = "maps"
queue = "1MiB"
[routes.maps]
from = ["maps"]
to = ["city"]
[routes.relay]
from = ["alarms"]
to = ["city-alarms"]
[routes.relay.set]
event = '"plant." + event'
[sinks.city-alarms]
type = "imb"
connection = "city"
`, proxy.Addr()))
	b := openTab(t, url)
	proxy.Throttle(3_000_000)
	s.drop("../maps/harbour-2026.tif", 90_000_000)
	for i, name := range []string{"pumps/monday.csv", "pumps/tuesday.csv", "levels.csv", "report.pdf"} {
		s.drop(name, 20_000<<i)
	}
	pump := publish(t, router.hubAddress(), "plant.alarms.pump3")
	for _, text := range []string{`{"level": 4, "what": "pump 3 is down"}`, `{"level": 2}`, "pump 4 is down"} {
		if err := pump.SignalString(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
	b.do(chromedp.SendKeys("#tap-connection", "plant"), chromedp.Click("#tap-button"))
	b.await(`document.querySelector("#tap-lines").textContent.includes("Listening to plant.*")`)
	stop := make(chan struct{})
	var sending sync.WaitGroup
	sending.Go(func() {
		tick := time.NewTicker(150 * time.Millisecond)
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			case <-tick.C:
				text := fmt.Sprintf(`{"level": %d, "what": "pump %d"}`, 3+i%3, i%7)
				_ = pump.SignalString(t.Context(), text)
			}
		}
	})
	defer sending.Wait()
	defer close(stop)
	b.await(`document.querySelector("#failed li") && document.querySelectorAll("#files tbody tr").length >= 8`)
	b.await(`document.querySelector("#transfers progress")?.position > 0.01`)
	b.await(`document.querySelectorAll("#tap-lines div").length > 8`)
	for _, look := range looks {
		b.look(look.width, look.height, look.scheme)
		if axe != "" {
			b.checkAccess(axe, look.name)
		}
		if shots != "" {
			evaluate[bool](b, "window.scrollTo(0, 0), true")
			picture, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
			if err == nil {
				err = os.WriteFile(filepath.Join(shots, look.name+".png"), picture, 0o644)
			}
			if err == nil {
				picture, err = chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
			}
			if err == nil {
				err = os.WriteFile(filepath.Join(shots, look.name+"-full.png"), picture, 0o644)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
}

// findAxe returns the path of axe-core's script, "" when it is not installed.
func findAxe() string {
	for _, dir := range filepath.SplitList(os.Getenv("NODE_PATH")) {
		if path := filepath.Join(dir, "axe-core", "axe.min.js"); fileExists(path) {
			return path
		}
	}
	return ""
}

// checkAccess fails the test for what axe-core calls serious.
func (b *tab) checkAccess(script, look string) {
	b.t.Helper()
	text, err := os.ReadFile(script)
	if err != nil {
		b.t.Fatal(err)
	}
	evaluate[bool](b, string(text)+";true")
	var violations []struct {
		ID, Impact, Help string
		Nodes            []struct{ HTML string }
	}
	found := evaluate[string](b, `axe.run().then((result) => JSON.stringify(result.violations))`)
	if err := json.Unmarshal([]byte(found), &violations); err != nil {
		b.t.Fatal(err)
	}
	for _, v := range violations {
		v.Nodes = v.Nodes[:min(len(v.Nodes), 3)]
		if slices.Contains([]string{"serious", "critical"}, v.Impact) {
			b.t.Errorf("%s: %s (%s): %v", look, v.Help, v.ID, v.Nodes)
		} else {
			b.t.Logf("%s: %s: %s (%s): %v", look, v.Impact, v.Help, v.ID, v.Nodes)
		}
	}
}
