import { readFileSync, readdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { roomAt } from "./data-room.ts";
import { preparedIndex } from "./prepared-index.ts";

/** What nobody went on with for so long is thrown away. */
const FORGOTTEN_MS = 30 * 86_400_000;

interface Kept {
  readonly index: string;
  readonly usedMs: number;
  /** null: it cannot be read, and is of no use. */
  readonly sha256: string | null;
}

/** Deletes the prepared data that was not used for longest, until so many bytes may be written (or none is left). */
export function makeRoom(
  cache: string,
  bytes: number,
  now = Date.now(),
  room = () => roomAt(join(cache, "x")),
): void {
  sweep(cache, now);
  for (const oldest of keptIn(cache).sort((a, b) => a.usedMs - b.usedMs)) {
    if (room() >= bytes) return;
    rmSync(oldest.index, { force: true });
    sweep(cache, now);
  }
}

/** Token files that no index names, indexes of another version, and readings that broke off long ago. */
function sweep(cache: string, now: number): void {
  const kept = keptIn(cache);
  for (const { index, sha256 } of kept) if (sha256 === null) rmSync(index, { force: true });
  const named = new Set(kept.map(({ sha256 }) => sha256));
  for (const name of readdirSync(cache)) {
    const path = join(cache, name);
    const dot = name.indexOf(".");
    const [stem, ending] = [name.slice(0, dot), name.slice(dot + 1)];
    const isUnnamed = /^(tokens(\.chunks)?|txt)$/.test(ending) && !named.has(stem);
    const isOld =
      /^(part(\.chunks)?|journal|json\.new|lock(-journal)?)$/.test(ending) &&
      now - modified(path) > FORGOTTEN_MS;
    if (isUnnamed || isOld) rmSync(path, { force: true });
  }
}

function keptIn(cache: string): Kept[] {
  return readdirSync(cache)
    .filter((name) => name.endsWith(".json"))
    .map((name) => {
      const index = join(cache, name);
      return { index, usedMs: modified(index), sha256: digestIn(index) };
    });
}

function digestIn(index: string): string | null {
  try {
    return preparedIndex.parse(JSON.parse(readFileSync(index, "utf8"))).corpus.sha256;
  } catch {
    return null;
  }
}

function modified(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}
