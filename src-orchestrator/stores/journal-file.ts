import { closeSync, openSync, readFileSync, renameSync, rmSync, writeSync } from "node:fs";
import { deserialize, serialize } from "node:v8";
import { crc32 } from "node:zlib";

/** Of each record: how long it is, and its checksum. */
const HEAD_BYTES = 8;
/** More is written anew: it has to be read, and done again, before anybody is answered. */
const MOST_RECORDS = 4_096;
const LEAST_BYTES = 1024 * 1024;
const TIMES_FIRST = 2;

/**
 * Records one after another in a file that outlives a SIGKILL, not the loss of power: nothing is flushed to a disk.
 * What cannot be written (no room, no right) ends it: half a journal would be a wrong one, so there is none then.
 * SECURITY: it is read with `deserialize`, so it lies where only its owner writes, and only he reads it.
 */
export class JournalFile {
  readonly #path: string;
  #file: number | null = null;
  #firstBytes = 0;
  #bytes = 0;
  #records = 0;

  constructor(path: string) {
    this.#path = path;
  }

  /** As many records as are whole: a kill may have cut the last one short. Null: there is no file. */
  read(): unknown[] | null {
    const bytes = read(this.#path);
    if (bytes === null) return null;
    const records: unknown[] = [];
    for (let at = 0; at + HEAD_BYTES <= bytes.length;) {
      const end = at + HEAD_BYTES + bytes.readUInt32LE(at);
      const body = bytes.subarray(at + HEAD_BYTES, end);
      if (end > bytes.length || crc32(body) !== bytes.readUInt32LE(at + 4)) break;
      records.push(deserialize(body));
      at = end;
    }
    return records;
  }

  /** From now on this is the first record, and the only one: at any time the file is the old one or the new one. */
  begin(first: unknown): void {
    const making = `${this.#path}.new`;
    try {
      this.close();
      rmSync(making, { force: true });
      this.#file = openSync(making, "wx", 0o600);
      this.#firstBytes = this.#bytes = this.#put(first);
      this.#records = 0;
      renameSync(making, this.#path);
    } catch {
      this.#giveUp();
    }
  }

  append(record: unknown): void {
    if (this.#file === null) return;
    try {
      this.#bytes += this.#put(record);
      this.#records += 1;
    } catch {
      this.#giveUp();
    }
  }

  /** It is being written. */
  get isOpen(): boolean {
    return this.#file !== null;
  }

  /** Time to begin anew. */
  get isFull(): boolean {
    if (this.#file === null) return false;
    const since = this.#bytes - this.#firstBytes;
    return this.#records >= MOST_RECORDS || since > Math.max(LEAST_BYTES, TIMES_FIRST * this.#firstBytes);
  }

  /** Nothing is written any more, and what was stays. */
  close(): void {
    if (this.#file !== null) closeSync(this.#file);
    this.#file = null;
  }

  remove(): void {
    this.close();
    for (const path of [this.#path, `${this.#path}.new`]) rmSync(path, { force: true });
  }

  #put(record: unknown): number {
    const body = serialize(record);
    const whole = Buffer.allocUnsafe(HEAD_BYTES + body.length);
    whole.writeUInt32LE(body.length, 0);
    whole.writeUInt32LE(crc32(body), 4);
    body.copy(whole, HEAD_BYTES);
    const file = this.#file ?? -1;
    for (let at = 0; at < whole.length;) at += writeSync(file, whole, at);
    return whole.length;
  }

  #giveUp(): void {
    try {
      this.remove();
    } catch {
      // Nobody may remove it either. It says less than was done since, which is found out when it is read: see `RunJournal`.
    }
  }
}

function read(path: string): Buffer | null {
  try {
    return readFileSync(path);
  } catch {
    return null;
  }
}
