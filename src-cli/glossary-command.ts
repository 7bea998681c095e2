import type { Command } from "commander";
import { Failure } from "../src-protocol/failure.ts";
import { explained, found } from "../src-protocol/glossary.ts";
import { ENGLISH } from "../src-protocol/say.ts";

/** `tah glossary`: what the words mean that it uses. Needs nothing that runs. */
export function addGlossaryCommand(program: Command, say: (text: string) => void): void {
  program
    .command("glossary")
    .description("what the words mean that it uses, a sentence each")
    .argument("[word...]", "this one alone; else all of them")
    .option("--json", "print JSON, for programs")
    .action((words: string[], { json }: { json?: true }) => {
      const all = explained(ENGLISH.locale);
      const asked = words.join(" ");
      const terms = asked === "" ? all : found(all, asked);
      if (terms.length === 0)
        throw new Failure(
          "no-such-word",
          `The glossary has no “${asked.slice(0, 40)}”. It has: ${all.map(({ word }) => word).join(", ")}.`,
        );
      say(
        json === true
          ? JSON.stringify({ terms })
          : terms.map(({ word, says }) => `${word}\n  ${says}`).join("\n"),
      );
    });
}
