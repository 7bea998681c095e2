import type { CommandInfo, OptionInfo } from "./command-tree.ts";

/** The manual page tah(1), in troff, from the same table that the help is made of. */
export function manual(tree: readonly CommandInfo[], version: string): string {
  const [program, ...commands] = tree;
  return `${[
    `.TH TAH 1 "" ${troff(`"Train at Home ${version}"`)} "User Commands"`,
    ".SH NAME",
    `tah \\- ${troff("trains large models together with other homes, and shows what it earned")}`,
    ".SH SYNOPSIS",
    ".B tah",
    troff("COMMAND [OPTIONS]"),
    ".SH DESCRIPTION",
    troff(program?.about ?? ""),
    ".PP",
    troff(
      "Nothing is computed before it is asked to: tah up starts it in this terminal, tah dashboard in the background, and its own rules say when it works.",
    ),
    ".SH COMMANDS",
    ...commands.flatMap(section),
    ".SH OPTIONS",
    ...(program?.options ?? []).flatMap(option),
    ".SH FILES",
    ".TP",
    ".I ~/.local/share/train\\-at\\-home",
    troff("The data folder: keys, what was trained, history. Removing the package leaves it."),
    ".SH ENVIRONMENT",
    ".TP",
    ".B TAH_HOME",
    troff("Another data folder."),
    ".TP",
    ".B TAH_TOKEN",
    troff("A token that `tah token` has made: tah may do what its scopes say."),
    ".SH EXIT STATUS",
    troff("0: done. 1: it failed. 2: the command was written wrongly. 130: interrupted."),
  ].join("\n")}\n`;
}

function section({ words, usage, about, options }: CommandInfo): string[] {
  const own = options.filter(({ long }) => long !== "--help");
  return [
    ".TP",
    `.B ${troff(["tah", ...words].join(" "))} ${troff(usage.replace("[options]", "").trim())}`.trimEnd(),
    troff(about),
    ...(own.length === 0 ? [] : [".RS", ...own.flatMap(option), ".RE"]),
  ];
}

function option({ flags, about }: OptionInfo): string[] {
  return [".TP", `.B ${troff(flags)}`, troff(about)];
}

/** A hyphen is a minus on a terminal; a line may not begin with a dot or an apostrophe. */
function troff(text: string): string {
  return text
    .replaceAll("\\", "\\e")
    .replaceAll("-", "\\-")
    .replaceAll("\n", " ")
    .replace(/^([.'])/, "\\&$1");
}
