import { randomBytes } from "node:crypto";
import {
  closeSync,
  constants,
  existsSync,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  readSync,
  rmSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";

/** What lies there and is not read yet; what is more goes over the socket, whose back-pressure slows the sender. */
const MOST_BYTES = 8 * 1024 * 1024;
/** Below that a socket is as fast. */
export const LEAST_LANE_BYTES = 32 * 1024;

/**
 * Payloads between two processes of one computer do not go through a socket: the sender puts each into a file of
 * a folder that lies in memory, says on the link that it is there, and the receiver reads and removes it. One lane
 * is one direction of one link; files are read in the order in which they were put.
 */
export class LaneSender {
  /** By this name the peer finds it in the folder that both can reach. */
  readonly name = randomBytes(16).toString("hex");
  readonly #path: string;
  /** Not seen to be read yet, the oldest first. */
  #waiting: { readonly path: string; readonly bytes: number }[] = [];
  #waitingBytes = 0;
  #next = 0;
  #isOpen = true;

  /** Throws when the folder cannot be written. */
  constructor(folder: string) {
    this.#path = join(folder, this.name);
    mkdirSync(this.#path, { mode: 0o700 });
  }

  /** Whether it lies there now. No: it has to go over the socket. */
  put(payload: Uint8Array): boolean {
    if (!this.#isOpen || !this.#hasRoom(payload.byteLength)) return false;
    const path = fileOf(this.#path, this.#next);
    try {
      writeFileSync(path, payload, { flag: "wx", mode: 0o600 });
    } catch {
      // The memory is full, or somebody has removed the folder: this lane is not used again.
      this.close();
      return false;
    }
    this.#next += 1;
    this.#waiting.push({ path, bytes: payload.byteLength });
    this.#waitingBytes += payload.byteLength;
    return true;
  }

  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    removeLane(this.#path);
  }

  #hasRoom(bytes: number): boolean {
    for (
      let [first] = this.#waiting;
      first !== undefined && !existsSync(first.path);
      [first] = this.#waiting
    ) {
      this.#waiting.shift();
      this.#waitingBytes -= first.bytes;
    }
    return this.#waitingBytes + bytes <= MOST_BYTES;
  }
}

/** The other end of a lane. */
export class LaneReceiver {
  readonly #path: string;
  #next = 0;

  private constructor(path: string) {
    this.#path = path;
  }

  /** Null: this process cannot reach it, as when the two have no folder in common. `name` is checked by its schema. */
  static open(folder: string, name: string): LaneReceiver | null {
    const path = join(folder, name);
    try {
      return lstatSync(path).isDirectory() ? new LaneReceiver(path) : null;
    } catch {
      return null;
    }
  }

  /** The next one, which has as many bytes as the link has said. Throws what the system says. */
  take(bytes: number): Uint8Array<ArrayBuffer> {
    const path = fileOf(this.#path, this.#next);
    this.#next += 1;
    const payload = read(path, bytes);
    unlinkSync(path);
    return payload;
  }

  /** Its sender may be gone, and nobody else would remove what it has left. The sender finds out at its next payload. */
  close(): void {
    removeLane(this.#path);
  }
}

/** SECURITY: another worker of this computer may have put something else there: a link, a pipe that blocks, another size. */
function read(path: string, bytes: number): Uint8Array<ArrayBuffer> {
  const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants;
  const file = openSync(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  try {
    const stats = fstatSync(file);
    if (!stats.isFile() || stats.size !== bytes) throw new Error(`it is no file of ${bytes} bytes`);
    const payload = new Uint8Array(bytes);
    for (let at = 0; at < bytes;) {
      const count = readSync(file, payload, at, bytes - at, at);
      if (count === 0) throw new Error("it has become shorter");
      at += count;
    }
    return payload;
  } finally {
    closeSync(file);
  }
}

/** No other file is named so: only such a one is ever removed. */
function fileOf(lane: string, number: number): string {
  return join(lane, `${number}.payload`);
}

function removeLane(path: string): void {
  try {
    rmSync(path, { recursive: true, force: true });
  } catch {
    // The other side removes it, too, or the daemon at its next start.
  }
}
