import { Failure } from "../../src-protocol/failure.ts";

/** The instructions that the trial carries out as Docker does; it refuses every other one, and every other form of these. */
export type Instruction =
  | { readonly word: "FROM"; readonly image: string; readonly as: string | null }
  | { readonly word: "WORKDIR"; readonly path: string }
  | {
      readonly word: "COPY";
      /** The stage that it comes from; null: the checkout. */
      readonly from: string | null;
      readonly chown: string | null;
      readonly source: string;
      readonly target: string;
    }
  | { readonly word: "RUN"; readonly shell: string }
  | { readonly word: "ENV"; readonly values: Readonly<Record<string, string>> }
  | { readonly word: "USER"; readonly name: string }
  | { readonly word: "VOLUME"; readonly path: string }
  | { readonly word: "STOPSIGNAL"; readonly signal: string }
  | { readonly word: "HEALTHCHECK"; readonly timeoutMs: number; readonly command: readonly string[] }
  | { readonly word: "ENTRYPOINT" | "CMD"; readonly command: readonly string[] };

/** @throws Failure `dockerfile-unknown`, with the line that is not known */
export function readDockerfile(text: string): Instruction[] {
  return logicalLines(text).map((line) => {
    const [, word = "", rest = ""] = /^([A-Z]+)\s+(.*)$/.exec(line) ?? [];
    // Docker would put a variable's value there.
    if (word !== "RUN" && rest.includes("$")) throw unknown(line);
    const read = READERS[word]?.(rest);
    if (read === undefined || read === null) throw unknown(line);
    return read;
  });
}

/** Null: a form of it that is not known. */
const READERS: Readonly<Record<string, (rest: string) => Instruction | null>> = {
  FROM(rest) {
    const [, image, as = null] = /^([^\s-]\S*)(?:\s+AS\s+(\w+))?$/.exec(rest) ?? [];
    return image === undefined ? null : { word: "FROM", image, as };
  },
  WORKDIR: (path) => (isPath(path) ? { word: "WORKDIR", path } : null),
  COPY(rest) {
    const { flags, words } = withFlags(rest, ["from", "chown"]);
    const [source, target, ...more] = words;
    if (source === undefined || target === undefined || more.length > 0) return null;
    return { word: "COPY", from: flags["from"] ?? null, chown: flags["chown"] ?? null, source, target };
  },
  RUN: (shell) => (/^(\[|--|<<)/.test(shell) ? null : { word: "RUN", shell }),
  ENV(rest) {
    const pairs = rest.split(/\s+/).map((pair) => /^(\w+)=([\w./:=-]*)$/.exec(pair));
    if (pairs.includes(null)) return null;
    return {
      word: "ENV",
      values: Object.fromEntries(pairs.map((pair) => [pair?.[1] ?? "", pair?.[2] ?? ""])),
    };
  },
  USER: (name) => (/^[a-z]\w*$/.test(name) ? { word: "USER", name } : null),
  VOLUME: (path) => (isPath(path) ? { word: "VOLUME", path } : null),
  STOPSIGNAL: (signal) => (/^SIG[A-Z0-9]+$/.test(signal) ? { word: "STOPSIGNAL", signal } : null),
  HEALTHCHECK(rest) {
    const [, before = "", after = ""] = /^(.*?)CMD\s+(.*)$/.exec(rest) ?? [];
    const { flags, words } = withFlags(before, ["interval", "timeout", "start-period", "retries"]);
    const [, seconds] = /^(\d+)s$/.exec(flags["timeout"] ?? "30s") ?? [];
    const command = list(after);
    if (words.length > 0 || seconds === undefined || command === null) return null;
    return { word: "HEALTHCHECK", timeoutMs: Number(seconds) * 1000, command };
  },
  ENTRYPOINT: (rest) => command("ENTRYPOINT", rest),
  CMD: (rest) => command("CMD", rest),
};

function command(word: "ENTRYPOINT" | "CMD", rest: string): Instruction | null {
  const words = list(rest);
  return words === null ? null : { word, command: words };
}

/** The form as a list: in the other one a shell would stand between. */
function list(text: string): string[] | null {
  try {
    const words: unknown = JSON.parse(text);
    return Array.isArray(words) && words.length > 0 && words.every((one) => typeof one === "string")
      ? words
      : null;
  } catch {
    return null;
  }
}

function withFlags(
  rest: string,
  known: readonly string[],
): { readonly flags: Readonly<Record<string, string>>; readonly words: readonly string[] } {
  const all = rest.split(/\s+/).filter((word) => word !== "");
  const flags = all.flatMap((word) => {
    const [, name = "", value = ""] = /^--([a-z-]+)=(\S+)$/.exec(word) ?? [];
    return known.includes(name) ? [[name, value] as const] : [];
  });
  // What is no known flag stays a word, of which there are then too many.
  const isFlag = (word: string): boolean => flags.some(([name, value]) => word === `--${name}=${value}`);
  return { flags: Object.fromEntries(flags), words: all.filter((word) => !isFlag(word)) };
}

const isPath = (text: string): boolean => /^\/[\w./-]*$/.test(text);

/** Without comments, and with what a backslash continues. */
function logicalLines(text: string): string[] {
  const lines = text.split("\n").filter((line) => !/^\s*#/.test(line));
  const whole = lines.join("\n").replaceAll(/\\\n/g, " ");
  return whole.split("\n").flatMap((line) => (line.trim() === "" ? [] : [line.trim()]));
}

function unknown(line: string): Failure {
  return new Failure(
    "dockerfile-unknown",
    `The trial does not know how to carry out this line of the Dockerfile as Docker would, so it does nothing: ${line}`,
  );
}
