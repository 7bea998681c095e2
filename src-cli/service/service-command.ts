import { homedir } from "node:os";
import { resolve } from "node:path";
import type { Command } from "commander";
import { dataFolder } from "../../src-protocol/data-folder.ts";
import { DAEMON_FLAGS } from "../daemon-process.ts";
import { installService, removeService, runProgram, type ServicePorts } from "./service.ts";
import { SERVICE_START } from "./service-start.ts";

interface Options {
  readonly json?: true;
  readonly home?: string;
}

/** `tah service install|remove`: started with the sign-in, as a service of this person alone. */
export function addServiceCommands(program: Command, say: (text: string) => void): void {
  const service = program
    .command("service")
    .description("start Train at Home with your sign-in, without a window");
  const commands = [
    ["install", "install and start it; words after -- are those of `tah up`", installService],
    ["remove", "end it, and start it by itself no more", removeService],
  ] as const;
  for (const [name, about, act] of commands) {
    service
      .command(name)
      .description(about)
      .argument("[words...]", "for the daemon, after --")
      .option("--json", "print JSON, for programs")
      .option("--home <folder>", "data folder of the daemon (default: $TAH_HOME, else the usual place)")
      .action(async (words: string[], { json, home }: Options) => {
        const done = await act(ports(words, home));
        say(json === true ? JSON.stringify(done) : done.text);
      });
  }
}

function ports(words: readonly string[], home: string | undefined): ServicePorts {
  const { XDG_CONFIG_HOME: configHome = null } = process.env;
  return {
    platform: process.platform,
    plan: {
      command: [process.execPath, ...DAEMON_FLAGS, SERVICE_START, ...words],
      dataFolder: resolve(home ?? dataFolder(process.env, process.platform, homedir())),
      home: homedir(),
      configHome,
    },
    run: runProgram,
    uid: process.getuid?.() ?? -1,
  };
}
