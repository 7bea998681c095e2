import { mkdirSync, realpathSync } from "node:fs";
import { join } from "node:path";
import { COMPILE_CACHE_ENVIRONMENT } from "../compile-cache.ts";
import { type BoxState, boxWords, triedBox } from "./box.ts";
import { batch, leash } from "./util-linux.ts";
import { workerEnvironment } from "./worker-environment.ts";

const root = join(import.meta.dirname, "..", "..");
/** What a worker's own program is made of. */
const CODE = ["src-worker", "src-engine", "src-protocol", "node_modules", "package.json"].map((name) =>
  join(root, name),
);

/** By which the loaders of native code tell one Linux from another. */
const SYSTEM = ["/etc/alpine-release"];

/** The folders that a process may use beside its own program; everything else of the disk is closed to it. */
export interface Sandbox {
  readonly read: readonly string[];
  readonly write: readonly string[];
}

/** How a program is started: words before the script, and the environment. */
export interface Confinement {
  readonly command: readonly [string, ...string[]];
  readonly env: NodeJS.ProcessEnv;
  readonly boxed: boolean;
}

let box: BoxState | null = null;

/** Whether workers are put in a box of the system's; tried once. */
export function boxState(): BoxState {
  box ??= triedBox({ read: [process.execPath, ...CODE], write: [] });
  return box;
}

/** How well a worker is held here; for the owner. */
export function sandboxText(state: BoxState = boxState()): string {
  return state.works
    ? "The worker runs in a box of its own (bubblewrap) and under Node's permissions: it sees its own folder and program, its own processes and nothing else of this computer, and gets an empty environment. It can reach the network."
    : `The worker is held by Node's permissions alone: a fault in it reaches its own folder and program, and starts no programs. Hostile code that runs in it is not held by that. A box of the system's would hold it too, but ${state.why}.`;
}

/** How a process that parses what strangers send is started. */
export function confined(sandbox: Sandbox, env: NodeJS.ProcessEnv, state = boxState()): Confinement {
  for (const folder of sandbox.write) made(folder);
  const compiled = compiledOfWorkers(env);
  const held = { read: [...CODE, ...sandbox.read], write: [...sandbox.write, ...Object.values(compiled)] };
  const node = [process.execPath, ...sandboxFlags(held)] as const;
  const environment = { ...workerEnvironment(env), ...compiled };
  if (!state.works) {
    const [first = node[0], ...more] = [...batch(), ...leash(), ...node];
    return { command: [first, ...more], env: environment, boxed: false };
  }
  const paths = { read: bothWays([process.execPath, ...held.read]), write: bothWays(held.write) };
  const [first = state.program, ...more] = [...batch(), state.program, ...boxWords(paths), ...node];
  return { command: [first, ...more], env: environment, boxed: true };
}

/**
 * SECURITY: Node's permission model (stable since 23.5). A worker parses what strangers send: a name or a
 * path from there that nobody has looked at reaches no key, no document and no program. Code that a stranger
 * brings to run is another thing: Node's threads do not inherit the permissions (a test shows it), and native
 * code (ONNX Runtime, the transport) knows nothing of them. That is what the box is for.
 */
export function sandboxFlags({ read, write }: Sandbox): string[] {
  return [
    "--permission",
    // ONNX Runtime and the transport are native.
    "--allow-addons",
    "--allow-worker",
    ...bothWays([...CODE, ...SYSTEM, ...read, ...write]).flatMap((path) =>
      below(path).map((one) => `--allow-fs-read=${one}`),
    ),
    ...bothWays(write).flatMap((path) => below(path).map((one) => `--allow-fs-write=${one}`)),
    // That two of these flags give much away is known: without them no worker works.
    "--disable-warning=SecurityWarning",
  ];
}

/** SECURITY: workers keep compiled code apart: what one of them writes there, no other process of ours runs. */
function compiledOfWorkers({ NODE_COMPILE_CACHE }: NodeJS.ProcessEnv): Record<string, string> {
  if (NODE_COMPILE_CACHE === undefined || Object.keys(COMPILE_CACHE_ENVIRONMENT).length === 0) return {};
  const folder = `${NODE_COMPILE_CACHE}-workers`;
  // Without it, it starts a little more slowly.
  return made(folder) ? { NODE_COMPILE_CACHE: folder } : {};
}

/** What is bound into a box has to be there; a worker says itself what is wrong with a folder that is not. */
function made(folder: string): boolean {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    return true;
  } catch {
    return false;
  }
}

/** A folder and all that is in it. */
function below(path: string): string[] {
  return [path, join(path, "*")];
}

/** Modules are loaded from where a link leads to. */
function bothWays(paths: readonly string[]): string[] {
  return [...new Set(paths.flatMap((path) => [path, resolved(path)]))];
}

function resolved(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}
