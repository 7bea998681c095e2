// Gets this checkout ready to run: dependencies, the pinned Node, and on request a browser for the
// tests. Plain JavaScript that any Node ≥ 20 runs, because nothing is installed yet when it starts.
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = dirname(dirname(fileURLToPath(import.meta.url)));
const modules = join(root, "node_modules");
const stamp = join(modules, ".train-at-home");
const OLDEST_NODE = 20;
const WANTED_NODE = 24;

/** Everything said while setting up goes to stderr: stdout belongs to the command's own answer. */
function say(text) {
  process.stderr.write(`${text}\n`);
}

/** Ends with one sentence and no stack trace. */
export function fail(message) {
  say(`\n${message}`);
  process.exit(1);
}

/** Installs what is missing or stale. Returns at once when nothing changed since the last time. */
export async function ensureDependencies() {
  const major = Number(process.versions.node.split(".")[0]);
  if (major < OLDEST_NODE) {
    fail(
      `Train at Home needs Node ${OLDEST_NODE} or newer to set itself up; this is ${process.version}. Install a current Node and try again.`,
    );
  }
  const wanted = lockDigest();
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === wanted) return;
  // `npm ci` would delete the Node that may be running this very script; `install` repairs in place.
  const fresh = !existsSync(modules);
  say(
    fresh
      ? "Setting up: installing dependencies, once. This takes a minute or two."
      : "Updating dependencies.",
  );
  const code = await npm(fresh ? ["ci"] : ["install", "--no-save"]);
  if (code !== 0) {
    fail(
      `Installing the dependencies failed (npm ended with ${code}). The lines above say why; most often there is no network or no space left. Run the same command again to go on.`,
    );
  }
  // By another name first: a copy of the checkout whose files are hard links keeps its own.
  writeFileSync(`${stamp}.new`, wanted);
  renameSync(`${stamp}.new`, stamp);
  say("Dependencies are ready.");
}

function lockDigest() {
  const hash = createHash("sha256");
  for (const file of ["package.json", "package-lock.json"]) hash.update(readFileSync(join(root, file)));
  return hash.update(`${process.platform}-${process.arch}`).digest("hex");
}

/** Runs npm in the checkout with a progress line every few seconds. */
function npm(parameters) {
  const started = Date.now();
  const script = process.env.npm_execpath;
  const quiet = ["--no-audit", "--no-fund", "--loglevel=error"];
  const [command, leading] = script?.endsWith(".js")
    ? [process.execPath, [script]]
    : [process.platform === "win32" ? "npm.cmd" : "npm", []];
  const child = spawn(command, [...leading, ...parameters, ...quiet], {
    cwd: root,
    stdio: ["ignore", process.stderr, process.stderr],
    shell: command.endsWith(".cmd"),
  });
  const ticker = setInterval(() => {
    say(`  installing … ${Math.round((Date.now() - started) / 1000)} s (usually 1 to 2 minutes)`);
  }, 5_000);
  return new Promise((resolve) => {
    child.on("error", (error) => {
      clearInterval(ticker);
      fail(`npm could not be started (${error.message}). It comes with Node: reinstall Node and try again.`);
    });
    child.on("exit", (code) => {
      clearInterval(ticker);
      resolve(code ?? 1);
    });
  });
}

/** The pinned Node that the product runs on, or this one when it is new enough. */
export function pinnedNode() {
  const { optionalDependencies } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const binary = process.platform === "win32" ? "node.exe" : "node";
  for (const name of Object.keys(optionalDependencies)) {
    const path = join(modules, name, "bin", binary);
    if (
      name.endsWith(`${process.platform === "win32" ? "win" : process.platform}-${process.arch}`) &&
      existsSync(path)
    )
      return path;
  }
  if (Number(process.versions.node.split(".")[0]) >= WANTED_NODE) return process.execPath;
  return fail(
    `There is no packaged Node ${WANTED_NODE} for ${process.platform}-${process.arch}. Install Node ${WANTED_NODE} and run the same command again.`,
  );
}

/** Runs a script of this checkout under the pinned Node; ends with its exit code. */
export async function runPinned(parameters, env = {}) {
  const child = spawn(pinnedNode(), parameters, {
    // The channel lets the child notice when this launcher is killed.
    stdio: ["inherit", "inherit", "inherit", "ipc"],
    // Code without its types is kept here from the first use on: the compiler that strips them is then not even
    // loaded, which saves 25 MB and much of a command's start (src-daemon/compile-cache.ts has the same folder).
    env: { NODE_COMPILE_CACHE: join(modules, ".cache", "compiled"), ...process.env, ...env },
  });
  // A terminal sends Ctrl-C to the whole group; a signal to this process alone must be handed on.
  // The child takes SIGTERM as often as it comes, so a doubled one does no harm.
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill("SIGTERM"));
  if (process.env.npm_lifecycle_event !== undefined) endWithShell(child);
  return await new Promise((resolve) => {
    child.on("exit", (code, signal) => resolve(code ?? (signal === "SIGKILL" ? 137 : 1)));
  });
}

/** `npm run` hands a SIGTERM to the shell in which it has started us, which ends and says nothing. */
function endWithShell(child) {
  const shell = process.ppid;
  const watch = setInterval(() => {
    if (process.ppid === shell) return;
    clearInterval(watch);
    child.kill("SIGTERM");
  }, 500).unref();
}

/** A Chromium for the dashboard's tests: the system's, else Playwright's own, else Debian's package. */
export function ensureBrowser() {
  const found = findBrowser();
  if (found !== null) return found;
  say("The dashboard's tests need a Chromium; none is installed. Trying Playwright's own …");
  const cli = join(modules, "@playwright", "test", "cli.js");
  spawnSync(pinnedNode(), [cli, "install", "chromium"], {
    cwd: root,
    stdio: ["ignore", "ignore", "ignore"],
    timeout: 300_000,
  });
  if (
    findBrowser() === null &&
    process.platform === "linux" &&
    process.getuid?.() === 0 &&
    existsSync("/usr/bin/apt-get")
  ) {
    say("That did not work. Installing Debian's chromium …");
    spawnSync("apt-get", ["update", "-q"], { stdio: ["ignore", "ignore", "inherit"] });
    spawnSync(
      "apt-get",
      ["install", "-y", "-q", "--no-install-recommends", "chromium", "fonts-dejavu-core"],
      {
        stdio: ["ignore", "ignore", "inherit"],
        env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
      },
    );
  }
  return (
    findBrowser() ??
    fail(
      "No Chromium could be found or installed for the dashboard's tests. Install one (Debian: apt-get install chromium; elsewhere: npx playwright install chromium), or set TAH_CHROMIUM to its path, and run the tests again.",
    )
  );
}

function findBrowser() {
  const named = process.env.TAH_CHROMIUM;
  if (named !== undefined && named !== "") {
    return existsSync(named) ? named : fail(`TAH_CHROMIUM names ${named}, which does not exist.`);
  }
  const folders = (process.env.PATH ?? "").split(process.platform === "win32" ? ";" : ":");
  const candidates = [
    ...["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"].flatMap((name) =>
      folders.map((folder) => join(folder, name)),
    ),
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe",
  ];
  const system = candidates.find((path) => existsSync(path));
  if (system !== undefined) return system;
  const { chromium } = createRequire(join(root, "package.json"))("@playwright/test");
  const own = chromium.executablePath();
  return own !== "" && existsSync(own) ? own : null;
}
