import type { Command } from "commander";
import { commandTree } from "./command-tree.ts";
import { manual } from "./manual.ts";

/** For packages: the manual page. */
export function addManualCommand(program: Command, say: (text: string) => void): void {
  program
    .command("manual", { hidden: true })
    .description("print the manual page, for man")
    .action(() => say(manual(commandTree(program), program.version() ?? "").trimEnd()));
}
