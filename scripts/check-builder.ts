import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import type { Configuration } from "electron-builder";

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
  ];
  return named
    .filter((path) => typeof path === "string")
    .filter((path) => !existsSync(join(root, path)))
    .map((path) => `${FILE} names ${path}, which does not exist.`);
}

/** SECURITY: settings that must not be loosened. */
function openDoors(config: Configuration, root: string): string[] {
  const { main } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { main?: string };
  const [first] = [config.files ?? []].flat();
  const patterns = typeof first === "object" ? [first.filter ?? []].flat() : [first];
  const rules: [boolean, string][] = [
    [config.asar === true, "asar must be true: its digest is what the fuses check"],
    [config.npmRebuild === false, "npmRebuild must be false: nothing is compiled while packaging"],
    [patterns[0] === "!**/*", 'files must begin with "!**/*": only what is named may ship'],
    [config.mac?.hardenedRuntime === true, "mac.hardenedRuntime must be true"],
    [config.extraMetadata?.main === main, "extraMetadata.main must be package.json's main"],
  ];
  return rules.filter(([holds]) => !holds).map(([, text]) => `${FILE}: ${text}.`);
}

interface BuilderInternals {
  getConfig(projectDir: string, configPath: string, options: null): Promise<Configuration>;
  validateConfiguration(config: Configuration, logger: object): Promise<void>;
  DebugLogger: new (enabled: boolean) => object;
}

/** electron-builder checks its configuration only while packaging, so its insides are used: they are pinned. */
function builderInternals(): BuilderInternals {
  const require = createRequire(import.meta.url);
  const fromBuilder = createRequire(require.resolve("electron-builder"));
  const config = fromBuilder.resolve("app-builder-lib/out/util/config/config");
  const { DebugLogger } = createRequire(config)("builder-util") as Pick<BuilderInternals, "DebugLogger">;
  return { ...(require(config) as Omit<BuilderInternals, "DebugLogger">), DebugLogger };
}
