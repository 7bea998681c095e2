import { spawn } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { withLock } from "../data-folder/lock.ts";
import {
  leaveMemoryFolder,
  leaveLaneFolder,
  memoryFolder,
  laneFolder,
  removeMemoryOf,
} from "./memory-folder.ts";
import { livingProcess, processHere } from "./process-identity.ts";

const DAY_MS = 86_400_000;
const PLACE = "/dev/shm";
const HERE = { pid: 1, begun: "1", seenFrom: "here" };

describe.runIf(process.platform === "linux" && existsSync(PLACE))("a worker's folder in memory", () => {
  const uid = process.getuid?.() ?? 0;
  let place: string;
  let homes: string;
  let alive: (typeof HERE)[];
  beforeEach(() => {
    place = mkdtempSync(join(PLACE, "tah-test-"));
    homes = mkdtempSync(join(tmpdir(), "tah-homes-"));
    alive = [];
  });
  afterEach(() => {
    for (const folder of [place, homes]) rmSync(folder, { recursive: true, force: true });
  });
  const own = (): string => join(place, `train-at-home-${uid}`);
  const folderOf = (
    home: string,
    { self = HERE, now = Date.now(), lockWaitMs = 5_000 } = {},
  ): string | null =>
    memoryFolder(home, {
      place,
      uid,
      now,
      self,
      lockWaitMs,
      isAlive: (process) =>
        process.seenFrom === "here" ? alive.some(({ pid }) => pid === process.pid) : null,
    });
  const dataFolder = (name: string): string => {
    mkdirSync(join(homes, name));
    return join(homes, name);
  };
  const left = (home: string, self = HERE): string => {
    const path = folderOf(home, { self }) ?? "";
    writeFileSync(join(path, "slot"), "state");
    return path;
  };

  it("has beside it one for what all workers of a daemon send each other, which is empty at every start and gone at the end", () => {
    const shared = { place, uid, now: 0, self: HERE, lockWaitMs: 5_000, isAlive: () => null };
    const home = dataFolder("home");
    const states = left(home);
    const lanes = laneFolder(home, shared) ?? "";
    mkdirSync(join(lanes, "folder"));
    writeFileSync(join(lanes, "lane"), "left by a process that was killed");
    expect(laneFolder(home, shared)).toBe(lanes);
    expect(readdirSync(lanes)).toEqual([]);
    writeFileSync(join(lanes, "another"), "");
    leaveLaneFolder(lanes);
    expect([lanes, states].map((path) => existsSync(path))).toEqual([false, true]);
  });

  it("is removed with whatever else lies in the same folder, and nothing beside it is", () => {
    const [first, second, other] = ["a", "a/b", "ab"].map((name) => left(dataFolder(name)));
    removeMemoryOf(join(homes, "a", "b"), {
      place,
      uid,
      now: 0,
      self: HERE,
      lockWaitMs: 0,
      isAlive: () => null,
    });
    expect([first, second, other].map((path) => existsSync(path ?? ""))).toEqual([true, true, true]);
    removeMemoryOf(homes, { place, uid, now: 0, self: HERE, lockWaitMs: 0, isAlive: () => null });
    expect(readdirSync(own())).toEqual(["lock.db"]);
  });

  it("is the same for the next daemon of the same data folder, and another one for another", () => {
    const [a, b] = [dataFolder("a"), dataFolder("b")];
    const first = folderOf(a);
    expect(first).toMatch(new RegExp(`^${own()}/[0-9a-f]{16}$`));
    expect(folderOf(a)).toBe(first);
    expect(folderOf(b)).not.toBe(first);
  });

  it("is removed with what is in it when nobody has come back for a day, but not from under a daemon that waits", () => {
    const [dead, waits] = [dataFolder("dead"), dataFolder("waits")];
    const [ofDead, ofWaiting] = [left(dead), left(waits, { ...HERE, pid: 2 })];
    alive = [{ ...HERE, pid: 2 }];
    folderOf(dataFolder("b"), { now: Date.now() + DAY_MS / 2 });
    expect([existsSync(ofDead), existsSync(ofWaiting)]).toEqual([true, true]);
    const other = folderOf(dataFolder("c"), { now: Date.now() + 2 * DAY_MS }) ?? "";
    expect([ofDead, `${ofDead}.json`, ofWaiting, other].map((path) => existsSync(path))).toEqual([
      false,
      false,
      true,
      true,
    ]);
  });

  it("goes with its data folder at the next start of any daemon, where its own is not alive", () => {
    const homesOf = { deleted: dataFolder("deleted"), kept: dataFolder("kept"), runs: dataFolder("runs") };
    const foreign = dataFolder("foreign");
    const gone = left(homesOf.deleted);
    const kept = left(homesOf.kept);
    const runs = left(homesOf.runs, { ...HERE, pid: 2 });
    const elsewhere = left(foreign, { ...HERE, seenFrom: "a container" });
    alive = [{ ...HERE, pid: 2 }];
    for (const home of [homesOf.deleted, homesOf.runs, foreign]) rmSync(home, { recursive: true });
    folderOf(dataFolder("next"));
    expect([gone, `${gone}.json`].map((path) => existsSync(path))).toEqual([false, false]);
    expect([kept, runs, elsewhere].map((path) => readdirSync(path))).toEqual([["slot"], ["slot"], ["slot"]]);
  });

  it("of a daemon that was killed and whose data folder was deleted goes, and not a moment before it is dead", async () => {
    const home = dataFolder("killed");
    const script = `const { memoryFolder } = await import(${JSON.stringify(join(import.meta.dirname, "memory-folder.ts"))});
      const { livingProcess, processHere } = await import(${JSON.stringify(join(import.meta.dirname, "process-identity.ts"))});
      console.log(memoryFolder(${JSON.stringify(home)}, { place: ${JSON.stringify(place)}, uid: ${uid}, now: Date.now(), self: processHere(), isAlive: livingProcess, lockWaitMs: 5000 }));
      setInterval(() => {}, 1000);`;
    const daemon = spawn(process.execPath, ["--input-type=module", "-e", script], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const ended = once(daemon, "exit");
    const [path] = (await once(daemon.stdout, "data")).map((data) => String(data).trim());
    rmSync(home, { recursive: true });
    const self = processHere();
    if (self === null || path === undefined) throw new Error("Linux tells who runs.");
    const ports = { place, uid, now: Date.now(), self, isAlive: livingProcess, lockWaitMs: 5_000 };
    memoryFolder(dataFolder("next"), ports);
    expect(existsSync(path)).toBe(true);
    daemon.kill("SIGKILL");
    await ended;
    memoryFolder(dataFolder("third"), ports);
    expect(existsSync(path)).toBe(false);
  });

  it("that is empty goes when its worker ends; what one that was killed has there stays for the next", () => {
    const [a, b] = [dataFolder("a"), dataFolder("b")];
    leaveMemoryFolder(folderOf(a) ?? "");
    const kept = left(b);
    leaveMemoryFolder(kept);
    expect(readdirSync(own()).filter((name) => name !== "lock.db")).toEqual([
      kept.slice(-16),
      `${kept.slice(-16)}.json`,
    ]);
  });

  it("a link in its place is removed, and not what it points to", () => {
    const path = left(dataFolder("a"));
    rmSync(join(homes, "a"), { recursive: true });
    const elsewhere = dataFolder("elsewhere");
    writeFileSync(join(elsewhere, "precious"), "");
    rmSync(path, { recursive: true });
    symlinkSync(elsewhere, path);
    folderOf(dataFolder("b"));
    expect(existsSync(path)).toBe(false);
    expect(readdirSync(elsewhere)).toEqual(["precious"]);
  });

  it("nothing is removed or made while another daemon does that", () => {
    const gone = left(dataFolder("gone"));
    rmSync(join(homes, "gone"), { recursive: true });
    const next = dataFolder("next");
    withLock(join(own(), "lock.db"), 0, () => {
      expect(folderOf(next, { lockWaitMs: 50 })).toBe(null);
      expect(existsSync(gone)).toBe(true);
    });
    expect(folderOf(next)).not.toBe(null);
    expect(existsSync(gone)).toBe(false);
  });

  it("is not taken where another user may have put it, and not on a disk", () => {
    const home = dataFolder("a");
    mkdirSync(own());
    chmodSync(own(), 0o770);
    expect(folderOf(home)).toBe(null);
    rmSync(own(), { recursive: true });
    const elsewhere = mkdtempSync(join(PLACE, "tah-test-"));
    symlinkSync(elsewhere, own());
    expect(folderOf(home)).toBe(null);
    rmSync(elsewhere, { recursive: true });
    rmSync(own());
    mkdirSync(own(), { mode: 0o700 });
    const ports = { now: Date.now(), self: HERE, isAlive: () => null, lockWaitMs: 0 };
    expect(memoryFolder(home, { ...ports, place, uid: uid + 1 })).not.toBe(folderOf(home));
    expect(memoryFolder(home, { ...ports, place: tmpdir(), uid })).toBe(null);
  });
});
