import { spawn } from "node:child_process";

const WHO = "Train at Home";
const WHY = "It trains a model";
/** Whoever refuses at once refuses for a while. */
const RETRY_MS = 5 * 60_000;

/** A program that keeps the system awake until it ends; it ends when its standard input does. */
export interface Inhibitor {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
}

/** What runs now; `ended` is called once, also when it could not start. */
export interface Held {
  end(): void;
}
export type Hold = (inhibitor: Inhibitor, ended: (why: string) => void) => Held;

/**
 * By platform and desktop. Each keeps the system from going to sleep by itself; the screen may go dark,
 * and a person's own "Sleep" or a closed lid still count. logind knows of its own idle action only;
 * GNOME and KDE have timers of theirs. `cat` ends with our pipe, so nothing is left when the daemon is killed.
 */
export function inhibitors(
  platform: NodeJS.Platform,
  environment: Readonly<Record<string, string | undefined>>,
): Inhibitor[] {
  if (platform === "darwin")
    return [{ name: "caffeinate", command: "/usr/bin/caffeinate", args: ["-i", "/bin/cat"] }];
  if (platform !== "linux") return [];
  const desktop = (environment["XDG_CURRENT_DESKTOP"] ?? "").toLowerCase();
  const logind = {
    name: "systemd-inhibit",
    command: "systemd-inhibit",
    args: ["--what=idle", `--who=${WHO}`, `--why=${WHY}`, "--mode=block", "cat"],
  };
  if (/gnome|unity|budgie/.test(desktop))
    return [
      {
        name: "gnome-session-inhibit",
        command: "gnome-session-inhibit",
        args: ["--inhibit", "suspend", "--app-id", "train-at-home", "--reason", WHY, "cat"],
      },
      logind,
    ];
  if (desktop.includes("kde"))
    return [{ name: "kde-inhibit", command: "kde-inhibit", args: ["--power", "cat"] }, logind];
  return [logind];
}

/** Holds what keeps the computer awake while that is wanted, and says by what. */
export class KeepAwake {
  readonly #inhibitors: readonly Inhibitor[];
  readonly #hold: Hold;
  readonly #changed: () => void;
  readonly #held = new Map<string, Held>();
  readonly #refusals = new Map<string, string>();
  #wanted = false;
  #retry: NodeJS.Timeout | null = null;

  constructor(options: {
    readonly inhibitors?: readonly Inhibitor[];
    readonly hold?: Hold;
    /** What is held has changed by itself. */
    readonly changed: () => void;
  }) {
    this.#inhibitors = options.inhibitors ?? inhibitors(process.platform, process.env);
    this.#hold = options.hold ?? holdProcess;
    this.#changed = options.changed;
  }

  /** By what it is held; null: by nothing. */
  get held(): string | null {
    return this.#held.size === 0 ? null : [...this.#held.keys()].join(" and ");
  }

  /** Why nothing is held though it is wanted. */
  get refusal(): string | null {
    const [refusal = null] = this.#refusals.values();
    return refusal;
  }

  want(wanted: boolean): void {
    if (wanted === this.#wanted) return;
    this.#wanted = wanted;
    if (wanted) this.#begin();
    else this.#letGo();
  }

  close(): void {
    this.want(false);
  }

  #begin(): void {
    for (const inhibitor of this.#inhibitors) {
      if (this.#held.has(inhibitor.name)) continue;
      const held = this.#hold(inhibitor, (why) => {
        if (this.#held.get(inhibitor.name) !== held) return;
        this.#held.delete(inhibitor.name);
        this.#refusals.set(inhibitor.name, why);
        this.#retry ??= setTimeout(() => {
          this.#retry = null;
          if (this.#wanted) this.#begin();
        }, RETRY_MS).unref();
        this.#changed();
      });
      this.#held.set(inhibitor.name, held);
      this.#refusals.delete(inhibitor.name);
    }
  }

  #letGo(): void {
    if (this.#retry !== null) clearTimeout(this.#retry);
    this.#retry = null;
    const all = [...this.#held.values()];
    this.#held.clear();
    this.#refusals.clear();
    for (const held of all) held.end();
  }
}

/** What is said of it; empty: nothing worth saying. */
export function awakeText(
  wanted: boolean,
  held: string | null,
  refusal: string | null,
  platform: NodeJS.Platform,
): string {
  if (!wanted) return "";
  if (held !== null) return `The computer does not go to sleep by itself while it works (${held}).`;
  if (platform === "win32")
    return "While the desktop app is open, the computer does not go to sleep by itself while it works.";
  return `Nothing here keeps the computer from going to sleep by itself${refusal === null ? "" : ` (${refusal})`}. In its settings, let it sleep later.`;
}

/** What a program of the system's said on its standard error, as an owner reads it. */
export function refusalInWords(command: string, said: string): string {
  const [line = ""] = said.trim().split("\n");
  if (/failed to (connect to|get) .*bus|host is down|could not connect: no such file/i.test(line))
    return "no service manager that it could ask runs here, as in a container";
  if (/access denied|permission denied|interactive authentication|not authorized/i.test(line))
    return "this account may not keep the computer awake, as over SSH";
  if (/(unknown object|not provided by any|name has no owner|org\.freedesktop\.dbus\.error)/i.test(line))
    return `nothing here answers ${command}`;
  return line === "" ? `${command} has ended` : `${command} was refused: ${line.slice(0, 120)}`;
}

const holdProcess: Hold = ({ command, args }, ended) => {
  const child = spawn(command, args, { stdio: ["pipe", "ignore", "pipe"], windowsHide: true });
  let said = "";
  child.stderr.on("data", (data: Buffer) => (said = (said + data.toString()).slice(0, 200)));
  child.stdin.on("error", () => {});
  child.once("error", (error: Error & { code?: string }) =>
    ended(error.code === "ENOENT" ? `${command} is not installed` : error.message),
  );
  child.once("exit", () => ended(refusalInWords(command, said)));
  return {
    end() {
      child.stdin.end();
      child.kill("SIGTERM");
    },
  };
};
