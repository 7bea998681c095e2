import { existsSync, readFileSync, readdirSync } from "node:fs";
import { dirname, join, relative, resolve, sep } from "node:path";
import { importCircles, loaded, reached } from "./import-circles.ts";

/**
 * Imports point one way (docs: architecture). What a folder may import from the others, and which
 * packages are its own alone.
 */
const MAY_IMPORT: Record<string, readonly string[]> = {
  "src-protocol": [],
  "src-engine": ["src-protocol"],
  "src-data": ["src-protocol"],
  "src-worker": ["src-protocol", "src-engine"],
  "src-orchestrator": ["src-protocol", "src-engine"],
  "src-daemon": ["src-protocol", "src-data"],
  "src-cli": ["src-protocol", "src-engine", "src-data"],
  "src-main": ["src-protocol"],
  "src-renderer": ["src-protocol"],
};

/**
 * The families of the daemon, the worker and the orchestrator, and the files by which the others come in;
 * everything else of a family is its own. A family has few doors, and mostly not one file that names them all:
 * whoever asks `run-plan.ts` for a number would load all that runs need. The files beside the families, and
 * the daemon's `start/`, put the parts together and may take each.
 */
const DOORS: Record<string, readonly string[]> = {
  agents: ["agents"],
  api: [],
  awake: ["keep-awake"],
  chain: ["chain-acting", "chain-api", "chain-calls", "chain-sending"],
  children: ["child", "kept-child", "process-ports", "restart", "run-command"],
  "data-folder": ["home", "lock", "log-file", "private-file"],
  earnings: ["accounts", "clock-problem", "earnings-round", "epoch-claims"],
  evidence: ["evidence-watch", "missing-evidence", "probes", "watts"],
  forecast: ["forecast"],
  history: ["history-keeper", "history-store"],
  networks: ["membership", "network-session", "reach", "unreachable"],
  operator: ["ask-desk", "asked-here"],
  payer: [],
  policy: ["policy-keeper", "stored-json", "timers"],
  presence: ["away-share", "presence-store", "sleep-suggestion"],
  providers: ["card-workers", "cards", "providers"],
  runs: ["model-writer", "run-plan"],
  state: ["initial-state", "live-state", "state-store", "status-line"],
  supervision: ["process-list", "supervisor", "worker-process"],
  wallet: ["selected-wallet", "wallet", "wallet-desk"],
};
const WORKER_DOORS: Record<string, readonly string[]> = {
  compute: ["compute", "compute-call", "parameter-home", "scorer"],
  control: ["control", "orchestrator-route"],
  corpus: ["corpus-reader"],
  disk: ["dated-file", "digest", "disk-failure", "header-last"],
  limits: ["collected-heap", "throttle"],
  links: ["index"],
  loading: ["blob-cache", "blob-exchange", "chunk-download", "persistently"],
  pipeline: ["awake-timer", "pipeline-event", "pipeline-runner", "receipts"],
  replay: [],
  replicas: [],
  routing: ["head-window", "route", "work-order"],
  stage: [
    "coded-tensor",
    "given-ahead",
    "snapshots",
    "stage-chain",
    "stage-job",
    "stage-memory",
    "stage-samples",
    "tensor-message",
    "under-way",
  ],
  trial: [],
};
const ORCHESTRATOR_DOORS: Record<string, readonly string[]> = {
  control: [],
  ledger: ["index"],
  relay: [],
  replicas: ["replica-run", "team"],
  routing: ["cells", "step-book"],
  runs: ["needs", "network-state", "placement", "progress", "run-host"],
  stores: ["blobs", "checkpoints", "journal-file", "run-store", "store"],
};
const FAMILIES: Record<string, Record<string, readonly string[]>> = {
  "src-daemon": DOORS,
  "src-worker": WORKER_DOORS,
  "src-orchestrator": ORCHESTRATOR_DOORS,
};
/** Where a program's parts are put together: files beside its families, and the daemon's `start`. */
const putsTogether = (from: string) => from === "start" || from.endsWith(".ts");

/** Node's built-in modules that pure folders may use: computing, never I/O. */
const PURE_BUILT_INS = new Set(["node:crypto", "node:buffer"]);
const PURE_FOLDERS = new Set(["src-protocol", "src-engine"]);

/** Who works on any table of operators must be readable without the engine's own: it is passed in. */
const WITHOUT_THE_TABLE = ["graph-builder", "tensor", "operator", "differentiate", "model-file"];

/** Tests drive real processes and neighbours: only the shipped code is held to the rules. */
const isTest = (file: string) =>
  /\.(test|spec|test-support)\.tsx?$/.test(file) || /[/\\](testing|electron-double)[/\\]/.test(file);

/** One sentence for each import that breaks a rule. */
export function brokenImports(root: string): string[] {
  return Object.keys(MAY_IMPORT)
    .flatMap((folder) => sources(join(root, folder)).flatMap((file) => brokenIn(root, folder, file)))
    .concat(circlesIn(root), tableReachedIn(root), nodeInBrowser(root))
    .concat(Object.entries(FAMILIES).flatMap(([program, doors]) => doorsPassedBy(root, program, doors)));
}

function circlesIn(root: string): string[] {
  return [...PURE_FOLDERS].flatMap((folder) =>
    importCircles(
      root,
      sources(join(root, folder)).filter((file) => !isTest(file)),
    ).map(
      (circle) => `${circle.join(", ")} import one another in a circle: pass in what one needs of the other`,
    ),
  );
}

function tableReachedIn(root: string): string[] {
  const folder = join(root, "src-engine");
  const files = new Set(sources(folder));
  const table = join(folder, "operators.ts");
  return WITHOUT_THE_TABLE.map((name) => join(folder, `${name}.ts`))
    .filter((file) => reached(file, files).has(table))
    .map((file) => `${relative(root, file)} must not reach src-engine/operators.ts: it is given a table`);
}

/** What the dashboard loads runs in a browser, which has nothing of Node's. */
function nodeInBrowser(root: string): string[] {
  const files = new Set([...sources(join(root, "src-renderer")), ...sources(join(root, "src-protocol"))]);
  return [...loaded(join(root, "src-renderer", "main.tsx"), files)].flatMap((file) =>
    [...new Set(importsOf(readFileSync(file, "utf8")))]
      .filter((target) => target.startsWith("node:"))
      .map((target) => `${relative(root, file)} is loaded by the dashboard, so it must not import ${target}`),
  );
}

/** Families of a program that are entered elsewhere than by their doors, and doors that nobody uses. */
function doorsPassedBy(root: string, program: string, doors: Record<string, readonly string[]>): string[] {
  const home = join(root, program);
  const used = new Set<string>();
  const broken: string[] = [];
  for (const file of sources(home).filter((one) => !isTest(one))) {
    const [from = ""] = relative(home, file).split(sep);
    if (putsTogether(from)) continue;
    for (const target of importsOf(readFileSync(file, "utf8")).filter((one) => one.startsWith("."))) {
      const [family = "", name, ...deeper] = relative(home, resolve(dirname(file), target)).split(sep);
      if (name === undefined || family === "" || family === ".." || family === from || deeper.length > 0)
        continue;
      const door = name.replace(/\.ts$/, "");
      used.add(`${family}/${door}`);
      if (!(doors[family] ?? []).includes(door))
        broken.push(
          `${relative(root, file)} must not import ${program}/${family}/${name}: it is no door of ${family}`,
        );
    }
  }
  // A made checkout of a test is no whole program.
  if (!existsSync(join(home, "main.ts"))) return broken;
  const unused = Object.entries(doors).flatMap(([family, names]) =>
    names.map((door) => `${family}/${door}`).filter((door) => !used.has(door)),
  );
  return [...broken, ...unused.map((door) => `${program}/${door}.ts is no door: nobody comes in by it`)];
}

/** An ES import reads every export of it; types are no import. */
const IMPORTS_HTTP = /^import (?!type\b)[^;]*? from "node:http";/m;

function brokenIn(root: string, folder: string, file: string): string[] {
  if (isTest(file)) return [];
  const broken: string[] = [];
  const source = readFileSync(file, "utf8");
  const from = relative(root, file);
  if (IMPORTS_HTTP.test(source))
    broken.push(
      `${from} must not import node:http, which loads fetch's client: take process.getBuiltinModule("node:http")`,
    );
  for (const target of importsOf(source)) {
    if (target.startsWith(".")) {
      const other = relative(root, resolve(dirname(file), target)).split(sep)[0] ?? "";
      if (other !== folder && !(MAY_IMPORT[folder] ?? []).includes(other))
        broken.push(`${from} must not import ${other} (${target})`);
      const closed = closedFolder(root, file, resolve(dirname(file), target));
      if (closed !== null)
        broken.push(`${from} must import ${closed} by its one entrance, ${closed}/index.ts (${target})`);
    } else if (target === "electron" && folder !== "src-main") {
      broken.push(`${from} must not import electron: only src-main may`);
    } else if (PURE_FOLDERS.has(folder) && target.startsWith("node:") && !PURE_BUILT_INS.has(target)) {
      broken.push(`${from} must do no I/O, so it must not import ${target}`);
    } else if (folder === "src-engine" && target === "onnxruntime-node") {
      broken.push(`${from} must not run graphs: it builds them`);
    }
  }
  return broken;
}

/** The family that an import enters beside its entrance; null: it enters none, or has none. A family is a folder with an `index.ts`. */
function closedFolder(root: string, from: string, target: string): string | null {
  for (let folder = dirname(target); folder.startsWith(root) && folder !== root; folder = dirname(folder)) {
    if (from.startsWith(folder + sep)) return null;
    if (target !== join(folder, "index.ts") && existsSync(join(folder, "index.ts")))
      return relative(root, folder).split(sep).join("/");
  }
  return null;
}

/** Targets of static imports, re-exports and dynamic imports with a literal. */
export function importsOf(source: string): string[] {
  const pattern =
    /(?:^|\n)\s*(?:import|export)\s[^;'"]*?from\s*["']([^"']+)["']|(?:^|\n)\s*import\s*["']([^"']+)["']|\bimport\(\s*["']([^"']+)["']\s*\)/g;
  return [...source.matchAll(pattern)].flatMap((match) =>
    match.slice(1).filter((target) => target !== undefined),
  );
}

function sources(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((file) => /\.(ts|tsx|mjs|cjs|js)$/.test(file))
    .map((file) => join(folder, file));
}
