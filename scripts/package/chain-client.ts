import { mkdirSync, readFileSync, writeFileSync, cpSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, relative, sep } from "node:path";
import { packageName } from "./lock.ts";

/** What the daemon asks of the chain's client, all of it by `require`. */
const ENTRIES = ["@polkadot/api", "@polkadot/keyring", "@polkadot/util-crypto"] as const;
/** Read as it is: the words of recovery phrases. */
const WORDS = "cjs/mnemonic/wordlists/en.js";

/** Of these only the bundle ships. */
export const BUNDLED = /^@(polkadot|polkadot-api|substrate)\//;

/**
 * The chain's client as three CommonJS files in place of 67 MB of packages: each is there twice, as
 * CommonJS and as ES modules, and most of it is never reached. Returns the packages that are inside,
 * as the lock file's paths.
 */
export async function bundleChainClient(root: string, modules: string): Promise<string[]> {
  const { build } = await import("vite");
  const output = join(modules, "@polkadot", "api");
  const input = Object.fromEntries(ENTRIES.map((name) => [fileOf(name), entryOf(root, name)]));
  const result = await build({
    root,
    configFile: false,
    publicDir: false,
    logLevel: "error",
    define: { "import.meta": "undefined" },
    ssr: { noExternal: true, target: "node" },
    build: {
      ssr: true,
      outDir: output,
      emptyOutDir: true,
      target: "node24",
      rolldownOptions: {
        input,
        // ws looks for these two and does without.
        external: ["bufferutil", "utf-8-validate"],
        onLog: () => {},
        output: {
          format: "cjs",
          exports: "named",
          entryFileNames: "[name].cjs",
          chunkFileNames: "shared-[hash].cjs",
        },
      },
    },
  });
  for (const name of ENTRIES) {
    const folder = join(modules, name);
    mkdirSync(folder, { recursive: true });
    const { version, license } = JSON.parse(
      readFileSync(join(root, "node_modules", name, "package.json"), "utf8"),
    ) as Record<string, string>;
    const main = name === ENTRIES[0] ? `./${fileOf(name)}.cjs` : "./index.cjs";
    if (name !== ENTRIES[0])
      writeFileSync(join(folder, "index.cjs"), `module.exports = require("../api/${fileOf(name)}.cjs");\n`);
    const exports = {
      ".": main,
      ...(name === "@polkadot/util-crypto" ? { "./cjs/mnemonic/wordlists/en": `./${WORDS}` } : {}),
    };
    writeFileSync(
      join(folder, "package.json"),
      `${JSON.stringify({ name, version, license, main, exports }, null, 2)}\n`,
    );
  }
  const words = join(modules, "@polkadot", "util-crypto", WORDS);
  mkdirSync(dirname(words), { recursive: true });
  cpSync(join(root, "node_modules", "@polkadot", "util-crypto", WORDS), words);

  const outputs = [result].flat().flatMap((one) => ("output" in one ? one.output : []));
  const inside = outputs.flatMap((part) => (part.type === "chunk" ? part.moduleIds : []));
  return [...new Set(inside.flatMap((path) => packagePath(root, path)))].sort();
}

function fileOf(name: string): string {
  return packageName(`node_modules/${name}`).split("/").at(-1) ?? name;
}

/** The ES module of it: what is not reached stays out. */
function entryOf(root: string, name: string): string {
  const require = createRequire(join(root, "package.json"));
  const folder = dirname(require.resolve(`${name}/package.json`));
  return join(folder, "index.js");
}

function packagePath(root: string, path: string): string[] {
  const below = relative(root, path.replaceAll("\0", "")).split(sep).join("/");
  const found = /^((?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(below);
  return found?.[1] === undefined ? [] : [found[1]];
}
