import { execFile } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { Failure } from "../../src-protocol/failure.ts";
import {
  LAUNCHD_LABEL,
  launchdPlist,
  SERVICE_NAME,
  type ServiceFile,
  type ServicePlan,
  systemdUnit,
  windowsTask,
} from "./service-files.ts";

/** Runs a program and says how it ended; null: it is not there. */
export type Run = (command: string, args: readonly string[]) => Promise<{ code: number; out: string } | null>;

export interface ServicePorts {
  readonly platform: NodeJS.Platform;
  readonly plan: ServicePlan;
  readonly run: Run;
  /** Of the person; -1 where there is no such number. */
  readonly uid: number;
}

interface Manager {
  readonly name: string;
  readonly file: ServiceFile;
  readonly install: readonly (readonly [string, ...string[]])[];
  readonly remove: readonly (readonly [string, ...string[]])[];
  readonly note: string;
}

function managerOf({ platform, plan, uid }: ServicePorts): Manager {
  switch (platform) {
    case "linux":
      return {
        name: "systemd",
        file: systemdUnit(plan),
        install: [
          ["systemctl", "--user", "daemon-reload"],
          ["systemctl", "--user", "enable", "--now", `${SERVICE_NAME}.service`],
        ],
        remove: [["systemctl", "--user", "disable", "--now", `${SERVICE_NAME}.service`]],
        note: "It runs while you are signed in. On a server, `loginctl enable-linger` lets it run without that.",
      };
    case "darwin": {
      const file = launchdPlist(plan);
      return {
        name: "launchd",
        file,
        install: [["launchctl", "bootstrap", `gui/${uid}`, file.path]],
        remove: [["launchctl", "bootout", `gui/${uid}/${LAUNCHD_LABEL}`]],
        note: "It runs while you are signed in.",
      };
    }
    case "win32": {
      const file = windowsTask(plan);
      return {
        name: "Windows' task scheduler",
        file,
        install: [
          ["schtasks.exe", "/Create", "/F", "/TN", SERVICE_NAME, "/XML", file.path],
          ["schtasks.exe", "/Run", "/TN", SERVICE_NAME],
        ],
        remove: [["schtasks.exe", "/Delete", "/F", "/TN", SERVICE_NAME]],
        note: "It runs while you are signed in.",
      };
    }
    default:
      throw new Failure(
        "no-service-manager",
        `There is no service manager known for ${platform}. Start \`tah up\` by other means.`,
      );
  }
}

/** Writes the unit and starts it. What was there of an earlier install is replaced. */
export async function installService(ports: ServicePorts): Promise<{ file: string; text: string }> {
  const { name, file, install, note } = managerOf(ports);
  const before = readOrNull(file.path);
  write(file, ports.platform);
  for (const [command, ...args] of install) {
    const ended = await ports.run(command, args);
    if (ended?.code === 0) continue;
    // What does not start shall not start half at the next sign-in.
    if (before === null) rmSync(file.path, { force: true });
    else writeFileSync(file.path, before);
    throw new Failure(
      "service-not-installed",
      ended === null
        ? `${command} is not there, so nothing can be installed: this system is run without ${name}. Start \`tah up\` by its own means.`
        : `${refusal(name, [command, ...args].join(" "), lastLine(ended.out))} Nothing was installed.`,
    );
  }
  return {
    file: file.path,
    text: `Installed: it starts with your sign-in, and has started now.\n${note}\n${file.path}`,
  };
}

export async function removeService(ports: ServicePorts): Promise<{ file: string; text: string }> {
  const { file, remove } = managerOf(ports);
  if (readOrNull(file.path) === null)
    return { file: file.path, text: "It was not installed: nothing starts by itself." };
  for (const [command, ...args] of remove) await ports.run(command, args);
  rmSync(file.path, { force: true });
  if (ports.platform === "linux") await ports.run("systemctl", ["--user", "daemon-reload"]);
  return {
    file: file.path,
    text: "Removed: it has ended, and starts by itself no more. What it has kept stays.",
  };
}

function write({ path, text }: ServiceFile, platform: NodeJS.Platform): void {
  mkdirSync(dirname(path), { recursive: true });
  // schtasks reads UTF-16 alone.
  if (platform === "win32") writeFileSync(path, `\uFEFF${text}`, "utf16le");
  else writeFileSync(path, text, { mode: 0o644 });
}

function readOrNull(path: string): Buffer | null {
  try {
    return readFileSync(path);
  } catch {
    return null;
  }
}

function refusal(name: string, command: string, said: string): string {
  return /failed to connect to .*bus|host is down|no medium found/i.test(said)
    ? `${name} cannot be reached from here: nobody of this account is signed in with a session of its own, as in a container, after \`su\`, or on a server. There, \`loginctl enable-linger\` makes one; then try again, or start \`tah up\` by other means.`
    : `${name} refused (${command}): ${said}.`;
}

function lastLine(text: string): string {
  return text.trim().split("\n").at(-1) ?? "no reason given";
}

export const runProgram: Run = (command, args) =>
  new Promise((resolve) => {
    execFile(command, args, { timeout: 30_000, windowsHide: true }, (error, out, err) => {
      if (error !== null && "code" in error && error.code === "ENOENT") return resolve(null);
      resolve({
        code: error === null ? 0 : typeof error.code === "number" ? error.code : 1,
        out: `${out}${err}`,
      });
    });
  });
