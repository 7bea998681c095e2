import { Failure } from "../../src-protocol/failure.ts";
import { say } from "../../src-protocol/say.ts";
import {
  SHELL_METHODS,
  type ShellChange,
  type ShellSettings,
  shellSettings,
} from "../../src-protocol/shell-settings.ts";

/** Whether the page is shown by the desktop app; else it is in a browser. */
export function isInShell(): boolean {
  return window.trainAtHome !== undefined;
}

/** What the desktop app itself keeps, after a change if there is one. @throws Failure of the shell */
export async function askShell(change: ShellChange | null): Promise<ShellSettings> {
  const shell = window.trainAtHome;
  if (shell === undefined) throw new Failure("no-shell", say("There is no app around this page."));
  const answer = await shell.call(
    change === null ? SHELL_METHODS.get : SHELL_METHODS.change,
    change === null ? {} : change,
  );
  if ("error" in answer) throw new Failure(answer.error.code, answer.error.message);
  return shellSettings.parse(answer.result);
}
