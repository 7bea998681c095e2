import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { dataFolder } from "../src-protocol/data-folder.ts";

/** Where data that was read lies: the user's daemon keeps there what it prepared, too. */
export function preparedFolder(): string {
  return join(resolve(dataFolder(process.env, process.platform, homedir())), "corpus");
}
