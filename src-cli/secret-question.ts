import { readFileSync } from "node:fs";
import { createInterface, type Interface } from "node:readline";
import type { ReadStream, WriteStream } from "node:tty";
import { Failure } from "../src-protocol/failure.ts";

/** Secrets come from a terminal that does not show them, or from a file: never from the command line. */
export type SecretReader = (question: string) => Promise<string>;

/** Where secrets are typed, and where the questions stand. */
export interface SecretTerminal {
  readonly input: ReadStream;
  readonly output: WriteStream;
}

const LONGEST_FILE_BYTES = 64 * 1024;

/** A secret that a file holds, without the line's end that editors add. @throws Failure `secret-file` */
export function secretFile(path: string): string {
  try {
    const text = readFileSync(path, "utf8");
    if (text.length > LONGEST_FILE_BYTES) throw new Error("too long");
    return text.replace(/\r?\n$/, "");
  } catch {
    throw new Failure("secret-file", `${path} cannot be read, or is no small text file.`);
  }
}

/** Null where there is no terminal to ask at. */
export function secretAtTerminal(
  terminal: SecretTerminal = { input: process.stdin, output: process.stderr },
): SecretReader | null {
  if (!terminal.input.isTTY || !terminal.output.isTTY) return null;
  // One for all questions of a command: what was typed ahead is the next one's answer.
  const typed = TYPED.get(terminal.input) ?? new HiddenLines(terminal);
  TYPED.set(terminal.input, typed);
  return (question) => typed.ask(question);
}

/**
 * Lines that are typed and not shown. Several may come at once (pasted, or typed ahead of the question): each
 * answers one question, in order, and the terminal shows nothing before the last question is answered.
 */
class HiddenLines {
  readonly #terminal: SecretTerminal;
  readonly #lines: string[] = [];
  #open: Interface | null = null;
  #waiting: { answer(text: string): void; refuse(failure: Failure): void } | null = null;

  constructor(terminal: SecretTerminal) {
    this.#terminal = terminal;
  }

  ask(question: string): Promise<string> {
    this.#terminal.output.write(question);
    return new Promise((answer, refuse) => {
      this.#waiting = { answer, refuse };
      if (!this.#answer()) this.#open ??= this.#listen();
    });
  }

  #listen(): Interface {
    const { input, output } = this.#terminal;
    const lines = createInterface({ input, output, terminal: true });
    // What is typed is not shown; the line's end is.
    const shown = lines as unknown as { _writeToOutput: (text: string) => void };
    shown._writeToOutput = () => undefined;
    const stop = (): void => {
      const waiting = this.#waiting;
      this.#waiting = null;
      output.write("\n");
      this.#close();
      waiting?.refuse(new Failure("interrupted", "Stopped. Nothing was changed."));
    };
    lines.on("SIGINT", stop);
    // The terminal is gone, or Ctrl-D: nobody will answer any more.
    lines.on("close", () => {
      if (this.#open === lines) stop();
    });
    lines.on("line", (text) => {
      this.#lines.push(text);
      this.#answer();
    });
    return lines;
  }

  #answer(): boolean {
    const waiting = this.#waiting;
    const line = this.#lines[0];
    if (waiting === null || line === undefined) return false;
    this.#lines.shift();
    this.#waiting = null;
    this.#terminal.output.write("\n");
    waiting.answer(line);
    // All that has come with this line is read first, and the next question may follow at once.
    setImmediate(() => {
      if (this.#waiting === null) this.#close();
    });
    return true;
  }

  #close(): void {
    const open = this.#open;
    this.#open = null;
    open?.close();
  }
}

const TYPED = new WeakMap<ReadStream, HiddenLines>();

/** Asked twice, for nobody sees what they type. @throws Failure `passwords-differ` */
export async function newPassword(ask: SecretReader): Promise<string> {
  const first = await ask("New password: ");
  if (first === (await ask("The same again: "))) return first;
  throw new Failure("passwords-differ", "The two are not the same, so nothing was written. Try again.");
}
