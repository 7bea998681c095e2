import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { WorkGroup } from "./work-group.ts";

/** The kernel's files of groups, as a service with `Delegate=cpu memory` finds them. */
const UNIT = "/user.slice/user-1000.slice/user@1000.service/app.slice/train-at-home.service";
let top: string;
beforeEach(() => {
  top = mkdtempSync(join(tmpdir(), "tah group "));
  write("sys/cgroup.controllers", "cpu memory io");
  write("proc/77/cgroup", `0::${UNIT}\n`);
  write(`sys${UNIT}/cgroup.procs`, "77\n");
  write(`sys${UNIT}/cgroup.subtree_control`, "");
  write(`sys${UNIT}/cgroup.controllers`, "cpu memory\n");
});
afterEach(() => rmSync(top, { recursive: true, force: true }));

function write(name: string, text: string): void {
  mkdirSync(join(top, name, ".."), { recursive: true });
  writeFileSync(join(top, name), text);
}
function inShell(): void {
  write(`sys${UNIT}/cgroup.procs`, "12\n77\n");
  write("proc/12/status", "Name:\tbash\nPPid:\t1\n");
}
const read = (name: string): string => readFileSync(join(top, `sys${UNIT}`, name), "utf8");
const open = () => WorkGroup.open({ root: join(top, "sys"), proc: join(top, "proc"), pid: 77 });
const none = { cores: null, quiet: false, memoryMegabytes: null };

describe("the kernel's group for workers", () => {
  it("holds all of them together to cores and memory", () => {
    const group = open();
    expect(group.why).toBeNull();
    expect(read("daemon/cgroup.procs")).toBe("77");
    expect(read("cgroup.subtree_control")).toBe("+cpu +memory");
    group.limit({ cores: 2, quiet: false, memoryMegabytes: 4000 }, 8);
    expect([read("workers/cpu.max"), read("workers/memory.max")]).toEqual(["200000 100000", "4000000000"]);
    group.limit({ ...none, quiet: true }, 8);
    expect(read("workers/cpu.max")).toBe("400000 100000");
    group.limit(none, 8);
    expect([read("workers/cpu.max"), read("workers/memory.max")]).toEqual(["max 100000", "max"]);
  });

  it("is the daemon's own also when it has started others before", () => {
    write(`sys${UNIT}/cgroup.procs`, "79\n77\n78\n");
    write("proc/78/status", "Name:\tnode\nPPid:\t77\n");
    write("proc/79/status", "Name:\tnode\nPPid:\t78\n");
    expect(open().why).toBeNull();
    expect(read("daemon/cgroup.procs")).toBe("78");
  });

  it("takes a worker in, and what it has started", () => {
    write("proc/80/task/80/children", "81 ");
    write("proc/81/task/81/children", "");
    const group = open();
    group.take(80);
    // A file keeps the last one; the kernel takes each.
    expect(read("workers/cgroup.procs")).toBe("81");
  });

  it.each([
    ["without cgroup v2", () => rmSync(join(top, "sys/cgroup.controllers")), /no cgroup v2/],
    ["in a shell's group", inShell, /not started as a service/],
    ["where nothing is handed over", () => write(`sys${UNIT}/cgroup.controllers`, "pids"), /Delegate=/],
  ])("%s it stays away, and says why", (_, change, why) => {
    change();
    const group = open();
    expect(group.why).toMatch(why);
    group.limit({ ...none, cores: 1 }, 8);
    expect(() => read("workers/cpu.max")).toThrow("ENOENT");
  });
});
