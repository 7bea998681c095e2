import { execFileSync } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { Failure } from "../../src-protocol/failure.ts";
import { freshDebian } from "../fresh-debian.ts";
import { readDockerfile } from "./dockerfile.ts";
import type { Instruction } from "./dockerfile.ts";
import { startIn } from "./namespaces.ts";
import type { Process } from "./namespaces.ts";

/** What a container is started from. */
export interface Image {
  readonly root: string;
  readonly env: Readonly<Record<string, string>>;
  readonly folder: string;
  readonly user: string;
  readonly entrypoint: readonly string[];
  readonly cmd: readonly string[];
  readonly volumes: readonly string[];
  readonly stopSignal: string;
  readonly health: { readonly timeoutMs: number; readonly command: readonly string[] } | null;
}

export interface Building {
  /** The checkout. */
  readonly root: string;
  /** Where the stages' roots lie. */
  readonly folder: string;
  readonly say: (text: string) => void;
}

const PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/** Of this computer's way to the registry: Docker has them as arguments of a build, which no image keeps. */
const WAY_OUT =
  /^(https?_proxy|no_proxy|node_extra_ca_certs|npm_config_(registry|proxy|https_proxy|noproxy))$/i;

/** Carries out the Dockerfile's instructions one after the other; the last stage. */
export async function buildImage(building: Building): Promise<Image> {
  const stages = new Map<string, Image>();
  let image: Image | null = null;
  for (const instruction of readDockerfile(readFileSync(join(building.root, "Dockerfile"), "utf8"))) {
    building.say(`${instruction.word} ${JSON.stringify({ ...instruction, word: undefined })}`);
    if (instruction.word === "FROM") {
      image = baseImage(instruction.image, building);
      if (instruction.as !== null) stages.set(instruction.as, image);
      continue;
    }
    if (image === null) throw new Failure("dockerfile-unknown", "The Dockerfile does not begin with FROM.");
    const changed = await carriedOut(instruction, image, stages, building);
    for (const [name, stage] of stages) if (stage === image) stages.set(name, changed);
    image = changed;
  }
  if (image === null) throw new Failure("dockerfile-unknown", "The Dockerfile has no FROM.");
  return image;
}

async function carriedOut(
  instruction: Exclude<Instruction, { word: "FROM" }>,
  image: Image,
  stages: ReadonlyMap<string, Image>,
  building: Building,
): Promise<Image> {
  switch (instruction.word) {
    case "WORKDIR":
      mkdirSync(join(image.root, instruction.path), { recursive: true });
      return { ...image, folder: instruction.path };
    case "COPY":
      copy(instruction, image, stages, building.root);
      return image;
    case "RUN":
      await run(instruction.shell, image);
      return image;
    case "ENV":
      return { ...image, env: { ...image.env, ...instruction.values } };
    case "USER": {
      const account = `\n${readFileSync(join(image.root, "etc", "passwd"), "utf8")}`;
      const [, home] =
        new RegExp(`\\n${instruction.name}:[^:]*:\\d+:\\d+:[^:]*:([^:]*):`).exec(account) ?? [];
      if (home === undefined)
        throw new Failure("dockerfile-user", `The image has no user ${instruction.name}.`);
      return { ...image, user: instruction.name, env: { ...image.env, HOME: home } };
    }
    case "VOLUME":
      return { ...image, volumes: [...image.volumes, instruction.path] };
    case "STOPSIGNAL":
      return { ...image, stopSignal: instruction.signal };
    case "HEALTHCHECK":
      return { ...image, health: instruction };
    case "ENTRYPOINT":
      return { ...image, entrypoint: instruction.command };
    case "CMD":
      return { ...image, cmd: instruction.command };
  }
}

/** A folder's content, as Docker copies it; of the checkout what git has, without what `.dockerignore` names. */
function copy(
  { from, chown, source, target }: Extract<Instruction, { word: "COPY" }>,
  image: Image,
  stages: ReadonlyMap<string, Image>,
  checkout: string,
): void {
  const to = target.startsWith("/") ? join(image.root, target) : join(image.root, image.folder, target);
  mkdirSync(to, { recursive: true });
  if (from === null) {
    for (const path of ofTheRepository(checkout, source)) {
      mkdirSync(join(to, dirname(path)), { recursive: true });
      cpSync(join(checkout, source, path), join(to, path), { verbatimSymlinks: true });
    }
  } else {
    const stage = stages.get(from);
    if (stage === undefined)
      throw new Failure("dockerfile-unknown", `There is no stage ${from} to copy from.`);
    execFileSync("cp", ["-a", `${join(stage.root, source)}/.`, to]);
  }
  execFileSync("chroot", [image.root, "chown", "-R", chown ?? "root:root", to.slice(image.root.length)]);
}

/** What a clone has: the build is to need nothing else. */
function ofTheRepository(checkout: string, source: string): string[] {
  const left = readFileSync(join(checkout, ".dockerignore"), "utf8").trim().split("\n");
  const list = execFileSync("git", ["ls-files", "-z"], { cwd: join(checkout, source), encoding: "utf8" });
  return list
    .split("\0")
    .filter((path) => path !== "" && existsSync(join(checkout, source, path)))
    .filter((path) => !left.some((name) => path === name || path.startsWith(`${name}/`)));
}

async function run(shell: string, image: Image): Promise<void> {
  const lent: string[] = [];
  const lend = (path: string): void => {
    if (existsSync(join(image.root, path)) || !existsSync(path)) return;
    mkdirSync(dirname(join(image.root, path)), { recursive: true });
    copyFileSync(path, join(image.root, path));
    lent.push(join(image.root, path));
  };
  const way = Object.entries(process.env).flatMap(([name, value]) =>
    WAY_OUT.test(name) && value ? [[name, value] as const] : [],
  );
  lend("/etc/resolv.conf");
  for (const [name, value] of way) if (/ca_certs$/i.test(name)) lend(value);
  const env = { ...image.env, ...Object.fromEntries(way) };
  try {
    await finished(image.root, { ...image, env, words: ["/bin/sh", "-c", shell] });
  } finally {
    for (const path of lent) rmSync(path);
  }
}

async function finished(root: string, what: Process): Promise<void> {
  const child = startIn(root, what, "computer's");
  let said = "";
  for (const stream of [child.stdout, child.stderr])
    stream?.on("data", (data: Buffer) => (said = `${said}${data.toString()}`.slice(-4000)));
  const [code] = (await once(child, "close")) as [number | null];
  if (code !== 0)
    throw new Failure("dockerfile-run", `${what.words.join(" ")} ended with ${code}:\n${said.trim()}`);
}

/**
 * In place of an official image of Node on Debian, which only a registry of images has: that Debian, the Node that is
 * pinned, this computer's npm, and the account that the image has.
 */
function baseImage(name: string, { folder, say }: Building): Image {
  const [, major, suite = ""] = /^node:(\d+)-([a-z]+)-slim$/.exec(name) ?? [];
  const node = process.execPath;
  const npm = process.env["npm_execpath"] ?? "";
  if (major !== process.versions.node.split(".")[0])
    throw new Failure("dockerfile-unknown", `${name} is no image that the trial can stand in for.`);
  if (!npm.endsWith("npm-cli.js"))
    throw new Failure(
      "no-npm",
      "The image has an npm, which is copied from yours: say `npm run container:test`.",
    );
  const root = mkdtempSync(join(folder, "stage-"));
  execFileSync("tar", ["-xpf", freshDebian(suite, say), "-C", root]);
  chmodSync(root, 0o755);
  for (const path of ["etc/resolv.conf", "etc/hostname"]) rmSync(join(root, path), { force: true });
  copyFileSync(node, join(root, "usr/local/bin/node"));
  const lib = join(root, "usr/local/lib/node_modules/npm");
  cpSync(join(dirname(npm), ".."), lib, { recursive: true, verbatimSymlinks: true });
  execFileSync("ln", ["-s", "../lib/node_modules/npm/bin/npm-cli.js", join(root, "usr/local/bin/npm")]);
  // As Docker gives it to every container.
  writeFileSync(join(root, "etc/hosts"), "127.0.0.1 localhost\n::1 localhost\n");
  const account = ["--create-home", "--uid", "1000", "--user-group", "--shell", "/bin/bash", "node"];
  execFileSync("chroot", [root, "useradd", ...account]);
  return {
    root,
    env: { PATH, HOME: "/root" },
    folder: "/",
    user: "root",
    entrypoint: [],
    cmd: [],
    volumes: [],
    stopSignal: "SIGTERM",
    health: null,
  };
}
