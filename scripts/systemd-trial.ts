import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { inUserModeKernel, USER_MODE_KERNEL } from "../src-protocol/user-mode-kernel.test-support.ts";

/**
 * `npm run service:test`: the service of a real systemd where there is none. Debian's `user-mode-linux` is a kernel
 * as a program, with this computer's files, which it may not write; in it a person's own systemd runs, and
 * src-cli/service/service-systemd.test.ts against it. Takes about four minutes.
 */
const SYSTEMD = "/lib/systemd/systemd";
const LIMIT_MS = 900_000;

const FIRST_PROCESS = `export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
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
cd ROOT
NODE node_modules/vitest/vitest.mjs run --reporter=verbose --configLoader runner src-cli/service/service-systemd.test.ts
echo "ENDED $?"
`;

function trial(): number {
  const missing = [USER_MODE_KERNEL, SYSTEMD].filter((path) => !existsSync(path));
  if (missing.length > 0) {
    process.stderr.write(`Not here: ${missing.join(", ")} (Debian: apt install user-mode-linux systemd).\n`);
    return 2;
  }
  const root = join(import.meta.dirname, "..");
  // The files of the daemon cannot be made where nothing may be written.
  const bundle = spawnSync(process.execPath, [join(root, "scripts", "daemon-bundle.ts")], {
    encoding: "utf8",
  });
  if (bundle.status !== 0) {
    process.stderr.write(`The daemon's files could not be built, so nothing was tried:\n${bundle.stderr}`);
    return 1;
  }
  const words = { ROOT: root, NODE: process.execPath };
  const run = inUserModeKernel(FIRST_PROCESS, words, { memory: "3G", timeoutMs: LIMIT_MS });
  if (!run.started) {
    process.stdout.write(`skipped: ${run.why}.\n`);
    return 0;
  }
  const { said } = run;
  process.stdout.write(said);
  return /ENDED 0\b/.test(said) && !said.includes("1 skipped") ? 0 : 1;
}

process.exitCode = trial();
