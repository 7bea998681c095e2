import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/**
 * `npm run service:test`: the service of a real systemd where there is none. Debian's `user-mode-linux` is a kernel
 * as a program, with this computer's files, which it may not write; in it a person's own systemd runs, and
 * src-cli/service/service-systemd.test.ts against it. Takes about four minutes.
 */
const KERNEL = "/usr/bin/linux.uml";
const SYSTEMD = "/lib/systemd/systemd";
const LIMIT_MS = 900_000;

const FIRST_PROCESS = `#!/bin/bash
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
for folder in /run /tmp; do mount -t tmpfs none $folder; done
mkdir -p /dev/shm; mount -t tmpfs none /dev/shm
mount -t cgroup2 none /sys/fs/cgroup
ip link set lo up
# By the first of them systemd knows that it was started by itself.
mkdir -p /run/systemd/system /run/user/0 /run/config /run/home
chmod 700 /run/user/0
export TMPDIR=/tmp XDG_RUNTIME_DIR=/run/user/0 XDG_CONFIG_HOME=/run/config HOME=/run/home
cd /sys/fs/cgroup
mkdir -p user/manager
for group in . user; do echo "+cpu +memory +pids" > $group/cgroup.subtree_control; done
(echo $BASHPID > user/manager/cgroup.procs; exec ${SYSTEMD} --user --log-level=warning) &
for i in $(seq 100); do systemctl --user show-environment > /dev/null 2>&1 && break; sleep 0.3; done
cd "$ROOT"
"$NODE" node_modules/vitest/vitest.mjs run --reporter=verbose --configLoader runner src-cli/service/service-systemd.test.ts
echo "ENDED $?"
halt -f 2>/dev/null || echo o > /proc/sysrq-trigger
`;

function trial(): number {
  const missing = [KERNEL, SYSTEMD].filter((path) => !existsSync(path));
  if (missing.length > 0) {
    process.stderr.write(`Not here: ${missing.join(", ")} (Debian: apt install user-mode-linux systemd).\n`);
    return 2;
  }
  const root = join(import.meta.dirname, "..");
  // The files of the daemon cannot be made where nothing may be written.
  spawnSync(process.execPath, [join(root, "scripts", "daemon-bundle.ts")], { stdio: "ignore" });
  const folder = mkdtempSync(join(tmpdir(), "tah-systemd-"));
  try {
    const first = join(folder, "first");
    const words = { ROOT: root, NODE: process.execPath };
    const script = FIRST_PROCESS.replace(/\$(ROOT|NODE)\b/g, (_, name: keyof typeof words) => words[name]);
    writeFileSync(first, script);
    chmodSync(first, 0o755);
    const kernel = [
      "mem=3G",
      "rootfstype=hostfs",
      "rootflags=/",
      "ro",
      "con=null",
      "con0=fd:0,fd:1",
      "quiet",
    ];
    const { stdout } = spawnSync(KERNEL, [...kernel, `init=${first}`], {
      encoding: "utf8",
      timeout: LIMIT_MS,
      killSignal: "SIGKILL",
      env: { ...process.env, TMPDIR: folder, HOME: folder },
    });
    process.stdout.write(stdout);
    return /ENDED 0\b/.test(stdout) && !stdout.includes("1 skipped") ? 0 : 1;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

process.exitCode = trial();
