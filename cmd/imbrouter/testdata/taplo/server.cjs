// The language server of taplo, as editors run it, over standard input and
// output: a message of JSON a line. It may read files and nothing else.
const { readFile } = require("node:fs/promises");
const { isAbsolute } = require("node:path");
const { createInterface } = require("node:readline");
const { fileURLToPath } = require("node:url");
const { TaploLsp } = require("@taplo/lsp");

globalThis.fetch = () => Promise.reject(new Error("no network"));

const environment = {
  cwd: () => process.cwd(),
  envVar: () => undefined,
  envVars: () => [],
  findConfigFile: () => undefined,
  glob: () => [],
  isAbsolute,
  isWindows: () => process.platform === "win32",
  now: () => new Date(),
  readFile: (path) => readFile(path),
  writeFile: () => Promise.reject(new Error("read only")),
  stdin: process.stdin,
  stdout: process.stderr,
  stderr: process.stderr,
  stdErrAtty: () => false,
  urlToFilePath: (url) => (url.startsWith("file:") ? fileURLToPath(url) : undefined),
};

const onMessage = (message) => process.stdout.write(JSON.stringify(message) + "\n");

TaploLsp.initialize(environment, { onMessage }).then((server) => {
  createInterface({ input: process.stdin }).on("line", (line) => server.send(JSON.parse(line)));
});
