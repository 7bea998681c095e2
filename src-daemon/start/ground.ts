import { homeFailure, openHome } from "../data-folder/home.ts";
import type { Home } from "../data-folder/home.ts";
import { lockHome } from "../data-folder/lock.ts";
import { openLog } from "../data-folder/log-file.ts";
import type { Log } from "../data-folder/log-file.ts";
import { SetUp } from "../data-folder/set-up.ts";
import type { DaemonOptions } from "../options.ts";
import { VERSION } from "../version.ts";
import type { CleanUp } from "./clean-up.ts";

/** The data folder, ours alone from now on; the log; and whether its owner has said yes. */
export interface Ground {
  readonly home: Home;
  readonly log: Log;
  readonly setUp: SetUp;
  /** The owner's first yes is stored, and holds from now on. */
  firstYes(): void;
}

/** Throws a `Failure` when the folder cannot be used or is in use. */
export function openGround(options: DaemonOptions, cleanUp: CleanUp): Ground {
  const home = openHome(options.home);
  const lock = lockHome(home);
  cleanUp.add(() => lock.release());
  const { log, close } = openLog(home.logFile);
  cleanUp.add(close);
  log.info({ version: VERSION, node: process.version, options }, "start");
  const setUp = new SetUp(home);
  const firstYes = (): void => {
    try {
      setUp.finish(Date.now());
    } catch (error) {
      throw homeFailure(home.path, error);
    }
  };
  if (options.yes) firstYes();
  return { home, log, setUp, firstYes };
}
