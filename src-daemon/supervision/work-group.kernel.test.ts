import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { hasUserModeKernel, inUserModeKernel } from "../../src-protocol/user-mode-kernel.test-support.ts";

const FIRST_PROCESS = `mount -t proc proc /proc
mount -t cgroup2 none /sys/fs/cgroup
cd /sys/fs/cgroup
mkdir service
echo "+cpu +memory" > cgroup.subtree_control
# A service: alone in a group that was handed over to it.
/bin/bash -c 'echo $$ > service/cgroup.procs; exec "$0" "$1"' NODE PROGRAM
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

it.skipIf(!hasUserModeKernel())(
  "a real kernel with cgroup v2 holds the workers to cores and memory, and ends who takes more; the daemon lives",
  (test) => {
    const folder = mkdtempSync(join(tmpdir(), "tah-program-"));
    try {
      const program = join(folder, "program.mjs");
      writeFileSync(program, PROGRAM.replace("MODULE", join(import.meta.dirname, "work-group.ts")));
      const words = { NODE: process.execPath, PROGRAM: program };
      const run = inUserModeKernel(FIRST_PROCESS, words, { memory: "1G", timeoutMs: 150_000 });
      if (!run.started) return test.skip(run.why);
      const { said } = run;
      expect(JSON.parse(/^SAID (.*)$/m.exec(said)?.[1] ?? JSON.stringify(said.slice(-2000)))).toEqual({
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
