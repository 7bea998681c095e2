import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { inUserModeKernel, USER_MODE_KERNEL } from "../src-protocol/user-mode-kernel.test-support.ts";

/**
 * `npm run service:test`: the service of a real systemd where there is none. A person's own systemd runs in
 * namespaces of its own where root may make them, else in Debian's `user-mode-linux`, a kernel as a program, with
 * this computer's files, which it may not write; and src-cli/service/service-systemd.test.ts against it.
 */
const SYSTEMD = "/lib/systemd/systemd";
const LIMIT_MS = 900_000;

/** In both of them; ROOT and NODE stand for paths. */
const TRIAL = `export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
for folder in /run /tmp; do mount -t tmpfs none $folder; done
# By the first of them systemd knows that it was started by itself.
mkdir -p /run/systemd/system /run/user/0 /run/config /run/home
chmod 700 /run/user/0
export TMPDIR=/tmp XDG_RUNTIME_DIR=/run/user/0 XDG_CONFIG_HOME=/run/config HOME=/run/home
cd /sys/fs/cgroup
mkdir -p user/manager first
echo $$ > first/cgroup.procs
for group in . user; do for one in cpu memory pids; do echo "+$one" > $group/cgroup.subtree_control; done; done 2>/dev/null
(echo $BASHPID > user/manager/cgroup.procs; exec ${SYSTEMD} --user --log-level=warning) &
for i in $(seq 100); do systemctl --user show-environment > /dev/null 2>&1 && break; sleep 0.3; done
cd ROOT
NODE node_modules/vitest/vitest.mjs run --reporter=verbose --configLoader runner src-cli/service/service-systemd.test.ts
echo "ENDED $?"
`;
const IN_KERNEL = `mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
mkdir -p /dev/shm; mount -t tmpfs none /dev/shm
mount -t cgroup2 none /sys/fs/cgroup
ip link set lo up
${TRIAL}`;
const GROUP = `tah-service-trial-${process.pid}`;
/** A group of this computer's kernel, in which the rest sees nothing above it. */
const IN_NAMESPACES = `set -e
mount -t proc proc /proc
mount -t cgroup2 none /sys/fs/cgroup
mkdir /sys/fs/cgroup/${GROUP}
echo $$ > /sys/fs/cgroup/${GROUP}/cgroup.procs
umount /sys/fs/cgroup
exec unshare --cgroup --mount bash -c 'mount -t cgroup2 none /sys/fs/cgroup; eval "$0"' "$0"
`;
const NAMESPACES = ["--mount", "--propagation", "private"];

function trial(): number {
  if (!existsSync(SYSTEMD)) {
    process.stdout.write(`skipped: there is no systemd here (${SYSTEMD}).\n`);
    return 0;
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
  const run = mayMakeNamespaces() ? inNamespaces(words) : inKernel(words);
  if (!run.started) {
    process.stdout.write(`skipped: ${run.why}.\n`);
    return 0;
  }
  process.stdout.write(run.said);
  return /ENDED 0\b/.test(run.said) && !run.said.includes("1 skipped") ? 0 : 1;
}

type Run = ReturnType<typeof inUserModeKernel>;
type Words = Readonly<Record<"ROOT" | "NODE", string>>;

function mayMakeNamespaces(): boolean {
  const tried = ["--pid", "--cgroup", "--fork", "sh", "-c", "mount -t cgroup2 none /sys/fs/cgroup"];
  return process.getuid?.() === 0 && spawnSync("unshare", [...NAMESPACES, ...tried]).status === 0;
}

function inNamespaces({ ROOT, NODE }: Words): Run {
  const text = TRIAL.replaceAll("ROOT", `"${ROOT}"`).replaceAll("NODE", `"${NODE}"`);
  const words = [...NAMESPACES, "--pid", "--fork", "--kill-child", "bash", "-c", IN_NAMESPACES, text];
  const { stdout, stderr } = spawnSync("unshare", words, { encoding: "utf8", timeout: LIMIT_MS });
  // What is left of the group is empty: all that was in it ended with the first process.
  const remove = `mount -t cgroup2 none /sys/fs/cgroup; find /sys/fs/cgroup/${GROUP} -depth -type d -exec rmdir {} +`;
  spawnSync("unshare", [...NAMESPACES, "sh", "-c", remove]);
  return { started: true, said: `${stdout}${stderr}` };
}

function inKernel(words: Words): Run {
  if (!existsSync(USER_MODE_KERNEL))
    return {
      started: false,
      why: `only root may make namespaces here, and there is no ${USER_MODE_KERNEL} (Debian: apt install user-mode-linux)`,
    };
  return inUserModeKernel(IN_KERNEL, words, { memory: "3G", timeoutMs: LIMIT_MS });
}

process.exitCode = trial();
