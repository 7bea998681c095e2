import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  rmSync,
  statSync,
  statfsSync,
  writeSync,
} from "node:fs";
import { homedir } from "node:os";
import { dirname, join, resolve } from "node:path";
import {
  API_FILE_NAME,
  NETWORK_FOLDER_NAME,
  SERVED_FOLDER_NAME,
  dataFolder,
} from "../../src-protocol/data-folder.ts";
import { Failure } from "../../src-protocol/failure.ts";
import type { NetworkId } from "../../src-protocol/networks.ts";

/** Free bytes: snapshots of the default model, the text and the ledger need most of it at the beginning. */
const ROOM = { toBegin: 256 * 1024 * 1024, toGoOn: 64 * 1024 * 1024 };

/** The data folder of one daemon, and where in it each part keeps its things. */
export interface Home {
  readonly path: string;
  readonly apiFile: string;
  readonly lockFile: string;
  readonly logFile: string;
  readonly browserFile: string;
  readonly processesFile: string;
  readonly providersFile: string;
  readonly historyFile: string;
  /** That its owner has said yes. */
  readonly setUpFile: string;
  readonly wallets: string;
  readonly worker: string;
  readonly network: string;
  /** Of the orchestrator of `tah network serve`, where that keeps its things beside the daemon's. */
  readonly servedNetwork: string;
  readonly corpus: string;
  readonly claims: string;
  /** Which networks were joined. */
  readonly networksFile: string;
  /** What is kept of one joined network; the embedded one has `worker`, `network` and `claims`. */
  joined(id: NetworkId): { readonly path: string; readonly worker: string; readonly claims: string };
  neighbour(number: number): { readonly path: string; readonly wallets: string; readonly worker: string };
}

/** The data folder of this computer's user. */
export function defaultHome(): string {
  return resolve(dataFolder(process.env, process.platform, homedir()));
}

/** Makes the folder when it is missing and proves that it can be written. Throws a `Failure` when not. */
export function openHome(folder: string, room = ROOM): Home {
  const path = resolve(folder);
  const network = join(path, NETWORK_FOLDER_NAME);
  const freeBytesNeeded = existsSync(network) ? room.toGoOn : room.toBegin;
  try {
    makeFolder(path);
    if (!statSync(path).isDirectory()) throw Object.assign(new Error(), { code: "ENOTDIR" });
    proveWritable(path);
    const disk = statfsSync(path);
    if (disk.bavail * disk.bsize < freeBytesNeeded) throw Object.assign(new Error(), { code: "ENOSPC" });
  } catch (error) {
    throw homeFailure(path, error, freeBytesNeeded);
  }
  return {
    path,
    apiFile: join(path, API_FILE_NAME),
    lockFile: join(path, "lock.db"),
    logFile: join(path, "daemon.log"),
    browserFile: join(path, "browser.json"),
    processesFile: join(path, "processes.json"),
    providersFile: join(path, "providers.json"),
    historyFile: join(path, "history.db"),
    setUpFile: join(path, "setup.json"),
    wallets: join(path, "wallets"),
    worker: join(path, "worker"),
    network,
    servedNetwork: join(path, SERVED_FOLDER_NAME, NETWORK_FOLDER_NAME),
    corpus: join(path, "corpus"),
    claims: join(path, "claims"),
    networksFile: join(path, "networks.json"),
    joined(id) {
      const own = join(path, "networks", id);
      return { path: own, worker: join(own, "worker"), claims: join(own, "claims") };
    },
    neighbour(number) {
      const own = join(path, "neighbours", String(number));
      return { path: own, wallets: join(own, "wallets"), worker: join(own, "worker") };
    },
  };
}

/** One level at a time: Node's own recursive form hides a read-only disk behind ENOENT. */
function makeFolder(path: string): void {
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : null;
    if (code === "EEXIST") return;
    if (code !== "ENOENT" || dirname(path) === path) throw error;
    makeFolder(dirname(path));
    mkdirSync(path, { mode: 0o700 });
  }
}

/** A mode says little (root, network disks, quotas): only a byte that reached the disk does. */
function proveWritable(path: string): void {
  const probe = join(path, `.write-test-${process.pid}`);
  const file = openSync(probe, "w", 0o600);
  try {
    writeSync(file, Buffer.alloc(4096, 1));
    fsyncSync(file);
  } finally {
    closeSync(file);
    rmSync(probe, { force: true });
  }
}

const OTHER_FOLDER = "Choose another folder with --home or TAH_HOME";

/** Says in one sentence why a data folder cannot be used. */
export function homeFailure(path: string, error: unknown, bytesNeeded = ROOM.toGoOn): Failure {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  const cause = { cause: error };
  switch (code) {
    case "ENOTDIR":
    case "EEXIST":
      return new Failure(
        "home-not-a-folder",
        `The data folder ${path} cannot be used: there is a file where a folder is needed. ${OTHER_FOLDER}.`,
        cause,
      );
    case "EACCES":
    case "EPERM":
      return new Failure(
        "home-no-permission",
        `The data folder ${path} cannot be used: you have no permission to write there. ${OTHER_FOLDER}, or change its owner.`,
        cause,
      );
    case "EROFS":
      return new Failure(
        "home-read-only",
        `The data folder ${path} cannot be used: its disk is read-only. ${OTHER_FOLDER}.`,
        cause,
      );
    case "ENOSPC":
    case "EDQUOT":
      return new Failure(
        "home-full",
        `The data folder ${path} cannot be used: its disk is full, and about ${Math.round(bytesNeeded / 1e6)} MB are needed. Free some space, or choose another folder with --home or TAH_HOME.`,
        cause,
      );
    default:
      return new Failure(
        "home-unusable",
        `The data folder ${path} cannot be used (${code || (error instanceof Error ? error.message : String(error))}). ${OTHER_FOLDER}.`,
        cause,
      );
  }
}
