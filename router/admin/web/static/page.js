// What the page does beyond what a browser does by itself: sections are replaced
// as they change, buttons do without loading the page anew, files can be dropped,
// and the tap shows what happens on events.
"use strict";

const byId = (id) => document.getElementById(id);

// morph makes the children of an element those of another one, and keeps those
// that are the same: the focus, what is selected and what moves stay. Children
// with an id are the same when that is. What has data-own is the script's, and
// whether details are open the user's.
function morph(to, from) {
  let next = to.firstChild;
  for (const want of [...from.childNodes]) {
    let have = next;
    if (want.id) {
      const known = to.querySelector(":scope > #" + CSS.escape(want.id));
      if (known && known !== next) to.insertBefore(known, next);
      have = known;
    }
    const same = have && have.nodeName === want.nodeName && (have.id || "") === (want.id || "");
    if (!same) {
      to.insertBefore(want, next);
      continue;
    }
    next = have.nextSibling;
    if (have.dataset && "own" in have.dataset) continue;
    if (have.nodeType !== Node.ELEMENT_NODE) {
      if (have.nodeValue !== want.nodeValue) have.nodeValue = want.nodeValue;
      continue;
    }
    for (const { name } of [...have.attributes]) if (name !== "open" && !want.hasAttribute(name)) have.removeAttribute(name);
    for (const { name, value } of want.attributes) if (have.getAttribute(name) !== value) have.setAttribute(name, value);
    morph(have, want);
  }
  while (next) {
    const gone = next;
    next = next.nextSibling;
    gone.remove();
  }
}

// show replaces a section.
function show(name, html) {
  const parsed = document.createElement("template");
  parsed.innerHTML = html;
  morph(byId("live-" + name), parsed.content);
  if (name !== "state") return;
  document.title = `${byId("config-name").textContent} · ${byId("pill").textContent} · imbrouter`;
  if (byId("config-name").dataset.loaded !== loaded) refresh();
}

// refresh takes over what is not sent anew: another configuration runs.
let loaded = byId("config-name").dataset.loaded;
async function refresh() {
  loaded = byId("config-name").dataset.loaded;
  const answer = await fetch("/", { headers: { Accept: "text/html" } });
  if (!answer.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  morph(byId("main"), page.getElementById("main"));
}

// live listens to the server for as long as the page can be seen: a browser has
// few connections, which pages in other tabs need.
const live = {
  source: null,
  heard: 0,
  start() {
    if (this.source || document.hidden) return;
    this.source = new EventSource("/live");
    this.hear();
    for (const name of ["state", "alerts", "routes", "transfers", "failed", "files", "connections"]) {
      this.source.addEventListener(name, (e) => show(name, e.data));
    }
    this.source.addEventListener("beat", () => this.hear());
    this.source.addEventListener("error", () => {
      if (this.source.readyState !== EventSource.CLOSED) return; // or else it tries again by itself
      this.stop();
      setTimeout(() => this.start(), 5000);
    });
  },
  stop() {
    this.source?.close();
    this.source = null;
  },
  hear() {
    this.heard = Date.now();
    document.body.classList.remove("stale");
    if (byId("notice").dataset.of === "stale") tell("");
  },
  // check says so when nothing is heard: what the page shows is old then.
  check() {
    if (document.hidden || Date.now() - this.heard < 12000 || document.body.classList.contains("stale")) return;
    document.body.classList.add("stale");
    tell("The router does not answer. What is shown is how it was; the page goes on by itself.", true, "stale");
  },
};

let noticeTimer;

// tell shows what came of something, for some seconds if it is good.
function tell(text, problem = false, of = "") {
  const notice = byId("notice");
  clearTimeout(noticeTimer);
  notice.textContent = text;
  notice.hidden = text === "";
  notice.dataset.of = of;
  notice.classList.toggle("problem", problem);
  if (text && !of) noticeTimer = setTimeout(() => tell(""), problem ? 15000 : 5000);
}

// act sends the form of a button.
async function act(form) {
  const button = form.querySelector("button");
  button.disabled = true;
  try {
    const answer = await fetch(form.action, {
      method: "POST", body: new URLSearchParams(new FormData(form)), headers: { Accept: "text/plain" },
    });
    tell((await answer.text()).trim(), !answer.ok);
  } catch (e) {
    tell(String(e), true);
  }
  button.disabled = false;
}

// put sends files into the folder of a form, one after the other.
async function put(form, files) {
  for (const file of files) {
    const line = document.createElement("li");
    const progress = document.createElement("progress");
    const about = document.createElement("div");
    const name = document.createElement("div");
    name.className = "name";
    name.textContent = file.name;
    about.className = "muted";
    about.textContent = "waits";
    progress.max = file.size || 1;
    progress.value = 0;
    progress.setAttribute("aria-label", file.name);
    line.append(name, progress, about);
    form.querySelector(".puts").append(line);
    const tooLarge = file.size > Number(form.dataset.most) && `too large: a file may have ${form.dataset.mostShown}`;
    const problem = tooLarge || (await send(form, file, (done) => {
      progress.value = done;
      about.textContent = `${Math.floor((100 * done) / (file.size || 1))} %`;
    }));
    progress.value = progress.max;
    about.textContent = problem || "in the folder";
    if (problem) {
      about.className = "reason";
      tell(`${file.name}: ${problem}`, true);
    } else {
      setTimeout(() => line.remove(), 4000);
    }
  }
}

// send sends one file, and returns what went wrong. Only this old interface tells
// of the progress.
function send(form, file, onProgress) {
  return new Promise((resolve) => {
    const request = new XMLHttpRequest();
    const data = new FormData();
    data.append("file", file, file.name);
    request.open("POST", form.action);
    request.setRequestHeader("Accept", "text/plain");
    request.upload.addEventListener("progress", (e) => onProgress(Math.min(e.loaded, file.size)));
    request.addEventListener("load", () => resolve(request.status === 200 ? "" : request.responseText.trim() || request.statusText));
    request.addEventListener("error", () => resolve("the connection was lost, or the file is not taken"));
    request.send(data);
  });
}

// tap shows lines of events, the newest last.
const tap = {
  source: null,
  most: 300,
  toggle(form) {
    if (this.source) {
      this.stop("Stopped.");
      return;
    }
    const lines = byId("tap-lines");
    lines.replaceChildren();
    lines.hidden = false;
    byId("tap-button").textContent = "Stop";
    this.source = new EventSource(form.getAttribute("action") + "?" + new URLSearchParams(new FormData(form)));
    this.source.addEventListener("listening", (e) => this.note(e.data));
    this.source.addEventListener("left-out", (e) => this.note(e.data));
    this.source.addEventListener("line", (e) => this.line(JSON.parse(e.data)));
    this.source.addEventListener("error", () => {
      if (this.source.readyState === EventSource.CLOSED) this.stop("It cannot be listened to: the hub is away, or too many listen.");
      else this.note("The connection was lost; it is made again.");
    });
  },
  stop(why) {
    this.source.close();
    this.source = null;
    byId("tap-button").textContent = "Listen";
    this.note(why);
  },
  note(text) {
    this.add([["muted", text]]);
  },
  line(l) {
    this.add([["time", l.time], ["event", l.event], ["kind", l.kind], ["what", l.text]]);
  },
  add(parts) {
    const lines = byId("tap-lines");
    const atEnd = lines.scrollHeight - lines.scrollTop - lines.clientHeight < 40;
    const item = document.createElement("div");
    for (const [kind, text] of parts) {
      const part = document.createElement(kind === "time" ? "time" : "span");
      part.className = kind;
      part.textContent = text;
      item.append(part, " ");
    }
    lines.append(item);
    while (lines.children.length > this.most) lines.firstChild.remove();
    if (atEnd) lines.scrollTop = lines.scrollHeight;
  },
};

document.addEventListener("submit", (e) => {
  const form = e.target;
  if (form.matches("[data-act]")) {
    e.preventDefault();
    act(form);
  } else if (form.matches(".drop")) {
    e.preventDefault();
    put(form, [...form.querySelector("input[type=file]").files]);
    form.reset();
  } else if (form.id === "tap-form") {
    e.preventDefault();
    tap.toggle(form);
  }
});

document.addEventListener("change", (e) => {
  if (e.target.id === "tap-connection") byId("tap-event").value = e.target.selectedOptions[0].dataset.pattern;
});

// Files can be dropped on a form or, where there is one only, anywhere. One that
// misses its place must not be opened in place of the page.
const forms = () => [...document.querySelectorAll(".drop")];
const formAt = (e) => (forms().length === 1 ? forms()[0] : e.target.closest?.(".drop"));
const mark = (form) => forms().forEach((f) => f.classList.toggle("over", f === form));
document.addEventListener("dragover", (e) => {
  if (!e.dataTransfer.types.includes("Files")) return;
  e.preventDefault();
  const form = formAt(e);
  e.dataTransfer.dropEffect = form ? "copy" : "none";
  mark(form);
});
document.addEventListener("dragleave", (e) => e.relatedTarget || mark());
document.addEventListener("drop", (e) => {
  if (!e.dataTransfer.types.includes("Files")) return;
  e.preventDefault();
  mark();
  const form = formAt(e);
  if (form) put(form, [...e.dataTransfer.files]);
});

document.addEventListener("visibilitychange", () => (document.hidden ? live.stop() : live.start()));
setInterval(() => live.check(), 1000);
live.start();
