import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { Failure } from "../src-protocol/failure.ts";

/** Secrets come from a terminal that does not show them, or from a file: never from the command line. */
export type SecretReader = (question: string) => Promise<string>;

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
export function secretAtTerminal(): SecretReader | null {
  const { stdin, stderr } = process;
  if (!stdin.isTTY || !stderr.isTTY) return null;
  return (question) =>
    new Promise((answer, reject) => {
      const terminal = createInterface({ input: stdin, output: stderr, terminal: true });
      stderr.write(question);
      // What is typed is not shown; the line's end is.
      const shown = terminal as unknown as { _writeToOutput: (text: string) => void };
      shown._writeToOutput = () => undefined;
      terminal.once("SIGINT", () => {
        terminal.close();
        stderr.write("\n");
        reject(new Failure("interrupted", "Stopped. Nothing was changed."));
      });
      terminal.once("line", (text) => {
        terminal.close();
        stderr.write("\n");
        answer(text);
      });
    });
}

/** Asked twice, for nobody sees what they type. @throws Failure `passwords-differ` */
export async function newPassword(ask: SecretReader): Promise<string> {
  const first = await ask("New password: ");
  if (first === (await ask("The same again: "))) return first;
  throw new Failure("passwords-differ", "The two are not the same, so nothing was written. Try again.");
}
