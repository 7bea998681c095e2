import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";

/** Debian's `user-mode-linux`: a kernel of its own as a program, with this computer's files, which it may not write. */
const KERNEL = ["/usr/bin/linux.uml"].find((path) => existsSync(path));
const FIRST_PROCESS = `#!/bin/bash
mount -t proc proc /proc
mount -t cgroup2 none /sys/fs/cgroup
cd /sys/fs/cgroup
mkdir service
echo "+cpu +memory" > cgroup.subtree_control
# A service: alone in a group that was handed over to it.
/bin/bash -c 'echo $$ > service/cgroup.procs; exec "$0" "$1"' NODE PROGRAM
halt -f 2>/dev/null || echo o > /proc/sysrq-trigger
`;
const PROGRAM = `
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
const { WorkGroup } = await import("MODULE");
const group = WorkGroup.open({ root: "/sys/fs/cgroup", proc: "/proc", pid: process.pid });
group.limit({ cores: 1, quiet: false, memoryMegabytes: 200 }, 4);
const read = (name) => readFileSync("/sys/fs/cgroup/service/workers/" + name, "utf8").trim();
const greedy = "setTimeout(() => { for (const held = []; held.length < 400;) held.push(Buffer.alloc(1e6, 1)); }, 1000)";
const worker = spawn(process.execPath, ["-e", greedy], { stdio: "ignore" });
group.take(worker.pid);
const inside = read("cgroup.procs") === String(worker.pid);
worker.once("exit", (code, signal) => {
  const killed = /oom_kill (\\d+)/.exec(read("memory.events"))[1];
  const said = { why: group.why, cpu: read("cpu.max"), memory: read("memory.max"), inside, signal, killed };
  console.log("\\nSAID " + JSON.stringify(said));
});
`;

it.skipIf(KERNEL === undefined)(
  "a real kernel with cgroup v2 holds the workers to cores and memory, and ends who takes more; the daemon lives",
  () => {
    const folder = mkdtempSync(join(tmpdir(), "tah-kernel-"));
    try {
      const first = join(folder, "first");
      const program = join(folder, "program.mjs");
      const words = { NODE: process.execPath, PROGRAM: program };
      const module = join(import.meta.dirname, "work-group.ts");
      writeFileSync(program, PROGRAM.replace("MODULE", module));
      writeFileSync(
        first,
        FIRST_PROCESS.replace(/\b(NODE|PROGRAM)\b/g, (name) => `"${words[name as keyof typeof words]}"`),
      );
      chmodSync(first, 0o755);
      const kernel = [
        "mem=1G",
        "rootfstype=hostfs",
        "rootflags=/",
        "ro",
        "con=null",
        "con0=fd:0,fd:1",
        "quiet",
      ];
      const { stdout } = spawnSync(KERNEL ?? "", [...kernel, `init=${first}`], {
        encoding: "utf8",
        timeout: 150_000,
        killSignal: "SIGKILL",
        env: { ...process.env, TMPDIR: folder, HOME: folder },
      });
      expect(JSON.parse(/^SAID (.*)$/m.exec(stdout)?.[1] ?? JSON.stringify(stdout.slice(-2000)))).toEqual({
        why: null,
        cpu: "100000 100000",
        memory: "199999488",
        inside: true,
        signal: "SIGKILL",
        killed: "1",
      });
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },
  180_000,
);
