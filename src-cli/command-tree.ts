import type { Command } from "commander";

/** What a shell or a manual has to know of the commands, read from commander's own table. */
export interface CommandInfo {
  /** Below `tah`: ["wallet", "export"]; none for `tah` itself. */
  readonly words: readonly string[];
  readonly about: string;
  readonly usage: string;
  readonly options: readonly OptionInfo[];
  /** Names of the commands below. */
  readonly inner: readonly string[];
}

export interface OptionInfo {
  readonly flags: string;
  /** `--home` of `--home <folder>`. */
  readonly long: string;
  readonly short: string | null;
  readonly about: string;
  /** What stands for its value; null: it has none. */
  readonly value: string | null;
}

/** `tah` first, then every command with those below it, as the help lists them; not what the help hides. */
export function commandTree(program: Command): CommandInfo[] {
  return walk(program, []);
}

function walk(command: Command, words: readonly string[]): CommandInfo[] {
  const inner = command
    .createHelp()
    .visibleCommands(command)
    .filter((one) => one.name() !== "help");
  const own: CommandInfo = {
    words,
    about: command.description(),
    usage: command.usage(),
    options: command
      .createHelp()
      .visibleOptions(command)
      .map(({ flags, long, short, description }) => ({
        flags,
        long: long ?? "",
        short: short ?? null,
        about: description,
        value: /[<[]([^>\]]+)[>\]]/.exec(flags)?.[1] ?? null,
      })),
    inner: inner.map((one) => one.name()),
  };
  return [own, ...inner.flatMap((one) => walk(one, [...words, one.name()]))];
}
