import { connect, type Socket } from "node:net";
import { join } from "node:path";
import type { IdleReading } from "./probe.ts";
import { names } from "./system-files.ts";
import { readMessages, readText, type WaylandMessage, waylandMessage } from "./wayland-wire.ts";

/** So long after the last input the compositor calls the seat idle; of what is shorter nothing is known. */
const IDLE_AFTER_MS = 1000;
/** A compositor that has not told what it can by then never will. */
const ANSWER_MS = 1000;
const MOST_BYTES = 1024 * 1024;

const DISPLAY = 1;
const REGISTRY = 2;
const SYNC = 3;
const FIRST_FREE = 4;

/** Who tells of idle seats: the standard since 2022 (KWin, Sway, labwc, Hyprland), and KDE's from before it. */
const NOTIFIERS = ["ext_idle_notifier_v1", "org_kde_kwin_idle"] as const;
type Notifier = (typeof NOTIFIERS)[number];

interface Global {
  readonly name: number;
  readonly interface: string;
}

/**
 * Idle time from the compositor itself, over one connection that stays open. It tells when a seat becomes idle
 * and when somebody is there again; what keeps the screen on (a film, a call) counts as use to it.
 * https://wayland.app/protocols/ext-idle-notify-v1
 */
export class WaylandIdle {
  readonly #find: () => Promise<string | null>;
  readonly #now: () => number;
  #connection: Connection | null = null;

  constructor(options: { readonly find: () => Promise<string | null>; readonly now: () => number }) {
    this.#find = options.find;
    this.#now = options.now;
  }

  /** Null: there is no compositor, or it tells nothing of this. */
  async read(): Promise<IdleReading> {
    if (this.#connection === null || this.#connection.isClosed) {
      const path = await this.#find();
      this.#connection = path === null ? null : new Connection(path, this.#now);
    }
    return (await this.#connection?.idleSeconds()) ?? null;
  }

  close(): void {
    this.#connection?.close();
    this.#connection = null;
  }
}

/** The socket of the session that this program was started in, else of one of this account's. `root` is `/`. */
export async function waylandSocket(
  environment: Readonly<Record<string, string | undefined>>,
  root: string,
  account: number | undefined,
): Promise<string | null> {
  const { WAYLAND_DISPLAY: display, XDG_RUNTIME_DIR: runtime } = environment;
  if (display?.startsWith("/") === true) return display;
  const folder = runtime || join(root, "run/user", String(account ?? ""));
  if (display) return join(folder, display);
  const [socket] = (await names(folder)).filter((name) => /^wayland-\d+$/.test(name)).sort();
  return socket === undefined ? null : join(folder, socket);
}

class Connection {
  readonly #socket: Socket;
  readonly #now: () => number;
  readonly #told: Promise<void>;
  readonly #globals: Global[] = [];
  /** By the notification of each seat: since when it is idle; null: it is in use. */
  readonly #seats = new Map<number, number | null>();
  #tell = (): void => {};
  #unread: Buffer = Buffer.alloc(0);
  isClosed = false;

  constructor(path: string, now: () => number) {
    this.#now = now;
    this.#told = new Promise((resolve) => (this.#tell = resolve));
    this.#socket = connect(path);
    // Nobody's work waits for a compositor.
    this.#socket.unref();
    this.#socket.on("error", () => this.close());
    this.#socket.on("close", () => this.close());
    this.#socket.on("data", (bytes) => this.#receive(bytes));
    this.#socket.write(
      Buffer.concat([waylandMessage(DISPLAY, 1, REGISTRY), waylandMessage(DISPLAY, 0, SYNC)]),
    );
    setTimeout(() => {
      if (this.#seats.size === 0) this.close();
    }, ANSWER_MS).unref();
  }

  /** Of the seat that was used last. */
  async idleSeconds(): Promise<IdleReading> {
    await this.#told;
    if (this.isClosed || this.#seats.size === 0) return null;
    const since = [...this.#seats.values()];
    if (since.includes(null)) return 0;
    const last = Math.max(...since.filter((at) => at !== null));
    return Math.max(0, this.#now() - last + IDLE_AFTER_MS) / 1000;
  }

  close(): void {
    this.isClosed = true;
    this.#socket.destroy();
    this.#tell();
  }

  #receive(bytes: Buffer): void {
    try {
      const { messages, rest } = readMessages(Buffer.concat([this.#unread, bytes]));
      if (rest.length > MOST_BYTES) throw new RangeError("a message without an end");
      this.#unread = rest;
      for (const message of messages) this.#understand(message);
    } catch {
      this.close();
    }
  }

  #understand({ object, opcode, body }: WaylandMessage): void {
    // wl_display.error: nothing follows it.
    if (object === DISPLAY && opcode === 0) return this.close();
    if (object === REGISTRY && opcode === 0)
      this.#globals.push({ name: body.readUInt32LE(0), interface: readText(body, 4).text });
    if (object === SYNC) return this.#ask();
    if (this.#seats.has(object)) this.#seats.set(object, opcode === 0 ? this.#now() : null);
  }

  /** All globals are known: each seat's notification is asked for. */
  #ask(): void {
    const notifier = NOTIFIERS.flatMap((wanted) =>
      this.#globals.filter((one) => one.interface === wanted),
    )[0];
    const seats = this.#globals.filter((one) => one.interface === "wl_seat");
    if (notifier === undefined || seats.length === 0) return this.close();
    const bind = ({ name, interface: kind }: Global, id: number): Buffer =>
      waylandMessage(REGISTRY, 0, name, kind, 1, id);
    const requests = [bind(notifier, FIRST_FREE)];
    for (const [index, seat] of seats.entries()) {
      const id = FIRST_FREE + 1 + 2 * index;
      requests.push(bind(seat, id), notification(notifier.interface as Notifier, id + 1, id));
      this.#seats.set(id + 1, null);
    }
    this.#socket.write(Buffer.concat(requests));
    this.#tell();
  }
}

/** The two differ in the order of their arguments, and in the number of the request. */
function notification(notifier: Notifier, id: number, seat: number): Buffer {
  return notifier === "ext_idle_notifier_v1"
    ? waylandMessage(FIRST_FREE, 1, id, IDLE_AFTER_MS, seat)
    : waylandMessage(FIRST_FREE, 0, id, seat, IDLE_AFTER_MS);
}
