import { pathToFileURL } from "node:url";
import { daemonScript } from "../daemon-script.ts";

/** Gives the code that the process ends with. */
interface DaemonProgram {
  main(words: readonly string[]): Promise<number>;
}

/**
 * What a service starts: the daemon as it is best started from what is here now. In a checkout that are files made of
 * its sources, which have another name with each change: a unit that named them would find nothing one day.
 */
export const SERVICE_START = import.meta.filename;

if (import.meta.main) {
  const { main } = (await import(pathToFileURL(daemonScript()).href)) as DaemonProgram;
  const code = await main(process.argv.slice(2));
  process.stdout.write("", () => process.exit(code));
}
