import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import type { Configuration } from "electron-builder";

import { APP_FILES, APP_LEFT_OUT } from "./package/app-archive.ts";
import { readContentsList } from "./package/contents.ts";

const FILE = "electron-builder.yml";

/**
 * What is wrong with `electron-builder.yml`, one sentence each: by electron-builder's own schema,
 * and by looking for the files that it names. Needs no Electron and no network.
 */
export async function builderProblems(root: string): Promise<string[]> {
  const { getConfig, validateConfiguration, DebugLogger } = builderInternals();
  let config: Configuration;
  try {
    config = await getConfig(root, join(root, FILE), null);
    await validateConfiguration(config, new DebugLogger(false));
  } catch (error) {
    return [`${FILE}: ${error instanceof Error ? error.message : String(error)}`];
  }
  return [...missingFiles(root, config), ...openDoors(config, root)];
}

/** Files that must be in the checkout. What `npm run build` makes may be missing. */
function missingFiles(root: string, config: Configuration): string[] {
  const named = [
    config.afterPack,
    config.mac?.icon,
    config.mac?.entitlements,
    config.mac?.entitlementsInherit,
    config.win?.icon,
    config.linux?.icon,
    config.nsis?.include,
    ...[config.mac, config.win, config.linux].flatMap((system) => sourcesOf(system?.extraResources)),
  ];
  return named
    .filter((path) => typeof path === "string")
    .filter((path) => !existsSync(join(root, path)))
    .map((path) => `${FILE} names ${path}, which does not exist.`);
}

function sourcesOf(resources: Configuration["extraResources"]): string[] {
  return [resources ?? []].flat().flatMap((one) => (typeof one === "string" ? [one] : (one.from ?? [])));
}

/** All that is native in the app is signed with it, or macOS refuses to load it. */
function unsigned(config: Configuration): string[] {
  const signed = config.mac?.binaries ?? [];
  return (readContentsList().native["darwin-arm64"] ?? [])
    .map((path) => `Contents/Resources/${path}`)
    .filter((path) => !signed.includes(path))
    .map((path) => `${FILE}: mac.binaries must name ${path}, which is native.`);
}

/** The shell's archive is what `npm run package:check` prints and no more. */
function otherFiles(patterns: readonly string[]): string[] {
  const wanted = ["!**/*", ...APP_FILES, ...APP_LEFT_OUT];
  return [
    ...patterns
      .filter((one) => !wanted.includes(one))
      .map((one) => `${FILE}: files names ${one}, and scripts/package/app-archive.ts does not.`),
    ...wanted
      .filter((one) => !patterns.includes(one))
      .map((one) => `${FILE}: files does not name ${one}, and scripts/package/app-archive.ts does.`),
  ];
}

/** SECURITY: settings that must not be loosened. */
function openDoors(config: Configuration, root: string): string[] {
  const { main } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { main?: string };
  const [first] = [config.files ?? []].flat();
  const patterns = typeof first === "object" ? [first.filter ?? []].flat() : [first];
  const texts = patterns.filter((one) => typeof one === "string");
  const rules: [boolean, string][] = [
    [config.asar === true, "asar must be true: its digest is what the fuses check"],
    [config.npmRebuild === false, "npmRebuild must be false: nothing is compiled while packaging"],
    [patterns[0] === "!**/*", 'files must begin with "!**/*": only what is named may ship'],
    [config.mac?.hardenedRuntime === true, "mac.hardenedRuntime must be true"],
    [
      config.nsis?.deleteAppDataOnUninstall === false,
      "nsis.deleteAppDataOnUninstall must be false: keys are their owner's",
    ],
    [
      config.nsis?.oneClick === true && config.nsis.perMachine === false,
      "nsis must be one click, for one user",
    ],
    [
      removalAsks(root, config.nsis?.include),
      "the file of nsis.include must offer the key's export at removal, and not ask whether it is silent: a one-click uninstaller always is",
    ],
    [config.win?.verifyUpdateCodeSignature !== false, "win.verifyUpdateCodeSignature must not be off"],
    [
      [config.mac?.target ?? []].flat().every((one) => typeof one === "object" && one?.arch === "arm64"),
      "mac.target must name arm64 alone: nothing computes on an Intel Mac",
    ],
    [config.extraMetadata?.main === main, "extraMetadata.main must be package.json's main"],
  ];
  return [
    ...rules.filter(([holds]) => !holds).map(([, text]) => `${FILE}: ${text}.`),
    ...otherFiles(texts),
    ...unsigned(config),
  ];
}

function removalAsks(root: string, include: string | null | undefined): boolean {
  if (typeof include !== "string" || !existsSync(join(root, include))) return false;
  const [, removal = ""] = readFileSync(join(root, include), "utf8").split("!macro customUnInstall");
  return removal.includes("wallet export") && !removal.includes("${Silent}");
}

interface BuilderInternals {
  getConfig(projectDir: string, configPath: string, options: null): Promise<Configuration>;
  validateConfiguration(config: Configuration, logger: object): Promise<void>;
  DebugLogger: new (enabled: boolean) => object;
  log: { stream: NodeJS.WritableStream };
}

/** electron-builder checks its configuration only while packaging, so its insides are used: they are pinned. */
function builderInternals(): BuilderInternals {
  const require = createRequire(import.meta.url);
  const fromBuilder = createRequire(require.resolve("electron-builder"));
  const config = fromBuilder.resolve("app-builder-lib/out/util/config/config");
  const { DebugLogger, log } = createRequire(config)("builder-util") as Pick<
    BuilderInternals,
    "DebugLogger" | "log"
  >;
  // It tells that it has read the file, and the standard output may be a program's JSON.
  log.stream = process.stderr;
  return { ...(require(config) as Omit<BuilderInternals, "DebugLogger" | "log">), DebugLogger, log };
}
