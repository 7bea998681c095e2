import { Failure } from "../../src-protocol/failure.ts";

/** What a disk or SQLite can refuse, each with one sentence for a person. */
const KINDS = {
  full: ["folder-full", "there is no space left on the disk. Free some space, then start again"],
  readOnly: [
    "folder-read-only",
    "it cannot be written to. Give this user the right to write there, or choose another folder with TAH_HOME",
  ],
  corrupt: [
    "database-corrupt",
    "the database is damaged. It was left as it is: move it away to keep it, then start again, or put a copy back",
  ],
  locked: [
    "folder-in-use",
    "another process is using it. Stop that one first, or choose another folder with TAH_HOME",
  ],
  missing: [
    "folder-unusable",
    "it cannot be opened as a folder. Check the path, or choose another one with TAH_HOME",
  ],
  broken: ["disk-error", "the disk answered with an error. Check the disk, then start again"],
} as const satisfies Record<string, readonly [code: string, sentence: string]>;

const SYSTEM_CODES: Readonly<Record<string, keyof typeof KINDS>> = {
  ENOSPC: "full",
  EDQUOT: "full",
  EFBIG: "full",
  EACCES: "readOnly",
  EPERM: "readOnly",
  EROFS: "readOnly",
  ENOTDIR: "missing",
  EEXIST: "missing",
  ENOENT: "missing",
  EIO: "broken",
};

/** Primary result codes of https://sqlite.org/rescode.html */
const SQLITE_CODES: Readonly<Record<number, keyof typeof KINDS>> = {
  3: "readOnly",
  5: "locked",
  6: "locked",
  8: "readOnly",
  10: "broken",
  11: "corrupt",
  13: "full",
  14: "readOnly",
  26: "corrupt",
};

/** The clear sentence for what storing at `path` threw; anything unknown is passed on as it is. */
export function storageFailure(error: unknown, path: string): unknown {
  if (error instanceof Failure || !(error instanceof Error)) return error;
  const kind = kindOf(error);
  if (kind === undefined) return error;
  const [code, sentence] = KINDS[kind];
  return new Failure(code, `Cannot use ${path}: ${sentence}.`, { cause: error });
}

export function corruptDatabase(path: string, finding: string): Failure {
  const [code, sentence] = KINDS.corrupt;
  return new Failure(
    code,
    `Cannot use ${path}: ${sentence}. (SQLite says: ${finding.replaceAll(/\s+/g, " ").slice(0, 200)})`,
  );
}

function kindOf(error: Error): keyof typeof KINDS | undefined {
  // The low byte is the primary code, the rest says more: https://sqlite.org/rescode.html#pve
  if ("errcode" in error && typeof error.errcode === "number") return SQLITE_CODES[error.errcode & 0xff];
  if ("code" in error && typeof error.code === "string") return SYSTEM_CODES[error.code];
  return undefined;
}
