import type { Command } from "commander";
import { Failure } from "../src-protocol/failure.ts";

export const SHELLS = ["bash", "zsh", "fish"] as const;
export type Shell = (typeof SHELLS)[number];

interface Word {
  readonly name: string;
  readonly about: string;
}

interface Known {
  readonly commands: readonly (Word & {
    readonly words: readonly Word[];
    readonly options: readonly Word[];
  })[];
}

/** Everything from the program itself: a command that is added is completed. */
function known(program: Command): Known {
  const options = (command: Command): Word[] =>
    command.options
      .filter(({ hidden }) => !hidden)
      .flatMap(({ long, description }) => (long === undefined ? [] : [{ name: long, about: description }]));
  return {
    commands: program.commands.map((command) => ({
      name: command.name(),
      about: command.description(),
      words: command.commands.map((sub) => ({ name: sub.name(), about: sub.description() })),
      options: [
        ...options(command),
        ...command.commands.flatMap(options),
        { name: "--help", about: "how it is used" },
      ].filter((one, index, all) => all.findIndex(({ name }) => name === one.name) === index),
    })),
  };
}

/** A script for the shell's own completion. */
export function completionScript(program: Command, shell: string): string {
  const all = known(program);
  switch (shell) {
    case "bash":
      return bash(all);
    case "zsh":
      return zsh(all);
    case "fish":
      return fish(all);
    default:
      throw new Failure(
        "bad-option",
        `Completions are there for ${SHELLS.join(", ")}. Say for example: tah completions bash`,
      );
  }
}

function bash({ commands }: Known): string {
  const cases = commands.map(
    ({ name, words, options }) =>
      `    ${name}) COMPREPLY=($(compgen -W "${[...words, ...options].map((word) => word.name).join(" ")}" -- "$current")) ;;`,
  );
  return `# Completions of tah for bash: put this into ~/.bashrc
#   eval "$(tah completions bash)"
_tah() {
  local current="\${COMP_WORDS[COMP_CWORD]}"
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "${commands.map(({ name }) => name).join(" ")} --help --version" -- "$current"))
    return
  fi
  case "\${COMP_WORDS[1]}" in
${cases.join("\n")}
  esac
}
complete -F _tah tah
`;
}

function zsh({ commands }: Known): string {
  const words = commands.map(({ name, about }) => `    ${quoted(`${name}:${about.replaceAll(":", "\\:")}`)}`);
  const cases = commands.map(
    ({ name, words: more, options }) =>
      `    ${name}) compadd -- ${[...more, ...options].map((word) => word.name).join(" ")} ;;`,
  );
  return `#compdef tah
# Completions of tah for zsh: put this into ~/.zshrc, after compinit
#   eval "$(tah completions zsh)"
_tah() {
  local -a commands
  commands=(
${words.join("\n")}
  )
  if (( CURRENT == 2 )); then
    _describe 'command' commands
    return
  fi
  case "\${words[2]}" in
${cases.join("\n")}
  esac
}
compdef _tah tah
`;
}

function fish({ commands }: Known): string {
  const lines = commands.flatMap(({ name, about, words, options }) => {
    const here = `'__fish_seen_subcommand_from ${name}'`;
    return [
      `complete -c tah -f -n __fish_use_subcommand -a ${name} -d ${quoted(about)}`,
      ...words.map((word) => `complete -c tah -f -n ${here} -a ${word.name} -d ${quoted(word.about)}`),
      ...options.map(
        (option) => `complete -c tah -f -n ${here} -l ${option.name.slice(2)} -d ${quoted(option.about)}`,
      ),
    ];
  });
  return `# Completions of tah for fish: tah completions fish > ~/.config/fish/completions/tah.fish\n${lines.join("\n")}\n`;
}

/** For all three: within single quotes nothing is read but the quote itself. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", " ").replaceAll("\n", " ")}'`;
}
