import { spawnSync } from "node:child_process";
import { existsSync, realpathSync, statSync } from "node:fs";
import { constants } from "node:os";
import { dirname } from "node:path";

/** What the owner's account can see is not there for who is in the box, but for these. */
const SYSTEM = [
  "/usr",
  "/bin",
  "/sbin",
  "/lib",
  "/lib32",
  "/lib64",
  "/opt/rocm",
  "/sys",
  "/etc/alpine-release",
  "/etc/alternatives",
  "/etc/hosts",
  "/etc/ld.so.cache",
  "/etc/ld.so.conf",
  "/etc/ld.so.conf.d",
  "/etc/localtime",
  "/etc/nsswitch.conf",
  "/etc/resolv.conf",
  "/etc/ssl/certs",
  "/etc/vulkan",
];
/** Where cards are. */
const DEVICES = [
  "/dev/dri",
  "/dev/kfd",
  "/dev/dxg",
  "/dev/nvidiactl",
  "/dev/nvidia-uvm",
  "/dev/nvidia-uvm-tools",
  "/dev/nvidia-modeset",
  "/dev/nvidia-caps",
  ...Array.from({ length: 16 }, (_, index) => `/dev/nvidia${index}`),
];
const NAMES = ["/usr/bin/bwrap", "/usr/local/bin/bwrap", "/bin/bwrap"];
const TRIAL_MS = 5_000;

/** What is bound into a box: the same paths as outside. */
export interface BoxPaths {
  readonly read: readonly string[];
  readonly write: readonly string[];
}

/** Whether a worker can be put in a box here; `why` not, in words for the owner. */
export type BoxState =
  | { readonly works: true; readonly program: string }
  | { readonly works: false; readonly why: string };

/**
 * SECURITY: bubblewrap's words for a box of a process's own: no file but what is named, no other process,
 * no capability, ended with us. It keeps the network, abstract sockets of the desktop included: a worker
 * without lines is of no use. To the kernel itself it is as open as any program.
 */
export function boxWords({ read, write }: BoxPaths): string[] {
  const resolver = resolvedFolder("/etc/resolv.conf");
  return [
    "--die-with-parent",
    "--unshare-user-try",
    "--unshare-pid",
    "--unshare-ipc",
    "--unshare-uts",
    "--unshare-cgroup-try",
    "--cap-drop",
    "ALL",
    ...[...SYSTEM, ...resolver].flatMap((path) => ["--ro-bind-try", path, path]),
    "--proc",
    "/proc",
    "--dev",
    "/dev",
    ...DEVICES.flatMap((path) => ["--dev-bind-try", path, path]),
    "--tmpfs",
    "/tmp",
    ...read.flatMap((path) => ["--ro-bind-try", path, path]),
    ...write.flatMap((path) => ["--bind-try", path, path]),
    // A folder that could not be bound must not be made anew in here, where it is gone with the process.
    "--remount-ro",
    "/",
    "--chdir",
    "/",
    "--",
  ];
}

/** Tries with the very words and the very program that a worker is started with. */
export function triedBox(paths: BoxPaths, node = process.execPath): BoxState {
  if (process.platform !== "linux") return { works: false, why: "this system has no bubblewrap" };
  const program = NAMES.find((name) => existsSync(name));
  if (program === undefined)
    return {
      works: false,
      why: "bubblewrap is not installed (on Debian and Ubuntu: apt install bubblewrap)",
    };
  const { status, stderr, error } = spawnSync(program, [...boxWords(paths), node, "--version"], {
    encoding: "utf8",
    timeout: TRIAL_MS,
    env: {},
  });
  if (status === 0) return { works: true, program };
  const said = (error?.message ?? stderr).trim().split("\n").at(-1)?.slice(0, 200) ?? "";
  return { works: false, why: `bubblewrap does not work here (${said})` };
}

/** bubblewrap tells of a signal as a shell does: 128 and its number. */
export function endingInBox(
  code: number | null,
  signal: NodeJS.Signals | null,
): [number | null, NodeJS.Signals | null] {
  if (code === null || code <= 128) return [code, signal];
  const found = Object.entries(constants.signals).find(([, number]) => number === code - 128)?.[0];
  return found === undefined ? [code, signal] : [null, found as NodeJS.Signals];
}

/** A link's target may be written anew while we run; its folder is what stays. */
function resolvedFolder(path: string): string[] {
  try {
    const folder = dirname(realpathSync(path));
    return folder.startsWith("/run/") && statSync(folder).isDirectory() ? [folder] : [];
  } catch {
    return [];
  }
}
