import { execFileSync, spawn, spawnSync, type ChildProcess } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { basename, join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";

/** What `npm run package:test` does inside the fresh root; run in namespaces of its own. */
const [root = "", deb = "", newer = "", form = "text"] = process.argv.slice(2);
const OWNER = { name: "ada", id: 1000 };
const OPERATOR = { name: "grace", id: 1001 };
const HOME = `/home/${OWNER.name}`;
const DATA = `${HOME}/.local/share/train-at-home`;
const STEP_WITHIN_MS = 300_000;
/** Where dpkg and its helpers keep what they know. */
const OF_DPKG = /^\/var\/(lib\/dpkg|log|cache)(\/|$)/;
const started = performance.now();
const figures: Record<string, number | string> = {};
const children: ChildProcess[] = [];

let code = 0;
try {
  await story();
  say("\nAll of it holds.");
  if (form === "json") process.stdout.write(`${JSON.stringify(figures)}\n`);
  else for (const [name, value] of Object.entries(figures)) process.stdout.write(`${name}: ${value}\n`);
} catch (error) {
  say(`\nFAIL: ${error instanceof Error ? error.message : String(error)}`);
  code = 1;
} finally {
  for (const child of children) child.kill("SIGKILL");
  for (const place of ["dev/pts", "dev", "proc"]) spawnSync("umount", ["-l", join(root, place)]);
}
process.exit(code);

async function story(): Promise<void> {
  prepare();
  const before = everything();

  chapter("installs");
  figures["download MiB"] = mib(statSync(deb).size);
  const at = performance.now();
  dpkg("-i", deb);
  figures["seconds to install"] = seconds(at);
  figures["installed MiB"] = mib(Number(inside(null, "du", "-sb", "/usr/lib/train-at-home").split(/\s/)[0]));
  same(inside(null, "dpkg", "--verify", "train-at-home"), "", "dpkg finds every file as it was packed");
  same(processes().length, 0, "nothing runs that nobody has started");
  for (const shell of ["bash", "dash"]) inside(null, shell, "-n", "/usr/bin/tah");
  inside(null, "bash", "-n", "/usr/share/bash-completion/completions/tah");
  check(existsSync(join(root, "usr/share/man/man1/tah.1.gz")), "the manual is there");
  const version = debVersion(deb);
  same(tah(OWNER, "--version"), version, "tah says its version");

  chapter("is opened by an ordinary user");
  const opened = performance.now();
  const { url } = JSON.parse(tah(OWNER, "dashboard", "--no-open", "--json")) as { url: string };
  figures["seconds until the dashboard answers"] = seconds(opened);
  const page = await fetch(url.split("#")[0] ?? "");
  check(
    page.status === 200 && (await page.text()).includes('<div id="root"'),
    "the dashboard's page is served",
  );
  check(tah(OWNER, "status").includes("you have not said yet"), "nothing is computed before a yes");

  chapter("trains after the yes");
  const yes = performance.now();
  tah(OWNER, "setup", "--yes");
  await until("a step is finished", STEP_WITHIN_MS, () => step() >= 1);
  figures["seconds from the yes to the first step"] = seconds(yes);
  await until("it goes on", STEP_WITHIN_MS, () => step() >= 3);

  chapter("keeps and moves a key, with the bundled chain client");
  const key = JSON.parse(tah(OWNER, "wallet", "list", "--json")) as {
    wallets: { hotkeys: { address: string }[] }[];
  };
  const address = key.wallets[0]?.hotkeys[0]?.address ?? "";
  check(/^5\w{46,47}$/.test(address), "the wallet has a hotkey");
  writeFileSync(join(root, HOME, "word"), "correct horse battery", { mode: 0o644 });
  const words = ["--out-password-file", `${HOME}/word`];
  tah(OWNER, "wallet", "export", "--out", `${HOME}/account.json`, "--format", "polkadot", ...words);
  tah(
    OWNER,
    "wallet",
    "import",
    "moved",
    "--file",
    `${HOME}/account.json`,
    "--file-password-file",
    `${HOME}/word`,
  );
  check(tah(OWNER, "wallet", "list").split(address).length > 2, "the moved key is the same");

  chapter("answers an agent");
  const { token } = JSON.parse(tah(OWNER, "token", "agent", "--json")) as { token: string };
  const hello = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"story","version":"1"}}}`;
  const agent = inside(OWNER, "sh", "-c", `(echo '${hello}'; sleep 5) | TAH_TOKEN=${token} tah mcp`);
  check(agent.includes('"serverInfo"'), "tah mcp speaks its protocol");

  chapter("joins a network that another user serves");
  const invitation = await serve();
  tah(OWNER, "join", invitation, "--yes");
  await until("it trains there", STEP_WITHIN_MS, () => step() >= 2 && status().network.kind === "remote");
  figures["step in the joined network before the upgrade"] = step();

  chapter("is upgraded while it runs");
  const reached = step();
  dpkg("-i", newer);
  same(processes(OWNER.id).length, 0, "the old version has ended");
  same(tah(OWNER, "--version"), debVersion(newer), "tah says the new version");
  same(inside(null, "dpkg", "--verify", "train-at-home"), "", "dpkg finds every file as it was packed");
  const restarted = await serve();
  check(restarted.length > 0, "the network is served again");
  tah(OWNER, "dashboard", "--no-open");
  await until(
    "it goes on where it was",
    STEP_WITHIN_MS,
    () => status().network.kind === "remote" && step() > reached,
  );
  figures["step after the upgrade"] = step();

  chapter("is removed, after the key was offered");
  const answers = inPty("y\n", "dpkg", "-r", "train-at-home");
  check(answers.includes("Export the key of ada"), `the key's export is offered first\n${answers}`);
  check(
    readFileSync(join(root, HOME, "train-at-home-key.json"), "utf8").includes(address),
    "the key was exported",
  );
  same(statSync(join(root, HOME, "train-at-home-key.json")).uid, OWNER.id, "to its owner");
  same(processes().length, 0, "nothing of it runs any more");
  // That dpkg remembers a package until its purge is its own way.
  const remembered = ["list", "postrm"].map((name) => `/var/lib/dpkg/info/train-at-home.${name}`);
  same(leftOver(before), remembered, "nothing is left but what is its owner's");
  check(existsSync(join(root, DATA, "wallets")), "the owner's data are there");

  chapter("comes back to its owner's data, and is purged");
  dpkg("-i", newer);
  check(tah(OWNER, "wallet", "list").includes(address), "the key is found again");
  dpkg("-P", "train-at-home");
  same(leftOver(before), [], "a purge leaves nothing but what is its owner's");
  check(existsSync(join(root, DATA, "wallets")), "and not less than that");
  same(
    spawnSync("chroot", [root, "dpkg", "-s", "train-at-home"]).status,
    1,
    "dpkg does not know it any more",
  );
  figures["seconds for all of it"] = seconds(started);
}

function prepare(): void {
  for (const [type, place] of [
    ["proc", "proc"],
    ["tmpfs", "dev"],
  ] as const)
    execFileSync("mount", ["-t", type, type, join(root, place)]);
  mkdirSync(join(root, "dev/pts"));
  for (const [name, minor] of [
    ["null", 3],
    ["zero", 5],
    ["random", 8],
    ["urandom", 9],
  ] as const)
    execFileSync("mknod", ["-m", "666", join(root, "dev", name), "c", "1", String(minor)]);
  execFileSync("mknod", ["-m", "666", join(root, "dev/tty"), "c", "5", "0"]);
  execFileSync("mount", ["-t", "devpts", "-o", "newinstance,ptmxmode=0666", "devpts", join(root, "dev/pts")]);
  execFileSync("ln", ["-s", "pts/ptmx", join(root, "dev/ptmx")]);
  for (const { name, id } of [OWNER, OPERATOR])
    inside(null, "useradd", "--create-home", "--uid", String(id), "--shell", "/bin/bash", name);
  for (const file of [deb, newer]) cpSync(file, join(root, "tmp", basename(file)));
}

/** The network of the story's other user; the same folder goes on where it was. */
async function serve(): Promise<string> {
  const folder = `/home/${OPERATOR.name}`;
  if (!existsSync(join(root, folder, "texts"))) {
    mkdirSync(join(root, folder, "texts"));
    const sentence = "The wind blew over the harbour, and the boats lay still until the morning came. ";
    writeFileSync(join(root, folder, "texts", "harbour.txt"), sentence.repeat(4_000));
  }
  const port = "17440";
  const words = `network serve --json --open --model tiny --stages 1 --host 127.0.0.1 --port ${port} --address 127.0.0.1 --data ${folder}/texts`;
  const child = spawn("chroot", [`--userspec=${OPERATOR.name}`, root, "/usr/bin/tah", ...words.split(" ")], {
    stdio: ["ignore", "pipe", "pipe"],
    env: environment(OPERATOR),
  });
  children.push(child);
  let said = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (data) => (said += String(data)));
  const line = () => said.split("\n").find((one) => one.startsWith("{") && one.endsWith("}"));
  await until(
    "the network is served",
    120_000,
    () => line() !== undefined,
    () => said,
  );
  return (JSON.parse(line() ?? "{}") as { invitation: string }).invitation;
}

interface Status {
  readonly network: { readonly kind: string };
  readonly run: { readonly step: number | null } | null;
}

function status(): Status {
  return JSON.parse(tah(OWNER, "status", "--json")) as Status;
}

function step(): number {
  return status().run?.step ?? 0;
}

function tah(user: typeof OWNER, ...words: string[]): string {
  return inside(user, "/usr/bin/tah", ...words);
}

/** A command in the fresh root, as root or as one of its users; its output. */
function inside(user: typeof OWNER | null, ...words: string[]): string {
  const who = user === null ? [] : [`--userspec=${user.name}`];
  const run = spawnSync("chroot", [...who, root, ...words], {
    encoding: "utf8",
    env: environment(user),
    timeout: 180_000,
  });
  if (run.status !== 0)
    throw new Error(
      `${words.join(" ")} ended with ${run.status ?? run.signal}: ${run.stderr.trim() || run.stdout.trim()}`,
    );
  return run.stdout.trim();
}

function dpkg(order: string, what: string): void {
  const file = what.endsWith(".deb") ? `/tmp/${basename(what)}` : what;
  inside(null, "dpkg", order, file);
}

/** On a terminal, where a person answers. */
function inPty(answer: string, ...words: string[]): string {
  const run = spawnSync("chroot", [root, "script", "-qec", words.join(" "), "/dev/null"], {
    encoding: "utf8",
    input: answer,
    env: { ...environment(null), DEBIAN_FRONTEND: "readline" },
    timeout: 180_000,
  });
  if (run.status !== 0)
    throw new Error(`${words.join(" ")} ended with ${run.status ?? run.signal}: ${run.stdout}${run.stderr}`);
  return run.stdout;
}

function environment(user: typeof OWNER | null): Record<string, string> {
  const home = user === null ? "/root" : `/home/${user.name}`;
  return {
    PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    HOME: home,
    USER: user?.name ?? "root",
    LC_ALL: "C.UTF-8",
    DEBIAN_FRONTEND: "noninteractive",
  };
}

/** Of the installed Node, as far as a user's: whatever started them. */
function processes(uid?: number): number[] {
  return readdirSync("/proc").flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    try {
      const program = readlinkSync(join("/proc", name, "exe"));
      if (!program.includes("/lib/train-at-home/")) return [];
      if (uid !== undefined && statSync(join("/proc", name)).uid !== uid) return [];
      return [Number(name)];
    } catch {
      return [];
    }
  });
}

/** All files of the root but those of its users and those where dpkg and its helpers keep what they know. */
function everything(): Set<string> {
  const list = execFileSync(
    "find",
    [
      root,
      "-xdev",
      "(",
      "-path",
      join(root, "home"),
      "-o",
      "-path",
      join(root, "tmp"),
      ")",
      "-prune",
      "-o",
      "-print",
    ],
    {
      encoding: "utf8",
      maxBuffer: 256 * 1024 * 1024,
    },
  );
  return new Set(list.split("\n").map((path) => path.slice(root.length)));
}

function leftOver(before: ReadonlySet<string>): string[] {
  return [...everything()]
    .filter((path) => !before.has(path) && (!OF_DPKG.test(path) || path.includes("train-at-home")))
    .sort();
}

function debVersion(file: string): string {
  return execFileSync("dpkg-deb", ["-f", file, "Version"], { encoding: "utf8" }).trim();
}

async function until(
  what: string,
  ms: number,
  holds: () => boolean,
  why: () => string = () => tah(OWNER, "status"),
): Promise<void> {
  const end = performance.now() + ms;
  while (!holds()) {
    if (performance.now() > end) throw new Error(`${what}: not in ${ms / 1000} s\n${why()}`);
    await wait(500);
  }
  say(`  ok  ${what}`);
}

function check(holds: boolean, what: string): void {
  if (!holds) throw new Error(`does not hold: ${what}`);
  say(`  ok  ${what.split("\n")[0]}`);
}

function same(got: unknown, wanted: unknown, what: string): void {
  if (JSON.stringify(got) !== JSON.stringify(wanted))
    throw new Error(`${what}: ${JSON.stringify(got)} and not ${JSON.stringify(wanted)}`);
  say(`  ok  ${what}`);
}

function chapter(name: string): void {
  say(`\nThe package ${name}`);
}

function say(text: string): void {
  process.stderr.write(`${text}\n`);
}

function seconds(since: number): number {
  return Math.round((performance.now() - since) / 100) / 10;
}

function mib(bytes: number): number {
  return Math.round((bytes / 1024 / 1024) * 10) / 10;
}
