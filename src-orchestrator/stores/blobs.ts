import { createHash, randomUUID } from "node:crypto";
import type { Hash } from "node:crypto";
import { createReadStream } from "node:fs";
import type { ReadStream } from "node:fs";
import {
  copyFile,
  link,
  mkdir,
  open,
  readFile,
  readdir,
  realpath,
  rename,
  rm,
  stat,
  symlink,
} from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import { dirname, join } from "node:path";
import { blobFile } from "../../src-protocol/blob-file.ts";
import { chunkBytesFor, chunksDigest } from "../../src-protocol/chunks.ts";
import type { ChunkList } from "../../src-protocol/chunks.ts";
import { CORPUS_CHUNK_BYTES, DIGEST_BYTES } from "../../src-protocol/corpus-chunks.ts";
import { Failure } from "../../src-protocol/failure.ts";
import { sha256Hex } from "../../src-protocol/keys.ts";
import { storageFailure } from "./storage-failure.ts";

export interface Blob {
  readonly bytes: number;
  /**
   * Makes sure that the bytes of a part are right; of a blob that was hashed as a whole they are.
   *
   * @throws Failure `blob-corrupt`
   */
  check(part: { readonly from: number; readonly to: number }): Promise<void>;
  /** All of it, or the bytes `from` up to, not including, `to`. */
  stream(part?: { readonly from: number; readonly to: number }): ReadStream;
}

/** Uploads that no checkpoint names yet are left alone this long. */
export const ORPHAN_GRACE_MS = 10 * 60_000;
/** Less than this is quickly sent again. SECURITY: who has left keeps no room for what it did not bring. */
const LEAST_KEPT_BYTES = 1024 * 1024;
const WRONG_UPLOADS = new Set(["blob-too-large", "blob-mismatch"]);
/** Lists of chunks in memory: those of a run's files and of a checkpoint of each stage. */
const LISTS_KEPT = 64;

/**
 * Bytes by their SHA-256, one file each: `sha256/ab/ab12…`. A file appears whole or not at all, and
 * is hashed before this process serves it for the first time.
 */
export class Blobs {
  private readonly folder: string;
  private readonly root: string;
  /** Length and time of change of files whose digest was found right. */
  private readonly verified = new Map<string, { readonly bytes: number; readonly changed: number }>();

  /** Lists of digests of those that are checked chunk by chunk, when they are asked for. */
  private readonly chunked = new Map<string, { readonly list: Uint8Array; readonly right: Uint8Array }>();

  /** Oldest first. A blob never changes, so its list does not. */
  private readonly lists = new Map<string, Promise<ChunkList>>();
  private readonly listDigests = new Map<string, string>();

  /** Digests of which an upload is written just now: it has the part file for itself. */
  private readonly writing = new Set<string>();

  constructor(folder: string) {
    this.folder = folder;
    this.root = join(folder, "sha256");
  }

  /** Length of the stored file, unread; null when there is none. */
  async length(sha256: string): Promise<number | null> {
    return (await this.look(sha256))?.bytes ?? null;
  }

  /** Bytes of an upload that broke off and may be gone on with. */
  async begun(sha256: string): Promise<number> {
    return (await stat(this.partOf(sha256)).catch(() => null))?.size ?? 0;
  }

  /**
   * Stores a stream under its digest. With `from` it is the rest of an upload that broke off before;
   * what has come of one that breaks off is kept for a while.
   *
   * @throws Failure `blob-too-large` beyond `limitBytes`, `blob-mismatch` when the digest is another
   * one, `upload-gap` when there is less than `from`, `upload-under-way` while another one writes
   */
  async put(
    sha256: string,
    source: AsyncIterable<Uint8Array>,
    limitBytes: number,
    from = 0,
  ): Promise<{ bytes: number }> {
    if (this.writing.has(sha256))
      throw new Failure("upload-under-way", "This blob is being sent just now. Send it again in a moment.");
    this.writing.add(sha256);
    const path = this.pathOf(sha256);
    const part = this.partOf(sha256);
    try {
      await mkdir(dirname(path), { recursive: true, mode: 0o700 });
      const bytes = await writeWhole(part, sha256, source, limitBytes, from);
      await rename(part, path);
      await syncFolder(dirname(path));
      const stored = await this.look(sha256);
      if (stored !== null) this.verified.set(sha256, stored);
      return { bytes };
    } catch (error) {
      // What broke off may be gone on with; what is wrong, or little, may not.
      const isWrong = error instanceof Failure && WRONG_UPLOADS.has(error.code);
      if (isWrong || (await this.begun(sha256)) < LEAST_KEPT_BYTES) await rm(part, { force: true });
      throw storageFailure(error, this.root);
    } finally {
      this.writing.delete(sha256);
    }
  }

  /**
   * Takes a file of this computer into the store where it lies, by its digest, if it has `bytes` bytes: a
   * link, so that what is large is there once; a copy where no link can be. It is not hashed here: `list` has
   * the digests of its chunks (corpus-chunks.ts), by which every part is checked before it is served.
   */
  async adopt(sha256: string, file: string | null, bytes: number, list: Uint8Array): Promise<boolean> {
    const path = this.pathOf(sha256);
    try {
      if ((await this.look(sha256))?.bytes !== bytes) {
        const found = file === null ? null : await stat(file).catch(() => null);
        if (file === null || found?.isFile() !== true || found.size !== bytes) return false;
        await mkdir(dirname(path), { recursive: true, mode: 0o700 });
        const temporary = join(this.root, `${randomUUID()}.part`);
        const real = await realpath(file);
        await link(real, temporary)
          .catch(() => symlink(real, temporary))
          .catch(() => copyFile(real, temporary));
        await rename(temporary, path);
        await syncFolder(dirname(path));
      }
    } catch (error) {
      throw storageFailure(error, this.root);
    }
    this.chunked.set(sha256, { list, right: new Uint8Array(Math.ceil(list.length / DIGEST_BYTES / 8)) });
    return true;
  }

  /**
   * @throws Failure `blob-unknown` when there is none, `blob-corrupt` when the file is not what its
   * name says: it is never served. `onBytes` hears of each piece that is read to find that out.
   */
  async get(sha256: string, onBytes?: (bytes: number) => void): Promise<Blob> {
    const found = await this.look(sha256);
    if (found === null) {
      throw new Failure("blob-unknown", `There is no blob ${sha256} here. Ask for one that the run names.`);
    }
    const known = this.verified.get(sha256);
    const isKnown = known?.bytes === found.bytes && known.changed === found.changed;
    if (!isKnown && !this.chunked.has(sha256)) await this.verify(sha256, onBytes);
    const path = this.pathOf(sha256);
    return {
      bytes: found.bytes,
      check: (part) => this.checkPart(sha256, part),
      stream: (part) =>
        createReadStream(path, part === undefined ? {} : { start: part.from, end: part.to - 1 }),
    };
  }

  /**
   * The digests of a blob's chunks, by which it is fetched in parts.
   *
   * @throws as `get`
   */
  async chunks(sha256: string): Promise<ChunkList> {
    const { bytes } = await this.get(sha256);
    const known = this.lists.get(sha256);
    if (known !== undefined) return await known;
    const list = listChunks(this.pathOf(sha256), bytes).then((made) => {
      this.listDigests.set(sha256, chunksDigest(made.sha256));
      return made;
    });
    this.lists.set(sha256, list);
    list.catch(() => this.lists.delete(sha256));
    for (const oldest of this.lists.keys()) {
      if (this.lists.size <= LISTS_KEPT) break;
      this.lists.delete(oldest);
      this.listDigests.delete(oldest);
    }
    return await list;
  }

  /** What those chunks are known by; null: they were not listed yet. */
  listedAs(sha256: string): string | null {
    return this.listDigests.get(sha256) ?? null;
  }

  /**
   * All of a blob in memory.
   *
   * @throws as `get`
   */
  async read(sha256: string): Promise<Uint8Array> {
    await this.get(sha256);
    return await readFile(this.pathOf(sha256));
  }

  /**
   * Deletes all files but those in `keep`: `forgotten` ones at once, others (half-written uploads
   * too) when nobody can be about to name them. Gives the digests that went.
   */
  async collect(
    keep: ReadonlySet<string>,
    now: number,
    forgotten: ReadonlySet<string> = new Set(),
  ): Promise<string[]> {
    const gone: string[] = [];
    const names = await readdir(this.root, { recursive: true }).catch(() => []);
    for (const name of names) {
      const path = join(this.root, name);
      const sha256 = name.slice(-64);
      const isBlob = sha256Hex.safeParse(sha256).success && path === this.pathOf(sha256);
      if (!isBlob && !name.endsWith(".part")) continue;
      if (isBlob && keep.has(sha256)) continue;
      const { mtimeMs } = await stat(path).catch(() => ({ mtimeMs: now }));
      if (mtimeMs > now - ORPHAN_GRACE_MS && !forgotten.has(sha256)) continue;
      await rm(path, { force: true });
      if (isBlob) gone.push(sha256);
    }
    return gone;
  }

  private async checkPart(sha256: string, { from, to }: { from: number; to: number }): Promise<void> {
    const chunked = this.chunked.get(sha256);
    if (chunked === undefined) return;
    const { list, right } = chunked;
    const file = await open(this.pathOf(sha256), "r");
    try {
      const bytes = Buffer.alloc(CORPUS_CHUNK_BYTES);
      for (let index = Math.floor(from / CORPUS_CHUNK_BYTES); index * CORPUS_CHUNK_BYTES < to; index++) {
        if ((right[index >> 3] ?? 0) & (1 << (index & 7))) continue;
        const { bytesRead } = await file.read(bytes, 0, bytes.length, index * CORPUS_CHUNK_BYTES);
        const digest = createHash("sha256").update(bytes.subarray(0, bytesRead)).digest();
        if (!digest.equals(list.subarray(index * DIGEST_BYTES, (index + 1) * DIGEST_BYTES)))
          throw new Failure(
            "blob-corrupt",
            `The stored blob ${sha256} is damaged near byte ${index * CORPUS_CHUNK_BYTES}, so that part is not served. Delete the file ${await realpath(this.pathOf(sha256))}, check the disk, and start again.`,
          );
        right[index >> 3] = (right[index >> 3] ?? 0) | (1 << (index & 7));
      }
    } finally {
      await file.close();
    }
  }

  private async verify(sha256: string, onBytes: (bytes: number) => void = () => undefined): Promise<void> {
    const before = await this.look(sha256);
    const hash = createHash("sha256");
    for await (const chunk of createReadStream(this.pathOf(sha256), { highWaterMark: 1 << 20 })) {
      hash.update(chunk as Uint8Array);
      onBytes((chunk as Uint8Array).length);
    }
    if (before === null || hash.digest("hex") !== sha256) {
      this.verified.delete(sha256);
      throw new Failure(
        "blob-corrupt",
        `The stored blob ${sha256} is damaged, so it is not served. Training goes on from another checkpoint; check the disk.`,
      );
    }
    this.verified.set(sha256, before);
  }

  private async look(sha256: string): Promise<{ bytes: number; changed: number } | null> {
    try {
      const { size, mtimeMs } = await stat(this.pathOf(sha256));
      return { bytes: size, changed: mtimeMs };
    } catch (error) {
      if (error instanceof Error && "code" in error && error.code === "ENOENT") return null;
      throw storageFailure(error, this.root);
    }
  }

  private partOf(sha256: string): string {
    return join(this.root, `${sha256Hex.parse(sha256)}.part`);
  }

  private pathOf(sha256: string): string {
    return join(this.folder, blobFile(sha256));
  }
}

async function listChunks(path: string, bytes: number): Promise<ChunkList> {
  const chunkBytes = chunkBytesFor(bytes);
  const file = await open(path, "r");
  try {
    const sha256: string[] = [];
    const buffer = Buffer.alloc(Math.min(chunkBytes, bytes));
    for (let at = 0; at < bytes;) {
      const { bytesRead } = await file.read(buffer, 0, Math.min(buffer.byteLength, bytes - at), at);
      if (bytesRead === 0) break;
      sha256.push(createHash("sha256").update(buffer.subarray(0, bytesRead)).digest("hex"));
      at += bytesRead;
    }
    return { bytes, chunkBytes, sha256 };
  } catch (error) {
    throw storageFailure(error, path);
  } finally {
    await file.close();
  }
}

async function writeWhole(
  path: string,
  sha256: string,
  source: AsyncIterable<Uint8Array>,
  limitBytes: number,
  from: number,
): Promise<number> {
  const file = await open(path, from === 0 ? "w+" : "r+", 0o600).catch((error: NodeJS.ErrnoException) => {
    throw error.code === "ENOENT" ? gap(0, from) : error;
  });
  try {
    const hash = createHash("sha256");
    let bytes = await rehashed(file, hash, from);
    await file.truncate(from);
    for await (const chunk of source) {
      if (bytes + chunk.length > limitBytes) {
        throw new Failure(
          "blob-too-large",
          `The blob is larger than the ${limitBytes} bytes that are allowed here.`,
        );
      }
      hash.update(chunk);
      for (let at = 0; at < chunk.length;) {
        const { bytesWritten } = await file.write(chunk, at, chunk.length - at, bytes + at);
        at += bytesWritten;
      }
      bytes += chunk.length;
    }
    const found = hash.digest("hex");
    if (found !== sha256) {
      throw new Failure(
        "blob-mismatch",
        `The bytes have the SHA-256 ${found}, not ${sha256}. Send them again.`,
      );
    }
    await file.sync();
    return bytes;
  } finally {
    await file.close();
  }
}

/** What came before goes through the hash again: a restart has no other memory of it. */
async function rehashed(file: FileHandle, hash: Hash, upTo: number): Promise<number> {
  const buffer = Buffer.alloc(Math.min(upTo, 1 << 20));
  let at = 0;
  while (at < upTo) {
    const { bytesRead } = await file.read(buffer, 0, Math.min(buffer.byteLength, upTo - at), at);
    if (bytesRead === 0) throw gap(at, upTo);
    hash.update(buffer.subarray(0, bytesRead));
    at += bytesRead;
  }
  return at;
}

function gap(here: number, from: number): Failure {
  return new Failure(
    "upload-gap",
    `Of this upload ${here} bytes are here, and it goes on from ${from}. Ask how much is here, and send the rest.`,
  );
}

/** A rename is durable when its folder is; Windows has no such call and needs none. */
async function syncFolder(path: string): Promise<void> {
  if (process.platform === "win32") return;
  const folder = await open(path, "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
