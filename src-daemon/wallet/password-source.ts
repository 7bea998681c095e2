import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { join } from "node:path";
import { Failure } from "../../src-protocol/failure.ts";
import type { PasswordSource } from "./wallet.ts";

/** What systemd lays down for a service that was given `LoadCredential=tah-wallet-password:…`. */
const CREDENTIAL = "tah-wallet-password";

/**
 * Where the password of a locked hotkey comes from: the file that was named, the service manager, or the
 * terminal. Null when there is none of them.
 */
export function passwordSource({
  file,
  env,
  terminal,
}: {
  readonly file: string | null;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly terminal: { readonly input: NodeJS.ReadStream; readonly output: NodeJS.WriteStream };
}): PasswordSource {
  return async (path) => {
    if (file !== null) return read(file);
    const folder = env.CREDENTIALS_DIRECTORY;
    if (folder !== undefined) {
      const given = tryRead(join(folder, CREDENTIAL));
      if (given !== null) return given;
    }
    const { input, output } = terminal;
    return input.isTTY && output.isTTY ? asked(`Password of the hotkey ${path}: `, terminal) : null;
  };
}

/** @throws Failure `secret-file` */
function read(file: string): string {
  const text = tryRead(file);
  if (text !== null) return text;
  throw new Failure("secret-file", `${file}, which was named for the hotkey's password, cannot be read.`);
}

function tryRead(file: string): string | null {
  try {
    return readFileSync(file, "utf8").replace(/\r?\n$/, "");
  } catch {
    return null;
  }
}

/** What is typed is not shown. */
function asked(
  question: string,
  { input, output }: { input: NodeJS.ReadStream; output: NodeJS.WriteStream },
): Promise<string> {
  return new Promise((answer) => {
    const terminal = createInterface({ input, output, terminal: true });
    output.write(question);
    (terminal as unknown as { _writeToOutput: (text: string) => void })._writeToOutput = () => undefined;
    terminal.once("SIGINT", () => process.kill(process.pid, "SIGINT"));
    terminal.once("line", (text) => {
      terminal.close();
      output.write("\n");
      answer(text);
    });
  });
}
