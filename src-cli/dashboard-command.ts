import { homedir } from "node:os";
import { resolve } from "node:path";
import type { Command } from "commander";
import { dataFolder } from "../src-protocol/data-folder.ts";
import { Failure } from "../src-protocol/failure.ts";
import { invitationOfLink } from "../src-protocol/invitation-link.ts";
import { daemonInBackground } from "./background.ts";
import { openBrowser } from "./open-browser.ts";

interface Words {
  readonly home?: string;
  readonly json?: true;
  readonly open: boolean;
}

/** `tah dashboard`: what a click on the desktop's entry does. */
export function addDashboardCommand(program: Command, say: (text: string) => void): void {
  program
    .command("dashboard")
    .description(
      "open the dashboard in the browser; starts Train at Home in the background if it does not run",
    )
    .argument(
      "[invitation]",
      "an invitation or a tah:// link, which the dashboard then shows: nothing is joined",
    )
    .option("--no-open", "only print the address, which signs a browser in once")
    .option("--json", "print JSON, for programs")
    .option("--home <folder>", "data folder of the daemon (default: $TAH_HOME, else the usual place)")
    .action(async (link: string | undefined, words: Words) => {
      const usual = dataFolder({ ...process.env, TAH_HOME: undefined }, process.platform, homedir());
      const home = resolve(words.home ?? dataFolder(process.env, process.platform, homedir()));
      const invitation = link === undefined ? null : invitationOf(link);
      const client = await daemonInBackground(home, home === resolve(usual));
      try {
        const offer = invitation === null ? null : await client.call("network.offer", { invitation });
        const { url } = await client.call("session.newLogin", {});
        say(words.json === true ? JSON.stringify({ url, pid: client.pid, offer }) : url);
        if (words.open) openBrowser(url);
      } finally {
        client.close();
      }
    });
}

function invitationOf(text: string): string {
  const invitation = text.startsWith("tah1") ? text : invitationOfLink(text);
  if (invitation === null)
    throw new Failure("bad-option", "That is no link to an invitation: one begins with tah://join/tah1.");
  return invitation;
}
