import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { FuseV1Options } from "@electron/fuses";
import { Failure, failureBody } from "../../src-protocol/failure.ts";
import { builderProblems } from "../check-builder.ts";
import { FUSES } from "../fuses.mjs";
import { ensureRenderer } from "../renderer.ts";
import { buildShell } from "../shell-bundle.ts";
import { APP_FILES, archiveProblems, archivedFiles } from "./app-archive.ts";
import {
  contentsOf,
  contentsProblems,
  listProblems,
  MIB,
  mib,
  readContentsList,
  type Contents,
  type ContentsList,
} from "./contents.ts";
import { nativeLines } from "./native-files.ts";
import { missingModules } from "./missing-modules.ts";
import { NODE_VERSION, nodeVersionProblems, nodeVersions } from "./node-runtime.ts";
import { productVersion } from "./product-version.ts";
import { stage, stageFolder } from "./stage.ts";
import { TARGETS, hostTarget, parseTarget, targetName, type Target } from "./target.ts";

/**
 * `npm run package:check`: prints what an app is made of, its sizes and fuses, and fails on anything
 * that is not on the list. `--all` stages every platform (npm fetches their Node, about 200 MB).
 */
const root = join(import.meta.dirname, "..", "..");
/** With `--json` what is told to people goes where it disturbs no program. */
const say = (text = "") =>
  void (process.argv.includes("--json") ? process.stderr : process.stdout).write(`${text}\n`);
const LARGEST = 12;
const HELP = `npm run package:check -- [--all | --platform P --arch A]... [--staged] [--update] [--json]

Prints what the app is made of, by size, its native files and its fuses, and ends with 1 when something
is there that scripts/package/contents.json does not name.
  --all      every platform that there is a package for
  --staged   takes what is in dist/stage, without staging it again
  --update   writes what is there into the list, to be read in the diff
  --json     prints all of it as JSON, for programs: sizes, packages, each native file with its header
`;

try {
  process.exitCode = await main();
} catch (error) {
  process.stderr.write(`${failureBody(error).message}\n`);
  process.exitCode = 1;
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      all: { type: "boolean" },
      platform: { type: "string" },
      arch: { type: "string" },
      staged: { type: "boolean" },
      update: { type: "boolean" },
      json: { type: "boolean" },
      help: { type: "boolean" },
    },
  });
  if (values.help === true) {
    process.stdout.write(HELP);
    return 0;
  }
  const targets: readonly Target[] =
    values.all === true
      ? TARGETS.filter((target) => targetName(target) !== "win32-arm64")
      : [
          values.platform === undefined && values.arch === undefined
            ? hostTarget()
            : parseTarget(values.platform ?? process.platform, values.arch ?? process.arch),
        ];
  await ensureRenderer(root, say);
  await buildShell(root);
  let list = readContentsList();
  const problems = [
    ...listProblems(list),
    ...nodeVersionProblems(root),
    ...(await builderProblems(root)),
    ...archive(),
  ];
  const staged: object[] = [];
  for (const target of targets) {
    const folder = stageFolder(root, target);
    if (values.staged !== true)
      await stage(root, { target, folder, version: productVersion(root), nodeArchive: null });
    if (!existsSync(folder))
      throw new Failure("not-staged", `There is nothing in ${folder}: leave --staged out.`);
    const contents = contentsOf(folder);
    if (values.update === true) list = updated(list, contents, target);
    print(contents, target, list);
    const { bytes, files, packages, native } = contents;
    const mostBytes = (list.mostMiB[targetName(target)] ?? 0) * MIB;
    staged.push({ target, bytes, mostBytes, files, packages, native });
    const found = [...contentsProblems(contents, target, list), ...missingModules(folder)];
    problems.push(...found.map((text) => `${targetName(target)}: ${text}`));
  }
  versions();
  fuses();
  if (values.json === true)
    process.stdout.write(
      `${JSON.stringify({ archive: archivedFiles(root), staged, node: nodeVersions(root), fuses: fuseMap(), problems })}\n`,
    );
  if (values.all === true)
    say(
      "\nwin32-arm64 was not staged: npm has no Node for it, so only a release stages it, with nodejs.org's archive.",
    );
  if (problems.length === 0) say("\nEverything that ships is on the list.");
  else
    say(
      `\n${problems.length} problem${problems.length === 1 ? "" : "s"}:\n${problems.map((text) => `  ${text}`).join("\n")}`,
    );
  return problems.length === 0 ? 0 : 1;
}

function archive(): string[] {
  const files = archivedFiles(root);
  const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
  say(`The desktop app's archive: ${files.length} files, ${mib(bytes)} MiB, of`);
  for (const pattern of APP_FILES) say(`  ${pattern}`);
  return archiveProblems(root, files);
}

function print(contents: Contents, target: Target, list: ContentsList): void {
  const name = targetName(target);
  say(
    `\n${name}: ${mib(contents.bytes)} MiB of at most ${list.mostMiB[name] ?? "?"}, ${contents.files} files, ${contents.packages.length} packages`,
  );
  for (const part of contents.parts.slice(0, LARGEST))
    say(`  ${mib(part.bytes).padStart(7)} MiB  ${String(part.files).padStart(5)} files  ${part.name}`);
  const rest = contents.parts.slice(LARGEST);
  const restBytes = rest.reduce((sum, { bytes }) => sum + bytes, 0);
  say(
    `  ${mib(restBytes).padStart(7)} MiB  ${String(rest.reduce((sum, { files }) => sum + files, 0)).padStart(5)} files  in ${rest.length} more`,
  );
  for (const line of nativeLines(contents.native, target)) say(`  ${line}`);
}

function versions(): void {
  say(`\nNode (tested with ${NODE_VERSION}):`);
  for (const { target, version, differs } of nodeVersions(root))
    say(`  ${target.padEnd(13)} ${version}${differs === null ? "" : `: ${differs}`}`);
}

function fuses(): void {
  say("\nFuses, set in Electron's binary:");
  for (const [name, isOn] of Object.entries(fuseMap())) say(`  ${isOn ? "on " : "off"} ${name}`);
}

/** By name, whether it is set. */
function fuseMap(): Readonly<Record<string, boolean>> {
  const map = FUSES as unknown as Readonly<Record<string, unknown>>;
  return Object.fromEntries(
    Object.entries(FuseV1Options).flatMap(([name, index]) =>
      typeof index === "number" ? [[name, map[index] === true]] : [],
    ),
  );
}

/** The list with what is there: its sizes get a tenth of room. */
function updated(list: ContentsList, contents: Contents, target: Target): ContentsList {
  const name = targetName(target);
  const next: ContentsList = {
    ...list,
    mostMiB: { ...list.mostMiB, [name]: Math.ceil((contents.bytes * 1.1) / 1024 / 1024 / 5) * 5 },
    packages: [...new Set(contents.packages)].sort(),
    native: { ...list.native, [name]: contents.native.map(({ path }) => path) },
  };
  writeFileSync(join(import.meta.dirname, "contents.json"), `${JSON.stringify(next, null, 2)}\n`);
  return next;
}
