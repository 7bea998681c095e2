import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, readdirSync, readlinkSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { failureBody } from "../../src-protocol/failure.ts";
import { trialsCache, whyNoFreshDebian } from "../fresh-debian.ts";
import { ContainerRun } from "./container-run.ts";
import { buildImage } from "./image.ts";
import type { Image } from "./image.ts";

/**
 * `npm run container:test`: what the Dockerfile says, done without Docker: its instructions one after the other in a
 * fresh Debian, then its entrypoint as its user in namespaces of its own. Takes minutes.
 */
const HELP = `npm run container:test -- [--json] [--keep]

Carries out the Dockerfile's instructions in a fresh Debian (debootstrap, kept in ~/.cache/train-at-home-trials),
starts its entrypoint as its user in namespaces of its own, sees it train, be ended, go on, and end at a time that was
said. It is no Docker: docs/install.md says what it shows and what it does not. --keep leaves the folder, to look at.
`;
const root = join(import.meta.dirname, "..", "..");
const STEP_WITHIN_MS = 600_000;
/** `docker stop` kills after ten seconds. */
const STOPPED_WITHIN_MS = 10_000;
const GAP_ENDS_WITHIN_MS = 20_000;
const COMPUTES = "/worker/main.js";

const say = (text: string): void => void process.stderr.write(`${text}\n`);
const figures: Record<string, number | string> = {};

process.exitCode = await main().catch((error: unknown) => {
  say(`\nFAIL: ${failureBody(error).message}`);
  return 1;
});

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: { json: { type: "boolean" }, keep: { type: "boolean" }, help: { type: "boolean" } },
  });
  if (values.help === true) {
    process.stdout.write(HELP);
    return 0;
  }
  const why = whyNoFreshDebian();
  if (why !== null) {
    process.stdout.write(`skipped: ${why}.\n`);
    return 0;
  }
  const started = performance.now();
  const folder = mkdtempSync(join(trialsCache(), "container-"));
  try {
    chapter("is built by the Dockerfile");
    const image = await buildImage({ root, folder, say });
    figures["seconds to build"] = seconds(started);
    figures["image MiB, without its Debian and Node"] = mebibytes(join(image.root, "app"));
    await story(image);
  } finally {
    if (values.keep === true) say(`Left: ${folder}`);
    else rmSync(folder, { recursive: true, force: true });
  }
  figures["seconds for all of it"] = seconds(started);
  say("\nAll of it holds.");
  if (values.json === true) process.stdout.write(`${JSON.stringify(figures)}\n`);
  else for (const [name, value] of Object.entries(figures)) process.stdout.write(`${name}: ${value}\n`);
  return 0;
}

async function story(image: Image): Promise<void> {
  const before = everything(image);

  chapter("starts, and trains, as its user");
  const first = await ContainerRun.start(image);
  try {
    const at = performance.now();
    await first.until("a step is finished", STEP_WITHIN_MS, ({ run }) => (run?.step ?? 0) >= 1);
    figures["seconds to the first step"] = seconds(at);
    check(first.healthy(), "HEALTHCHECK's command says that it is well");
    const all = processesIn(image.root);
    check(
      all.some(({ words }) => words.includes(COMPUTES)),
      "a worker computes",
    );
    same([...new Set(all.map(({ uid }) => uid))], [1000], "nothing in it runs as another user");
    same([...new Set(all.map(({ capabilities }) => capabilities))], [0n], "or has a right of root's");

    chapter("ends when it is asked to");
    const asked = performance.now();
    same(await first.stop(STOPPED_WITHIN_MS), 0, `${image.stopSignal} ends it in time, in order`);
    figures["seconds to end"] = seconds(asked);
  } finally {
    first.kill();
  }
  nothingLeft(image, before);

  chapter("goes on from its volume, until a time that was said");
  const second = await ContainerRun.start(image);
  try {
    await second.until("it goes on where it was", STEP_WITHIN_MS, ({ run }) => (run?.step ?? 0) >= 2);
    const minute = new Date(Date.now() + 90_000).toISOString().slice(11, 16);
    const { override } = second.tah("start", "--until", minute, "--gap", "--json") as State;
    const until = override?.until ?? 0;
    check(
      override?.thenQuit === true && until > Date.now(),
      `its end is said: ${new Date(until).toISOString()}`,
    );
    const { headline } = second.tah("why", "--json") as { readonly headline: string };
    say(`      ${headline}`);
    const ended = await second.ended(until - Date.now() + GAP_ENDS_WITHIN_MS);
    same(ended, 0, "it ends by itself");
    const late = (Date.now() - until) / 1000;
    check(late >= 0, "and not before");
    figures["seconds from the time that was said to its end"] = Math.round(late * 10) / 10;
  } finally {
    second.kill();
  }
  nothingLeft(image, before);
}

interface State {
  readonly override: { readonly until: number | null; readonly thenQuit?: boolean } | null;
}

function nothingLeft(image: Image, before: ReadonlySet<string>): void {
  same(processesIn(image.root), [], "no process of it is left");
  check(!readFileSync("/proc/mounts", "utf8").includes(image.root), "nothing of it is mounted");
  same(
    [...everything(image)].filter((path) => !before.has(path)),
    [],
    "it has written nothing but to its volume",
  );
}

/** Whatever has the container's root for its own. */
function processesIn(
  folder: string,
): { readonly uid: number; readonly capabilities: bigint; readonly words: string }[] {
  return readdirSync("/proc").flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    try {
      if (readlinkSync(join("/proc", name, "root")) !== folder) return [];
      const [, set = "1"] =
        /^CapEff:\s*(\w+)/m.exec(readFileSync(join("/proc", name, "status"), "utf8")) ?? [];
      const words = readFileSync(join("/proc", name, "cmdline"), "utf8").replaceAll("\0", " ");
      return [{ uid: statSync(join("/proc", name)).uid, capabilities: BigInt(`0x${set}`), words }];
    } catch {
      return [];
    }
  });
}

/** All files of the container's own layer. */
function everything(image: Image): Set<string> {
  const volumes = image.volumes.flatMap((path) => ["-path", join(image.root, path), "-prune", "-o"]);
  const found = spawnSync("find", [image.root, "-xdev", ...volumes, "-print"], {
    encoding: "utf8",
    maxBuffer: 256 * 1024 * 1024,
  });
  const paths = found.stdout.split("\n").map((path) => path.slice(image.root.length));
  if (!existsSync(join(image.root, "app")) || paths.length < 1000)
    throw new Error("The container's files could not be listed.");
  return new Set(paths);
}

function mebibytes(folder: string): number {
  const { stdout } = spawnSync("du", ["-sm", folder], { encoding: "utf8" });
  return Number(stdout.split(/\s/)[0]);
}

function check(holds: boolean, what: string): void {
  if (!holds) throw new Error(`does not hold: ${what}`);
  say(`  ok  ${what}`);
}

function same(got: unknown, wanted: unknown, what: string): void {
  const text = (value: unknown): string =>
    JSON.stringify(value, (_, one: unknown) => (typeof one === "bigint" ? Number(one) : one));
  if (text(got) !== text(wanted)) throw new Error(`${what}: ${text(got)} and not ${text(wanted)}`);
  say(`  ok  ${what}`);
}

function chapter(name: string): void {
  say(`\nThe container ${name}`);
}

function seconds(since: number): number {
  return Math.round((performance.now() - since) / 100) / 10;
}
