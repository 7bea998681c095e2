import { type ChildProcess, spawn } from "node:child_process";
import { chownSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { WaylandIdle, waylandSocket } from "./idle-wayland.ts";
import { readMessages, readText, type WaylandMessage, waylandMessage } from "./wayland-wire.ts";

let folder: string;
let now: number;
let idle: WaylandIdle | null = null;
const ends: (() => void)[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "way"));
  now = 1_000_000;
});
afterEach(() => {
  idle?.close();
  for (const end of ends.splice(0).reverse()) end();
  rmSync(folder, { recursive: true, force: true });
});

/** A compositor that speaks as its globals say, and remembers what it was asked. */
async function compositor(globals: readonly string[]) {
  const asked: WaylandMessage[] = [];
  const clients: Socket[] = [];
  const path = join(folder, "wayland-0");
  const server: Server = createServer((client) => {
    clients.push(client);
    let unread: Buffer = Buffer.alloc(0);
    client.on("error", () => {});
    client.on("data", (bytes) => {
      const { messages, rest } = readMessages(Buffer.concat([unread, bytes]));
      unread = rest;
      for (const message of messages) {
        asked.push(message);
        // wl_display.sync: all globals have been told.
        if (message.object !== 1 || message.opcode !== 0) continue;
        const told = globals.map((kind, index) => waylandMessage(2, 0, index + 1, kind, 1));
        client.write(Buffer.concat([...told, waylandMessage(message.body.readUInt32LE(0), 0, 0)]));
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  ends.push(() => {
    for (const client of clients) client.destroy();
    server.close();
  });
  /** Events of a notification: 0 idled, 1 resumed. Then the answer is read. */
  const tell = async (notification: number, opcode: number): Promise<number | null> => {
    clients.at(-1)?.write(waylandMessage(notification, opcode));
    await new Promise((resolve) => setTimeout(resolve, 20));
    return (await idle?.read()) ?? null;
  };
  /** What the notifier (4) was asked for: its request's number, and the arguments. */
  const wanted = (): Promise<number[]> =>
    vi.waitFor(() => {
      const found = asked.find(({ object }) => object === 4);
      if (found === undefined) throw new Error("nothing was asked for yet");
      return [found.opcode, ...new Uint32Array(new Uint8Array(found.body).buffer)];
    });
  return { path, asked, clients, tell, wanted };
}

const reader = (path: string | null): WaylandIdle =>
  (idle = new WaylandIdle({ find: async () => path, now: () => now }));

describe("the compositor's idle time", () => {
  it("counts from the moment that it calls the seat idle, a second after the last input", async () => {
    const { path, asked, tell, wanted } = await compositor([
      "wl_compositor",
      "wl_seat",
      "ext_idle_notifier_v1",
    ]);
    expect(await reader(path).read()).toBe(0);
    // get_idle_notification(id 6, 1000 ms, seat 5).
    expect(await wanted()).toEqual([1, 6, 1000, 5]);
    const binds = asked.filter(({ object, opcode }) => object === 2 && opcode === 0);
    expect(binds.map(({ body }) => readText(body, 4).text)).toEqual(["ext_idle_notifier_v1", "wl_seat"]);
    expect(await tell(6, 0)).toBe(1);
    now += 240_000;
    expect(await idle?.read()).toBe(241);
    expect(await tell(6, 1)).toBe(0);
  });

  it("KDE's own protocol from before the standard has its arguments the other way round", async () => {
    const { path, tell, wanted } = await compositor(["org_kde_kwin_idle", "wl_seat"]);
    expect(await reader(path).read()).toBe(0);
    expect(await wanted()).toEqual([0, 6, 5, 1000]);
    expect(await tell(6, 0)).toBe(1);
  });

  it("of two seats the one in use counts", async () => {
    const { path, tell } = await compositor(["ext_idle_notifier_v1", "wl_seat", "wl_seat"]);
    expect(await reader(path).read()).toBe(0);
    expect(await tell(6, 0)).toBe(0);
    now += 5000;
    expect(await tell(8, 0)).toBe(1);
  });

  it("is unknown where the compositor does not tell it, or none is there", async () => {
    const { path } = await compositor(["wl_compositor", "wl_seat"]);
    expect(await reader(path).read()).toBeNull();
    expect(await reader(null).read()).toBeNull();
    expect(await reader(join(folder, "wayland-9")).read()).toBeNull();
  });

  it("one that has ended is asked anew when it is there again", async () => {
    const first = await compositor(["ext_idle_notifier_v1", "wl_seat"]);
    expect(await reader(first.path).read()).toBe(0);
    ends.splice(0).forEach((end) => end());
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(await idle?.read()).toBeNull();
    await compositor(["ext_idle_notifier_v1", "wl_seat"]);
    expect(await idle?.read()).toBe(0);
  });

  it.each([
    ["a message of no size", Buffer.alloc(16)],
    ["a text that reaches too far", waylandMessage(2, 0, 1, 4_000_000_000)],
    ["an error", waylandMessage(1, 0, 1, 0, "no")],
  ])("nonsense is no answer: %s", async (_, bytes) => {
    const path = join(folder, "wayland-0");
    const server = createServer((client) => {
      client.on("error", () => {});
      client.write(bytes);
    });
    await new Promise<void>((resolve) => server.listen(path, resolve));
    ends.push(() => server.close());
    expect(await reader(path).read()).toBeNull();
  });
});

describe("the compositor's socket", () => {
  it("is the session's own, else one of this account's", async () => {
    expect(await waylandSocket({ WAYLAND_DISPLAY: "/x/y" }, "/", 1000)).toBe("/x/y");
    const session = { WAYLAND_DISPLAY: "wayland-1", XDG_RUNTIME_DIR: "/run/user/1000" };
    expect(await waylandSocket(session, "/", 1000)).toBe("/run/user/1000/wayland-1");
    expect(await waylandSocket({}, folder, 1000)).toBeNull();
    mkdirSync(join(folder, "run/user/1000"), { recursive: true });
    for (const name of ["wayland-0", "wayland-0.lock", "bus"])
      writeFileSync(join(folder, "run/user/1000", name), "");
    // As a service has it, which was started before the desktop.
    expect(await waylandSocket({}, folder, 1000)).toBe(join(folder, "run/user/1000/wayland-0"));
    expect(await waylandSocket({}, folder, 1001)).toBeNull();
  });
});

const NOBODY = 65_534;
const SWAY = ["/usr/bin/sway", "/usr/local/bin/sway"].find((path) => existsSync(path));

describe.skipIf(SWAY === undefined)("a real compositor (Sway, without a screen)", () => {
  it("tells when nobody is there, and within a moment when somebody moves the pointer", async () => {
    // Sway does not run as root.
    const isRoot = process.getuid?.() === 0;
    if (isRoot) chownSync(folder, NOBODY, NOBODY);
    const sway: ChildProcess = spawn(SWAY ?? "", ["--config", "/dev/null"], {
      stdio: "ignore",
      ...(isRoot ? { uid: NOBODY, gid: NOBODY } : {}),
      env: {
        ...process.env,
        XDG_RUNTIME_DIR: folder,
        WAYLAND_DISPLAY: "",
        DISPLAY: "",
        WLR_BACKENDS: "headless",
        WLR_LIBINPUT_NO_DEVICES: "1",
        WLR_RENDERER: "pixman",
      },
    });
    ends.push(() => void sway.kill("SIGKILL"));
    const environment = { XDG_RUNTIME_DIR: folder };
    const find = (): Promise<string | null> => waylandSocket(environment, "/", undefined);
    await until(async () => (await find()) !== null);
    idle = new WaylandIdle({ find, now: Date.now });
    await until(async () => (await idle?.read()) !== null);
    await until(async () => ((await idle?.read()) ?? 0) > 2);
    expect(await idle.read()).toBeGreaterThan(2);
    const pointer = await virtualPointer((await find()) ?? "");
    pointer.move();
    await until(async () => (await idle?.read()) === 0);
    await until(async () => ((await idle?.read()) ?? 0) > 1);
  });
});

async function until(is: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + 30_000;
  while (!(await is())) {
    if (performance.now() > end) throw new Error("not within 30 s");
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** A hand on the mouse, by zwlr_virtual_pointer_manager_v1. */
async function virtualPointer(path: string): Promise<{ move(): void }> {
  const socket = connect(path);
  ends.push(() => socket.destroy());
  socket.write(Buffer.concat([waylandMessage(1, 1, 2), waylandMessage(1, 0, 3)]));
  const manager = await new Promise<number>((resolve, reject) => {
    let unread: Buffer = Buffer.alloc(0);
    socket.on("error", reject);
    socket.on("data", (bytes) => {
      const { messages, rest } = readMessages(Buffer.concat([unread, bytes]));
      unread = rest;
      for (const { object, opcode, body } of messages)
        if (object === 2 && opcode === 0 && readText(body, 4).text === "zwlr_virtual_pointer_manager_v1")
          resolve(body.readUInt32LE(0));
    });
  });
  // create_virtual_pointer(no seat named, id 5) of the manager 4.
  socket.write(waylandMessage(2, 0, manager, "zwlr_virtual_pointer_manager_v1", 1, 4));
  socket.write(waylandMessage(4, 0, 0, 5));
  return {
    move() {
      // motion(time, 10, 10 in 24.8 fixed point); frame.
      socket.write(Buffer.concat([waylandMessage(5, 0, 1, 10 * 256, 10 * 256), waylandMessage(5, 4)]));
    },
  };
}
