import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { sourceShips } from "./package/ships.ts";
import { bundleWorker } from "./worker-bundle.ts";

/**
 * The daemon and its workers as a few files of JavaScript, for a checkout: the daemon holds 12 MB less than from 250
 * modules and those of its packages, of which it takes what it uses. Made once for the same sources. Run as a program
 * it makes them when they are missing, and prints where the daemon's beginning is.
 */
const SOURCES = ["src-daemon", "src-protocol", "src-data"] as const;
const OF_WORKERS = ["src-worker", "src-engine"] as const;
const OTHERS = ["package-lock.json", "scripts/daemon-bundle.ts", "scripts/worker-bundle.ts"] as const;
/** Of those before it: a daemon that runs may still load a part. */
const KEPT = 3;

/** Where the daemon of these very sources is, or would be. */
export function daemonBundle(root: string): string {
  const hash = createHash("sha256").update(root);
  const sources = [...SOURCES, ...OF_WORKERS].flatMap((folder) => filesOf(join(root, folder)));
  for (const file of [...sources, ...OTHERS.map((name) => join(root, name))])
    hash.update(file).update(readFileSync(file));
  return join(cacheOf(root), hash.digest("hex").slice(0, 16), "main.js");
}

/** Its workers, beside it. */
export function workerBundle(daemon: string): string {
  return join(daemon, "..", "worker", "main.js");
}

export async function buildDaemonBundle(root: string): Promise<string> {
  const wanted = daemonBundle(root);
  if (existsSync(wanted)) return wanted;
  const { build } = await import("vite");
  const folder = join(wanted, "..");
  const making = `${folder}-${process.pid}`;
  await build({
    root,
    configFile: false,
    publicDir: false,
    logLevel: "error",
    define: { TAH_WORKER: JSON.stringify(workerBundle(wanted)) },
    plugins: [{ name: "own-places", transform: (code, id) => ownPlaces(code, id, root) }],
    ssr: { noExternal: true, target: "node" },
    build: {
      ssr: true,
      outDir: making,
      emptyOutDir: true,
      target: "node24",
      rolldownOptions: {
        input: { main: join(root, "src-daemon", "main.ts") },
        // Native, and what ws looks for and does without.
        external: ["bufferutil", "utf-8-validate", /^tokenizers/],
        onLog: () => {},
        output: { format: "es", entryFileNames: "[name].js", chunkFileNames: "[name]-[hash].js" },
      },
    },
  });
  await bundleWorker(root, join(making, "worker"));
  // Else Node looks through each file for what it is.
  writeFileSync(join(making, "package.json"), JSON.stringify({ type: "module" }));
  try {
    renameSync(making, folder);
  } catch (error) {
    rmSync(making, { recursive: true, force: true });
    // Another has made the same in the meantime.
    if (!existsSync(wanted)) throw error;
  }
  forgetOld(root);
  return wanted;
}

/** Threads, processes and files beside a module are found from where its source is. */
function ownPlaces(code: string, id: string, root: string): { code: string; map: null } | null {
  if (!SOURCES.some((folder) => id.startsWith(join(root, folder)))) return null;
  const places = {
    "import.meta.dirname": join(id, ".."),
    "import.meta.filename": id,
    "import.meta.url": pathToFileURL(id).href,
  };
  const placed = Object.entries(places).reduce(
    (text, [name, place]) => text.replaceAll(name, () => JSON.stringify(place)),
    code,
  );
  return { code: placed, map: null };
}

function cacheOf(root: string): string {
  return join(root, "node_modules", ".cache", "train-at-home", "daemon");
}

function forgetOld(root: string): void {
  const cache = cacheOf(root);
  mkdirSync(cache, { recursive: true });
  const age = (name: string): number => statSync(join(cache, name)).mtimeMs;
  const old = readdirSync(cache).toSorted((a, b) => age(b) - age(a));
  for (const name of old.slice(KEPT)) rmSync(join(cache, name), { recursive: true, force: true });
}

function filesOf(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(".ts"))
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => sourceShips(path))
    .sort();
}

if (import.meta.main) process.stdout.write(`${await buildDaemonBundle(join(import.meta.dirname, ".."))}\n`);
