import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { readFileSync } from "node:fs";
import { setTimeout as wait } from "node:timers/promises";

/** Who runs what, where in the root, and with which environment. */
export interface Process {
  readonly user: string;
  readonly folder: string;
  readonly env: Readonly<Record<string, string>>;
  readonly words: readonly string[];
}

/** As Docker mounts them: of the devices those that say nothing of the computer, and 64 MB for shared memory. */
const MOUNTS = `set -e
root=$1; shift
mount -t proc proc "$root/proc"
mount -t tmpfs -o mode=755,nosuid tmpfs "$root/dev"
for device in null zero full random urandom tty; do
  touch "$root/dev/$device"
  mount --bind "/dev/$device" "$root/dev/$device"
done
ln -s /proc/self/fd "$root/dev/fd"
mkdir "$root/dev/shm"
mount -t tmpfs -o mode=1777,nosuid,nodev,size=64m tmpfs "$root/dev/shm"
`;
const NETWORK_OF_ITS_OWN = "ip link set lo up\n";
const START_WITHIN_MS = 10_000;

/** Starts a process as the first of namespaces of its own; all that it starts ends with it. `network`: the computer's, or its own without a way out. */
export function startIn(root: string, what: Process, network: "computer's" | "own"): ChildProcess {
  const own = network === "own" ? ["--net"] : [];
  const script = `${MOUNTS}${network === "own" ? NETWORK_OF_ITS_OWN : ""}exec "$@"`;
  const flags = ["--mount", "--pid", "--ipc", "--uts", ...own, "--fork", "--kill-child"];
  const words = [
    ...flags,
    "--propagation",
    "private",
    "sh",
    "-c",
    script,
    "sh",
    root,
    ...changedRoot(root, what),
  ];
  return spawn("unshare", words, { stdio: ["ignore", "pipe", "pipe"], env: what.env });
}

/** The number that the first process of the namespaces has outside of them. */
export async function firstProcess(of: ChildProcess): Promise<number> {
  const end = performance.now() + START_WITHIN_MS;
  for (;;) {
    const [child] = readFileSync(`/proc/${of.pid}/task/${of.pid}/children`, "utf8").split(" ");
    if (child !== undefined && child !== "") return Number(child);
    if (performance.now() > end) throw new Error("The namespaces have no first process.");
    await wait(50);
  }
}

/** Another process in the namespaces of `first`, as `docker exec` starts it; what it says. */
export function runBeside(
  first: number,
  root: string,
  what: Process,
  timeoutMs: number,
): { readonly code: number | null; readonly out: string; readonly error: string } {
  const flags = ["--target", String(first), "--mount", "--pid", "--ipc", "--uts", "--net"];
  const run = spawnSync("nsenter", [...flags, ...changedRoot(root, what)], {
    encoding: "utf8",
    env: what.env,
    timeout: timeoutMs,
  });
  return { code: run.status, out: run.stdout, error: run.stderr };
}

function changedRoot(root: string, { user, folder, words }: Process): string[] {
  const enter = 'cd "$1" && shift && exec "$@"';
  return ["chroot", `--userspec=${user}`, "--groups=", root, "/bin/sh", "-c", enter, "sh", folder, ...words];
}
