import { realpathSync } from "node:fs";
import { join } from "node:path";
import { COMPILE_CACHE_ENVIRONMENT } from "../compile-cache.ts";

const root = join(import.meta.dirname, "..", "..");
/** What a worker's own program is made of. */
const CODE = ["src-worker", "src-engine", "src-protocol", "node_modules", "package.json"];

/** By which the loaders of native code tell one Linux from another. */
const SYSTEM = ["/etc/alpine-release"];

/** The folders that a process may use beside its own program; everything else of the disk is closed to it. */
export interface Sandbox {
  readonly read: readonly string[];
  readonly write: readonly string[];
}

/** How well a worker is held here; for the owner. */
export const SANDBOX_TEXT =
  "The worker is held by Node's permissions: a fault in it reaches its own folder and program alone, and starts no programs. Hostile code that runs in it is not held by that.";

/**
 * SECURITY: Node's permission model (stable since 23.5). A worker parses what strangers send: a name or a
 * path from there that nobody has looked at reaches no key, no document and no program. Code that a stranger
 * brings to run is another thing: Node's threads do not inherit the permissions (a test shows it), and native
 * code (ONNX Runtime, the transport) knows nothing of them. That takes a sandbox of the system.
 */
export function sandboxFlags({ read, write }: Sandbox): string[] {
  // In a checkout the compiled code is shared by all processes; an app has none of it.
  const cache = Object.values(COMPILE_CACHE_ENVIRONMENT);
  const readable = [...CODE.map((name) => join(root, name)), ...SYSTEM, ...read, ...write, ...cache];
  return [
    "--permission",
    // ONNX Runtime and the transport are native.
    "--allow-addons",
    "--allow-worker",
    ...readable.flatMap((path) => below(path).map((one) => `--allow-fs-read=${one}`)),
    ...[...write, ...cache].flatMap((path) => below(path).map((one) => `--allow-fs-write=${one}`)),
    // That two of these flags give much away is known: without them no worker works.
    "--disable-warning=SecurityWarning",
  ];
}

/** A folder and all that is in it. */
function below(path: string): string[] {
  return [...new Set([path, resolved(path)])].flatMap((one) => [one, join(one, "*")]);
}

/** Modules are loaded from where a link leads to. */
function resolved(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}
